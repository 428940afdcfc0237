//! Every counter, and the page that shows them.
//!
//! Each thread that answers clients owns one [`Worker`] and alone counts on it, so that nothing is
//! shared on the way of a packet; [`render`] sums them when somebody looks. What is counted or
//! known elsewhere comes in as plain numbers ([`Gauges`]). Labels are bounded: rule names, never
//! names that clients ask for.
//!
//! Imports nothing of this crate; no clock, no lock on the packet path.

mod page;
mod rules;
mod table;

pub use page::{Gauges, Probed, Probes, Tls, Upstream, render};
pub use rules::Rules;
pub use table::{Kind, Metric, TABLE};

use std::sync::atomic::{AtomicU64, Ordering};

/// What one thread counts. Aligned so that two workers never share a cache line.
///
/// Any thread may read; only its owner may count, for a count is a load and a store (an atomic
/// addition would cost several times as much).
#[derive(Debug)]
#[repr(align(128))]
pub struct Worker {
    queries: [AtomicU64; Transport::COUNT],
    unanswered: AtomicU64,
    replies: [[AtomicU64; Rcode::COUNT]; Source::COUNT],
    truncated: AtomicU64,
    prefetches: AtomicU64,
    changed: [AtomicU64; Rules::SLOTS],
    reported: [AtomicU64; Rules::SLOTS],
}

impl Default for Worker {
    fn default() -> Self {
        Self::new()
    }
}

impl Worker {
    /// All zero.
    pub const fn new() -> Self {
        Self {
            queries: [const { AtomicU64::new(0) }; Transport::COUNT],
            unanswered: AtomicU64::new(0),
            replies: [const { [const { AtomicU64::new(0) }; Rcode::COUNT] }; Source::COUNT],
            truncated: AtomicU64::new(0),
            prefetches: AtomicU64::new(0),
            changed: [const { AtomicU64::new(0) }; Rules::SLOTS],
            reported: [const { AtomicU64::new(0) }; Rules::SLOTS],
        }
    }

    /// A message came from a client.
    pub fn query(&self, transport: Transport) {
        add_at(&self.queries, transport as usize);
    }

    /// A message got no reply.
    pub fn unanswered(&self) {
        add(&self.unanswered);
    }

    /// A reply went out; `rcode` is the whole one, its EDNS bits included.
    pub fn reply(&self, source: Source, rcode: u16) {
        if let Some(rcodes) = self.replies.get(source as usize) {
            add_at(rcodes, Rcode::of(rcode) as usize);
        }
    }

    /// A reply had to be cut to fit and carries TC.
    pub fn truncate(&self) {
        add(&self.truncated);
    }

    /// An answer is asked for again before it expires.
    pub fn prefetch(&self) {
        add(&self.prefetches);
    }

    /// The rule in that slot of [`Rules`] changed a reply; slot 0 is no rule and counts nowhere.
    pub fn rule_changed(&self, slot: u8) {
        add_at(&self.changed, usize::from(slot));
    }

    /// The rule in that slot would have changed a reply, but only reports.
    pub fn rule_reported(&self, slot: u8) {
        add_at(&self.reported, usize::from(slot));
    }
}

fn add_at(counters: &[AtomicU64], at: usize) {
    if let Some(counter) = counters.get(at) {
        add(counter);
    }
}

fn add(counter: &AtomicU64) {
    let count = counter.load(Ordering::Relaxed);
    counter.store(count.wrapping_add(1), Ordering::Relaxed);
}

/// What a query came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A datagram.
    Udp,
    /// A stream.
    Tcp,
    /// A stream over TLS (RFC 7858).
    Dot,
    /// A request over HTTPS (RFC 8484).
    Doh,
    /// A stream of QUIC (RFC 9250).
    Doq,
}

impl Transport {
    const COUNT: usize = Self::ALL.len();
    const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::Dot, Self::Doh, Self::Doq];

    /// Whether nobody on the way can read it.
    pub const fn is_encrypted(self) -> bool {
        matches!(self, Self::Dot | Self::Doh | Self::Doq)
    }

    /// The value of the `transport` label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Dot => "dot",
            Self::Doh => "doh",
            Self::Doq => "doq",
        }
    }
}

/// Where the content of a reply came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A fresh answer was at hand.
    Cache,
    /// An upstream was asked for it.
    Upstream,
    /// An expired answer, for want of a better one (RFC 8767).
    Stale,
    /// Our own NODATA in place of an answer that a rule keeps back.
    Filtered,
    /// A special name, answered here.
    Special,
    /// Our own error: a malformed or refused query, or nobody upstream answered.
    Error,
}

impl Source {
    const COUNT: usize = Self::ALL.len();
    const ALL: [Self; 6] = [
        Self::Cache,
        Self::Upstream,
        Self::Stale,
        Self::Filtered,
        Self::Special,
        Self::Error,
    ];

    /// The value of the `source` label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Upstream => "upstream",
            Self::Stale => "stale",
            Self::Filtered => "filtered",
            Self::Special => "special",
            Self::Error => "error",
        }
    }
}

/// The response codes worth a series of their own; strangers cannot make more of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rcode {
    NoError,
    FormErr,
    ServFail,
    NxDomain,
    NotImp,
    Refused,
    BadVers,
    Other,
}

impl Rcode {
    const COUNT: usize = Self::ALL.len();
    const ALL: [Self; 8] = [
        Self::NoError,
        Self::FormErr,
        Self::ServFail,
        Self::NxDomain,
        Self::NotImp,
        Self::Refused,
        Self::BadVers,
        Self::Other,
    ];

    const fn of(rcode: u16) -> Self {
        match rcode {
            0 => Self::NoError,
            1 => Self::FormErr,
            2 => Self::ServFail,
            3 => Self::NxDomain,
            4 => Self::NotImp,
            5 => Self::Refused,
            16 => Self::BadVers,
            _ => Self::Other,
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::NoError => "noerror",
            Self::FormErr => "formerr",
            Self::ServFail => "servfail",
            Self::NxDomain => "nxdomain",
            Self::NotImp => "notimp",
            Self::Refused => "refused",
            Self::BadVers => "badvers",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests;
