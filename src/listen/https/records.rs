//! HTTP on TLS: which octets share a record, and which a call of the kernel's.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A stream over which each response over HTTP/2 has a record of its own, and all that are ready leave together.
///
/// dnsperf (2.14 still) takes one response from a record and looks at the others when the next one comes, which is never.
///
/// It does not gather what is written (`is_write_vectored`), so that HTTP writes head and body in one piece.
#[derive(Debug)]
pub(super) struct Records(pub(super) TlsStream<TcpStream>);

impl AsyncRead for Records {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl AsyncWrite for Records {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut taken = 0;
        let mut writer = self.0.get_mut().1.writer();
        while taken < octets.len() {
            let rest = octets.get(taken..).unwrap_or_default();
            let record = rest.get(..end_of_response(rest)).unwrap_or(rest);
            match writer.write(record)? {
                0 => break,
                count => taken += count,
            }
        }
        if taken == 0 {
            // So much waits to be sent that some of it must leave first.
            return Pin::new(&mut self.0).poll_write(context, octets);
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Where the first response ends in frames (RFC 9113 §4.1), or all of them. What are no frames, or not whole ones, is cut
/// anywhere: a record means nothing to HTTP.
fn end_of_response(frames: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&[a, b, c, kind, flags, ..]) = frames.get(at..) {
        at += FRAME_HEAD + usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or_default();
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            break;
        }
    }
    at.min(frames.len())
}

const FRAME_HEAD: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const END_STREAM: u8 = 1;
