//! Every option of `unsix`: read, checked and resolved.
//!
//! A text becomes a tree with positions (`tree`), the tree is held against the schema (`check`)
//! and against the few rules between options (`problems`), and only a text without a problem is
//! decoded (`options`) and resolved to a [`Config`] (`resolve`). So one run reports every mistake, each with
//! its line and column. Nothing here opens a file or knows its name.

mod addresses;
mod canary;
mod check;
mod files;
mod listen;
mod manual;
mod names;
mod off;
mod options;
mod preset;
mod problems;
mod resolve;
mod schema;
mod server;
mod tree;
mod values;

pub use listen::{Listener, Over};
pub use names::Pattern;
pub use options::{Cname, Dnssec, Format, Initial, Level, Mode, When};
pub use server::{Encrypted, Pin, Protocol, Server, shown};

use crate::message::Name;
use ipnet::{IpNet, Ipv6Net};
use options::Options;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A valid configuration, its presets resolved and its defaults in place.
///
/// `Config::default()` is what runs without a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where to hear, over UDP and TCP; at least one, no two the same. Port 0: the kernel chooses.
    pub listen: Vec<SocketAddr>,
    /// Where to hear over encrypted transports; no two need the same port.
    pub encrypted: Vec<Listener>,
    /// What clients see there; there is one where there are such addresses.
    pub tls: Option<KeyPair>,
    /// Whose connections begin with a PROXY header.
    pub proxy_protocol: Vec<IpNet>,
    /// Whom to ask, in order; `None` = the name servers of `/etc/resolv.conf`.
    pub upstreams: Option<Vec<Server>>,
    /// Plain servers that resolve the names of upstreams.
    pub bootstrap: Vec<SocketAddr>,
    /// Zones with name servers of their own; no zone stands in two.
    pub routes: Vec<Route>,
    /// The first that matches wins; at most 128, their names unique.
    pub rules: Vec<Rule>,
    /// How hosts of rules with [`When::Broken`] are probed.
    pub probe: ProbeOptions,
    /// The cache's size and times.
    pub cache: CacheOptions,
    /// Clients that are served.
    pub access: Vec<IpNet>,
    /// The longest a client waits.
    pub deadline: Duration,
    /// Where the HTTP listener stands; `None` = nowhere.
    pub admin: Option<SocketAddr>,
    /// The largest reply over UDP, in octets.
    pub max_udp: u16,
    /// Threads that serve UDP; 0 = one per core.
    pub threads: usize,
    /// What is logged.
    pub log: Log,
}

/// The files of a certificate and of its private key, both in PEM, and what of them is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    /// With the certificates between it and the root.
    pub certificate: PathBuf,
    /// Without a password.
    pub key: PathBuf,
    /// The server's name in the certificate, where it is to be told to clients (RFC 9462); in lower case.
    pub name: Option<Name>,
}

/// Zones and the name servers asked for them.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Each holds itself and every name below it; in lower case.
    pub zones: Vec<Name>,
    /// At least one.
    pub upstreams: Vec<Server>,
}

/// How hosts are probed.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeOptions {
    /// Between two probes of a host; never less than `timeout`.
    pub interval: Duration,
    /// How long a server may be silent.
    pub timeout: Duration,
    /// Failures in a row that break.
    pub fall: u8,
    /// Successes in a row that heal.
    pub rise: u8,
    /// The least time broken.
    pub min_broken: Duration,
    /// Bounds the TTLs that clients see of hosts under [`When::Broken`].
    pub managed_ttl: Duration,
    /// Probes begun in a second.
    pub max_per_second: u16,
    /// Hosts that show whether IPv6 works elsewhere; in lower case.
    pub controls: Vec<Name>,
    /// Probed although they are kept inside a network.
    pub allow: Vec<IpNet>,
}

/// How many answers are kept, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheOptions {
    /// Octets, the index included; 0 keeps nothing.
    pub size: u64,
    /// Never more than `max_ttl`.
    pub min_ttl: Duration,
    /// The longest an answer is fresh.
    pub max_ttl: Duration,
    /// How long past that it may be served while upstreams fail.
    pub serve_stale: Duration,
    /// Popular answers are refreshed before they expire.
    pub prefetch: bool,
}

