//! The addresses of hosts, as the daemon's own upstreams tell them, before any rule.

use crate::message::Name;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A resolver for each list of upstreams that is in use.
#[derive(Default)]
pub(super) struct Resolvers {
    known: Mutex<Vec<(Vec<SocketAddr>, TokioResolver)>>,
}

/// What a name leads to; none where nobody could tell.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    pub(super) ipv4: Option<Vec<Ipv4Addr>>,
    pub(super) ipv6: Option<Vec<Ipv6Addr>>,
}

impl Resolvers {
    /// Asks these upstreams for both kinds of addresses.
    pub(super) async fn ask(&self, upstreams: Vec<SocketAddr>, host: &Name) -> Addresses {
        let Some(resolver) = self.of(upstreams) else {
            return Addresses::default();
        };
        // With its final dot, so that no search list is tried.
        let host = host.to_string();
        let (ipv4, ipv6) = tokio::join!(
            records(&resolver, &host, RecordType::A, |data| match data {
                RData::A(a) => Some(a.0),
                _ => None,
            }),
            records(&resolver, &host, RecordType::AAAA, |data| match data {
                RData::AAAA(aaaa) => Some(aaaa.0),
                _ => None,
            }),
        );
        Addresses { ipv4, ipv6 }
    }

    fn of(&self, upstreams: Vec<SocketAddr>) -> Option<TokioResolver> {
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
    host: &str,
    kind: RecordType,
    address: impl Fn(&RData) -> Option<T>,
) -> Option<Vec<T>> {
    match resolver.lookup(host, kind).await {
        Ok(found) => {
            let records = found.answers().iter();
            Some(records.filter_map(|record| address(&record.data)).collect())
        }
        Err(error) if error.is_no_records_found() => Some(Vec::new()),
        Err(_) => None,
    }
}

/// For each try; there are two.
const PATIENCE: Duration = Duration::from_secs(2);
/// Answers that a resolver keeps: two for each host of a rule that watches as many as it may.
const ANSWERS: u64 = 2_048;
/// Lists of upstreams that are remembered.
const MOST: usize = 16;
