//! Asks the daemon whether it is well: who are you, and what do you say of a host whose IPv6 addresses are to go?

use super::fault::Fault;
use super::plan::{NO_FRONT, front_of};
use crate::config::Config;
use crate::message::{
    Answer, Ask, Judgement, Kind, Meaning, Name, Rcode, Transport, judge, write_query,
};
use rand::Rng;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Where and for what to ask.
#[derive(Clone, Copy, Debug)]
pub struct Canary {
    /// Whom to ask.
    pub at: SocketAddr,
    /// The address to ask from, where the kernel's own choice would be another than that of real questions.
    pub from: Option<IpAddr>,
    /// The name whose TXT record the daemon answers itself.
    pub name: Name,
    /// A host that has IPv4, and no IPv6 any more.
    pub witness: Option<Name>,
}

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its version.
    pub version: String,
    /// The user it runs as.
    pub uid: u32,
}

/// What is wrong with the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It cannot be asked.
    Unreachable(SocketAddr, io::ErrorKind),
    /// Not all was answered in time.
    Silent(SocketAddr, Duration),
    /// It does not serve this client.
    Refused(SocketAddr, IpAddr),
    /// Somebody else answers, or one with other rules.
    Stranger(SocketAddr, String),
    /// The host has no IPv4 there.
    NoIpv4(String, Rcode),
    /// The host still has IPv6.
    Ipv6(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(at, kind) => write!(f, "{at} cannot be asked: {kind}"),
            Self::Silent(at, limit) => {
                write!(f, "{at} did not answer within {} ms", limit.as_millis())
            }
            Self::Refused(at, from) => write!(
                f,
                "{at} refuses clients at {from}: add that address to `access.allow`"
            ),
            Self::Stranger(at, name) => write!(
                f,
                "{at} does not answer {name} TXT as unsix does: something else listens there, or it runs with other rules than this configuration's"
            ),
            Self::NoIpv4(host, rcode) => write!(f, "{host} has no IPv4 address ({rcode})"),
            Self::Ipv6(host) => write!(f, "{host} still has IPv6 addresses"),
        }
    }
}

impl Canary {
    /// The daemon of this configuration, where it listens. Without a witness it is asked for what it knows itself.
    ///
    /// # Errors
    /// It listens on no address that is always there.
    pub fn of(config: &Config) -> Result<Self, Fault> {
        Ok(Self {
            at: front_of(config).ok_or(Fault::NoListener(NO_FRONT))?,
            from: None,
            name: config.canary(),
            witness: None,
        })
    }

    /// Asks all at once, and waits so long at most.
    ///
    /// # Errors
    /// Whatever keeps the answer from being the right one.
    pub async fn ask(&self, limit: Duration) -> Result<Identity, Wrong> {
        let silent = |_| Err(Wrong::Silent(self.at, limit));
        timeout(limit, self.talk()).await.unwrap_or_else(silent)
    }

    async fn talk(&self) -> Result<Identity, Wrong> {
        let unreachable = |error: io::Error| Wrong::Unreachable(self.at, error.kind());
        let any: IpAddr = match self.at {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let from = SocketAddr::new(self.from.unwrap_or(any), 0);
        let socket = UdpSocket::bind(from).await.map_err(unreachable)?;
        socket.connect(self.at).await.map_err(unreachable)?;
        let own = socket.local_addr().map_err(unreachable)?.ip();
        let mut open = self.questions();
        let mut packet = Vec::new();
        for (id, ask) in &open {
            write_query(ask, *id, true, &mut packet);
            socket.send(&packet).await.map_err(unreachable)?;
        }
        let (mut identity, mut odd) = (None, Ok(()));
        let mut room = [0; 1500];
        while !open.is_empty() {
            let length = socket.recv(&mut room).await.map_err(unreachable)?;
            let heard = room.get(..length).unwrap_or_default();
            let Some((place, answer)) = find(&open, heard) else {
                continue;
            };
            let (_, ask) = open.swap_remove(place);
            let host = ask.question.name;
            match (ask.question.kind, answer.meaning()) {
                _ if answer.rcode() == Rcode::REFUSED => return Err(Wrong::Refused(self.at, own)),
                (Kind::TXT, _) => identity = answer.records().find_map(|record| read(record.rdata)),
                (Kind::A, Meaning::Data) | (Kind::AAAA, Meaning::NoData) => {}
                // Who has no IPv4 keeps its IPv6.
                (Kind::AAAA, Meaning::Data) => {
                    odd = odd.and_then(|()| Err(Wrong::Ipv6(host.to_string())));
                }
                (_, _) => odd = Err(Wrong::NoIpv4(host.to_string(), answer.rcode())),
            }
        }
        // Of somebody else nothing more needs to be told.
        let stranger = || Wrong::Stranger(self.at, self.name.to_string());
        let identity = identity.ok_or_else(stranger)?;
        odd.map(|()| identity)
    }

    /// Each under an id that nobody can guess.
    fn questions(&self) -> Vec<(u16, Ask)> {
        let mut random = rand::rng();
        let witness = self.witness.into_iter();
        let host = witness.flat_map(|host| [(host, Kind::A), (host, Kind::AAAA)]);
        let all = std::iter::once((self.name, Kind::TXT)).chain(host);
        all.map(|(name, kind)| (random.next_u32() as u16, Ask::plain(name, kind)))
            .collect()
    }
}

/// The question that a packet answers, by its place, and the answer.
fn find(open: &[(u16, Ask)], heard: &[u8]) -> Option<(usize, Arc<Answer>)> {
    let mut numbered = open.iter().enumerate();
    numbered.find_map(|(place, (id, ask))| {
        match judge(heard, *id, &ask.question, Transport::Datagram) {
            Judgement::Answer(answer) => Some((place, answer)),
            _ => None,
        }
    })
}

/// The attributes of the TXT record (RFC 1464).
fn read(mut rdata: &[u8]) -> Option<Identity> {
    let (mut version, mut uid) = (None, None);
    while let [length, rest @ ..] = rdata {
        let (text, after) = rest.split_at_checked(usize::from(*length))?;
        let (key, value) = std::str::from_utf8(text).ok()?.split_once('=')?;
        match key {
            "version" => version = Some(value.to_owned()),
            "uid" => uid = value.parse().ok(),
            _ => {}
        }
        rdata = after;
    }
    let (version, uid) = (version?, uid?);
    Some(Identity { version, uid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_record_of_a_daemon_of_ours_is_read() {
        #[rustfmt::skip]
        let cases: [(&[u8], Option<u32>); 6] = [
            (b"\x0dversion=0.1.0\x07uid=998", Some(998)),
            (b"\x07uid=998\x0dversion=9.9.9\x05new=1", Some(998)),
            (b"\x07uid=998", None),
            (b"\x0dversion=0.1.0\x06uid=-1", None),
            (b"\x0dversion=0.1.0\x07uid=99", None),
            (b"\x0dv=spf1 ip4:x", None),
        ];
        for (rdata, uid) in cases {
            assert_eq!(read(rdata).map(|identity| identity.uid), uid, "{rdata:?}");
        }
    }
}
