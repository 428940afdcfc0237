//! Clients: over UDP, with a socket each, over TCP, and over TLS (see `tls`).

use super::wire;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// Longer than any reply may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// A client over UDP.
pub(crate) struct Client {
    pub(crate) socket: UdpSocket,
}

impl Client {
    pub(crate) fn of(server: SocketAddr) -> Self {
        Self::from("127.0.0.1", server)
    }

    /// One with an address of its own.
    pub(crate) fn from(own: &str, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((own, 0)).unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket }
    }

    pub(crate) fn send(&self, query: &[u8]) {
        self.socket.send(query).unwrap();
    }

    /// The next reply; none in 4 s.
    pub(crate) fn receive(&self) -> Option<Vec<u8>> {
        let mut reply = vec![0; 65_535];
        let length = self.socket.recv(&mut reply).ok()?;
        reply.truncate(length);
        Some(reply)
    }

    /// Asks, and gives the reply with the query's id.
    #[track_caller]
    pub(crate) fn ask(&self, query: &[u8]) -> Vec<u8> {
        self.send(query);
        while let Some(reply) = self.receive() {
            if reply.get(..2) == query.get(..2) {
                return reply;
            }
        }
        panic!("no reply to {}", wire::name_of(query));
    }
}

/// Asks once for a name, from a socket of its own.
#[track_caller]
pub(crate) fn ask(server: SocketAddr, name: &str, kind: u16) -> Vec<u8> {
    Client::of(server).ask(&wire::query(0x4242, name, kind))
}

/// A connection of a client.
pub(crate) struct Connection<S = TcpStream> {
    pub(crate) stream: S,
}

impl Connection {
    pub(crate) fn to(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream }
    }

    pub(crate) fn end_sending(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }
}

impl<S: Read + Write> Connection<S> {
    /// Sends queries in one go. That the server has closed is found out by [`Self::receive`].
    pub(crate) fn send(&mut self, queries: &[Vec<u8>]) {
        let mut octets = Vec::new();
        for query in queries {
            octets.extend(u16::try_from(query.len()).unwrap().to_be_bytes());
            octets.extend(query);
        }
        let _ = self.stream.write_all(&octets);
    }

    /// The next reply; none when the server has closed, or after 4 s.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 2];
        self.stream.read_exact(&mut length).ok()?;
        let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
        self.stream.read_exact(&mut reply).ok()?;
        Some(reply)
    }

    #[track_caller]
    pub(crate) fn ask(&mut self, query: Vec<u8>) -> Vec<u8> {
        self.send(&[query]);
        self.receive().expect("a reply on the connection")
    }
}
