//! The floor: an echo that turns each query into an answer of one record. What the kernel alone costs.
//!
//! One thread, one socket, `recvmmsg` and `sendmmsg`. It parses nothing but the end of the question and looks
//! nothing up. Because it answers every name, it is also the upstream where no name server is installed.

use crate::mmsg::{Batch, Datagram};
use crate::questions::{A, AAAA, LISTED, MANY};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};

/// Answers queries at this address until it is ended.
pub(crate) fn serve(address: SocketAddrV4) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(true)?;
    socket.set_recv_buffer_size(BUFFER)?;
    socket.set_send_buffer_size(BUFFER)?;
    socket.bind(&SocketAddr::V4(address).into())?;
    let socket = UdpSocket::from(socket);
    let mut batch = Batch::answering();
    loop {
        let count = batch.wait(&socket)?;
        for datagram in batch.datagrams().iter_mut().take(count) {
            answer(datagram);
        }
        batch.send(&socket, count)?;
    }
}

/// Octets of the socket's buffers.
const BUFFER: usize = 4 << 20;

/// Makes an answer of a query. What is none goes back as it came.
fn answer(datagram: &mut Datagram) {
    let Some(end) = question_end(datagram.octets()) else {
        return;
    };
    let kind = datagram.octets().get(end - 4..end - 2).unwrap_or_default();
    let record: &[u8] = match kind.try_into().map(u16::from_be_bytes) {
        Ok(A) => &FOUR,
        Ok(AAAA) if is_listed(datagram.octets()) => &LISTED_SIX,
        Ok(AAAA) => &SIX,
        _ => &[],
    };
    let count = if kind == A.to_be_bytes() {
        addresses(datagram.octets())
    } else {
        1
    };
    for number in 0..count {
        datagram.write_at(end + number * record.len(), record);
    }
    let answers = if record.is_empty() { 0 } else { count as u8 };
    if let Some([_, _, flags, code, _, _, counts @ ..]) = datagram.octets_mut().get_mut(..HEADER) {
        *flags |= 0x80;
        *code |= 0x80;
        counts.copy_from_slice(&[0, answers, 0, 0, 0, 0]);
    }
}

const HEADER: usize = 12;

fn question_end(query: &[u8]) -> Option<usize> {
    let mut at = HEADER;
    loop {
        match query.get(at)? {
            0 => break,
            length => at += usize::from(*length) + 1,
        }
    }
    let end = at + 5;
    (end <= query.len()).then_some(end)
}

/// How many A records a name has: one, or as many as its label says.
fn addresses(query: &[u8]) -> usize {
    let before = query
        .windows(MANY.len())
        .position(|window| window == MANY.as_bytes());
    let digits = before
        .and_then(|before| query.get(before + MANY.len()..))
        .unwrap_or_default();
    let digits = digits.iter().take_while(|octet| octet.is_ascii_digit());
    let count = digits.fold(0, |count, digit| 10 * count + usize::from(digit - b'0'));
    count.clamp(1, MOST)
}

/// So many A records fit into any datagram that is asked for here.
const MOST: usize = 60;

/// Names to be filtered have their addresses in a range of their own, for servers that filter by range.
fn is_listed(query: &[u8]) -> bool {
    query
        .windows(LISTED.len())
        .any(|window| window == LISTED.as_bytes())
}

// A pointer to the question's name, type, class IN, 3600 s, length, data.
const FOUR: [u8; 16] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 192, 0, 2, 1];
const SIX: [u8; 28] = six(1);
const LISTED_SIX: [u8; 28] = six(0xf);

/// An AAAA record of 2001:db8:`net`::1.
const fn six(net: u8) -> [u8; 28] {
    [
        0xc0, 12, 0, 28, 0, 1, 0, 0, 14, 16, 0, 16, 0x20, 0x01, 0x0d, 0xb8, 0, net, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 1,
    ]
}
