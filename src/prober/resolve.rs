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

impl Resolvers {
    /// The IPv4 addresses of a host, as these upstreams tell them; `None` where nobody could tell.
    pub(super) async fn ipv4(
        &self,
        upstreams: Vec<SocketAddr>,
        host: &Name,
    ) -> Option<Vec<Ipv4Addr>> {
        let address = |data: &RData| match data {
            RData::A(a) => Some(a.0),
            _ => None,
        };
        records(&self.of(upstreams)?, host, RecordType::A, address).await
    }

    /// The same of IPv6.
    pub(super) async fn ipv6(
        &self,
        upstreams: Vec<SocketAddr>,
        host: &Name,
    ) -> Option<Vec<Ipv6Addr>> {
        let address = |data: &RData| match data {
            RData::AAAA(aaaa) => Some(aaaa.0),
            _ => None,
        };
        records(&self.of(upstreams)?, host, RecordType::AAAA, address).await
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

/// For each try; there are two.
const PATIENCE: Duration = Duration::from_secs(2);
/// Answers that a resolver keeps: two for each host of a rule that watches as many as it may.
const ANSWERS: u64 = 2_048;
/// Lists of upstreams that are remembered.
const MOST: usize = 16;
