//! What is watched and what was decided, as JSON: the admin page `/verdicts`, and its reader.
//!
//! Names and meanings stay; new ones may come.

use super::book::{Book, Change, Condition, Host};
use super::track::Verdict;
use super::words;
use crate::message::Name;
use crate::policy::{Verdicts, Watched};
use crate::probe::Outcome;
use crate::time::Utc;
use serde::{Deserialize, Serialize};
use std::net::Ipv6Addr;

/// The whole page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Page {
    /// Seconds that it takes to probe every host once.
    pub round: f64,
    /// Whether `probe.max_per_second` makes that longer than `probe.interval`.
    pub stretched: bool,
    /// The hosts that are watched, in the order of their names.
    pub hosts: Vec<OfHost>,
    /// The last 256 changes, the oldest first.
    pub changes: Vec<OfChange>,
}

/// A host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OfHost {
    /// Its name.
    pub host: String,
    /// The TCP port that is probed.
    pub port: u16,
    /// The rules that go by it.
    pub rules: Vec<String>,
    /// [`Condition::label`].
    pub condition: String,
    /// What is broken, why and since when, for people; empty where nothing is.
    pub why: String,
    /// Each address that it led to within the last hour.
    pub addresses: Vec<OfAddress>,
}

/// An address of a host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OfAddress {
    /// The address.
    pub address: Ipv6Addr,
    /// `unknown`, `healthy` or `broken`.
    pub verdict: String,
    /// Since when, by RFC 3339; absent while it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// How it fails, if it does.
    #[serde(flatten)]
    pub cause: OfCause,
}

/// How an address failed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct OfCause {
    /// `refused`, `unreachable`, `connect_timeout`, `tls_stall`, `tls_cut` or `not_tls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What was answered beside a ClientHello that was not: `mss_1220`, `small_hello`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub works_with: Vec<String>,
}

/// A verdict that became another one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OfChange {
    /// When, by RFC 3339.
    pub at: String,
    /// The host's name.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// Which of its addresses.
    pub address: Ipv6Addr,
    /// The rules that go by it.
    pub rules: Vec<String>,
    /// `healthy` or `broken`.
    pub verdict: String,
    /// How it failed, if it did.
    #[serde(flatten)]
    pub cause: OfCause,
    /// Breaks of this address within an hour, this one included: more than one is flapping.
    pub breaks_within_an_hour: usize,
    /// Whether a control's IPv6 worked meanwhile, where somebody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6_works_elsewhere: Option<bool>,
}

impl Condition {
    /// The word of the page.
    pub const fn label(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Probed => "probed",
            Self::NoIpv6 => "no_ipv6",
            Self::NoIpv4 => "no_ipv4",
            Self::Private => "private",
            Self::NoRoute => "no_route",
            Self::Unresolved => "unresolved",
        }
    }
}

impl Page {
    /// Reads a page; `None` if it is none.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The page as text.
    pub fn text(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("names and numbers are JSON");
        text + "\n"
    }

    /// What replies go by, as the writer of the page did.
    pub fn verdicts(&self) -> Verdicts {
        let mut verdicts = Verdicts::default();
        for host in &self.hosts {
            let Ok(name) = Name::parse(&host.host) else {
                continue;
            };
            let broken = Verdict::Broken.label();
            let unknown = Verdict::Unknown.label();
            let decided = host.addresses.iter().filter(|one| one.verdict != unknown);
            let watched = Watched {
                addresses: decided
                    .map(|one| (one.address, one.verdict == broken))
                    .collect(),
                why: host.why.as_str().into(),
                ..Watched::default()
            };
            verdicts.put(host.port, &name.lower(), watched);
        }
        verdicts
    }
}

impl Book {
    /// The page.
    pub fn page(&self) -> Page {
        let hosts = self.sorted();
        let hosts = hosts.iter().map(|(endpoint, host)| OfHost {
            host: endpoint.host.to_string(),
            port: endpoint.port,
            rules: self.rules_named(host),
            condition: host.condition.label().to_owned(),
            why: host.why(),
            addresses: of_addresses(host),
        });
        Page {
            round: self.round().as_secs_f64(),
            stretched: self.round() > self.options().interval,
            hosts: hosts.collect(),
            changes: self.history().map(of_change).collect(),
        }
    }
}

fn of_addresses(host: &Host) -> Vec<OfAddress> {
    let each = host.addresses.iter().map(|(address, known)| {
        let track = &known.track;
        let decided = track.verdict != Verdict::Unknown;
        let failed = track.verdict == Verdict::Broken || track.is_in_doubt();
        OfAddress {
            address: *address,
            verdict: track.verdict.label().to_owned(),
            since: decided.then(|| Utc(track.since).to_string()),
            cause: of_cause(track.cause.filter(|_| failed)),
        }
    });
    each.collect()
}

fn of_change(change: &Change) -> OfChange {
    let broken = change.verdict == Verdict::Broken;
    OfChange {
        at: Utc(change.at).to_string(),
        host: change.endpoint.host.to_string(),
        port: change.endpoint.port,
        address: change.address,
        rules: change.rules.clone(),
        verdict: change.verdict.label().to_owned(),
        cause: of_cause(change.cause.filter(|_| broken)),
        breaks_within_an_hour: change.breaks,
        ipv6_works_elsewhere: change.elsewhere,
    }
}

fn of_cause(cause: Option<Outcome>) -> OfCause {
    #[rustfmt::skip]
    let beside = match cause {
        Some(Outcome::TlsStall { mss_1220, small_hello } | Outcome::TlsCut { mss_1220, small_hello }) => [mss_1220, small_hello],
        _ => [false; 2],
    };
    let words = beside.into_iter().zip(["mss_1220", "small_hello"]);
    OfCause {
        cause: cause.map(|cause| words::label(cause).to_owned()),
        works_with: words
            .filter(|(works, _)| *works)
            .map(|(_, word)| word.to_owned())
            .collect(),
    }
}
