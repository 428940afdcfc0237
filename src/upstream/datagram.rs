//! Queries to upstreams over UDP, from ports that are hard to guess (RFC 5452 §4.5).
//!
//! Each query goes out from a port of its own: sockets are kept, registered with epoll once, and bound anew for
//! each query. To dissolve a connection gives the port back, though there was none, and the next send draws
//! another from `ip_local_port_range`. To connect as well would cost a tenth more for each miss: who sent a packet is
//! looked at here, and `IP_RECVERR` tells of refusals. A socket keeps its port until its query is closed: a late
//! answer still counts.
//!
//! A loopback upstream, to which nobody outside can pretend, is asked from a rotating set of ports (`near`).
//! One driver's, on its own thread.

mod near;

use crate::sys::{self, Inbound};
use foldhash::HashMap;
use near::Near;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, SendFlags, SocketFlags, SocketType,
    connect_unspec, recv, recvfrom, recvmsg, send, sendto, socket_with,
};
use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The sockets of one driver, by number.
pub struct Datagrams<K> {
    epoll: OwnedFd,
    sockets: Vec<Option<Socket<K>>>,
    /// Numbers without a socket.
    vacant: Vec<usize>,
    /// Sockets that nobody uses, for servers out in the world.
    idle: HashMap<AddressFamily, VecDeque<usize>>,
    /// Servers on loopback.
    near: HashMap<SocketAddr, Near<K>>,
    /// Queries to those that could not be sent, and nobody has heard of it.
    failed: Vec<(K, io::Error)>,
    room: Room,
}

/// Where packets are received.
struct Room {
    single: Box<[u8]>,
    batch: Inbound,
}

struct Socket<K> {
    descriptor: OwnedFd,
    family: AddressFamily,
    /// It stays connected to one server on loopback.
    is_near: bool,
    /// The server asked last.
    server: SocketAddr,
    /// Who awaits something there, by the ids of their queries: one, but for near servers.
    awaited: Vec<(u16, K)>,
    /// More came since its last query than an answer; there may be more of it.
    is_soiled: bool,
}

/// A query that was sent: where, and under which id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    socket: usize,
    id: u16,
}

/// What came of a query.
#[derive(Clone, Copy, Debug)]
pub enum Heard<'a, K> {
    /// A packet from the server asked. Whether it is the answer is for the judge to say.
    Packet(K, &'a [u8]),
    /// Nobody is there.
    Unreachable(K),
    /// The waker was rung.
    Woken,
}

impl<K: Copy> Datagrams<K> {
    /// None open. `waker` becomes readable when the driver has other work.
    ///
    /// # Errors
    /// No descriptor is to be had.
    pub fn new(waker: BorrowedFd<'_>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let data = epoll::EventData::new_u64(WAKER);
        epoll::add(&epoll, waker, data, epoll::EventFlags::IN)?;
        Ok(Self {
            epoll,
            sockets: Vec::new(),
            vacant: Vec::new(),
            idle: HashMap::default(),
            near: HashMap::default(),
            failed: Vec::new(),
            room: Room {
                single: vec![0; LONGEST].into_boxed_slice(),
                batch: Inbound::new(LONGEST),
            },
        })
    }

    /// Readable when [`Self::hear`] has something.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Sends a query, at the latest with [`Self::flush`]; gives what to [`Self::close`] it by.
    ///
    /// # Errors
    /// No socket is to be had, there is no route, or the host refused an earlier packet.
    pub fn send(&mut self, key: K, server: SocketAddr, packet: &[u8]) -> io::Result<Sent> {
        let id = id_of(packet);
        let socket = if server.ip().is_loopback() {
            self.queue(key, server, packet)?
        } else {
            self.send_anew(key, server, packet)?
        };
        Ok(Sent { socket, id })
    }

    /// From a socket that is bound to another port than before.
    fn send_anew(&mut self, key: K, server: SocketAddr, packet: &[u8]) -> io::Result<usize> {
        let family = family_of(server);
        let idle = self.idle.get_mut(&family).and_then(VecDeque::pop_front);
        let number = match idle {
            Some(number) => number,
            None => self.open(server)?,
        };
        let socket = self.sockets.get_mut(number).and_then(Option::as_mut);
        let socket = socket.ok_or(Errno::BADF)?;
        match socket.send_anew(server, packet) {
            Ok(()) => {
                socket.awaited.push((id_of(packet), key));
                Ok(number)
            }
            Err(error) => {
                self.retire(number);
                Err(error.into())
            }
        }
    }

