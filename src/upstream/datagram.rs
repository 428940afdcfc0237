//! Queries to upstreams over UDP: a socket for each, and a fresh random port (RFC 5452 §4.5).
//!
//! Every socket is connected while it is used, so the kernel drops what others send to it and tells of
//! refusals, and stays so until its fetch is released: a late answer still counts. Sockets are kept,
//! registered with epoll once, and bound anew for each query: to dissolve a connection gives the port
//! back, to connect again draws another from `ip_local_port_range`. A loopback upstream, to which nobody
//! outside can pretend, is asked from a rotating set of ports instead. One driver's, on its own thread.

use foldhash::HashMap;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, connect_unspec, recv,
    send, socket_with,
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
    /// Sockets that nobody uses.
    idle: HashMap<Kind, VecDeque<usize>>,
    buffer: Box<[u8]>,
}

struct Socket<K> {
    descriptor: OwnedFd,
    kind: Kind,
    /// Who awaits something there.
    key: Option<K>,
}

/// What a socket can be used for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// Any IPv4 server.
    V4,
    /// Any IPv6 server.
    V6,
    /// This one on loopback, to which it stays connected.
    Near(SocketAddr),
}

/// What came of a query.
#[derive(Clone, Copy, Debug)]
pub enum Heard<'a, K> {
    /// A packet from the server asked.
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
            buffer: vec![0; LONGEST].into_boxed_slice(),
        })
    }

    /// Readable when [`Self::hear`] has something.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Sends a query; gives the number to [`Self::close`] it by.
    ///
    /// # Errors
    /// No socket is to be had, there is no route, or the host refused an earlier packet.
    pub fn send(&mut self, key: K, server: SocketAddr, packet: &[u8]) -> io::Result<usize> {
        let kind = Kind::of(server);
        let number = match self.take_idle(kind) {
            Some(number) => number,
            // Where no descriptor is to be had, a smaller set must do.
            None => self.open(kind).or_else(|error| {
                let idle = self.idle.get_mut(&kind);
                idle.and_then(VecDeque::pop_front).ok_or(error)
            })?,
        };
        let sent = self.send_from(number, key, server, packet);
        if sent.is_err() {
            self.close(number);
        }
        sent.map(|()| number)
    }

    fn send_from(
        &mut self,
        number: usize,
        key: K,
        server: SocketAddr,
        packet: &[u8],
    ) -> io::Result<()> {
        let socket = self.sockets.get_mut(number).and_then(Option::as_mut);
        let socket = socket.ok_or(Errno::BADF)?;
        socket.key = Some(key);
        if !matches!(socket.kind, Kind::Near(_)) {
            connect_unspec(&socket.descriptor)?;
            // Nothing reaches it now: what came to its former port answers no new query.
            while recv(&socket.descriptor, &mut *self.buffer, RecvFlags::DONTWAIT).is_ok() {}
            connect(&socket.descriptor, &server)?;
        }
        let send = || send(&socket.descriptor, packet, SendFlags::empty());
        // A refusal that is told now is an earlier query's: told once, it is forgotten.
        match send() {
            Err(Errno::CONNREFUSED) => send()?,
            sent => sent?,
        };
        Ok(())
    }

    /// A socket of this kind that nobody uses. Of a rotating set, the one used longest ago.
    fn take_idle(&mut self, kind: Kind) -> Option<usize> {
        let idle = self.idle.get_mut(&kind)?;
        if matches!(kind, Kind::Near(_)) && idle.len() < ROTATING {
            return None;
        }
        idle.pop_front()
    }

    fn open(&mut self, kind: Kind) -> io::Result<usize> {
        let family = match kind {
            Kind::V4 | Kind::Near(SocketAddr::V4(_)) => AddressFamily::INET,
            Kind::V6 | Kind::Near(SocketAddr::V6(_)) => AddressFamily::INET6,
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let descriptor = socket_with(family, SocketType::DGRAM, flags, None)?;
        if let Kind::Near(server) = kind {
            connect(&descriptor, &server)?;
        }
        let number = self.vacant.pop().unwrap_or_else(|| {
            self.sockets.push(None);
            self.sockets.len() - 1
        });
        let data = epoll::EventData::new_u64(number as u64);
        epoll::add(&self.epoll, &descriptor, data, epoll::EventFlags::IN)?;
        if let Some(slot) = self.sockets.get_mut(number) {
            *slot = Some(Socket {
                descriptor,
                kind,
                key: None,
            });
        }
        Ok(number)
    }

    /// Nothing more is awaited there.
    pub fn close(&mut self, number: usize) {
        let Some(slot) = self.sockets.get_mut(number) else {
            return;
        };
        let Some(socket) = slot.as_mut() else {
            return;
        };
        if socket.key.take().is_none() {
            return;
        }
        let idle = self.idle.entry(socket.kind).or_default();
        if idle.len() < MOST_IDLE {
            idle.push_back(number);
        } else {
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
                .and_then(|number| self.sockets.get(number));
            if let Some(Some(socket)) = slot {
                receive(socket, &mut self.buffer, &mut each);
            }
        }
        Ok(!events.is_empty())
    }
}

