//! What a reload swaps in one piece: rules, routes, upstreams, access and times.
//!
//! Everybody holds an [`Settings`] by `Arc` and looks at the pipeline's generation to learn of a newer
//! one. Upstreams keep their health over a reload.

use super::designated;
use super::health::Upstream;
use super::special::{Found, Special};
use crate::cache::Times;
use crate::config::{Config, Listener, ProbeOptions, Server};
use crate::message::{Kind, Name, Question};
use crate::policy::{Policy, Ranges, Verdicts};
use foldhash::{HashMap, HashMapExt};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Upstreams in the order in which they are asked.
pub type Servers = Arc<[Arc<Upstream>]>;

/// The settings of the day.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Counts reloads; memos and inherited rules of another generation do not count.
    pub generation: u64,
    /// The rules.
    pub policy: Policy,
    /// Who may ask.
    pub access: Ranges,
    /// How long answers are kept.
    pub times: Times,
    /// Refresh popular answers before they expire.
    pub prefetch: bool,
    /// The largest datagram we send, in octets.
    pub max_udp: u16,
    /// How hosts are probed.
    pub probe: Arc<ProbeOptions>,
    /// Seconds that clients may keep an answer about a host that probes watch.
    pub(super) managed_ttl: u32,
    deadline: Duration,
    defaults: Servers,
    /// Every upstream once.
    all: Servers,
    routes: HashMap<Box<[u8]>, Servers>,
    special: Special,
    /// Where clients are heard over encrypted transports: a reload moves no listener.
    encrypted: Arc<[Listener]>,
    canary: Name,
}

impl Settings {
    /// From a valid configuration; `upstreams` are those it names, or the system's.
    pub fn new(config: &Config, upstreams: &[Server], former: Option<&Self>) -> Self {
        let mut known: HashMap<Server, Arc<Upstream>> = HashMap::new();
        for upstream in former.into_iter().flat_map(|former| former.all.iter()) {
            known.insert(upstream.server.clone(), Arc::clone(upstream));
        }
        let mut servers = |servers: &[Server]| -> Servers {
            let each = servers.iter().map(|server| {
                let fresh = || Arc::new(Upstream::new(server.clone()));
                Arc::clone(known.entry(server.clone()).or_insert_with(fresh))
            });
            each.collect()
        };
        let mut routes = HashMap::new();
        for route in &config.routes {
            let servers = servers(&route.upstreams);
            for zone in &route.zones {
                routes.insert(zone.lower().wire().into(), Arc::clone(&servers));
            }
        }
        let verdicts =
            former.map_or_else(Arc::default, |former| Arc::clone(former.policy.verdicts()));
        let defaults = servers(upstreams);
        let mut all: Vec<Arc<Upstream>> = Vec::new();
        let routed = config
            .routes
            .iter()
            .flat_map(|route| servers(&route.upstreams).to_vec());
        for upstream in defaults.iter().cloned().chain(routed) {
            if !all.iter().any(|known| Arc::ptr_eq(known, &upstream)) {
                all.push(upstream);
            }
        }
        let encrypted = former.map_or_else(
            || config.encrypted.clone().into(),
            |former| Arc::clone(&former.encrypted),
        );
        Self {
            generation: former.map_or(1, |former| former.generation + 1),
            policy: Policy::new(&config.rules).with(verdicts),
            access: Ranges::new(config.access.iter().copied()),
            times: Times {
                min_ttl: config.cache.min_ttl,
                max_ttl: config.cache.max_ttl,
                serve_stale: config.cache.serve_stale,
            },
            prefetch: config.cache.prefetch,
            max_udp: config.max_udp,
            probe: Arc::new(config.probe.clone()),
            managed_ttl: u32::try_from(config.probe.managed_ttl.as_secs()).unwrap_or(u32::MAX),
            deadline: config.deadline,
            defaults,
            all: all.into(),
            routes,
            special: Special::new(
                are_global(upstreams),
                designated::services(config, &encrypted),
            ),
            encrypted,
            canary: config.canary(),
        }
    }

    /// The same with other verdicts, and so of a generation of its own.
    pub(super) fn judged(&self, verdicts: Arc<Verdicts>) -> Self {
        Self {
            generation: self.generation + 1,
            policy: self.policy.with(verdicts),
            ..self.clone()
        }
    }

    /// Every upstream once: the defaults in their order, then those of routes.
    pub fn upstreams(&self) -> &Servers {
        &self.all
    }

    /// The default upstreams, in their order.
    pub fn defaults(&self) -> Vec<Server> {
        let servers = self.defaults.iter();
        servers.map(|upstream| upstream.server.clone()).collect()
    }

    /// The upstreams for a name: those of the longest zone that holds it, else the defaults.
    pub fn servers(&self, name: &Name) -> &Servers {
        self.route(name)
            .map_or(&self.defaults, |(_, servers)| servers)
    }

    /// The longest routed zone that holds a name, by its number of octets, and its upstreams.
    fn route(&self, name: &Name) -> Option<(usize, &Servers)> {
        if self.routes.is_empty() {
            return None;
        }
        name.suffixes()
            .find_map(|suffix| Some((suffix.len(), self.routes.get(suffix)?)))
    }

    /// What kind of special name this is, unless a route for its zone or below claims it; the canary is always ours.
    pub(super) fn special(&self, question: &Question) -> Option<Found<'_>> {
        if self.canary.wire() == question.name.wire() {
            return Some(Found::canary(self.canary));
        }
        let found = self.special.find(&question.name)?;
        match self.route(&question.name) {
            Some((octets, _)) if octets >= found.zone.wire().len() => None,
            _ => Some(found),
        }
    }

    /// How long a client waits at most.
    pub(super) fn deadline(&self, question: &Question) -> Duration {
        if question.kind == Kind::NS && question.name.is_root() {
            self.deadline.min(HEALTH_CHECK)
        } else {
            self.deadline
        }
    }

    /// After how long a stale answer goes out.
    pub(super) fn patience(&self, question: &Question) -> Duration {
        self.deadline(question).min(STALE_AFTER)
    }
}

/// `. NS` is how CoreDNS asks whether we are well; it waits 1 s, we promise 900 ms.
const HEALTH_CHECK: Duration = Duration::from_millis(850);
/// RFC 8767 §5: the client response timer.
const STALE_AFTER: Duration = Duration::from_millis(1800);

/// Nobody of them can know the names of this network.
fn are_global(upstreams: &[Server]) -> bool {
    let mut addresses = upstreams.iter().map(Server::ip);
    addresses.all(|address| address.is_none_or(is_global))
}

/// Not private, loopback, link-local, shared or otherwise kept inside a network (RFC 6890).
pub fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared =
                v4.octets().starts_with(&[100]) && (v4.to_bits() >> 22) == (0x6440_0000 >> 22);
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_multicast()
                || shared)
        }
        IpAddr::V6(v6) => v6.to_bits() >> 125 == 1,
    }
}

#[cfg(test)]
mod tests {
    use super::is_global;

    #[test]
    fn private_networks_are_not_global() {
        #[rustfmt::skip]
        let cases = [
            ("9.9.9.9", true), ("10.0.0.1", false), ("100.63.255.255", true), ("100.64.0.1", false),
            ("100.127.255.255", false), ("100.128.0.1", true), ("127.0.0.53", false),
            ("169.254.169.253", false), ("192.168.1.1", false), ("2620:fe::fe", true),
            ("fd00::1", false), ("fe80::1", false), ("::1", false),
        ];
        for (address, want) in cases {
            assert_eq!(is_global(address.parse().unwrap()), want, "{address}");
        }
    }
}
