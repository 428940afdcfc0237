//! What is compared: the table of scenarios.

use crate::blast::Pace;
use crate::peer::Peer;
use crate::questions::{A, AAAA, Names, Questions, Sizes, listed};
use crate::streams::Pipelines;
use crate::tally::Expect;
use crate::wire::Carrier;
use std::net::Ipv4Addr;

/// One way to load a server.
pub(crate) struct Scenario {
    /// What rows, tables and the command line call it.
    pub(crate) name: &'static str,
    /// What it asks, for the table's heading.
    pub(crate) about: &'static str,
    names: Names,
    kinds: &'static [u16],
    fresh_in_ten: usize,
    sizes: Sizes,
    /// MiB of the cache that the names overflow; none: it has room for all.
    pub(crate) overflows: Option<u32>,
    /// What a server has to filter meanwhile.
    pub(crate) rules: Rules,
    /// How the queries come.
    pub(crate) load: Load,
    /// Where the server listens; it is asked over loopback in any case.
    pub(crate) listen: Ipv4Addr,
    /// Threads that serve; there are as many cores for them as this machine can spare.
    pub(crate) threads: usize,
    /// Where the upstream listens.
    pub(crate) upstream: Upstream,
    /// What the replies should be.
    pub(crate) expect: Expect,
}

/// How queries come.
#[derive(Clone, Copy)]
pub(crate) enum Load {
    /// Over UDP, for as long as a run lasts.
    Datagrams(Pace),
    /// Over UDP, so many and no more.
    Counted {
        /// Queries.
        queries: u64,
        /// Outstanding.
        window: usize,
    },
    /// Over connections that are kept.
    Streams(Pipelines),
}

/// Where an upstream listens. What comes from loopback cannot be forged by a stranger, so a server may ask there
/// from few ports; elsewhere it should draw a port for each query (RFC 5452 §9.2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upstream {
    /// On loopback.
    Loopback,
    /// On an address that this machine has in its network.
    Interface,
}

/// How much a server has to filter. None is left without a rule: that is what it is there for.
#[derive(Clone, Copy)]
pub(crate) enum Rules {
    /// One host and one range.
    One,
    /// The same, and the range is that of the names that are asked.
    Range,
    /// The hundred hosts that are asked, and the range of their addresses.
    Hundred,
    /// 10,000 hosts and 1,000 ranges.
    Thousands,
}

const PLAIN: Scenario = Scenario {
    name: "hits",
    about: "1,000 names, A and AAAA, from the cache",
    names: Names::Plain(1000),
    kinds: &[A, AAAA],
    fresh_in_ten: 0,
    sizes: Sizes::One,
    overflows: None,
    rules: Rules::One,
    load: Load::Datagrams(Pace::Window(256)),
    listen: Ipv4Addr::LOCALHOST,
    threads: 1,
    upstream: Upstream::Loopback,
    expect: Expect::Records,
};

const MISSES: Scenario = Scenario {
    name: "misses",
    about: "fresh names, each asked upstream, 100 outstanding",
    names: Names::Plain(100),
    fresh_in_ten: 10,
    load: Load::Datagrams(Pace::Window(100)),
    ..PLAIN
};

const STREAMS: Load = Load::Streams(Pipelines {
    connections: 16,
    window: 16,
    carrier: Carrier::Tcp,
});

impl Load {
    /// The same by another carrier, if it is by connections.
    const fn over(self, carrier: Carrier) -> Self {
        match self {
            Self::Streams(pipelines) => Self::Streams(Pipelines {
                carrier,
                ..pipelines
            }),
            other => other,
        }
    }

    /// What its connections are.
    pub(crate) const fn carrier(&self) -> Carrier {
        match self {
            Self::Streams(pipelines) => pipelines.carrier,
            _ => Carrier::Tcp,
        }
    }
}