/// Hosts whose IPv6 addresses are not told; it applies when all of it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Printable ASCII, at most 64 octets, unique.
    pub name: String,
    /// Empty = every name (a rule by addresses alone).
    pub hosts: Vec<Pattern>,
    /// Hosts that a preset knows by name, where `hosts` are the preset's own.
    pub witnesses: Vec<Name>,
    /// Wins over `hosts`.
    pub except: Vec<Pattern>,
    /// Only these IPv6 addresses are taken away; empty = all.
    pub addresses: Vec<Ipv6Net>,
    /// Only for these clients; empty = everyone.
    pub clients: Vec<IpNet>,
    /// Acts or only counts.
    pub mode: Mode,
    /// Holds always, or while IPv6 is broken.
    pub when: When,
    /// Where probes connect.
    pub port: u16,
    /// What becomes of addresses that are not judged yet.
    pub initial: Initial,
    /// What happens along a CNAME chain.
    pub cname: Cname,
    /// What happens to signed answers.
    pub dnssec: Dnssec,
    /// Hosts without IPv4 keep their IPv6.
    pub require_ipv4: bool,
    /// Bounds how long clients keep the NODATA.
    pub negative_ttl: Duration,
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least serious lines that are still written.
    pub level: Level,
    /// How a line looks.
    pub format: Format,
}

/// One thing wrong with a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// The option, as `upstreams[1]`; empty for the file as a whole.
    pub place: String,
    /// What is wrong and what to write.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: ", self.line, self.column)?;
        if !self.place.is_empty() {
            write!(out, "{}: ", self.place)?;
        }
        out.write_str(&self.text)
    }
}

impl Config {
    /// The upstreams that it names, the defaults before those of routes.
    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        let routed = self.routes.iter().flat_map(|route| &route.upstreams);
        self.upstreams.iter().flatten().chain(routed)
    }

    /// Reads a file's content: UTF-8, and a byte order mark at its start is no part of it.
    pub fn read_octets(content: &[u8]) -> Result<Self, Vec<Problem>> {
        let text = std::str::from_utf8(content).map_err(|error| {
            let before = content.iter().take(error.valid_up_to());
            vec![Problem {
                line: 1 + before.filter(|octet| **octet == b'\n').count(),
                column: 1,
                place: String::new(),
                text: "this line is not UTF-8 text: write the file as UTF-8".to_owned(),
            }]
        })?;
        // YAML 1.2.2 §5.2: an editor may have put it there.
        Self::read(text.strip_prefix('\u{feff}').unwrap_or(text))
    }

    /// Reads a file's text; on failure all its problems, in the order of the text.
    ///
    /// An empty text is a problem: an empty file is a half-written one.
    pub fn read(text: &str) -> Result<Self, Vec<Problem>> {
        let root = tree::read(text).map_err(|problem| vec![problem])?;
        let mut problems = check::problems(&root);
        problems.extend(problems::between_options(&root));
        if problems.is_empty() {
            return serde_yaml::from_str::<Options>(text)
                .map(Self::from)
                .map_err(|error| vec![undecoded(&error)]);
        }
        problems.sort_by_key(|problem| (problem.line, problem.column));
        Err(problems)
    }

    /// The names of the rules that come with the program.
    pub fn presets() -> Vec<&'static str> {
        preset::Preset::ALL.map(preset::Preset::name).to_vec()
    }

    /// The JSON schema that editors load, as `unsix schema` prints it.
    pub fn schema() -> String {
        format!("{:#}\n", schema::schema())
    }

    /// `config/unsix.yaml`: every option at its default, with its meaning.
    pub fn sample() -> String {
        manual::sample()
    }

    /// `config/reference.md`: every option in tables.
    pub fn reference() -> String {
        manual::reference()
    }
}

/// What two YAML readers see differently; `check` finds everything else before.
fn undecoded(error: &serde_yaml::Error) -> Problem {
    let place = error.location();
    Problem {
        line: place.as_ref().map_or(1, serde_yaml::Location::line),
        column: place.as_ref().map_or(1, serde_yaml::Location::column),
        place: String::new(),
        text: format!("this cannot be read: {error}"),
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::from(Options::default())
    }
}
