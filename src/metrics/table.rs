//! Every metric there is: its name, its meaning, and where its numbers come from.
//!
//! The page is made from this table and the documentation is held against it, so a metric exists
//! nowhere else.

use super::page::{Probed, Sample, Scrape, number};
use super::{Rcode, Source, Transport};
use Kind::{Counter, Gauge, Info};

/// One metric of the page.
#[derive(Debug)]
pub struct Metric {
    /// Its whole name, as it stands on the page.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// What it says, for people.
    pub help: &'static str,
    /// The names of its labels, in order.
    pub labels: &'static [&'static str],
    /// Takes its numbers out of what is known now.
    pub(super) samples: fn(&Scrape) -> Vec<Sample>,
}

/// Kinds of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Always 1; its labels are what it says. Its name ends in `_info`.
    Info,
}

impl Kind {
    /// What the page and the documentation call it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Info => "info",
        }
    }
}

/// All of them, in the order of the page.
#[rustfmt::skip]
pub const TABLE: &[Metric] = &[
    Metric { name: "unsix_build_info", kind: Info, labels: &["version"],
        help: "The version that runs", samples: version },
    Metric { name: "unsix_queries_total", kind: Counter, labels: &["transport"],
        help: "Messages that came from clients", samples: queries },
    Metric { name: "unsix_queries_unanswered_total", kind: Counter, labels: &[],
        help: "Messages from clients that are no queries and got no reply", samples: unanswered },
    Metric { name: "unsix_replies_total", kind: Counter, labels: &["source", "rcode"],
        help: "Replies to clients, by where their content came from", samples: replies },
    Metric { name: "unsix_replies_truncated_total", kind: Counter, labels: &[],
        help: "Replies that had to be cut to fit a datagram", samples: |scrape| number(scrape.truncated) },
    Metric { name: "unsix_rule_replies_total", kind: Counter, labels: &["rule", "effect"],
        help: "Replies that a rule changed, or would have changed were it enforced", samples: rules },
    Metric { name: "unsix_prefetches_total", kind: Counter, labels: &[],
        help: "Popular answers asked for again before they expired", samples: |scrape| number(scrape.prefetches) },
    Metric { name: "unsix_fetches_in_flight", kind: Gauge, labels: &[],
        help: "Questions that upstreams are being asked now", samples: |scrape| number(scrape.gauges.fetches_in_flight) },
    Metric { name: "unsix_cache_octets", kind: Gauge, labels: &[],
        help: "Memory that the cache takes, its index included", samples: |scrape| number(scrape.gauges.cache_octets) },
    Metric { name: "unsix_cache_entries", kind: Gauge, labels: &[],
        help: "Answers that the cache keeps", samples: |scrape| number(scrape.gauges.cache_entries) },
    Metric { name: "unsix_cache_evictions_total", kind: Counter, labels: &[],
        help: "Answers that had to leave the cache for others", samples: |scrape| number(scrape.gauges.cache_evictions) },
    Metric { name: "unsix_upstream_queries_total", kind: Counter, labels: &["upstream"],
        help: "Queries sent to an upstream", samples: upstream_queries },
    Metric { name: "unsix_upstream_failures_total", kind: Counter, labels: &["upstream", "reason"],
        help: "Queries to an upstream that brought no usable answer", samples: upstream_failures },
    Metric { name: "unsix_upstream_up", kind: Gauge, labels: &["upstream"],
        help: "1 while an upstream answers, 0 while it is left alone", samples: upstream_up },
    Metric { name: "unsix_upstream_rtt_seconds", kind: Gauge, labels: &["upstream"],
        help: "Smoothed time an upstream takes to answer", samples: upstream_rtt },
    Metric { name: "unsix_stream_connections", kind: Gauge, labels: &[],
        help: "Stream connections of clients open now", samples: |scrape| number(scrape.gauges.stream_connections) },
    Metric { name: "unsix_stream_refused_total", kind: Counter, labels: &[],
        help: "Stream connections refused because of a cap", samples: |scrape| number(scrape.gauges.stream_refused) },
    Metric { name: "unsix_proxy_headers_total", kind: Counter, labels: &["result"],
        help: "Connections of the load balancers in `proxy_protocol`, by whether they began with a good header", samples: proxy_headers },
    Metric { name: "unsix_tls_handshakes_total", kind: Counter, labels: &["result"],
        help: "TLS handshakes of clients; dropped are those that were too slow, or had to make room for others", samples: handshakes },
    Metric { name: "unsix_tls_certificate_reloads_total", kind: Counter, labels: &["result"],
        help: "Times the files of `tls` were read again because they had changed", samples: certificate_reloads },
    Metric { name: "unsix_tls_certificate_last_reload_successful", kind: Gauge, labels: &[],
        help: "0 while those files hold no pair that fits and an older one is shown", samples: certificate_state },
    Metric { name: "unsix_config_reloads_total", kind: Counter, labels: &["result"],
        help: "Times the configuration was read again", samples: reloads },
    Metric { name: "unsix_config_last_reload_successful", kind: Gauge, labels: &[],
        help: "0 while the file last read had problems and an older one is in force",
        samples: |scrape| number(u64::from(scrape.gauges.last_reload_successful)) },
    Metric { name: "unsix_probes_total", kind: Counter, labels: &["outcome"],
        help: "Probes of IPv6 addresses for rules with `when: broken`, by what came of them", samples: probes },
    Metric { name: "unsix_probe_round_seconds", kind: Gauge, labels: &[],
        help: "Time it takes to probe every host once: `probe.interval`, or more where `probe.max_per_second` does not suffice",
        samples: |scrape| vec![Sample::level(&[], scrape.gauges.probes.round_seconds)] },
    Metric { name: "unsix_probed_hosts", kind: Gauge, labels: &["rule"],
        help: "Hosts that a rule with `when: broken` watches", samples: |scrape| probed(scrape, |rule| rule.hosts) },
    Metric { name: "unsix_broken_addresses", kind: Gauge, labels: &["rule"],
        help: "IPv6 addresses of those hosts that are broken now", samples: |scrape| probed(scrape, |rule| rule.broken) },
    Metric { name: "unsix_verdict_changes_total", kind: Counter, labels: &["rule", "verdict"],
        help: "IPv6 addresses that became broken, or healthy", samples: verdict_changes },
    Metric { name: "unsix_client_retries_total", kind: Counter, labels: &["rule"],
        help: "Clients that asked again and again for what they should know, as those do that cannot connect",
        samples: |scrape| probed(scrape, |rule| rule.retries) },
    Metric { name: "unsix_log_lines_dropped_total", kind: Counter, labels: &[],
        help: "Log lines lost because nobody took them fast enough", samples: |scrape| number(scrape.gauges.log_lines_dropped) },
];

