//! Queries as octets and replies taken apart as far as a comparison needs: own code, so that
//! nothing is hidden by a library that both sides share.

use crate::Fallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// Longer than the deadline that unsix keeps for its clients.
const PATIENCE: Duration = Duration::from_secs(5);

const OPT: u16 = 41;

/// What is asked, and how.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: u16,
    /// The size offered in an OPT record.
    pub(crate) edns: Option<u16>,
}

impl Query<'_> {
    fn octets(self, id: u16) -> Vec<u8> {
        let mut octets = Vec::new();
        let additional = u16::from(self.edns.is_some());
        for number in [id, 0x0100, 1, 0, 0, additional] {
            octets.extend(number.to_be_bytes());
        }
        for label in self.name.split('.').filter(|label| !label.is_empty()) {
            octets.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
            octets.extend(label.as_bytes());
        }
        octets.push(0);
        for number in [self.kind, 1] {
            octets.extend(number.to_be_bytes());
        }
        if let Some(size) = self.edns {
            octets.push(0);
            for number in [OPT, size, 0, 0, 0] {
                octets.extend(number.to_be_bytes());
            }
        }
        octets
    }

    /// One datagram there, one back.
    pub(crate) fn over_udp(self, server: SocketAddr) -> Fallible<Reply> {
        self.datagram(server, PATIENCE)
    }

    /// Whether anything answers there yet.
    pub(crate) fn is_heard(self, server: SocketAddr) -> bool {
        self.datagram(server, Duration::from_millis(100)).is_ok()
    }

    fn datagram(self, server: SocketAddr, patience: Duration) -> Fallible<Reply> {
        let exchange = || -> std::io::Result<Vec<u8>> {
            let socket = UdpSocket::bind(("127.0.0.1", 0))?;
            socket.connect(server)?;
            socket.set_read_timeout(Some(patience))?;
            socket.send(&self.octets(ID))?;
            let mut octets = vec![0; usize::from(u16::MAX)];
            let length = socket.recv(&mut octets)?;
            octets.truncate(length);
            Ok(octets)
        };
        let octets = exchange().map_err(|error| self.complain(server, &error.to_string()))?;
        Reply::read(&octets).map_err(|error| self.complain(server, &error))
    }

    /// One message over a connection of its own.
    pub(crate) fn over_tcp(self, server: SocketAddr) -> Fallible<Reply> {
        let exchange = || -> std::io::Result<Vec<u8>> {
            let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let query = self.octets(ID);
            let length = u16::try_from(query.len()).unwrap_or(u16::MAX);
            stream.write_all(&[length.to_be_bytes().as_slice(), &query].concat())?;
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut octets)?;
            Ok(octets)
        };
        let octets = exchange().map_err(|error| self.complain(server, &error.to_string()))?;
        Reply::read(&octets).map_err(|error| self.complain(server, &error))
    }

    fn complain(self, server: SocketAddr, error: &str) -> String {
        format!("{} TYPE{} asked at {server}: {error}", self.name, self.kind)
    }
}

/// Every query has its own socket: the id tells nothing apart.
const ID: u16 = 0x5e1f;

/// A reply, its records still as they stood on the wire.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) rcode: u16,
    pub(crate) truncated: bool,
    pub(crate) size: usize,
    /// Records of answer, authority and additional, OPT apart.
    pub(crate) counts: [u16; 3],
    pub(crate) question: Vec<u8>,
    /// All records one after the other, OPT cut out, every TTL 0.
    pub(crate) records: Vec<u8>,
    pub(crate) ttls: Vec<u32>,
    pub(crate) has_opt: bool,
}

impl Reply {
    fn read(octets: &[u8]) -> Fallible<Self> {
        let mut rest = octets;
        let mut header = [0; 6];
        for number in &mut header {
            *number = take_number(&mut rest)?;
        }
        let [id, flags, questions, answer, authority, additional] = header;
        if id != ID || flags >> 15 == 0 || questions != 1 {
            return Err(format!("no reply to what was asked: {header:04x?}"));
        }
        let mut question = take_name(&mut rest)?.to_vec();
        question.extend(take(&mut rest, 4)?);
        let mut reply = Self {
            rcode: flags & 0xF,
            truncated: flags & 0x0200 != 0,
            size: octets.len(),
            counts: [answer, authority, additional],
            question,
            records: Vec::new(),
            ttls: Vec::new(),
            has_opt: false,
        };
        for _ in 0..answer + authority + additional {
            reply.take_record(&mut rest)?;
        }
        match rest.len() {
            0 => Ok(reply),
            more => Err(format!("{more} octets after the last record")),
        }
    }

    fn take_record(&mut self, rest: &mut &[u8]) -> Fallible<()> {
        let owner = take_name(rest)?;
        let kind = take(rest, 2)?;
        let class = take(rest, 2)?;
        let ttl = [take_number(rest)?, take_number(rest)?];
        let length = take_number(rest)?;
        let rdata = take(rest, usize::from(length))?;
        if kind == OPT.to_be_bytes() {
            self.has_opt = true;
            let [_, _, additional] = &mut self.counts;
            *additional -= 1;
            return Ok(());
        }
        let [high, low] = ttl.map(u32::from);
        self.ttls.push(high << 16 | low);
        let length = length.to_be_bytes();
        self.records
            .extend([owner, kind, class, &[0; 4], &length, rdata].concat());
        Ok(())
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Fallible<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count).ok_or("cut short")?;
    *rest = left;
    Ok(taken)
}

fn take_number(rest: &mut &[u8]) -> Fallible<u16> {
    let octets = take(rest, 2)?;
    Ok(octets.iter().fold(0, |sum, &o| sum << 8 | u16::from(o)))
}

/// A name as it stands, its pointer not followed.
fn take_name<'a>(rest: &mut &'a [u8]) -> Fallible<&'a [u8]> {
    let mut length = 0;
    loop {
        let label = *rest.get(length).ok_or("a name is cut short")?;
        match label {
            0 => return take(rest, length + 1),
            1..=63 => length += 1 + usize::from(label),
            _ => return take(rest, length + 2),
        }
    }
}
