//! Batches of datagrams, IPv4: `recvmmsg` and `sendmmsg`, for the generator and for the floor. The only unsafe code of the harness.
//!
//! It never looks into a datagram. The rule that keeps it sound: every pointer handed to the kernel is written
//! right before the call from buffers that the same value owns, and what the kernel wrote is read back
//! only within the lengths it gave.

#![expect(
    unsafe_code,
    reason = "one system call for many datagrams has no safe wrapper that does not allocate"
)]

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

/// Datagrams in one system call, as in the servers that are compared.
pub(crate) const BATCH: usize = 64;
/// Octets in one datagram; no reply that is asked for here is longer.
const ROOM: usize = 2048;

/// One datagram and its room.
#[derive(Clone)]
pub(crate) struct Datagram {
    octets: [u8; ROOM],
    length: usize,
}

impl Datagram {
    /// What was received, or is to be sent.
    pub(crate) fn octets(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }

    /// The same, to change in place.
    pub(crate) fn octets_mut(&mut self) -> &mut [u8] {
        self.octets.get_mut(..self.length).unwrap_or_default()
    }

    /// Replaces it all; what does not fit is cut.
    pub(crate) fn write(&mut self, octets: &[u8]) {
        self.length = 0;
        self.write_at(0, octets);
    }

    /// Writes from this place on, and ends it there.
    pub(crate) fn write_at(&mut self, at: usize, octets: &[u8]) {
        let room = self.octets.get_mut(at..).unwrap_or_default();
        let length = room.len().min(octets.len());
        for (to, from) in room.iter_mut().zip(octets) {
            *to = *from;
        }
        self.length = at.min(ROOM) + length;
    }
}

/// Where datagrams of a batch come from and go to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Peer {
    /// The one that the socket is connected to.
    Connected,
    /// Whoever sent the datagram in the same place.
    Sender,
}

/// A batch of datagrams.
pub(crate) struct Batch {
    datagrams: Box<[Datagram]>,
    peer: Peer,
    senders: Box<[libc::sockaddr_in]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

impl Batch {
    /// For a connected socket.
    pub(crate) fn connected() -> Self {
        Self::new(Peer::Connected)
    }

    /// For a socket of a server: what is sent goes to whom the datagram in its place came from.
    pub(crate) fn answering() -> Self {
        Self::new(Peer::Sender)
    }

    fn new(peer: Peer) -> Self {
        let empty = Datagram {
            octets: [0; ROOM],
            length: 0,
        };
        // SAFETY: all three are plain C structures of integers and pointers, for which zeros are a value.
        let (sender, vector, header) = unsafe { (mem::zeroed(), mem::zeroed(), mem::zeroed()) };
        Self {
            datagrams: vec![empty; BATCH].into_boxed_slice(),
            peer,
            senders: vec![sender; BATCH].into_boxed_slice(),
            vectors: vec![vector; BATCH].into_boxed_slice(),
            headers: vec![header; BATCH].into_boxed_slice(),
        }
    }

    /// The datagrams, received ones first.
    pub(crate) fn datagrams(&mut self) -> &mut [Datagram] {
        &mut self.datagrams
    }

    /// Receives what is there without waiting, and gives how many.
    pub(crate) fn receive(&mut self, socket: &impl AsFd) -> io::Result<usize> {
        self.receive_with(socket, libc::MSG_DONTWAIT)
    }

    /// The same, but waits for the first.
    pub(crate) fn wait(&mut self, socket: &impl AsFd) -> io::Result<usize> {
        self.receive_with(socket, libc::MSG_WAITFORONE)
    }

    fn receive_with(&mut self, socket: &impl AsFd, flags: libc::c_int) -> io::Result<usize> {
        for datagram in &mut *self.datagrams {
            datagram.length = ROOM;
        }
        self.point();
        // SAFETY: `headers` has BATCH entries, which `point` just aimed at buffers of `self` with their true lengths.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                flags as _,
                ptr::null_mut(),
            )
        };
        let count = counted(count)?;
        for (datagram, header) in self.datagrams.iter_mut().zip(&self.headers).take(count) {
            datagram.length = ROOM.min(header.msg_len as usize);
        }
        Ok(count)
    }

    /// Sends the first `count`, and gives how many the kernel took.
    pub(crate) fn send(&mut self, socket: &impl AsFd, count: usize) -> io::Result<usize> {
        let count = count.min(BATCH);
        self.point();
        let mut sent = 0;
        while let Some(rest) = self.headers.get_mut(sent..count)
            && !rest.is_empty()
        {
            // SAFETY: `rest` are headers that `point` just aimed at buffers of `self`.
            let took = unsafe {
                libc::sendmmsg(
                    socket.as_fd().as_raw_fd(),
                    rest.as_mut_ptr(),
                    rest.len() as libc::c_uint,
                    0,
                )
            };
            match counted(took)? {
                0 => break,
                took => sent += took,
            }
        }
        Ok(sent)
    }

    /// Aims each header at its datagram and its sender.
    fn point(&mut self) {
        let slots = self.datagrams.iter_mut().zip(&mut *self.senders);
        let headers = self.headers.iter_mut().zip(&mut *self.vectors);
        for ((header, vector), (datagram, sender)) in headers.zip(slots) {
            *vector = libc::iovec {
                iov_base: datagram.octets.as_mut_ptr().cast(),
                iov_len: datagram.length.min(ROOM),
            };
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            if self.peer == Peer::Sender {
                header.msg_hdr.msg_name = ptr::from_mut(sender).cast();
                header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            }
        }
    }
}

/// What a system call counted; nothing there, and an ICMP error of an earlier datagram, count as none.
fn counted(count: libc::c_int) -> io::Result<usize> {
    usize::try_from(count).or_else(|_| {
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionRefused => Ok(0),
            _ => Err(error),
        }
    })
}
