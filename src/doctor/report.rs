//! What was seen and what follows from it, as `unsix doctor --json` prints it: names and meanings stay, new ones may come.
//!
//! `deploy/doctor.md` is made from the comments here.

use super::surroundings::Surroundings;
use super::verdict::{Strip, Verdict};
use crate::config::Server;
use crate::probe::{Finding, Outcome};
use crate::verdict::label;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use std::net::IpAddr;
use std::time::Duration;

/// The whole of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Report {
    /// 1. It changes where a name or a meaning does, and not where one is added.
    pub version: u8,
    /// 20: a host cannot be reached, or not over IPv4; else 10: IPv6 of one is broken; else 11: of one nothing can be told;
    /// else 0.
    pub exit_code: u8,
    /// The hosts that were asked for, in their order.
    pub hosts: Vec<Host>,
    /// Hosts on other networks that show whether IPv6 works at all.
    pub controls: Vec<Host>,
    /// What the programs of this host depend on.
    pub surroundings: Surroundings,
    /// What to do.
    pub advice: Advice,
}

/// A host.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Host {
    /// Its name.
    pub host: String,
    /// The port that was probed.
    pub port: u16,
    /// What is wrong with it.
    pub verdict: Verdict,
    /// The verdict as a sentence.
    pub sentence: String,
    /// Whether it helps to keep its IPv6 addresses from clients.
    pub strip: Strip,
    /// What the verdict would be if no unsix kept its IPv6 addresses from programs here; none where that is not so, or
    /// where nobody tells the addresses.
    pub behind_unsix: Option<Verdict>,
    /// What else was noticed.
    pub remarks: Vec<String>,
    /// What each name server says of it.
    pub name_servers: Vec<Said>,
    /// Its addresses, three of a family at most, and what came of them.
    pub addresses: Vec<Probed>,
}

/// What a name server says of a host.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Said {
    /// Its address and port, or all that `upstreams` says of an encrypted one; none for `/etc/hosts`.
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "Option<String>")]
    pub server: Option<Server>,
    /// Who asks it.
    pub role: Role,
    /// The version of the unsix that answers there, if one does.
    pub unsix: Option<String>,
    /// Of its IPv4 addresses.
    pub a: Answered,
    /// Of its IPv6 addresses.
    pub aaaa: Answered,
    /// Of its HTTPS record; the addresses are its `ipv6hint`.
    pub https: Answered,
}

/// Who asks a name server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The programs of this host do: `/etc/resolv.conf` names it.
    Programs,
    /// systemd-resolved does.
    Resolved,
    /// The unsix of the configuration does.
    Unsix,
    /// Nobody: it is the file `/etc/hosts`, which programs read first.
    HostsFile,
}

/// What is said to one question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Answered {
    /// The response code (`NOERROR`, `NXDOMAIN`, ...), or why there is none: `timeout`, `unreachable`, `closed`, `garbled`,
    /// and of encrypted ones `certificate`, `tls`, `http`, `busy`.
    pub status: String,
    /// The addresses, in their order.
    pub addresses: Vec<IpAddr>,
    /// How many records there are of the type asked for.
    pub records: usize,
    /// The names that CNAMEs lead through.
    pub chain: Vec<String>,
    /// The smallest TTL of the records asked for and of the chain, in seconds.
    pub ttl: Option<u32>,
    /// The text of a filter that took something away (extended error 17).
    pub filtered: Option<String>,
    /// The time until the answer, in seconds.
    pub seconds: Option<f64>,
    /// Whether the answer settles what there is.
    #[serde(skip)]
    pub known: bool,
}

/// An address, and what came of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Probed {
    /// The address.
    pub address: IpAddr,
    /// What it was found to be.
    #[serde(flatten)]
    pub outcome: Label,
    /// The time until TCP stood, in seconds.
    pub connected_seconds: Option<f64>,
    /// The time from the ClientHello to the first record, in seconds.
    pub answered_seconds: Option<f64>,
    /// Why it could not be probed.
    pub error: Option<String>,
    /// The same for the verdict.
    #[serde(skip)]
    pub finding: Option<Finding>,
}