    fn open(&mut self, server: SocketAddr) -> io::Result<usize> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let family = family_of(server);
        let descriptor = socket_with(family, SocketType::DGRAM, flags, None)?;
        sys::ask_for_errors(descriptor.as_fd(), server)?;
        let number = self.vacant.pop().unwrap_or_else(|| {
            self.sockets.push(None);
            self.sockets.len() - 1
        });
        let data = epoll::EventData::new_u64(number as u64);
        epoll::add(&self.epoll, &descriptor, data, epoll::EventFlags::IN)?;
        if let Some(slot) = self.sockets.get_mut(number) {
            *slot = Some(Socket {
                descriptor,
                family,
                is_near: false,
                server,
                awaited: Vec::new(),
                is_soiled: false,
            });
        }
        Ok(number)
    }

    /// Nothing more is awaited of that query.
    pub fn close(&mut self, sent: Sent) {
        let Some(Some(socket)) = self.sockets.get_mut(sent.socket) else {
            return;
        };
        let place = socket.awaited.iter().position(|(id, _)| *id == sent.id);
        let Some(place) = place else {
            return;
        };
        socket.awaited.swap_remove(place);
        if !socket.is_near {
            self.retire(sent.socket);
        }
    }

    /// Keeps a socket for later that nobody uses any more.
    fn retire(&mut self, number: usize) {
        let Some(Some(socket)) = self.sockets.get(number) else {
            return;
        };
        let idle = self.idle.entry(socket.family).or_default();
        if idle.len() < MOST_IDLE {
            idle.push_back(number);
        } else {
            self.discard(number);
        }
    }

    fn discard(&mut self, number: usize) {
        if let Some(slot) = self.sockets.get_mut(number) {
            // Closing takes it out of epoll.
            *slot = None;
            self.vacant.push(number);
        }
    }

    /// Hands out what has come, without waiting; gives whether there was anything.
    ///
    /// # Errors
    /// Of epoll itself.
    pub fn hear(&mut self, mut each: impl FnMut(Heard<'_, K>)) -> io::Result<bool> {
        let mut room = [const { MaybeUninit::uninit() }; EVENTS];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let events: &[epoll::Event] = match epoll::wait(&self.epoll, &mut room, Some(&now)) {
            Ok((events, _)) => events,
            Err(Errno::INTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        for event in events {
            let number = event.data.u64();
            if number == WAKER {
                each(Heard::Woken);
                continue;
            }
            let slot = usize::try_from(number)
                .ok()
                .and_then(|number| self.sockets.get_mut(number));
            if let Some(Some(socket)) = slot {
                socket.receive(&mut self.room, &mut each);
                // However the error was told: while it stands in its queue, epoll wakes us for it.
                if { event.flags }.contains(epoll::EventFlags::ERR) {
                    socket.forget_errors();
                }
            }
        }
        Ok(!events.is_empty())
    }
}

impl<K: Copy> Socket<K> {
    /// Sends a query from another port than before.
    fn send_anew(&mut self, server: SocketAddr, packet: &[u8]) -> Result<(), Errno> {
        connect_unspec(&self.descriptor)?;
        if std::mem::take(&mut self.is_soiled) {
            // What came to its former port answers no new query; nothing reaches it now.
            while recv(&self.descriptor, &mut [0; 1], RecvFlags::DONTWAIT).is_ok() {}
        }
        self.server = server;
        sendto(&self.descriptor, packet, SendFlags::empty(), &server).map(|_| ())
    }

    /// Some of what is there: where there is more, epoll says so again. What comes for nobody is thrown away.
    fn receive(&mut self, room: &mut Room, each: &mut impl FnMut(Heard<'_, K>)) {
        self.is_soiled |= self.awaited.is_empty();
        let received = if self.awaited.len() > 1 {
            let received = room
                .batch
                .receive(self.descriptor.as_fd(), self.awaited.len());
            for (packet, peer, _) in room.batch.packets() {
                self.hear(packet, Some(peer), each);
            }
            received.map(|_| ())
        } else {
            // For a single one, this call is the cheaper by a third.
            let received = recvfrom(&self.descriptor, &mut *room.single, RecvFlags::DONTWAIT);
            received.map_err(io::Error::from).map(|(_, length, peer)| {
                let packet = room.single.get(..length).unwrap_or_default();
                let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
                self.hear(packet, peer, each);
            })
        };
        if received.is_err_and(|error| !is_passing(&error)) {
            let keys = self.awaited.iter().map(|(_, key)| *key);
            keys.for_each(|key| each(Heard::Unreachable(key)));
        }
    }

    fn hear(
        &mut self,
        packet: &[u8],
        peer: Option<SocketAddr>,
        each: &mut impl FnMut(Heard<'_, K>),
    ) {
        // The scope of a link-local address is the kernel's business.
        let is_server = peer
            .is_some_and(|peer| (peer.ip(), peer.port()) == (self.server.ip(), self.server.port()));
        self.is_soiled |= !is_server;
        if is_server && let Some(key) = self.who_awaits(packet) {
            each(Heard::Packet(key, packet));
        }
    }

    /// Empties the queue of errors.
    fn forget_errors(&self) {
        let mut control = RecvAncillaryBuffer::default();
        for _ in 0..EVENTS {
            if recvmsg(&self.descriptor, &mut [], &mut control, RecvFlags::ERRQUEUE).is_err() {
                return;
            }
        }
    }

    /// The one with the packet's id; else any: it is their server that sends what nobody asked for.
    fn who_awaits(&self, packet: &[u8]) -> Option<K> {
        let id = id_of(packet);
        let same = self.awaited.iter().find(|(awaited, _)| *awaited == id);
        same.or_else(|| self.awaited.first()).map(|(_, key)| *key)
    }
}

/// Nothing there, or not now.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

fn send_one(descriptor: &OwnedFd, packet: &[u8]) -> io::Result<()> {
    insist(|| Ok(send(descriptor, packet, SendFlags::empty()).map(|_| ())?))
}

/// A refusal that is told now is an earlier query's: told once, it is forgotten.
fn insist(mut send: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    match send() {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => send(),
        sent => sent,
    }
}

/// The message id (RFC 1035 §4.1.1); of what is shorter, zero.
fn id_of(packet: &[u8]) -> u16 {
    packet
        .first_chunk()
        .map_or(0, |octets| u16::from_be_bytes(*octets))
}

fn family_of(server: SocketAddr) -> AddressFamily {
    match server {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    }
}

/// The number of the waker.
const WAKER: u64 = u64::MAX;
/// Events taken from the kernel at a time.
const EVENTS: usize = 64;
/// The longest datagram there is: what is larger than we asked for is still read whole.
const LONGEST: usize = 65_535;
/// Sockets of one family that are kept for later.
const MOST_IDLE: usize = 256;

#[cfg(test)]
mod tests;
