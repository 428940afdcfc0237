//! Questions to one name server, as a client puts them.

use crate::message::{Answer, Ask, Judgement, Kind, Name, Transport, judge, write_query};
use rand::Rng;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// The addresses of a host, IPv6 first, as RFC 6724 sorts them where there is IPv6 at all.
pub(super) async fn addresses(server: SocketAddr, host: &str) -> io::Result<Vec<IpAddr>> {
    let (ipv6, ipv4) = tokio::join!(ask(server, host, Kind::AAAA), ask(server, host, Kind::A));
    let both = [ipv6?, ipv4?];
    let records = both.iter().flat_map(|answer| answer.records());
    let found = records.filter_map(|record| match record.kind {
        Kind::A => <[u8; 4]>::try_from(record.rdata)
            .ok()
            .map(|octets| Ipv4Addr::from(octets).into()),
        _ => record.ipv6().map(IpAddr::from),
    });
    Ok(found.collect())
}

/// Whether a host has IPv6 there, and what the server says about that.
pub(super) async fn ipv6(server: SocketAddr, host: &str) -> io::Result<(Option<Ipv6Addr>, String)> {
    let answer = ask(server, host, Kind::AAAA).await?;
    let errors = answer.extended_errors().iter();
    let said: Vec<&str> = errors.map(|error| &*error.text).collect();
    Ok((answer.ipv6_addresses().next(), said.join(", ")))
}

/// Asks over UDP, anew after each silence.
async fn ask(server: SocketAddr, host: &str, kind: Kind) -> io::Result<Arc<Answer>> {
    let name = Name::parse(host).map_err(|_| io::ErrorKind::InvalidInput)?;
    let ask = Ask::plain(name, kind);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(server).await?;
    let id = rand::rng().next_u32() as u16;
    let mut query = Vec::new();
    write_query(&ask, id, true, &mut query);
    for _ in 0..TRIES {
        socket.send(&query).await?;
        if let Ok(heard) = timeout(PATIENCE, hear(&socket, id, &ask)).await {
            return heard;
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

async fn hear(socket: &UdpSocket, id: u16, ask: &Ask) -> io::Result<Arc<Answer>> {
    let mut room = [0; 1500];
    loop {
        let length = socket.recv(&mut room).await?;
        let heard = room.get(..length).unwrap_or_default();
        let judgement = judge(heard, id, &ask.question, Transport::Datagram);
        if let Judgement::Answer(answer) = judgement {
            return Ok(answer);
        }
    }
}

const TRIES: usize = 4;
const PATIENCE: Duration = Duration::from_millis(500);
