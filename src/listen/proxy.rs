//! Load balancers between clients and us: their connections begin by saying whose they are (PROXY protocol, version 2).
//!
//! Believed are only addresses that the configuration names, and those must send a header, before TLS. Whether one is
//! there is never guessed, or anybody could choose an address by sending one. Not an octet behind the header is read.

use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// The load balancers that are believed.
#[derive(Debug, Default)]
pub struct Balancers {
    networks: RwLock<Vec<IpNet>>,
    /// Those whose first fault was logged; the count tells of the others.
    faulty: Mutex<Vec<IpAddr>>,
    good: AtomicU64,
    bad: AtomicU64,
}

impl Balancers {
    /// Believes these from the next connection on, and nobody else.
    pub fn believe(&self, networks: &[IpNet]) {
        *self
            .networks
            .write()
            .unwrap_or_else(PoisonError::into_inner) = networks.to_vec();
        let mut faulty = self.faulty.lock().unwrap_or_else(PoisonError::into_inner);
        faulty.clear();
    }

    /// Headers so far: good ones, and connections that ended for want of one.
    pub fn headers(&self) -> [u64; 2] {
        [&self.good, &self.bad].map(|count| count.load(Relaxed))
    }

    /// Whether a connection from there begins with a header.
    pub(super) fn hold(&self, peer: IpAddr) -> bool {
        // An IPv4 peer is the same one behind a socket of either family.
        let peer = peer.to_canonical();
        let networks = self.networks.read().unwrap_or_else(PoisonError::into_inner);
        networks.iter().any(|network| network.contains(&peer))
    }

    /// Reads the header of a connection from `peer`. None: there is no good one, and the connection is over.
    pub(super) async fn hear(
        &self,
        stream: impl AsyncRead + Unpin,
        peer: IpAddr,
        patience: Duration,
    ) -> Option<Header> {
        let heard = timeout(patience, read(stream)).await;
        match heard.unwrap_or(Err(Fault::Late)) {
            Ok(header) => {
                self.good.fetch_add(1, Relaxed);
                Some(header)
            }
            // Some balancers look after us by connecting and no more.
            Err(Fault::Nothing) => None,
            Err(fault) => {
                self.bad.fetch_add(1, Relaxed);
                self.complain(peer.to_canonical(), fault);
                None
            }
        }
    }

    /// Says it the first time. Clients behind a balancer could have it said as often as they connect.
    fn complain(&self, balancer: IpAddr, fault: Fault) {
        let mut faulty = self.faulty.lock().unwrap_or_else(PoisonError::into_inner);
        if faulty.len() < COMPLAINTS && !faulty.contains(&balancer) {
            faulty.push(balancer);
            tracing::warn!(%balancer, problem = %fault, "connection ended: it must begin with a PROXY header");
        }
    }
}

/// Whom a header names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// The balancer itself: it sees whether we are well, or knows no address.
    Balancer,
    /// Its client.
    Client(SocketAddr),
}

/// Why there is no good header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Nothing,
    Absent,
    Text,
    Version(u8),
    Command(u8),
    Transport(u8),
    Short,
    Long(usize),
    CutOff,
    Late,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => out.write_str("nothing was sent"),
            Self::Absent => out.write_str(
                "there is none: have the load balancer send version 2, or take its address out of `proxy_protocol`",
            ),
            Self::Text => out.write_str("it is of version 1: have the load balancer send version 2"),
            Self::Version(version) => write!(out, "it is of version {version}, not 2"),
            Self::Command(command) => write!(out, "its command is {command}, neither LOCAL nor PROXY"),
            Self::Transport(transport) => {
                write!(out, "its family and transport are {transport:#04x}, neither IPv4 nor IPv6 by TCP or UDP")
            }
            Self::Short => out.write_str("it is too short for its addresses"),
            Self::Long(octets) => write!(out, "it has {octets} octets; {LONGEST} are the most"),
            Self::CutOff => out.write_str("the connection ended amid it"),
            Self::Late => out.write_str("it was not whole in time"),
        }
    }
}

/// Reads a header and nothing behind it.
async fn read(mut stream: impl AsyncRead + Unpin) -> Result<Header, Fault> {
    let mut octets = Vec::with_capacity(FIXED + IPV6);
    loop {
        let missing = match look(&octets)? {
            Seen::Whole(header) => return Ok(header),
            Seen::Part { missing } => missing,
        };
        let mut rest = (&mut stream).take(missing as u64);
        match rest.read_buf(&mut octets).await {
            Ok(1..) => {}
            _ if octets.is_empty() => return Err(Fault::Nothing),
            _ => return Err(Fault::CutOff),
        }
    }
}

/// What has come of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// So many octets follow at least.
    Part { missing: usize },
    /// All of it.
    Whole(Header),
}

/// Judges what has come as soon as it can be judged (the specification's section 2.2).
fn look(octets: &[u8]) -> Result<Seen, Fault> {
    let begins = |magic: &[u8]| magic.iter().zip(octets).all(|(one, other)| one == other);
    if !begins(&SIGNATURE) {
        return Err(if begins(b"PROXY ") {
            Fault::Text
        } else {
            Fault::Absent
        });
    }
    let Some((&[.., command, transport, high, low], rest)) = octets.split_first_chunk::<FIXED>()
    else {
        return Ok(Seen::Part {
            missing: FIXED - octets.len(),
        });
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if FIXED + length > LONGEST {
        return Err(Fault::Long(FIXED + length));
    }
    // The addresses come first, type-length-values behind them; a LOCAL header's are to be ignored.
    let addresses = match (command, transport) {
        (LOCAL, _) | (PROXY, 0x00) => 0,
        (PROXY, 0x11 | 0x12) => IPV4,
        (PROXY, 0x21 | 0x22) => IPV6,
        (PROXY, _) => return Err(Fault::Transport(transport)),
        _ if command >> 4 != 2 => return Err(Fault::Version(command >> 4)),
        _ => return Err(Fault::Command(command & 0x0f)),
    };
    if length < addresses {
        return Err(Fault::Short);
    }
    if rest.len() < length {
        return Ok(Seen::Part {
            missing: length - rest.len(),
        });
    }
    Ok(Seen::Whole(
        source(rest.get(..addresses).unwrap_or_default()).map_or(Header::Balancer, Header::Client),
    ))
}

/// The first address of both, with its port.
fn source(addresses: &[u8]) -> Option<SocketAddr> {
    let ip = match addresses.len() {
        IPV4 => IpAddr::from(*addresses.first_chunk::<4>()?),
        _ => IpAddr::from(*addresses.first_chunk::<16>()?),
    };
    let (_, ports) = addresses
        .split_last_chunk::<4>()
        .map(|(ips, ports)| (ips, *ports))?;
    let [high, low, ..] = ports;
    Some(SocketAddr::new(
        ip.to_canonical(),
        u16::from_be_bytes([high, low]),
    ))
}

/// What every header begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Octets before the addresses.
const FIXED: usize = 16;
/// Octets of two IPv4 addresses and ports.
const IPV4: usize = 12;
/// Octets of two IPv6 addresses and ports.
const IPV6: usize = 36;
/// Version 2, a connection of the balancer's own.
const LOCAL: u8 = 0x20;
/// Version 2, a connection for a client.
const PROXY: u8 = 0x21;
/// The most octets of a header. The specification would have 536 suffice, but what some balancers say of a TLS client
/// takes more.
const LONGEST: usize = 4096;
/// Balancers whose first fault is logged.
const COMPLAINTS: usize = 64;

#[cfg(test)]
mod tests;