/// Every scenario, in the order they run.
pub(crate) const SCENARIOS: &[Scenario] = &[
    PLAIN,
    Scenario {
        name: "wildcard",
        about: "hits, the server listening on 0.0.0.0",
        listen: Ipv4Addr::UNSPECIFIED,
        ..PLAIN
    },
    Scenario {
        name: "two-threads",
        about: "hits, by two threads",
        threads: 2,
        ..PLAIN
    },
    Scenario {
        name: "hits-100k",
        about: "100,000 names, A, from the cache",
        names: Names::Plain(100_000),
        kinds: &[A],
        ..PLAIN
    },
    Scenario {
        name: "zipf-500k",
        about: "500,000 names in the cache, A, asked by Zipf's law",
        names: Names::Zipf(500_000),
        kinds: &[A],
        ..PLAIN
    },
    Scenario {
        name: "filtered",
        about: "AAAA of 100 listed hosts, filtered, from the cache",
        names: Names::Listed(100),
        kinds: &[AAAA],
        rules: Rules::Hundred,
        expect: Expect::NoRecords,
        ..PLAIN
    },
    Scenario {
        name: "ranged",
        about: "AAAA of 1,000 names whose addresses are in a range, filtered, from the cache",
        names: Names::Ranged(1000),
        kinds: &[AAAA],
        rules: Rules::Range,
        expect: Expect::NoRecords,
        ..PLAIN
    },
    Scenario {
        name: "rules",
        about: "hits, with 10,000 hosts and 1,000 ranges in the rules",
        rules: Rules::Thousands,
        ..PLAIN
    },
    MISSES,
    Scenario {
        name: "fresh-ports",
        about: "misses, the upstream not on loopback",
        upstream: Upstream::Interface,
        ..MISSES
    },
    Scenario {
        name: "mixed",
        about: "9 hits and a miss in 10, 100 outstanding",
        fresh_in_ten: 1,
        load: Load::Datagrams(Pace::Window(100)),
        ..PLAIN
    },
    Scenario {
        name: "tcp",
        about: "hits over 16 connections, 16 outstanding on each",
        load: STREAMS,
        ..PLAIN
    },
    Scenario {
        name: "dot",
        about: "the same over TLS",
        load: STREAMS.over(Carrier::Tls),
        ..PLAIN
    },
    Scenario {
        name: "doh",
        about: "the same over HTTPS, each query a POST of HTTP/2",
        load: STREAMS.over(Carrier::Https),
        ..PLAIN
    },
    Scenario {
        name: "million",
        about: "1,200,000 fresh names of 1 to 20 A, each asked once, a cache of 128 MiB",
        sizes: Sizes::Mixed,
        overflows: Some(128),
        load: Load::Counted {
            queries: 1_200_000,
            window: 100,
        },
        ..MISSES
    },
    Scenario {
        name: "latency",
        about: "hits at 10,000 queries in a second",
        load: Load::Datagrams(Pace::Rate(10_000.0)),
        ..PLAIN
    },
];

impl Scenario {
    /// Whether this server can take part.
    pub(crate) fn is_for(&self, peer: &Peer) -> bool {
        let is_left_out = peer.leaves_out.iter().any(|name| name == self.name);
        let can_filter = match self.rules {
            Rules::One => true,
            Rules::Range => peer.range.is_some(),
            Rules::Hundred | Rules::Thousands => peer.filters(),
        };
        let can_thread = self.threads == 1 || peer.mentions("{threads}");
        let can_bound = self.overflows.is_none()
            || peer.mentions("{cache_mib}")
            || peer.mentions("{half_cache_mib}");
        let can_encrypt = self.load.carrier() == Carrier::Tcp || peer.encrypts(self.name);
        can_filter && can_thread && can_bound && can_encrypt && !is_left_out
    }

    /// What is asked; `few` asks a hundredth of the names, to see that it works at all.
    pub(crate) fn questions(&self, seed: u64, few: bool) -> Questions {
        let names = if few { self.names.fewer() } else { self.names };
        let fresh = (self.fresh_in_ten, self.sizes);
        Questions::new(names, self.kinds, fresh, seed)
    }
}

impl Rules {
    /// The hosts whose AAAA are to be filtered.
    pub(crate) fn hosts(self) -> impl Iterator<Item = String> {
        let count = match self {
            Self::One | Self::Range => 1,
            Self::Hundred => 100,
            Self::Thousands => 10_000,
        };
        (0..count).map(listed)
    }

    /// The ranges in which addresses are to be filtered; the first is that of the listed hosts.
    pub(crate) fn ranges(self) -> impl Iterator<Item = String> {
        let others = match self {
            Self::One | Self::Range | Self::Hundred => 0x1000..0x1000,
            Self::Thousands => 0x1000..0x1000 + 999,
        };
        std::iter::once(0xf)
            .chain(others)
            .map(|net| format!("2001:db8:{net:x}::/48"))
    }
}
