//! Packets by hand: queries of clients, answers of upstreams, and a walk over what comes back.

use hickory_proto::op::Message;
use hickory_proto::rr::RData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) const A: u16 = 1;
pub(crate) const NS: u16 = 2;
pub(crate) const SOA: u16 = 6;
pub(crate) const TXT: u16 = 16;
pub(crate) const AAAA: u16 = 28;

pub(crate) const NOERROR: u8 = 0;
pub(crate) const FORMERR: u8 = 1;
pub(crate) const SERVFAIL: u8 = 2;
pub(crate) const REFUSED: u8 = 5;

/// A query with RD and without EDNS.
pub(crate) fn query(id: u16, name: &str, kind: u16) -> Vec<u8> {
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    packet.extend(name_as_wire(name));
    packet.extend(kind.to_be_bytes());
    packet.extend([0, 1]);
    packet
}

/// The same, from a client that takes datagrams of this size.
pub(crate) fn with_edns(mut query: Vec<u8>, size: u16) -> Vec<u8> {
    query[11] += 1;
    query.extend([0, 0, 41]);
    query.extend(size.to_be_bytes());
    query.extend([0; 6]);
    query
}

fn name_as_wire(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        wire.push(u8::try_from(label.len()).unwrap());
        wire.extend(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// The name asked for, in lower case, with its final dot.
pub(crate) fn name_of(packet: &[u8]) -> String {
    let (mut at, mut name) = (12, String::new());
    while let Some(&length @ 1..) = packet.get(at) {
        let label = packet.get(at + 1..at + 1 + usize::from(length));
        name += &String::from_utf8_lossy(label.unwrap_or_default()).to_lowercase();
        name.push('.');
        at += 1 + usize::from(length);
    }
    if name.is_empty() { ".".into() } else { name }
}

/// Where the question ends.
pub(crate) fn question_end(packet: &[u8]) -> usize {
    let mut at = 12;
    while let Some(&length @ 1..) = packet.get(at) {
        at += 1 + usize::from(length);
    }
    (at + 5).min(packet.len())
}

/// The type asked for.
pub(crate) fn kind_of(packet: &[u8]) -> u16 {
    let end = question_end(packet);
    u16::from_be_bytes([packet[end - 4], packet[end - 3]])
}

pub(crate) fn id_of(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[0], packet[1]])
}

pub(crate) fn rcode_of(packet: &[u8]) -> u8 {
    packet[3] & 0x0f
}

/// Whether the reply was cut.
pub(crate) fn is_truncated(packet: &[u8]) -> bool {
    packet[2] & 0x02 != 0
}

/// A record under the name asked for.
pub(crate) fn record(kind: u16, ttl: u32, rdata: &[u8]) -> Vec<u8> {
    let mut record = vec![0xc0, 12];
    record.extend(kind.to_be_bytes());
    record.extend([0, 1]);
    record.extend(ttl.to_be_bytes());
    record.extend(u16::try_from(rdata.len()).unwrap().to_be_bytes());
    record.extend(rdata);
    record
}

/// An answer with these records.
pub(crate) fn answer(query: &[u8], records: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = failure(query, NOERROR);
    packet[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
    packet.extend(records.concat());
    packet
}

/// The answer with one A record.
pub(crate) fn ipv4(query: &[u8], address: [u8; 4]) -> Vec<u8> {
    answer(query, &[record(A, 300, &address)])
}

/// The answer with one AAAA record.
pub(crate) fn ipv6(query: &[u8], address: Ipv6Addr) -> Vec<u8> {
    answer(query, &[record(AAAA, 300, &address.octets())])
}

/// No record of that type, with the SOA that lets it be kept.
pub(crate) fn no_data(query: &[u8]) -> Vec<u8> {
    let mut packet = failure(query, NOERROR);
    packet[9] = 1;
    let mut soa = vec![0, 0];
    soa.extend([0, 0, 0, 60].repeat(5));
    packet.extend(record(SOA, 60, &soa));
    packet
}

/// An answer without records.
pub(crate) fn failure(query: &[u8], rcode: u8) -> Vec<u8> {
    let mut packet = query[..question_end(query)].to_vec();
    packet[2] = 0x81;
    packet[3] = 0x80 | rcode;
    packet[4..12].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
    packet
}

/// Reads a reply with hickory-proto, after a walk that leaves no octet over.
#[track_caller]
pub(crate) fn read(reply: &[u8]) -> Message {
    if let Err(fault) = walk(reply) {
        panic!("{fault}: {reply:02x?}");
    }
    Message::from_vec(reply).unwrap_or_else(|error| panic!("{error}: {reply:02x?}"))
}

/// The addresses that a reply gives.
#[track_caller]
pub(crate) fn addresses(reply: &[u8]) -> Vec<IpAddr> {
    let message = read(reply);
    let each = message
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(address) => Some(IpAddr::V4(Ipv4Addr::from(address.octets()))),
            RData::AAAA(address) => Some(IpAddr::V6(Ipv6Addr::from(address.octets()))),
            _ => None,
        });
    each.collect()
}

/// Whether a packet is a response whose counts name what it holds, to the last octet.
pub(crate) fn walk(packet: &[u8]) -> Result<(), String> {
    let header = packet.get(..12).ok_or("shorter than a header")?;
    if header[2] & 0x80 == 0 {
        return Err("not a response".into());
    }
    let count = |at: usize| usize::from(u16::from_be_bytes([header[at], header[at + 1]]));
    let mut at = 12;
    for _ in 0..count(4) {
        at = skip_name(packet, at).ok_or("a question's name runs out")? + 4;
    }
    for _ in 0..count(6) + count(8) + count(10) {
        let fixed = skip_name(packet, at).ok_or("a record's name runs out")?;
        let length = packet
            .get(fixed + 8..fixed + 10)
            .ok_or("a record runs out")?;
        at = fixed + 10 + usize::from(u16::from_be_bytes([length[0], length[1]]));
    }
    match at.cmp(&packet.len()) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(format!("{} octets left over", packet.len() - at)),
        std::cmp::Ordering::Greater => Err("the last record runs out".into()),
    }
}

fn skip_name(packet: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *packet.get(at)? {
            0 => return Some(at + 1),
            0xc0.. => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}
