//! From the options of a file to the configuration that runs: presets and dependent defaults.
//!
//! It cannot fail: what could be wrong was found before.

use super::listen::Listen;
use super::off::OrOff;
use super::options::{Cache, Dnssec, Log as LogOptions, Options, Probe, Rule as RuleOptions};
use super::preset::Preset;
use super::{CacheOptions, Config, KeyPair, Level, Log, ProbeOptions, Route, Rule};

impl From<Options> for Config {
    fn from(options: Options) -> Self {
        let addresses =
            |list: Vec<super::addresses::Upstream>| list.into_iter().map(|one| one.0).collect();
        Self {
            encrypted: options
                .listen
                .iter()
                .filter_map(|one| one.encrypted().cloned())
                .collect(),
            listen: options.listen.iter().filter_map(Listen::plain).collect(),
            tls: options.tls.map(|tls| KeyPair {
                certificate: tls.certificate.0,
                key: tls.key.0,
                name: tls.name.map(|name| name.0),
            }),
            proxy_protocol: options
                .proxy_protocol
                .into_iter()
                .map(|net| net.0)
                .collect(),
            upstreams: options.upstreams.map(addresses),
            bootstrap: options.bootstrap.into_iter().map(|one| one.0).collect(),
            routes: options
                .routes
                .into_iter()
                .map(|route| Route {
                    zones: route.zones.into_iter().map(|zone| zone.0).collect(),
                    upstreams: addresses(route.upstreams),
                })
                .collect(),
            rules: options
                .rules
                .into_iter()
                .enumerate()
                .map(|(index, rule)| resolve(index, rule))
                .collect(),
            probe: ProbeOptions::from(options.probe),
            cache: CacheOptions::from(&options.cache),
            access: options.access.allow.into_iter().map(|net| net.0).collect(),
            deadline: options.deadline.duration(),
            admin: match options.admin {
                OrOff::On(admin) => Some(admin.listen.address()),
                OrOff::Off => None,
            },
            max_udp: options.max_udp,
            threads: usize::from(options.threads),
            log: Log::from(&options.log),
        }
    }
}

impl From<Probe> for ProbeOptions {
    fn from(probe: Probe) -> Self {
        Self {
            interval: probe.interval.duration(),
            timeout: probe.timeout.duration(),
            fall: probe.fall,
            rise: probe.rise,
            min_broken: probe.min_broken.duration(),
            managed_ttl: probe.managed_ttl.duration(),
            max_per_second: probe.max_per_second,
            controls: probe.controls.into_iter().map(|host| host.0).collect(),
            allow: probe.allow.into_iter().map(|net| net.0).collect(),
        }
    }
}

impl From<&Cache> for CacheOptions {
    fn from(cache: &Cache) -> Self {
        Self {
            size: cache.size.octets(),
            min_ttl: cache.min_ttl.duration(),
            max_ttl: cache.max_ttl.duration(),
            serve_stale: cache.serve_stale.duration(),
            prefetch: cache.prefetch,
        }
    }
}

impl From<&OrOff<LogOptions>> for Log {
    fn from(log: &OrOff<LogOptions>) -> Self {
        let (level, log) = match log {
            OrOff::On(log) => (log.level, log),
            OrOff::Off => (Level::Off, &LogOptions::default()),
        };
        Self {
            level,
            format: log.format,
        }
    }
}

fn resolve(index: usize, rule: RuleOptions) -> Rule {
    let preset_hosts = rule.hosts.is_none().then_some(rule.preset).flatten();
    let hosts = rule
        .hosts
        .or_else(|| rule.preset.map(Preset::hosts))
        .unwrap_or_default();
    // A rule by addresses alone meets names that nobody chose: there a signature counts for more.
    let dnssec = if hosts.is_empty() {
        Dnssec::Respect
    } else {
        Dnssec::Break
    };
    Rule {
        name: rule
            .name
            .map_or_else(|| default_name(rule.preset, index), |name| name.0),
        hosts,
        witnesses: preset_hosts.map(Preset::witness).into_iter().collect(),
        except: rule.except,
        addresses: rule.addresses.into_iter().map(|net| net.0).collect(),
        clients: rule.clients.into_iter().map(|net| net.0).collect(),
        mode: rule.mode,
        when: rule.when,
        port: rule.port,
        initial: rule.initial,
        cname: rule.cname,
        dnssec: rule.dnssec.unwrap_or(dnssec),
        require_ipv4: rule.require_ipv4,
        negative_ttl: rule.negative_ttl.duration(),
    }
}

/// What a rule without a name is called: its preset, else its place in the list, counted from 1.
pub(super) fn default_name(preset: Option<Preset>, index: usize) -> String {
    preset.map_or_else(
        || format!("rule-{}", index + 1),
        |preset| preset.name().to_owned(),
    )
}
