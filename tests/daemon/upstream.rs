//! A name server on loopback that says what a script says, over UDP and TCP on the same port.

use super::{millis, now, wire};
use std::collections::BinaryHeap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Udp,
    Tcp,
}

/// A question that came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) packet: Vec<u8>,
    pub(crate) name: String,
    pub(crate) kind: u16,
    pub(crate) over: Over,
    pub(crate) peer: SocketAddr,
}

/// What is said to it. Over TCP nothing else than `Here` and `Close` can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Say {
    /// From the address that was asked.
    Here(Vec<u8>),
    /// From the same address, another port.
    OtherPort(Vec<u8>),
    /// From this address.
    OtherAddress(IpAddr, Vec<u8>),
    /// The connection ends.
    Close,
}

/// Each with its time.
pub(crate) type Script = dyn Fn(&Asked) -> Vec<(Duration, Say)> + Send + Sync;

/// A running one.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<Asked>>>,
    stopped: Arc<AtomicBool>,
}

impl Upstream {
    /// On a port of the kernel's choice.
    pub(crate) fn new(
        script: impl Fn(&Asked) -> Vec<(Duration, Say)> + Send + Sync + 'static,
    ) -> Self {
        for _ in 0..16 {
            let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
            // Another program may have that port for TCP.
            if let Ok(streams) = TcpListener::bind(datagrams.local_addr().unwrap()) {
                return Self::on(datagrams, Some(streams), script);
            }
        }
        panic!("no port is free for UDP and TCP both");
    }

    /// On these sockets.
    pub(crate) fn on(
        datagrams: UdpSocket,
        streams: Option<TcpListener>,
        script: impl Fn(&Asked) -> Vec<(Duration, Say)> + Send + Sync + 'static,
    ) -> Self {
        let upstream = Self {
            address: datagrams.local_addr().unwrap(),
            heard: Arc::default(),
            stopped: Arc::default(),
        };
        let desk = Desk {
            script: Arc::new(script),
            heard: upstream.heard.clone(),
            stopped: upstream.stopped.clone(),
        };
        if let Some(streams) = streams {
            let desk = desk.clone();
            thread::spawn(move || desk.serve_streams(&streams));
        }
        thread::spawn(move || desk.serve_datagrams(&datagrams));
        upstream
    }

    /// One that knows every name: 192.0.2.1 and 2001:db8::1.
    pub(crate) fn plain() -> Self {
        Self::new(|asked| vec![(Duration::ZERO, Say::Here(usual(&asked.packet)))])
    }

    /// One that says nothing, ever.
    pub(crate) fn silent() -> Self {
        Self::new(|_| Vec::new())
    }

    /// What came for a name, in order.
    pub(crate) fn asked(&self, name: &str) -> Vec<Asked> {
        let heard = self.heard.lock().unwrap();
        heard
            .iter()
            .filter(|asked| asked.name == name)
            .cloned()
            .collect()
    }

    /// Lets go of what came so far.
    pub(crate) fn forget(&self) {
        self.heard.lock().unwrap().clear();
    }

    /// What came for every name below this one, in order.
    pub(crate) fn asked_below(&self, zone: &str) -> Vec<Asked> {
        let heard = self.heard.lock().unwrap();
        heard
            .iter()
            .filter(|asked| asked.name.ends_with(zone))
            .cloned()
            .collect()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stopped.store(true, Relaxed);
    }
}

/// The plain answer to anything.
pub(crate) fn usual(query: &[u8]) -> Vec<u8> {
    match wire::kind_of(query) {
        wire::A => wire::ipv4(query, [192, 0, 2, 1]),
        wire::AAAA => wire::ipv6(query, Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        _ => wire::no_data(query),
    }
}

/// The answer, at once.
pub(crate) fn at_once(packet: Vec<u8>) -> Vec<(Duration, Say)> {
    vec![(Duration::ZERO, Say::Here(packet))]
}

/// The answer, later.
pub(crate) fn after(time: u64, packet: Vec<u8>) -> Vec<(Duration, Say)> {
    vec![(millis(time), Say::Here(packet))]
}

#[derive(Clone)]
struct Desk {
    script: Arc<Script>,
    heard: Arc<Mutex<Vec<Asked>>>,
    stopped: Arc<AtomicBool>,
}

impl Desk {
    fn hear(&self, packet: &[u8], over: Over, peer: SocketAddr) -> Vec<(Duration, Say)> {
        let asked = Asked {
            packet: packet.to_vec(),
            name: wire::name_of(packet),
            kind: wire::kind_of(packet),
            over,
            peer,
        };
        let said = (self.script)(&asked);
        self.heard.lock().unwrap().push(asked);
        said
    }

    fn serve_datagrams(&self, socket: &UdpSocket) {
        let elsewhere = UdpSocket::bind((socket.local_addr().unwrap().ip(), 0)).unwrap();
        let mut due = BinaryHeap::new();
        let mut packet = [0; 4096];
        while !self.stopped.load(Relaxed) {
            while due.peek().is_some_and(|Due(time, ..)| *time <= now()) {
                if let Some(Due(_, say, peer)) = due.pop() {
                    send(socket, &elsewhere, &say, peer);
                }
            }
            let next = due
                .peek()
                .map(|Due(time, ..)| time.saturating_duration_since(now()));
            let wait = next.unwrap_or(millis(20)).clamp(millis(1), millis(20));
            socket.set_read_timeout(Some(wait)).unwrap();
            match socket.recv_from(&mut packet) {
                Ok((length, peer)) => {
                    for (time, say) in self.hear(&packet[..length], Over::Udp, peer) {
                        if time.is_zero() {
                            send(socket, &elsewhere, &say, peer);
                        } else {
                            due.push(Due(now() + time, say, peer));
                        }
                    }
                }
                // Nothing came, or somebody who was answered has gone.
                Err(error) if error.kind() != ErrorKind::InvalidInput => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn serve_streams(&self, listener: &TcpListener) {
        listener.set_nonblocking(true).unwrap();
        while !self.stopped.load(Relaxed) {
            match listener.accept() {
                Ok((stream, peer)) => {
                    let desk = self.clone();
                    thread::spawn(move || desk.serve_stream(stream, peer));
                }
                Err(_) => thread::sleep(millis(5)),
            }
        }
    }

    /// One question after the other; how the peer leaves is its own affair.
    fn serve_stream(&self, mut stream: TcpStream, peer: SocketAddr) -> Option<()> {
        stream.set_nonblocking(false).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .ok()?;
        loop {
            let mut length = [0; 2];
            stream.read_exact(&mut length).ok()?;
            let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut packet).ok()?;
            for (time, say) in self.hear(&packet, Over::Tcp, peer) {
                thread::sleep(time);
                let Say::Here(answer) = say else {
                    return None;
                };
                let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
                stream.write_all(&[&length, &answer[..]].concat()).ok()?;
            }
        }
    }
}

fn send(socket: &UdpSocket, elsewhere: &UdpSocket, say: &Say, peer: SocketAddr) {
    // A peer that waits no more refuses it; that is its own affair.
    let _ = match say {
        Say::Here(packet) => socket.send_to(packet, peer),
        Say::OtherPort(packet) => elsewhere.send_to(packet, peer),
        Say::OtherAddress(address, packet) => {
            UdpSocket::bind((*address, 0)).and_then(|socket| socket.send_to(packet, peer))
        }
        Say::Close => Ok(0),
    };
}

/// What is to be said, the soonest first in the heap.
#[derive(PartialEq, Eq)]
struct Due(Instant, Say, SocketAddr);

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.0.cmp(&self.0)
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
