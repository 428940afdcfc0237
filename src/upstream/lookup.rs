//! One question to one plain server, over UDP and, where the answer fits no datagram, TCP: what the doctor and
//! `bootstrap` need. Clients' questions go by [`super::Datagrams`].

use super::stream::{ExchangeError, exchange};
use crate::message::{Answer, Ask, Judgement, Kind, Section, Transport, judge, write_query};
use rand::Rng;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// What `server` says, within 2 s.
///
/// # Errors
/// It says nothing, or nothing that answers.
pub async fn lookup(server: SocketAddr, ask: &Ask) -> Result<Arc<Answer>, ExchangeError> {
    let heard = timeout(LIMIT, by_datagram(server, ask)).await;
    heard.unwrap_or(Err(ExchangeError::Timeout))
}

async fn by_datagram(server: SocketAddr, ask: &Ask) -> Result<Arc<Answer>, ExchangeError> {
    let unreachable = |_| ExchangeError::Unreachable;
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await.map_err(unreachable)?;
    socket.connect(server).await.map_err(unreachable)?;
    let id = rand::rng().next_u32() as u16;
    let (mut edns, mut query) = (true, Vec::new());
    loop {
        write_query(ask, id, edns, &mut query);
        socket.send(&query).await.map_err(unreachable)?;
        let Ok(heard) = timeout(PATIENCE, listen(&socket, id, ask)).await else {
            continue;
        };
        match heard.map_err(unreachable)? {
            Judgement::Answer(answer) => return Ok(answer),
            Judgement::Truncated => return by_stream(server, id, ask, &query).await,
            Judgement::EndlessChain => return Err(ExchangeError::Garbled),
            Judgement::WithoutEdns if edns => edns = false,
            // It does not know what else to say.
            Judgement::WithoutEdns | Judgement::Ignored(_) => return Err(ExchangeError::Garbled),
        }
    }
}

/// The first datagram that is an answer of some kind.
async fn listen(socket: &UdpSocket, id: u16, ask: &Ask) -> std::io::Result<Judgement> {
    let mut room = [0; 4096];
    loop {
        let length = socket.recv(&mut room).await?;
        let heard = room.get(..length).unwrap_or_default();
        match judge(heard, id, &ask.question, Transport::Datagram) {
            Judgement::Ignored(_) => {}
            judgement => return Ok(judgement),
        }
    }
}

async fn by_stream(
    server: SocketAddr,
    id: u16,
    ask: &Ask,
    query: &[u8],
) -> Result<Arc<Answer>, ExchangeError> {
    let mut found = None;
    let accept = |message: &[u8]| {
        if let Judgement::Answer(answer) = judge(message, id, &ask.question, Transport::Stream) {
            found = Some(answer);
        }
        found.is_some()
    };
    exchange(server, query, LIMIT, accept).await?;
    found.ok_or(ExchangeError::Garbled)
}

/// The addresses that an answer to A or AAAA gives.
pub fn addresses(answer: &Answer) -> Vec<IpAddr> {
    let answers = answer
        .records()
        .filter(|one| one.section == Section::Answer);
    let address = answers.filter_map(|record| match record.kind {
        Kind::A => <[u8; 4]>::try_from(record.rdata).ok().map(IpAddr::from),
        _ => record.ipv6().map(IpAddr::V6),
    });
    address.collect()
}

/// For one question.
const LIMIT: Duration = Duration::from_secs(2);
/// Until a datagram is sent again.
const PATIENCE: Duration = Duration::from_millis(700);
