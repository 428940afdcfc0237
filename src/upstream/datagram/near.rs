//! Queries to servers on loopback: by batches, each from the next of a rotating set of ports.
//!
//! Nobody outside can send from a loopback address, so what a port of its own is good for, to be hard to guess, is
//! not needed here. The queries of a batch leave from one socket, those of one length in one system call, and
//! their answers are told apart by their ids.

use super::{Datagrams, id_of, insist, send_one};
use crate::sys::{BATCH, send_segments};
use rustix::net::connect;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

/// One server.
pub(super) struct Near<K> {
    /// The set, by number.
    sockets: Vec<usize>,
    /// Which of the set sends the next batch.
    turn: usize,
    batch: Batch<K>,
}

/// Queries that wait to be sent from one socket.
struct Batch<K> {
    socket: usize,
    count: usize,
    /// By their lengths: what is of one length leaves in one piece.
    groups: Vec<Group<K>>,
}

/// Queries of one length, one behind the other.
struct Group<K> {
    length: usize,
    octets: Vec<u8>,
    keys: Vec<K>,
}

impl<K> Default for Near<K> {
    fn default() -> Self {
        Self {
            sockets: Vec::new(),
            turn: 0,
            batch: Batch {
                socket: 0,
                count: 0,
                groups: Vec::new(),
            },
        }
    }
}

impl<K: Copy> Datagrams<K> {
    /// Adds a query to the batch of its server; gives the socket's number.
    pub(super) fn queue(&mut self, key: K, server: SocketAddr, packet: &[u8]) -> io::Result<usize> {
        let id = id_of(packet);
        self.send_if_full(server);
        let batch = self.near.get(&server).and_then(Near::socket_of_batch);
        let number = match batch {
            Some(number) if self.is_free(number, id) => number,
            _ => self.next_of_set(server, id)?,
        };
        let socket = self.sockets.get_mut(number).and_then(Option::as_mut);
        if let (Some(socket), Some(near)) = (socket, self.near.get_mut(&server)) {
            if batch.is_some_and(|batch| batch != number) {
                // Its id is awaited there already: it goes alone.
                send_one(&socket.descriptor, packet)?;
            } else {
                near.batch.socket = number;
                near.batch.add(key, packet);
            }
            socket.awaited.push((id, key));
        }
        Ok(number)
    }

    /// A crowd leaves by several sockets: what one awaits is looked through query by query.
    fn send_if_full(&mut self, server: SocketAddr) {
        if let Some(near) = self.near.get_mut(&server)
            && near.batch.count >= BATCH
            && let Some(Some(socket)) = self.sockets.get(near.batch.socket)
        {
            let failed = &mut self.failed;
            near.batch.send(&socket.descriptor, &mut |key, error| {
                failed.push((key, error));
            });
        }
    }

    /// A socket of the server's set that awaits nothing under this id.
    fn next_of_set(&mut self, server: SocketAddr, id: u16) -> io::Result<usize> {
        let count = self.near.entry(server).or_default().sockets.len();
        if count < ROTATING {
            match self.open_near(server) {
                Ok(number) => return Ok(number),
                Err(error) if count == 0 => return Err(error),
                // Where no descriptor is to be had, a smaller set must do.
                Err(_) => {}
            }
        }
        for _ in 0..count {
            let near = self.near.entry(server).or_default();
            near.turn = (near.turn + 1) % count;
            if let Some(&number) = near.sockets.get(near.turn)
                && self.is_free(number, id)
            {
                return Ok(number);
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    fn open_near(&mut self, server: SocketAddr) -> io::Result<usize> {
        let number = self.open(server)?;
        if let Some(Some(socket)) = self.sockets.get_mut(number) {
            socket.is_near = true;
            if let Err(error) = connect(&socket.descriptor, &server) {
                self.discard(number);
                return Err(error.into());
            }
        }
        self.near.entry(server).or_default().sockets.push(number);
        Ok(number)
    }

    fn is_free(&self, number: usize, id: u16) -> bool {
        let socket = self.sockets.get(number).and_then(Option::as_ref);
        socket.is_some_and(|socket| socket.awaited.iter().all(|(awaited, _)| *awaited != id))
    }

    /// Sends what waits to be sent, and tells of each query that could not be.
    pub fn flush(&mut self, mut failed: impl FnMut(K, io::Error)) {
        for (key, error) in self.failed.drain(..) {
            failed(key, error);
        }
        for near in self.near.values_mut() {
            if let Some(number) = near.socket_of_batch()
                && let Some(Some(socket)) = self.sockets.get(number)
            {
                near.batch.send(&socket.descriptor, &mut failed);
            }
        }
    }
}

impl<K> Near<K> {
    /// The socket of the batch that is being made, if there is one.
    fn socket_of_batch(&self) -> Option<usize> {
        (self.batch.count > 0).then_some(self.batch.socket)
    }
}

impl<K: Copy> Batch<K> {
    fn add(&mut self, key: K, packet: &[u8]) {
        let length = packet.len();
        let known = self.groups.iter().position(|group| group.length == length);
        let place = known.unwrap_or_else(|| {
            self.groups.push(Group {
                length,
                octets: Vec::new(),
                keys: Vec::new(),
            });
            self.groups.len() - 1
        });
        if let Some(group) = self.groups.get_mut(place) {
            group.octets.extend_from_slice(packet);
            group.keys.push(key);
        }
        self.count += 1;
    }

    fn send(&mut self, descriptor: &OwnedFd, failed: &mut impl FnMut(K, io::Error)) {
        for group in &mut self.groups {
            let octets = group.octets.chunks(group.length * BATCH);
            for (octets, keys) in octets.zip(group.keys.chunks(BATCH)) {
                send_group(descriptor, (octets, group.length), keys, failed);
            }
            group.octets.clear();
            group.keys.clear();
        }
        self.groups.truncate(MOST_LENGTHS);
        self.count = 0;
    }
}

/// Sends queries of one length, at most [`BATCH`].
fn send_group<K: Copy>(
    descriptor: &OwnedFd,
    (octets, length): (&[u8], usize),
    keys: &[K],
    failed: &mut impl FnMut(K, io::Error),
) {
    if keys.len() > 1
        && let Ok(length) = u16::try_from(length)
        && insist(|| send_segments(descriptor.as_fd(), octets, length)).is_ok()
    {
        return;
    }
    // One alone; or the kernel cannot cut, or it told the error of another: each on its own then.
    for (packet, key) in octets.chunks(length).zip(keys) {
        if let Err(error) = send_one(descriptor, packet) {
            failed(*key, error);
        }
    }
}

/// Lengths that a batch keeps room for.
const MOST_LENGTHS: usize = 32;
/// Sockets of a set.
pub(super) const ROTATING: usize = 64;
