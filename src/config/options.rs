//! Every option of the file: its name, its type, its bounds, its default and its meaning.
//!
//! The single truth: the schema is made from these types, and from the schema come the check of a
//! file, the sample and the reference page. A doc comment here is the text an operator reads. The
//! rest of the program never sees these types but [`Config`](super::Config), made from them.

use super::addresses::{Net, Net6, Plain, Upstream};
use super::files::File;
use super::listen::Listen;
use super::names::{Host, Pattern, RuleName, Zone};
use super::off::OrOff;
use super::preset::Preset;
use super::values::{Size, Span};
use crate::message::Name;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// The configuration of unsix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "unsix")]
pub(super) struct Options {
    /// Addresses to hear on, each over UDP and TCP; those that begin with `tls://`, `https://` or `quic://` over that
    /// alone, by the certificate of `tls`. One of them is plain: by it unsix sees whether it is well. An IPv4 link-local
    /// address (`169.254.0.0/16`) need not exist yet: `unsix attach` brings it. A change needs a restart.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub listen: Vec<Listen>,
    /// What clients over encrypted transports see.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Tls")]
    pub tls: Option<Tls>,
    /// Load balancers in front of unsix. A connection over TCP or TLS from these networks must begin with a header of the
    /// PROXY protocol, version 2, and is then of the client that this names; from elsewhere a header ends it. Absent:
    /// nobody is believed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1), extend("uniqueItems" = true), example = ["192.0.2.10"])]
    pub proxy_protocol: Vec<Net>,
    /// Name servers to ask: in this order, those that are up. Absent: those of `/etc/resolv.conf`,
    /// read again when that file changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<Upstream>", length(min = 1), example = ["192.0.2.53", "192.0.2.54:5353"])]
    pub upstreams: Option<Vec<Upstream>>,
    /// Plain name servers that resolve the names of upstreams, as in `tls://dns.example`; asked for nothing else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1), extend("uniqueItems" = true), example = ["192.0.2.53"])]
    pub bootstrap: Vec<Plain>,
    /// Zones that have name servers of their own. The longest zone wins, and a query below it
    /// never goes to `upstreams`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// Which hosts lose their IPv6 addresses; the first rule that matches wins. Absent: the preset
    /// `docker-hub`. `[]`: no rule.
    #[schemars(length(max = 128))]
    pub rules: Vec<Rule>,
    /// How hosts of rules with `when: broken` are probed.
    pub probe: Probe,
    /// How many answers are kept, and for how long.
    pub cache: Cache,
    /// Who may ask.
    pub access: Access,
    /// The longest a client waits for its reply: then it gets a stale answer, or SERVFAIL.
    #[schemars(extend("x-range" = ["100ms", "10s"]))]
    pub deadline: Span,
    /// The HTTP listener for `/metrics`, `/live`, `/ready` and `/verdicts`; `off` = none. A change needs a
    /// restart.
    pub admin: OrOff<Admin>,
    /// The largest reply over UDP in octets, whatever the client offers to take; a longer one is
    /// asked again over TCP.
    #[schemars(range(min = 512, max = 4096))]
    pub max_udp: u16,
    /// Threads that serve UDP; 0 = one per core. A change needs a restart.
    #[schemars(range(max = 256))]
    pub threads: u16,
    /// Lines about changes of state, on standard error; `off` = none.
    pub log: OrOff<Log>,
}

impl Default for Options {
    fn default() -> Self {
        const PORT: u16 = 5300;
        Self {
            listen: vec![
                Listen::Plain(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))),
                Listen::Plain(SocketAddr::from((Ipv6Addr::LOCALHOST, PORT))),
            ],
            tls: None,
            proxy_protocol: Vec::new(),
            upstreams: None,
            bootstrap: Vec::new(),
            routes: Vec::new(),
            rules: vec![Rule {
                preset: Some(Preset::DockerHub),
                ..Rule::default()
            }],
            probe: Probe::default(),
            cache: Cache::default(),
            access: Access::default(),
            deadline: Span::milliseconds(2500),
            admin: OrOff::On(Admin::default()),
            max_udp: 1232,
            threads: 0,
            log: OrOff::On(Log::default()),
        }
    }
}