fn probes(scrape: &Scrape) -> Vec<Sample> {
    let outcomes = scrape.gauges.probes.outcomes.iter();
    outcomes
        .map(|(outcome, count)| Sample::count(&[outcome], *count))
        .collect()
}

fn probed(scrape: &Scrape, number: fn(&Probed) -> u64) -> Vec<Sample> {
    let rules = scrape.gauges.probes.rules.iter();
    rules
        .map(|rule| Sample::count(&[&rule.name], number(rule)))
        .collect()
}

fn verdict_changes(scrape: &Scrape) -> Vec<Sample> {
    let rules = scrape.gauges.probes.rules.iter();
    let each = rules.flat_map(|rule| {
        [("broken", rule.broke), ("healthy", rule.healed)]
            .map(|(verdict, count)| Sample::count(&[&rule.name, verdict], count))
    });
    each.collect()
}

fn version(_: &Scrape) -> Vec<Sample> {
    vec![Sample::count(&[env!("CARGO_PKG_VERSION")], 1)]
}

fn queries(scrape: &Scrape) -> Vec<Sample> {
    let counts = Transport::ALL.iter().zip(&scrape.queries);
    counts
        .map(|(transport, &count)| Sample::count(&[transport.label()], count))
        .collect()
}

fn unanswered(scrape: &Scrape) -> Vec<Sample> {
    vec![Sample::count(&[], scrape.unanswered)]
}

fn replies(scrape: &Scrape) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (source, rcodes) in Source::ALL.iter().zip(&scrape.replies) {
        for (rcode, &count) in Rcode::ALL.iter().zip(rcodes) {
            samples.push(Sample::count(&[source.label(), rcode.label()], count));
        }
    }
    samples
}

fn rules(scrape: &Scrape) -> Vec<Sample> {
    let mut samples = Vec::new();
    for rule in &scrape.rules {
        samples.push(Sample::count(&[&rule.name, "changed"], rule.changed));
        samples.push(Sample::count(&[&rule.name, "reported"], rule.reported));
    }
    samples
}

fn upstream_queries(scrape: &Scrape) -> Vec<Sample> {
    let upstreams = scrape.gauges.upstreams.iter();
    upstreams
        .map(|upstream| Sample::count(&[&upstream.address], upstream.queries))
        .collect()
}

fn upstream_failures(scrape: &Scrape) -> Vec<Sample> {
    let mut samples = Vec::new();
    for upstream in &scrape.gauges.upstreams {
        for (reason, count) in &upstream.failures {
            samples.push(Sample::count(&[&upstream.address, reason], *count));
        }
    }
    samples
}

fn upstream_up(scrape: &Scrape) -> Vec<Sample> {
    let upstreams = scrape.gauges.upstreams.iter();
    upstreams
        .map(|upstream| Sample::count(&[&upstream.address], u64::from(upstream.up)))
        .collect()
}

fn upstream_rtt(scrape: &Scrape) -> Vec<Sample> {
    let upstreams = scrape.gauges.upstreams.iter();
    upstreams
        .map(|upstream| Sample::level(&[&upstream.address], upstream.rtt_seconds))
        .collect()
}

fn proxy_headers(scrape: &Scrape) -> Vec<Sample> {
    let [good, bad] = scrape.gauges.proxy_headers;
    results(good, bad)
}

fn handshakes(scrape: &Scrape) -> Vec<Sample> {
    let tls = &scrape.gauges.tls;
    vec![
        Sample::count(&["success"], tls.succeeded),
        Sample::count(&["failure"], tls.failed),
        Sample::count(&["dropped"], tls.dropped),
    ]
}

fn certificate_reloads(scrape: &Scrape) -> Vec<Sample> {
    let [succeeded, failed] = scrape.gauges.tls.reloads;
    results(succeeded, failed)
}

fn certificate_state(scrape: &Scrape) -> Vec<Sample> {
    number(u64::from(scrape.gauges.tls.last_reload_successful))
}

fn reloads(scrape: &Scrape) -> Vec<Sample> {
    results(
        scrape.gauges.reloads_succeeded,
        scrape.gauges.reloads_failed,
    )
}

fn results(succeeded: u64, failed: u64) -> Vec<Sample> {
    vec![
        Sample::count(&["success"], succeeded),
        Sample::count(&["failure"], failed),
    ]
}
