//! What probes have found: which IPv6 addresses of which hosts are broken.
//!
//! A rule with `when: broken` means an address while it is broken. The table is made by whoever probes
//! and swapped in one piece, as settings are; a reply only looks. What is not judged takes the nearest thing that is:
//! the same address under another host, then the host's other addresses if they agree, then the rule's `initial`.

use crate::message::Name;
use foldhash::HashMap;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::time::Moment;

/// All verdicts, by the port that was probed.
#[derive(Clone, Debug, Default)]
pub struct Verdicts {
    ports: HashMap<u16, OfPort>,
}

#[derive(Clone, Debug, Default)]
struct OfPort {
    hosts: HashMap<Box<[u8]>, Watched>,
    /// Whether the address is broken for any host.
    addresses: HashMap<Ipv6Addr, bool>,
}

/// What is known of one host.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// The addresses that were judged, and whether each is broken.
    pub addresses: HashMap<Ipv6Addr, bool>,
    /// What is broken, why and since when, for people; empty where nothing is.
    pub why: Box<str>,
    /// How it is asked for.
    pub traffic: Arc<Traffic>,
}

impl Watched {
    /// What the judged addresses agree on.
    fn agreed(&self) -> Option<bool> {
        let mut all = self.addresses.values();
        let first = *all.next()?;
        all.all(|other| *other == first).then_some(first)
    }
}

impl Verdicts {
    /// Puts in what is known of a host; `name` must be lower case.
    pub fn put(&mut self, port: u16, name: &Name, host: Watched) {
        let of_port = self.ports.entry(port).or_default();
        for (address, broken) in &host.addresses {
            *of_port.addresses.entry(*address).or_default() |= broken;
        }
        of_port.hosts.insert(name.wire().into(), host);
    }

    /// What is known of a host; `name` must be lower case.
    pub fn host(&self, port: u16, name: &Name) -> Option<&Watched> {
        self.ports.get(&port)?.hosts.get(name.wire())
    }

    /// Whether an address of a host is broken; none where nothing says so.
    pub(super) fn is_broken(&self, port: u16, name: &Name, address: Ipv6Addr) -> Option<bool> {
        let of_port = self.ports.get(&port)?;
        let host = of_port.hosts.get(name.wire());
        let own = host.and_then(|host| host.addresses.get(&address));
        own.or_else(|| of_port.addresses.get(&address))
            .copied()
            .or_else(|| host?.agreed())
    }
}

/// How clients ask for a host: when last, and who asks again and again.
///
/// Written by every thread that replies, without a lock; two clients that share a place may hide one another, for this
/// is evidence, not a count of anything owed.
#[derive(Debug, Default)]
pub struct Traffic {
    last: AtomicU64,
    clients: [AtomicU64; PLACES],
}

impl Traffic {
    /// When somebody asked last.
    pub fn last(&self) -> Moment {
        Moment::from_micros(self.last.load(Relaxed))
    }

    /// Somebody asked.
    pub fn touch(&self, now: Moment) {
        self.last.fetch_max(now.as_micros(), Relaxed);
    }

    /// A client, by a hash, was told an answer that lives for `ttl`. True: it is retrying, for it asks for the third time
    /// while it should know, and not all at once.
    pub fn note(&self, client: u64, ttl: Duration, now: Moment) -> bool {
        self.touch(now);
        let place = usize::try_from(client >> 32).unwrap_or_default() % PLACES;
        let Some(place) = self.clients.get(place) else {
            return false;
        };
        let who = client & WHO;
        let asked = Asked::from_bits(place.load(Relaxed));
        let seconds = now.as_micros() / 1_000_000;
        let apart = seconds.saturating_sub(asked.seconds);
        let again = asked.who == who && apart <= ttl.as_secs();
        if again && apart == 0 {
            // A client opens several connections at once.
            return false;
        }
        let times = if again {
            (asked.times + 1).min(MOST)
        } else {
            1
        };
        let is_retrying = times == MOST;
        let next = Asked {
            who,
            times: if is_retrying { 1 } else { times },
            seconds,
        };
        place.store(next.bits(), Relaxed);
        is_retrying
    }
}

/// One client's place: who, how often, when last.
struct Asked {
    who: u64,
    times: u64,
    seconds: u64,
}

impl Asked {
    fn from_bits(bits: u64) -> Self {
        Self {
            who: bits & WHO,
            times: bits >> 30 & 3,
            seconds: bits >> 32,
        }
    }

    fn bits(&self) -> u64 {
        self.who | self.times << 30 | self.seconds << 32
    }
}

/// Clients of one host that are told apart.
const PLACES: usize = 8;
/// The bits of a hash that say who it was.
const WHO: u64 = (1 << 30) - 1;
/// So many questions are a retry.
const MOST: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn what_is_not_judged_takes_the_nearest_that_is() {
        let address = |text: &str| text.parse::<Ipv6Addr>().unwrap();
        let host = |judged: &[(&str, bool)]| Watched {
            addresses: judged
                .iter()
                .map(|(at, broken)| (address(at), *broken))
                .collect(),
            ..Watched::default()
        };
        let mut verdicts = Verdicts::default();
        verdicts.put(
            443,
            &name("bad.example"),
            host(&[("2001:db8::1", true), ("2001:db8::2", true)]),
        );
        verdicts.put(
            443,
            &name("mixed.example"),
            host(&[("2001:db8::1", false), ("2001:db8::3", true)]),
        );
        verdicts.put(443, &name("good.example"), host(&[("2001:db8::4", false)]));
        verdicts.put(5000, &name("good.example"), host(&[("2001:db8::4", true)]));
        #[rustfmt::skip]
        let cases = [
            ("its own verdict", 443, "bad.example", "2001:db8::1", Some(true)),
            ("its own verdict before another host's", 443, "mixed.example", "2001:db8::1", Some(false)),
            ("another host's", 443, "alias.example", "2001:db8::3", Some(true)),
            ("another host's before its other addresses'", 443, "good.example", "2001:db8::2", Some(true)),
            ("what its other addresses agree on", 443, "bad.example", "2001:db8::9", Some(true)),
            ("they do not agree", 443, "mixed.example", "2001:db8::9", None),
            ("nobody knows", 443, "new.example", "2001:db8::9", None),
            ("each port for itself", 5000, "good.example", "2001:db8::4", Some(true)),
            ("a port that nobody probes", 80, "bad.example", "2001:db8::1", None),
        ];
        for (why, port, host, at, want) in cases {
            assert_eq!(
                verdicts.is_broken(port, &name(host), address(at)),
                want,
                "{why}"
            );
        }
    }

    #[test]
    fn who_asks_three_times_within_the_ttl_is_retrying() {
        let at = |seconds: u64| Moment::from_micros(seconds * 1_000_000);
        let ttl = Duration::from_secs(30);
        let traffic = Traffic::default();
        let asked = [100, 100, 110, 120, 121, 130, 200, 231, 262]
            .map(|second| traffic.note(7, ttl, at(second)));
        let want = [false, false, false, true, false, true, false, false, false];
        assert_eq!(asked, want, "not at once, and not once the TTL is over");
        assert!(!traffic.note(8, ttl, at(263)), "another client");
        assert_eq!(traffic.last(), at(263));
    }
}