impl Kind {
    fn of(server: SocketAddr) -> Self {
        match server {
            near if near.ip().is_loopback() => Self::Near(near),
            SocketAddr::V4(_) => Self::V4,
            SocketAddr::V6(_) => Self::V6,
        }
    }
}

/// One packet: where there are more, epoll says so again. What comes for nobody is thrown away.
fn receive<K: Copy>(socket: &Socket<K>, buffer: &mut [u8], each: &mut impl FnMut(Heard<'_, K>)) {
    let heard = match recv(&socket.descriptor, &mut *buffer, RecvFlags::DONTWAIT) {
        Ok((_, length)) => socket
            .key
            .zip(buffer.get(..length))
            .map(|(key, packet)| Heard::Packet(key, packet)),
        Err(Errno::AGAIN | Errno::INTR) => None,
        Err(_) => socket.key.map(Heard::Unreachable),
    };
    if let Some(heard) = heard {
        each(heard);
    }
}

/// The number of the waker.
const WAKER: u64 = u64::MAX;
/// Events taken from the kernel at a time.
const EVENTS: usize = 64;
/// The longest datagram there is: what is larger than we asked for is still read whole.
const LONGEST: usize = 65_535;
/// Ports that a loopback upstream is asked from at least, in turn.
const ROTATING: usize = 64;
/// Sockets of one kind that are kept for later.
const MOST_IDLE: usize = 256;

#[cfg(test)]
mod tests {
    use super::{Datagrams, Heard, Kind};
    use rustix::event::{EventfdFlags, eventfd};
    use std::collections::HashSet;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;
    use std::time::Duration;

    fn until<T>(mut each: impl FnMut() -> Option<T>) -> T {
        for _ in 0..500 {
            if let Some(found) = each() {
                return found;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it never came");
    }

    /// Sends from a socket of this kind and gives it back; the port that the server saw.
    fn port_of(datagrams: &mut Datagrams<u8>, kind: Kind, server: &UdpSocket) -> u16 {
        let address = server.local_addr().unwrap();
        let number = match datagrams.take_idle(kind) {
            Some(number) => number,
            None => datagrams.open(kind).unwrap(),
        };
        datagrams.send_from(number, 1, address, b"?").unwrap();
        let (_, peer) = server.recv_from(&mut [0; 8]).unwrap();
        datagrams.close(number);
        peer.port()
    }

    #[test]
    fn every_query_has_a_port_of_its_own() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let waker = eventfd(0, EventfdFlags::empty()).unwrap();
        let mut datagrams = Datagrams::new(waker.as_fd()).unwrap();
        let far: HashSet<_> = (0..200)
            .map(|_| port_of(&mut datagrams, Kind::V4, &server))
            .collect();
        assert!(
            far.len() > 190,
            "{} ports in 200 queries of one kept socket",
            far.len()
        );
        assert_eq!(datagrams.sockets.len(), 1);

        let near = Kind::of(server.local_addr().unwrap());
        let ports: Vec<_> = (0..200)
            .map(|_| port_of(&mut datagrams, near, &server))
            .collect();
        assert_eq!(
            ports.iter().collect::<HashSet<_>>().len(),
            64,
            "a rotating set"
        );
        assert_eq!(ports[..64], ports[64..128]);
    }

    #[test]
    fn an_answer_comes_back_under_its_key() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let waker = eventfd(0, EventfdFlags::empty()).unwrap();
        let mut datagrams = Datagrams::new(waker.as_fd()).unwrap();
        let address = server.local_addr().unwrap();
        let mut numbers = Vec::new();
        for key in 0..8_u8 {
            numbers.push(datagrams.send(key, address, &[key]).unwrap());
            let mut buffer = [0; 8];
            let (length, peer) = server.recv_from(&mut buffer).unwrap();
            server.send_to(&buffer[..length], peer).unwrap();
        }
        datagrams.close(numbers[7]);
        let mut heard = Vec::new();
        until(|| {
            let each = |event: Heard<'_, u8>| match event {
                Heard::Packet(key, packet) => heard.push((key, packet.to_vec())),
                other => panic!("{other:?}"),
            };
            datagrams.hear(each).unwrap();
            (heard.len() == 7).then_some(())
        });
        assert!(
            heard
                .iter()
                .all(|(key, packet)| packet == &[*key] && *key < 7)
        );
    }

    #[test]
    fn a_closed_port_is_told_at_once() {
        let closed = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let waker = eventfd(0, EventfdFlags::empty()).unwrap();
        let mut datagrams = Datagrams::new(waker.as_fd()).unwrap();
        datagrams.send('k', closed, b"?").unwrap();
        until(|| {
            let mut gone = None;
            datagrams
                .hear(|event| gone = matches!(event, Heard::Unreachable('k')).then_some(()))
                .unwrap();
            gone
        });
    }
}
