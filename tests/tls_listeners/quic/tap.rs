//! A client's socket on which every datagram that comes in is seen, and kept back where that is wanted.

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Whether the client gets a datagram.
pub(crate) type Pass = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

pub(crate) struct Tap {
    below: Arc<dyn AsyncUdpSocket>,
    pass: Pass,
}

impl Tap {
    pub(crate) fn new(socket: UdpSocket, pass: Pass) -> Self {
        let below = TokioRuntime.wrap_udp_socket(socket).unwrap();
        Self { below, pass }
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Tap").finish_non_exhaustive()
    }
}

impl AsyncUdpSocket for Tap {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.below).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.below.try_send(transmit)
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let polled = self.below.poll_recv(context, buffers, metas);
        if let Poll::Ready(Ok(count)) = polled {
            for (buffer, meta) in buffers.iter().zip(metas).take(count) {
                // All of a batch are of one kind here: the kernel joins only those of one length.
                let datagrams = buffer[..meta.len].chunks(meta.stride.max(1));
                let passed: Vec<_> = datagrams.map(|datagram| (self.pass)(datagram)).collect();
                if passed.contains(&false) {
                    meta.len = 0;
                }
            }
        }
        polled
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.below.local_addr()
    }

    fn max_receive_segments(&self) -> usize {
        self.below.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.below.may_fragment()
    }
}