/// What an address was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Label {
    /// `reachable`, `refused`, `unreachable`, `connect_timeout`, `tls_stall` (silence after the ClientHello), `tls_cut`
    /// (closed or reset there), `not_tls` (it answers otherwise), or `error`: it could not be probed.
    pub outcome: &'static str,
    /// Of `tls_stall` and `tls_cut`: whether it answers with segments of 1,220 octets.
    pub mss_1220: Option<bool>,
    /// Of the same: whether it answers a ClientHello of one segment.
    pub small_hello: Option<bool>,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Advice {
    /// The `rules` of a configuration that help; none where none does.
    pub rule: Option<String>,
    /// Commands that put the rule in force, in their order.
    pub apply: Vec<String>,
    /// Commands that undo that.
    pub undo: Vec<String>,
    /// What mends the cause; each alone is enough.
    pub repairs: Vec<Repair>,
    /// Sentences.
    pub notes: Vec<String>,
}

/// What mends the cause.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Repair {
    /// What it does.
    pub title: String,
    /// Where the commands belong.
    pub place: Place,
    /// Commands, in their order.
    pub apply: Vec<String>,
    /// Commands that undo them.
    pub undo: Vec<String>,
}

/// Where a command belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// On this host.
    Here,
    /// On the router that the host is behind.
    Router,
}

impl Report {
    /// As one JSON object.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// The JSON schema of that.
    pub fn schema() -> serde_json::Value {
        let settings = schemars::generate::SchemaSettings::draft2020_12();
        let settings = settings.with(|settings| settings.inline_subschemas = true);
        let schema = settings.into_generator().into_root_schema_for::<Self>();
        schema.to_value()
    }
}

impl Host {
    /// As people write it.
    pub fn shown(&self) -> String {
        match self.port {
            HTTPS => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }
}

/// The port that goes without saying.
pub(super) const HTTPS: u16 = 443;

fn as_text<S: Serializer>(server: &Option<Server>, to: S) -> Result<S::Ok, S::Error> {
    server.as_ref().map(ToString::to_string).serialize(to)
}

impl Said {
    /// Who says so.
    pub fn shown(&self) -> String {
        match &self.server {
            None => "/etc/hosts".to_owned(),
            Some(Server::Plain(server)) if server.port() == 53 => server.ip().to_string(),
            Some(server) => server.to_string(),
        }
    }
}

impl Probed {
    /// Of a probe that came to its end, or of one that this host could not make.
    pub(super) fn of(address: IpAddr, found: std::io::Result<Finding>) -> Self {
        let finding = found.as_ref().ok().copied();
        let seconds = |span: Duration| (span.as_secs_f64() * 1e6).round() / 1e6;
        Self {
            address,
            outcome: Label::of(finding.map(|finding| finding.outcome)),
            connected_seconds: finding.and_then(|finding| finding.connected).map(seconds),
            answered_seconds: finding.and_then(|finding| finding.answered).map(seconds),
            error: found.err().map(|error| error.to_string()),
            finding,
        }
    }

    /// What it was found to be.
    pub(super) fn found(&self) -> Option<Outcome> {
        self.finding.map(|finding| finding.outcome)
    }
}

impl Label {
    fn of(outcome: Option<Outcome>) -> Self {
        #[rustfmt::skip]
        let (mss_1220, small_hello) = match outcome {
            Some(
                Outcome::TlsStall { mss_1220, small_hello } | Outcome::TlsCut { mss_1220, small_hello },
            ) => (Some(mss_1220), Some(small_hello)),
            _ => (None, None),
        };
        Self {
            outcome: outcome.map_or("error", label),
            mss_1220,
            small_hello,
        }
    }
}
