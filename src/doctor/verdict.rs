//! What is wrong with a host, from what its addresses were found to be. No IO.
//!
//! One row of the table for each thing that can be seen; what cannot be told apart is not guessed: a host whose
//! addresses are unknown gets no verdict but [`Verdict::CannotTell`].

use crate::probe::Outcome;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is wrong with a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Nothing: both families answer.
    Healthy,
    /// It has no IPv6 address, or programs here are told none.
    NothingToStrip,
    /// It has no IPv4 address: without IPv6 it would be gone.
    Ipv6Only,
    /// IPv6 leads nowhere from here, and programs notice at once.
    NoIpv6Route,
    /// The TCP handshake over IPv6 is not answered.
    Ipv6Dropped,
    /// TCP stands, and packets larger than the path carries are lost without a word.
    PmtuBlackHole,
    /// TCP stands, and a ClientHello of more than one segment is lost or refused.
    BigHello,
    /// TCP stands, and TLS hangs or is cut off whatever its size.
    TlsStall,
    /// IPv6 fails everywhere, or is refused by this host alone.
    Ipv6Broken,
    /// IPv4 fails, IPv6 works.
    Ipv4Broken,
    /// Neither answers.
    Down,
    /// Its addresses are unknown, or could not be probed.
    CannotTell,
}

/// Whether it helps to keep its IPv6 addresses from clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Strip {
    /// It does.
    Yes,
    /// Clients do without.
    Optional,
    /// There is no reason to.
    No,
    /// It would take away what works, or may.
    Never,
}

/// What the addresses of one family came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// The host has none.
    Absent,
    /// Nobody could say, or nothing could be measured.
    Unknown,
    /// It answers as it should.
    Works,
    /// It answers, and not with TLS.
    Plain,
    /// It does not.
    Fails(Fault),
}

/// How a family fails: what costs clients least first, and what tells most of the cause last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// No way leads there.
    Unreachable,
    /// It refuses connections.
    Refused,
    /// It does not answer them.
    Timeout,
    /// It connects and hangs, whatever is tried.
    Stall,
    /// It connects and hangs, unless the ClientHello is small.
    BigHello,
    /// It connects and hangs, unless segments are small.
    BlackHole,
}

/// What hosts on other networks say of IPv6 here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// One works over both families.
    Works,
    /// One works over IPv4 and not over IPv6, and none does over both.
    Fails,
    /// None says anything.
    Missing,
}

impl Family {
    /// From what was found at the addresses probed; `None` is one that could not be probed. Absent where there is none.
    ///
    /// A program takes the addresses as they come: one that makes it wait counts for all of them, one that
    /// fails at once counts only where all do.
    pub(super) fn of(outcomes: &[Option<Outcome>]) -> Self {
        if outcomes.is_empty() {
            return Self::Absent;
        }
        let found: Vec<Self> = outcomes.iter().flatten().map(Self::of_one).collect();
        let worst = found.iter().filter_map(|one| one.fault()).max();
        match worst {
            Some(fault) if fault.makes_wait() => Self::Fails(fault),
            _ if found.contains(&Self::Works) => Self::Works,
            _ if found.contains(&Self::Plain) => Self::Plain,
            Some(fault) => Self::Fails(fault),
            None => Self::Unknown,
        }
    }

    /// The same of IPv4, to which clients come when IPv6 is taken away: one address that answers is enough.
    pub(super) fn of_any(outcomes: &[Option<Outcome>]) -> Self {
        let found = |wanted| {
            let mut all = outcomes.iter().flatten();
            all.any(|one| Self::of_one(one) == wanted)
        };
        let answering = [Self::Works, Self::Plain]
            .into_iter()
            .find(|one| found(*one));
        answering.unwrap_or_else(|| Self::of(outcomes))
    }

    const fn of_one(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Reachable => Self::Works,
            Outcome::NotTls => Self::Plain,
            Outcome::Unreachable => Self::Fails(Fault::Unreachable),
            Outcome::Refused => Self::Fails(Fault::Refused),
            Outcome::ConnectTimeout => Self::Fails(Fault::Timeout),
            Outcome::TlsStall { mss_1220: true, .. } | Outcome::TlsCut { mss_1220: true, .. } => {
                Self::Fails(Fault::BlackHole)
            }
            #[rustfmt::skip]
            Outcome::TlsStall { small_hello: true, .. } | Outcome::TlsCut { small_hello: true, .. } => {
                Self::Fails(Fault::BigHello)
            },
            Outcome::TlsStall { .. } | Outcome::TlsCut { .. } => Self::Fails(Fault::Stall),
        }
    }

    /// Whether something answers.
    pub(super) const fn answers(self) -> bool {
        matches!(self, Self::Works | Self::Plain)
    }

    /// How it fails, if it does.
    pub(super) const fn fault(self) -> Option<Fault> {
        match self {
            Self::Fails(fault) => Some(fault),
            _ => None,
        }
    }
}

