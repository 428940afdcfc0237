//! Queries to upstreams over UDP: a socket and a random port for each (RFC 5452 §4.5).
//!
//! Every socket is connected, so the kernel drops what others send to it and tells of refusals. It stays
//! open until its fetch is released: a late answer still counts. One driver's, on its own thread.

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, recv, send, socket_with};
use rustix::net::{RecvFlags, SendFlags};
use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Open sockets of one driver, by a number of their own.
pub struct Datagrams<K> {
    epoll: OwnedFd,
    open: HashMap<u64, Open<K>>,
    next: u64,
    buffer: Box<[u8]>,
}

struct Open<K> {
    socket: OwnedFd,
    key: K,
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
    pub fn new(waker: BorrowedFd<'_>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let data = epoll::EventData::new_u64(WAKER);
        epoll::add(&epoll, waker, data, epoll::EventFlags::IN)?;
        Ok(Self {
            epoll,
            open: HashMap::new(),
            next: 0,
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
    pub fn send(&mut self, key: K, server: SocketAddr, packet: &[u8]) -> io::Result<u64> {
        let family = if server.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family, SocketType::DGRAM, flags, None)?;
        // The kernel draws the port at random from ip_local_port_range.
        connect(&socket, &server)?;
        send(&socket, packet, SendFlags::empty())?;
        let number = self.next;
        let data = epoll::EventData::new_u64(number);
        epoll::add(&self.epoll, &socket, data, epoll::EventFlags::IN)?;
        self.next += 1;
        self.open.insert(number, Open { socket, key });
        Ok(number)
    }

    /// Nothing more is awaited there.
    pub fn close(&mut self, number: u64) {
        // Closing takes it out of epoll.
        self.open.remove(&number);
    }

    /// Hands out what has come, without waiting; gives whether there was anything.
    ///
    /// # Errors
    /// Of epoll itself.
    pub fn hear(&mut self, mut each: impl FnMut(Heard<'_, K>)) -> io::Result<bool> {
        let mut room = [const { MaybeUninit::uninit() }; EVENTS];
        let now = rustix::event::Timespec {
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
            let Some(open) = self.open.get(&number) else {
                continue;
            };
            while let Some(heard) = receive(open, &mut self.buffer) {
                let gone = matches!(heard, Heard::Unreachable(_));
                each(heard);
                if gone {
                    break;
                }
            }
        }
        Ok(!events.is_empty())
    }

    /// Sockets that are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// None is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

fn receive<'a, K: Copy>(open: &Open<K>, buffer: &'a mut [u8]) -> Option<Heard<'a, K>> {
    match recv(&open.socket, &mut *buffer, RecvFlags::DONTWAIT) {
        Ok((_, length)) => buffer
            .get(..length)
            .map(|packet| Heard::Packet(open.key, packet)),
        Err(Errno::AGAIN | Errno::INTR) => None,
        Err(_) => Some(Heard::Unreachable(open.key)),
    }
}

/// The number of the waker.
const WAKER: u64 = u64::MAX;
/// Events taken from the kernel at a time.
const EVENTS: usize = 64;
/// The longest datagram there is: what is larger than we asked for is still read whole.
const LONGEST: usize = 65_535;

#[cfg(test)]
mod tests {
    use super::{Datagrams, Heard};
    use rustix::event::{EventfdFlags, eventfd};
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

    #[test]
    fn an_answer_comes_back_under_its_key_and_ports_differ() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let waker = eventfd(0, EventfdFlags::empty()).unwrap();
        let mut datagrams = Datagrams::new(waker.as_fd()).unwrap();
        let address = server.local_addr().unwrap();
        let mut ports = std::collections::HashSet::new();
        for key in 0..8_u8 {
            datagrams.send(key, address, &[key]).unwrap();
            let mut buffer = [0; 8];
            let (length, peer) = server.recv_from(&mut buffer).unwrap();
            ports.insert(peer.port());
            server.send_to(&buffer[..length], peer).unwrap();
        }
        assert!(ports.len() > 6, "fresh ports: {ports:?}");
        let mut heard = Vec::new();
        until(|| {
            let each = |event: Heard<'_, u8>| match event {
                Heard::Packet(key, packet) => heard.push((key, packet.to_vec())),
                other => panic!("{other:?}"),
            };
            datagrams.hear(each).unwrap();
            (heard.len() == 8).then_some(())
        });
        assert!(heard.iter().all(|(key, packet)| packet == &[*key]));
        assert_eq!(datagrams.len(), 8);
        (0..8).for_each(|number| datagrams.close(number));
        assert!(datagrams.is_empty());
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
