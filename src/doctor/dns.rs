//! Asks name servers for a host: each one by itself, so that their answers can be compared.

use super::now;
use super::report::{Answered, Role, Said};
use crate::attach::Canary;
use crate::config::{Config, Server as Upstream};
use crate::message::{Answer, Ask, Kind, Meaning, Name, Record, Section};
use crate::upstream::lookup;
use crate::upstream::secure::Secure;
use crate::upstream::stream::ExchangeError;
use crate::upstream::system::{RESOLV_CONF, RESOLVED, named_in};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::time::timeout;

/// A name server, and who asks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) at: Upstream,
    pub(super) role: Role,
}

/// The name servers of this host: those that programs ask, those behind systemd-resolved, those that the unsix of this
/// configuration asks. None twice.
pub(super) fn servers(config: &Config) -> Vec<Server> {
    let named = |file| {
        let text = fs::read(file).unwrap_or_default();
        named_in(&String::from_utf8_lossy(&text))
    };
    choose(named(RESOLV_CONF), || named(RESOLVED), config)
}

fn choose(
    programs: Vec<SocketAddr>,
    resolved: impl Fn() -> Vec<SocketAddr>,
    config: &Config,
) -> Vec<Server> {
    let stub = |server: &SocketAddr| STUBS.iter().any(|stub| server.ip() == *stub);
    let resolved = match programs.iter().any(stub) {
        true => resolved(),
        false => Vec::new(),
    };
    let plain = |all: Vec<SocketAddr>, role| {
        all.into_iter().map(move |at| Server {
            at: at.into(),
            role,
        })
    };
    let unsix = config.upstreams.iter().flatten().map(|at| Server {
        at: at.clone(),
        role: Role::Unsix,
    });
    let all = plain(programs, Role::Programs).chain(plain(resolved, Role::Resolved));
    let mut servers: Vec<Server> = Vec::new();
    for server in all.chain(unsix) {
        if !servers.iter().any(|known| known.at == server.at) {
            servers.push(server);
        }
    }
    servers
}

/// systemd-resolved's stub, and its proxy.
pub(super) const STUBS: [Ipv4Addr; 2] =
    [Ipv4Addr::new(127, 0, 0, 53), Ipv4Addr::new(127, 0, 0, 54)];

/// What a name server says of a host, and whether it is a unsix of this configuration.
pub(super) async fn consult(server: Server, secure: &Secure, host: Name, canary: Name) -> Said {
    let Server { at, role } = server;
    let unsix = async {
        let canary = Canary {
            at: at.plain()?,
            from: None,
            name: canary,
            witness: None,
        };
        let identity = canary.ask(CANARY_LIMIT).await.ok()?;
        Some(identity.version)
    };
    let (a, aaaa, https, unsix) = tokio::join!(
        ask(&at, secure, host, Kind::A),
        ask(&at, secure, host, Kind::AAAA),
        ask(&at, secure, host, Kind::HTTPS),
        unsix
    );
    Said {
        server: Some(at),
        role,
        unsix,
        a,
        aaaa,
        https,
    }
}

/// What `/etc/hosts` says of a host, if it names it.
pub(super) fn pinned(text: &str, host: &str) -> Option<Said> {
    let host = host.trim_end_matches('.');
    let mut addresses = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
        let Some(address) = address else {
            continue;
        };
        if words.any(|name| name.trim_end_matches('.').eq_ignore_ascii_case(host)) {
            addresses.push(address);
        }
    }
    let said = |addresses: Vec<IpAddr>| Answered {
        status: NOERROR.to_owned(),
        records: addresses.len(),
        addresses,
        known: true,
        ..Answered::default()
    };
    let (four, six): (Vec<_>, Vec<_>) = addresses.iter().partition(|one| one.is_ipv4());
    (!addresses.is_empty()).then(|| Said {
        server: None,
        role: Role::HostsFile,
        unsix: None,
        a: said(four),
        aaaa: said(six),
        https: said(Vec::new()),
    })
}

const NOERROR: &str = "NOERROR";

/// Asks one question.
async fn ask(server: &Upstream, secure: &Secure, host: Name, kind: Kind) -> Answered {
    let begun = now();
    let ask = Ask::plain(host, kind);
    let said = match server {
        Upstream::Plain(server) => lookup(*server, &ask).await,
        Upstream::Encrypted(server) => timeout(SECURE_LIMIT, secure.lookup(server, &ask))
            .await
            .unwrap_or(Err(ExchangeError::Timeout)),
    };
    match said {
        Ok(answer) => Answered {
            seconds: Some((begun.elapsed().as_secs_f64() * 1e6).round() / 1e6),
            ..read(&answer, kind)
        },
        Err(error) => Answered {
            status: error.label().to_owned(),
            ..Answered::default()
        },
    }
}