impl Fault {
    /// Whether a program loses time over it before it tries another address, or never does.
    pub(super) fn makes_wait(self) -> bool {
        self >= Self::Timeout
    }
}

/// The verdict on a host.
pub(super) fn verdict(four: Family, six: Family, control: Control) -> Verdict {
    use Family::{Absent, Fails, Plain, Unknown, Works};
    match (four, six) {
        (Unknown, _) | (_, Unknown) | (Absent, Absent) => Verdict::CannotTell,
        (Absent, _) => Verdict::Ipv6Only,
        (Fails(_), Works | Plain) | (Plain, Works) => Verdict::Ipv4Broken,
        (Fails(_), Absent | Fails(_)) => Verdict::Down,
        (Works | Plain, Absent) => Verdict::NothingToStrip,
        (Works, Works) | (Plain, Plain) => Verdict::Healthy,
        // The way over IPv6 ends at something that is not the host.
        (Works, Plain) => stalled(control),
        (Works | Plain, Fails(fault)) => ipv6_fails(fault, control),
    }
}

fn ipv6_fails(fault: Fault, control: Control) -> Verdict {
    match (fault, control) {
        (Fault::Unreachable, _) | (Fault::Refused, Control::Fails) => Verdict::NoIpv6Route,
        (Fault::Refused, _) | (Fault::Timeout, Control::Fails) => Verdict::Ipv6Broken,
        (Fault::Timeout, _) => Verdict::Ipv6Dropped,
        (Fault::BlackHole, _) => Verdict::PmtuBlackHole,
        (Fault::BigHello, _) => Verdict::BigHello,
        (Fault::Stall, control) => stalled(control),
    }
}

const fn stalled(control: Control) -> Verdict {
    match control {
        Control::Fails => Verdict::Ipv6Broken,
        Control::Works | Control::Missing => Verdict::TlsStall,
    }
}

impl Verdict {
    /// Whether it helps to keep the host's IPv6 addresses from clients.
    pub const fn strip(self) -> Strip {
        match self {
            Self::Ipv6Dropped
            | Self::PmtuBlackHole
            | Self::BigHello
            | Self::TlsStall
            | Self::Ipv6Broken => Strip::Yes,
            Self::NoIpv6Route => Strip::Optional,
            Self::Ipv6Only | Self::Ipv4Broken => Strip::Never,
            Self::Healthy | Self::NothingToStrip | Self::Down | Self::CannotTell => Strip::No,
        }
    }

    /// The exit code that it asks for, among several the first of 20, 10, 11, 0.
    pub const fn exit_code(self) -> u8 {
        match (self, self.strip()) {
            (Self::Down | Self::Ipv4Broken, _) => DOWN,
            (_, Strip::Yes) => BROKEN,
            (Self::CannotTell, _) => UNKNOWN,
            _ => 0,
        }
    }

    /// As it is written, in JSON too.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Healthy => "HEALTHY",
            Self::NothingToStrip => "NOTHING_TO_STRIP",
            Self::Ipv6Only => "IPV6_ONLY",
            Self::NoIpv6Route => "NO_IPV6_ROUTE",
            Self::Ipv6Dropped => "IPV6_DROPPED",
            Self::PmtuBlackHole => "PMTU_BLACK_HOLE",
            Self::BigHello => "BIG_HELLO",
            Self::TlsStall => "TLS_STALL",
            Self::Ipv6Broken => "IPV6_BROKEN",
            Self::Ipv4Broken => "IPV4_BROKEN",
            Self::Down => "DOWN",
            Self::CannotTell => "CANNOT_TELL",
        }
    }
}

/// A host is down, or its IPv4 is.
pub(super) const DOWN: u8 = 20;
/// IPv6 of a host is broken while its IPv4 works.
const BROKEN: u8 = 10;
/// Of a host nothing can be told.
const UNKNOWN: u8 = 11;

/// The exit code of several hosts. Where none was looked at, nothing can be told.
pub(super) fn exit_code(codes: &[u8]) -> u8 {
    let worst = [DOWN, BROKEN, UNKNOWN, 0];
    let found = worst.into_iter().find(|code| codes.contains(code));
    found.unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests;
