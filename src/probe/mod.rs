//! Is the server at this address alive for a client that speaks TLS? Measures one address, and decides nothing.
//!
//! A TCP handshake proves little: the hosts this program is for connect at once and then say nothing. So a probe sends what
//! today's clients send, a TLS 1.3 ClientHello with a post-quantum key share that fills more than one segment, and waits
//! for one whole TLS record. No certificate is checked and no key is computed: a ServerHello and an alert both show that
//! octets travel both ways. Where silence lasts, two more attempts beside the first tell why: one with small
//! segments, one with a small hello.
//!
//! What a connection that stands may end in, and what it means:
//!
//! - a whole record, ServerHello or alert: alive, for only the server or its proxy writes one;
//! - a close or a reset before that: not alive. Middleboxes reset what they do not like, a server that closes gives
//!   clients nothing either, and none of them tries another address any more;
//! - octets that are no TLS: alive, but not what a TLS client needs; only whoever knows the host can judge.
//!
//! A hostile server costs one buffer of 4 KiB for each of three connections, 16 KiB read from each, and the time of [`Limits`].

mod attempt;
mod hello;
mod record;
#[cfg(test)]
mod tests;

use attempt::{Failure, Heard, Way, connect, greet};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;

/// What to probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// Where it is; an IPv6 scope is kept.
    pub address: SocketAddr,
    /// The name for SNI (RFC 6066 §3), with or without a final dot; an IP address is left out of the hello, as
    /// clients do. `None`: the port is not a TLS one, and a connection is all that is asked for.
    pub host: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// The host at this address: with TLS, unless the port is one where clients speak something else first.
    pub fn new(address: SocketAddr, host: &'a str) -> Self {
        let is_plain = PLAIN_PORTS.contains(&address.port());
        let host = (!is_plain).then_some(host);
        Self { address, host }
    }
}

/// Ports where no client begins with TLS: FTP, SSH, SMTP, DNS, HTTP, POP3, IMAP, LDAP, mail submission, MySQL,
/// PostgreSQL, Redis, HTTP proxies. Everywhere else TLS is tried.
pub const PLAIN_PORTS: [u16; 14] = [
    21, 22, 25, 53, 80, 110, 143, 389, 587, 3128, 3306, 5432, 6379, 8080,
];

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For the TCP connection.
    pub connect: Duration,
    /// From the ClientHello to the end of the record; the attempts beside have it for their connection too.
    pub tls: Duration,
    /// Silence after the ClientHello until the attempts beside begin.
    pub beside: Duration,
}

impl Limits {
    /// The longest that a probe takes.
    pub fn longest(&self) -> Duration {
        self.connect + self.tls.min(self.beside) + self.tls
    }
}

impl Default for Limits {
    /// 3 s, 5 s and 1.5 s.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            tls: Duration::from_secs(5),
            beside: Duration::from_millis(1500),
        }
    }
}

/// What an address was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It answered: with a TLS record, or on a plain port by connecting.
    Reachable,
    /// The TCP handshake was answered with a reset.
    Refused,
    /// There is no way there: no route or no address of that family here, or a router says so.
    Unreachable,
    /// Nothing came back to the TCP handshake within the limit.
    ConnectTimeout,
    /// It connected, and no whole record came within the limit.
    TlsStall {
        /// A second attempt with segments of at most 1,220 octets was answered.
        mss_1220: bool,
        /// A second attempt with a ClientHello of one small segment was answered.
        small_hello: bool,
    },
    /// It connected, and the connection was closed or reset before one whole record.
    TlsCut {
        /// A second attempt with segments of at most 1,220 octets was answered.
        mss_1220: bool,
        /// A second attempt with a ClientHello of one small segment was answered.
        small_hello: bool,
    },
    /// It answered the ClientHello with something that is no TLS.
    NotTls,
}

/// What a probe found, and how long it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What the address is.
    pub outcome: Outcome,
    /// The time until the connection stood, if it did.
    pub connected: Option<Duration>,
    /// The time from the ClientHello to the answer, if one came to the first attempt.
    pub answered: Option<Duration>,
}

/// Probes an address, within [`Limits::longest`].
///
/// # Errors
/// What this host could not do, such as opening a socket: that says nothing of the address.
pub async fn probe(target: Target<'_>, limits: Limits) -> io::Result<Finding> {
    let begun = now();
    let stream = match connect(target, Way::Usual, limits.connect).await {
        Ok(stream) => stream,
        Err(Failure::There(outcome)) => {
            return Ok(Finding {
                outcome,
                connected: None,
                answered: None,
            });
        }
        Err(Failure::Here(error)) => return Err(error),
    };
    let connected = Some(begun.elapsed());
    let Some(host) = target.host else {
        return Ok(Finding {
            outcome: Outcome::Reachable,
            connected,
            answered: None,
        });
    };
    let asked = now();
    let usual = async {
        let heard = greet(stream, &hello::large(host), limits.tls).await;
        (heard, asked.elapsed())
    };
    let ((heard, took), beside) = with_company(usual, target, host, limits).await?;
    let (mss_1220, small_hello) = beside;
    let outcome = match heard {
        Heard::Record => Outcome::Reachable,
        Heard::Other => Outcome::NotTls,
        #[rustfmt::skip]
        Heard::Silence => Outcome::TlsStall { mss_1220, small_hello },
        #[rustfmt::skip]
        Heard::End => Outcome::TlsCut { mss_1220, small_hello },
    };
    Ok(Finding {
        outcome,
        connected,
        answered: heard.is_answer().then_some(took),
    })
}

/// What came back on the usual attempt, and when.
type Ended = (Heard, Duration);

/// Whether the attempts beside were answered: with small segments, with a small hello.
type Beside = (bool, bool);

/// Waits for the usual attempt; where it is silent or was cut, for the two beside it too.
async fn with_company(
    usual: impl Future<Output = Ended>,
    target: Target<'_>,
    host: &str,
    limits: Limits,
) -> io::Result<(Ended, Beside)> {
    let mut usual = pin!(usual);
    let mut ended = timeout(limits.beside, &mut usual).await.ok();
    let mut beside = pin!(async {
        tokio::try_join!(
            is_answered(target, Way::SmallSegments, hello::large(host), limits),
            is_answered(target, Way::Usual, hello::small(host), limits),
        )
    });
    let mut found = None;
    loop {
        match (ended, found) {
            (Some((heard, took)), _) if heard.is_answer() => {
                return Ok(((heard, took), Beside::default()));
            }
            (Some(ended), Some(found)) => return Ok((ended, found)),
            _ => {}
        }
        tokio::select! {
            last = &mut usual, if ended.is_none() => ended = Some(last),
            both = &mut beside, if found.is_none() => found = Some(both?),
        }
    }
}

/// Whether a new connection is answered. What stood a moment ago may be refused now: that is no answer.
async fn is_answered(
    target: Target<'_>,
    way: Way,
    hello: Vec<u8>,
    limits: Limits,
) -> io::Result<bool> {
    let exchange = async {
        let stream = connect(target, way, limits.connect).await?;
        Ok(greet(stream, &hello, limits.tls).await.is_answer())
    };
    match timeout(limits.tls, exchange).await {
        Ok(Err(Failure::Here(error))) => Err(error),
        Ok(Ok(is_answer)) => Ok(is_answer),
        Ok(Err(Failure::There(_))) | Err(_) => Ok(false),
    }
}

#[expect(clippy::disallowed_methods, reason = "a probe measures time")]
fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