fn read(answer: &Answer, kind: Kind) -> Answered {
    let asked = |record: &Record<'_>| record.section == Section::Answer && record.kind == kind;
    let records: Vec<Record<'_>> = answer.records().filter(asked).collect();
    let ttls = records.iter().map(|record| record.ttl);
    let filters = answer.extended_errors().iter();
    let filter = filters.clone().find(|error| error.code == FILTERED);
    Answered {
        status: answer.rcode().to_string(),
        addresses: records.iter().flat_map(addresses).collect(),
        records: records.len(),
        chain: answer.chain().iter().map(bare).collect(),
        ttl: ttls.chain(answer.chain_ttl()).min(),
        filtered: filter.map(|error| printable(&error.text)),
        seconds: None,
        known: answer.meaning() != Meaning::Failure,
    }
}

fn addresses(record: &Record<'_>) -> Vec<IpAddr> {
    if record.kind == Kind::A {
        let octets = <[u8; 4]>::try_from(record.rdata);
        return octets.map(IpAddr::from).into_iter().collect();
    }
    let hints = record.service().and_then(|service| service.ipv6_hints);
    let all = record.ipv6().into_iter().chain(hints.unwrap_or_default());
    all.map(IpAddr::V6).collect()
}

/// As hosts are written.
pub(super) fn bare(name: &Name) -> String {
    let text = name.to_string();
    match text.strip_suffix('.') {
        Some("") | None => text,
        Some(bare) => bare.to_owned(),
    }
}

/// A stranger's text, without what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect()
}

/// INFO-CODE of RFC 8914 §4.18: a filter that the client asked for.
const FILTERED: u16 = 17;
const CANARY_LIMIT: Duration = Duration::from_millis(1500);
/// Of a question over an encrypted transport: its name may have to be resolved, and there is a handshake before it.
const SECURE_LIMIT: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_servers_of_a_host_are_found_once_each() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (stub, one, two) = (at("127.0.0.53:53"), at("192.0.2.1:53"), at("192.0.2.2:53"));
        let plain = Config::default();
        let with = Config {
            upstreams: Some(vec![one.into(), two.into()]),
            ..Config::default()
        };
        let secure: Upstream = "tls://192.0.2.1?name=dns.example".parse().unwrap();
        let encrypted = Config {
            upstreams: Some(vec![secure.clone()]),
            ..Config::default()
        };
        let [programs, behind, ours] = [Role::Programs, Role::Resolved, Role::Unsix];
        #[rustfmt::skip]
        let cases = [
            ("as resolv.conf says", vec![one],       vec![two], &plain, vec![(one.into(), programs)]),
            ("behind the stub",     vec![stub],      vec![one], &plain, vec![(stub.into(), programs), (one.into(), behind)]),
            ("upstreams of ours",   vec![one],       vec![],    &with,  vec![(one.into(), programs), (two.into(), ours)]),
            ("an encrypted one",    vec![one],       vec![],    &encrypted, vec![(one.into(), programs), (secure, ours)]),
            ("none",                vec![],          vec![two], &plain, vec![]),
        ];
        for (why, programs, resolved, config, want) in cases {
            let found = choose(programs, || resolved.clone(), config);
            let found: Vec<_> = found.iter().map(|one| (one.at.clone(), one.role)).collect();
            assert_eq!(found, want, "{why}");
        }
    }

    #[test]
    fn the_hosts_file_pins_names_of_any_case() {
        let text = "127.0.0.1 localhost\n192.0.2.7\tOther registry-1.DOCKER.io. # pin\n2001:db8::7 registry-1.docker.io\n#192.0.2.9 registry-1.docker.io\nhere registry-1.docker.io\n";
        let said = pinned(text, "registry-1.docker.io").unwrap();
        assert_eq!(said.a.addresses, ["192.0.2.7".parse::<IpAddr>().unwrap()]);
        assert_eq!(said.aaaa.addresses.len(), 1);
        assert!(said.a.known && said.shown() == "/etc/hosts");
        assert!(pinned(text, "docker.io").is_none());
    }

    #[test]
    fn a_strangers_text_moves_no_cursor() {
        assert_eq!(printable("a\x1b[2Jb\r\n"), "a[2Jb");
    }
}
