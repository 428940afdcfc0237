//! A provider's name server on loopback: hosts with an A and an AAAA record each, as Docker Hub's have, and nothing else.

use crate::message::{
    Answer, Body, Kind, Name, Query, Question, Room, Soa, Ttl, addresses, nodata, nxdomain,
    write_fault, write_reply,
};
use std::net::{Ipv4Addr, Ipv6Addr};
use tokio::net::UdpSocket;

/// A host and its addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Host {
    pub(super) name: Name,
    pub(super) ipv4: Ipv4Addr,
    pub(super) ipv6: Ipv6Addr,
}

/// Answers for as long as it is polled. No answer is longer than a datagram takes.
pub(super) async fn serve(socket: UdpSocket, hosts: Vec<Host>) {
    let (mut packet, mut reply) = (vec![0; 4096], Vec::new());
    while let Ok((length, peer)) = socket.recv_from(&mut packet).await {
        let heard = packet.get(..length).unwrap_or_default();
        match Query::peek(heard) {
            Ok(query) => {
                let answer = answer(&query.question, &hosts);
                let body = Body::Answer {
                    answer: &answer,
                    ttl: Ttl::aged(0),
                };
                let room = Room::Datagram { max_udp: 1232 };
                write_reply(&query, &body, None, room, &mut reply);
            }
            Err(fault) => {
                if !write_fault(heard, fault, &mut reply) {
                    continue;
                }
            }
        }
        // Who waits no more refuses it; that is its own affair.
        let _ = socket.send_to(&reply, peer).await;
    }
}

fn answer(question: &Question, hosts: &[Host]) -> Answer {
    let named = |host: &&Host| host.name == question.name;
    let Some(host) = hosts.iter().find(named) else {
        return nxdomain(question, &soa(Name::ROOT));
    };
    match question.kind {
        Kind::A => addresses(question, TTL, &[&host.ipv4.octets()]),
        Kind::AAAA => addresses(question, TTL, &[&host.ipv6.octets()]),
        _ => nodata(question, None, &soa(host.name)),
    }
}

fn soa(owner: Name) -> Soa {
    Soa {
        owner,
        mname: owner,
        rname: owner,
        serial: 1,
        refresh: 7200,
        retry: 900,
        expire: 1_209_600,
        minimum: TTL,
    }
}

/// Seconds that Docker Hub's addresses may be kept.
const TTL: u32 = 60;