/// What clients over encrypted transports see. A pair that does not fit keeps the one before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    /// The certificate and those between it and the root, in PEM, the server's own first. Read again when its
    /// content or the key's changes, and by SIGHUP.
    #[schemars(example = "cert.pem")]
    pub certificate: File,
    /// The private key of the certificate, in PEM, without a password.
    #[schemars(example = "key.pem")]
    pub key: File,
    /// The name that the certificate holds, by which clients that know the plain address find the encrypted ones (RFC 9462):
    /// then `_dns.resolver.arpa` SVCB tells of every encrypted address of `listen`. Absent: it tells nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Host", example = "dns.example")]
    pub name: Option<Host>,
}

/// Zones and the name servers asked for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Route {
    /// The zones; each holds itself and every name below it.
    #[schemars(length(min = 1), extend("uniqueItems" = true), example = ["cluster.local", "10.in-addr.arpa"])]
    pub zones: Vec<Zone>,
    /// The name servers, asked as `upstreams` are.
    #[schemars(length(min = 1), example = ["10.96.0.10"])]
    pub upstreams: Vec<Upstream>,
}

/// Hosts whose IPv6 addresses are not told.
///
/// It needs `preset`, or `hosts`, `addresses` or both. It applies when all that it names holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rule {
    /// A rule that comes with the program; keys beside it override what it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Preset", example = "docker-hub")]
    pub preset: Option<Preset>,
    /// What logs, metrics and replies call it; no two rules share a name. Absent: the preset's
    /// name, else `rule-N` with its place in the list, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RuleName", example = "my-cdn")]
    pub name: Option<RuleName>,
    /// The hosts. Absent: the preset's; without a preset every name, as far as `addresses` go.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<Pattern>", length(min = 1), example = ["cdn.example.com", "*.edge.example.com", ".all.example.net"])]
    pub hosts: Option<Vec<Pattern>>,
    /// Hosts that are left alone though `hosts` names them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["ok.edge.example.com"])]
    pub except: Vec<Pattern>,
    /// Only IPv6 addresses in these networks are taken away. Absent: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1), example = ["2600:1f18::/32"])]
    pub addresses: Vec<Net6>,
    /// Only for clients in these networks. Absent: for everyone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1), example = ["10.0.0.0/8"])]
    pub clients: Vec<Net>,
    /// Whether it acts or only counts what it would do.
    pub mode: Mode,
    /// Whether it holds always, or only while probes find IPv6 broken.
    pub when: When,
    /// The TCP port that probes of `when: broken` connect to; unless it is 80 they go on to TLS.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// What `when: broken` does about an address that no probe has judged yet.
    pub initial: Initial,
    /// What happens to the names that a CNAME of a host leads to.
    pub cname: Cname,
    /// Whether signed addresses are taken away too. Absent: `break` for a rule with hosts, `respect` for one without.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Dnssec", example = "break")]
    pub dnssec: Option<Dnssec>,
    /// Take IPv6 away only from hosts that have IPv4, so that none is stranded.
    pub require_ipv4: bool,
    /// How long clients may keep a reply that says there is no IPv6 address.
    #[schemars(extend("x-range" = ["1s", "1h"]))]
    pub negative_ttl: Span,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            preset: None,
            name: None,
            hosts: None,
            except: Vec::new(),
            addresses: Vec::new(),
            clients: Vec::new(),
            mode: Mode::Enforce,
            when: When::Always,
            port: 443,
            initial: Initial::Strip,
            cname: Cname::Follow,
            dnssec: None,
            require_ipv4: true,
            negative_ttl: Span::seconds(60),
        }
    }
}

/// Whether a rule acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The addresses are taken away.
    Enforce,
    /// Nothing is changed; what would have been is counted.
    Report,
}

/// When a rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// Always.
    Always,
    /// For the addresses that fail while the host's IPv4 works: background probes tell.
    Broken,
}

/// What becomes of an address that no probe has judged yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Initial {
    /// It is taken away, as if it were broken.
    Strip,
    /// It passes, as if it were healthy.
    Pass,
}

/// What a rule does about CNAME chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Cname {
    /// Names that a host's chain leads to are hosts too while the chain lives, 1 h at most.
    Follow,
    /// The chain is not shown: the addresses stand under the host's own name.
    Flatten,
    /// The host by its own name only.
    Keep,
}

/// What a rule does about signed answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dnssec {
    /// Signed addresses are taken away too; a client that validates calls the reply bogus.
    Break,
    /// A signed answer passes to a client that asks for signatures.
    Respect,
}

