//! The addresses of hosts, as the daemon's own upstreams tell them, before any rule.

use crate::config::Server;
use crate::message::{Ask, Kind, Meaning, Name};
use crate::upstream::secure::Secure;
use crate::upstream::{addresses, lookup};
use foldhash::{HashMap, HashMapExt};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Addresses, and until when they hold.
type Kept = (Vec<IpAddr>, Instant);

/// A resolver for each list of upstreams that is in use.
pub(super) struct Resolvers {
    known: Mutex<Vec<(Vec<SocketAddr>, TokioResolver)>>,
    /// Asks upstreams over TLS.
    secure: Arc<Secure>,
    /// What was heard where one of them is, and until when it holds.
    kept: Mutex<HashMap<(Name, Kind), Kept>>,
}

impl Resolvers {
    /// None yet.
    pub(super) fn new(secure: Arc<Secure>) -> Self {
        Self {
            known: Mutex::default(),
            secure,
            kept: Mutex::new(HashMap::new()),
        }
    }

    /// The IPv4 addresses of a host, as these upstreams tell them; `None` where nobody could tell.
    pub(super) async fn ipv4(&self, upstreams: &[Server], host: &Name) -> Option<Vec<Ipv4Addr>> {
        if upstreams.iter().any(|server| server.plain().is_none()) {
            let found = self.securely(upstreams, host, Kind::A).await?;
            let ipv4 = found.into_iter().filter_map(|address| match address {
                IpAddr::V4(address) => Some(address),
                IpAddr::V6(_) => None,
            });
            return Some(ipv4.collect());
        }
        let address = |data: &RData| match data {
            RData::A(a) => Some(a.0),
            _ => None,
        };
        records(&self.of(upstreams)?, host, RecordType::A, address).await
    }

    /// The same of IPv6.
    pub(super) async fn ipv6(&self, upstreams: &[Server], host: &Name) -> Option<Vec<Ipv6Addr>> {
        if upstreams.iter().any(|server| server.plain().is_none()) {
            let found = self.securely(upstreams, host, Kind::AAAA).await?;
            let ipv6 = found.into_iter().filter_map(|address| match address {
                IpAddr::V6(address) => Some(address),
                IpAddr::V4(_) => None,
            });
            return Some(ipv6.collect());
        }
        let address = |data: &RData| match data {
            RData::AAAA(aaaa) => Some(aaaa.0),
            _ => None,
        };
        records(&self.of(upstreams)?, host, RecordType::AAAA, address).await
    }

    /// By the first that answers, in their order: a plain one is asked only where those before it fail.
    async fn securely(&self, upstreams: &[Server], host: &Name, kind: Kind) -> Option<Vec<IpAddr>> {
        let key = (host.lower(), kind);
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((addresses, _)) = kept().get(&key).filter(|(_, until)| now() < *until) {
            return Some(addresses.clone());
        }
        let ask = Ask::plain(*host, kind);
        for server in upstreams {
            let answer = match server {
                Server::Plain(address) => lookup(*address, &ask).await,
                Server::Encrypted(server) => self.secure.lookup(server, &ask).await,
            };
            let answer = answer.ok();
            let Some(answer) = answer.filter(|answer| answer.meaning() != Meaning::Failure) else {
                continue;
            };
            let found = addresses(&answer);
            let ttl = Duration::from_secs(answer.smallest_ttl().unwrap_or_default().into());
            let mut kept = kept();
            kept.retain(|_, (_, until)| now() < *until);
            if kept.len() < ANSWERS as usize {
                kept.insert(key, (found.clone(), now() + ttl));
            }
            return Some(found);
        }
        None
    }

    fn of(&self, upstreams: &[Server]) -> Option<TokioResolver> {
        let upstreams: Vec<SocketAddr> = upstreams.iter().filter_map(Server::plain).collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, resolver)) = known.iter().find(|(servers, _)| *servers == upstreams) {
            return Some(resolver.clone());
        }
        let resolver = build(&upstreams)?;
        if known.len() >= MOST {
            known.remove(0);
        }
        known.push((upstreams, resolver.clone()));
        Some(resolver)
    }
}

fn build(upstreams: &[SocketAddr]) -> Option<TokioResolver> {
    let servers = upstreams.iter().map(|upstream| {
        let mut server = NameServerConfig::udp_and_tcp(upstream.ip());
        for connection in &mut server.connections {
            connection.port = upstream.port();
        }
        server
    });
    let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options: &mut ResolverOpts = builder.options_mut();
    options.timeout = PATIENCE;
    options.use_hosts_file = ResolveHosts::Never;
    // As old as its TTL lets an address be, clients see it too.
    options.cache_size = ANSWERS;
    builder.build().ok()
}

/// The addresses of one kind; none of them where the name has none, `None` where nobody could tell.
async fn records<T>(
    resolver: &TokioResolver,
    host: &Name,
    kind: RecordType,
    address: impl Fn(&RData) -> Option<T>,
) -> Option<Vec<T>> {
    // With its final dot, so that no search list is tried.
    match resolver.lookup(host.to_string(), kind).await {
        Ok(found) => {
            let records = found.answers().iter();
            Some(records.filter_map(|record| address(&record.data)).collect())
        }
        Err(error) if error.is_no_records_found() => Some(Vec::new()),
        Err(_) => None,
    }
}

#[expect(clippy::disallowed_methods, reason = "answers are kept for a time")]
fn now() -> Instant {
    Instant::now()
}

/// For each try; there are two.
const PATIENCE: Duration = Duration::from_secs(2);
/// Answers that a resolver keeps: two for each host of a rule that watches as many as it may.
const ANSWERS: u64 = 2_048;
/// Lists of upstreams that are remembered.
const MOST: usize = 16;