/// How hosts of rules with `when: broken` are probed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Probe {
    /// The time between two probes of a host; sooner while they disagree with what is known. Not less than `timeout`.
    #[schemars(extend("x-range" = ["100ms", "1h"]))]
    pub interval: Span,
    /// How long a server may take to answer TLS before it counts as silent; to connect it has 3 s, or this if less.
    #[schemars(extend("x-range" = ["50ms", "30s"]))]
    pub timeout: Span,
    /// Failures in a row that make an address broken.
    #[schemars(range(min = 1, max = 100))]
    pub fall: u8,
    /// Successes in a row that make an address healthy.
    #[schemars(range(min = 1, max = 100))]
    pub rise: u8,
    /// The least time that an address stays broken. Each further break within an hour doubles it, up to eight times.
    #[schemars(extend("x-range" = ["0s", "1d"]))]
    pub min_broken: Span,
    /// The longest that clients may keep an answer about a host of a rule with `when: broken`.
    #[schemars(extend("x-range" = ["1s", "1h"]))]
    pub managed_ttl: Span,
    /// Most probes begun in a second, all hosts together; where they do not suffice rounds take longer.
    #[schemars(range(min = 1, max = 10000))]
    pub max_per_second: u16,
    /// Hosts with working IPv6 elsewhere: they tell a broken host from a broken network.
    #[schemars(length(max = 8))]
    pub controls: Vec<Zone>,
    /// Networks that are probed though they are private, loopback or link-local.
    pub allow: Vec<Net>,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            interval: Span::seconds(15),
            timeout: Span::seconds(5),
            fall: 3,
            rise: 5,
            min_broken: Span::seconds(300),
            managed_ttl: Span::seconds(30),
            max_per_second: 100,
            controls: vec![Zone(
                Name::parse("quay.io").expect("a good name, a literal just here"),
            )],
            allow: Vec::new(),
        }
    }
}

/// How many answers are kept, and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Cache {
    /// Memory for answers, their index included; `0B` keeps none. A change needs a restart.
    pub size: Size,
    /// Keep an answer at least this long, whatever its TTL.
    #[schemars(extend("x-range" = ["0s", "1h"]))]
    pub min_ttl: Span,
    /// Keep an answer at most this long, whatever its TTL; not less than `min_ttl`.
    #[schemars(extend("x-range" = ["0s", "7d"]))]
    pub max_ttl: Span,
    /// How long past its TTL an answer is still served while upstreams fail (RFC 8767); `0s` = never.
    #[schemars(extend("x-range" = ["0s", "7d"]))]
    pub serve_stale: Span,
    /// Ask again for a popular answer shortly before it expires.
    pub prefetch: bool,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            size: Size::mebibytes(64),
            min_ttl: Span::seconds(0),
            max_ttl: Span::seconds(24 * 3600),
            serve_stale: Span::seconds(24 * 3600),
            prefetch: true,
        }
    }
}

/// Who may ask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Access {
    /// Networks of clients that are served; all others get REFUSED.
    #[schemars(length(min = 1))]
    pub allow: Vec<Net>,
}

impl Default for Access {
    fn default() -> Self {
        let v4 = |a, b, length| IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 0), length));
        let v6 = |first, length| {
            IpNet::V6(Ipv6Net::new_assert(
                Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0),
                length,
            ))
        };
        let nets = [
            v4(127, 0, 8),
            IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
            v4(10, 0, 8),
            v4(100, 64, 10),
            v4(172, 16, 12),
            v4(192, 168, 16),
            v4(169, 254, 16),
            v6(0xfc00, 7),
            v6(0xfe80, 10),
        ];
        Self {
            allow: nets.map(Net).to_vec(),
        }
    }
}

/// The HTTP listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Admin {
    /// Its address and port. Whoever reaches it may read the metrics, and the names of hosts that are probed.
    pub listen: Listen,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: Listen::Plain(SocketAddr::from((Ipv4Addr::LOCALHOST, 9353))),
        }
    }
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    /// The least serious lines that are still written.
    pub level: Level,
    /// How a line looks.
    pub format: Format,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: Level::Info,
            format: Format::Text,
        }
    }
}

/// How serious a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing is written; the same as `log: off`.
    Off,
    /// Someone must act.
    Error,
    /// Degraded; heals itself.
    Warn,
    /// Start, reload, changes of state.
    Info,
    /// One line per query.
    Debug,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A sentence and `key=value` pairs.
    Text,
    /// One JSON object per line.
    Json,
}
