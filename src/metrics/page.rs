//! The text of `/metrics`, in the OpenMetrics format.
//!
//! Sums the workers, lays what others count beside it, and lets prometheus-client write both down
//! in the order of the table.

use super::table::{Kind, Metric, TABLE};
use super::{Rcode, Rules, Source, Transport, Worker};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt::Error;
use std::sync::atomic::{AtomicU64, Ordering};

/// What no worker counts: the state of other rooms, as plain numbers.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// Questions that upstreams are being asked now.
    pub fetches_in_flight: u64,
    /// Memory that the cache takes.
    pub cache_octets: u64,
    /// Answers that the cache keeps.
    pub cache_entries: u64,
    /// Answers that had to leave it for others, ever.
    pub cache_evictions: u64,
    /// Every upstream, each address once.
    pub upstreams: Vec<Upstream>,
    /// Stream connections of clients open now.
    pub stream_connections: u64,
    /// Stream connections refused because of a cap, ever.
    pub stream_refused: u64,
    /// PROXY headers of load balancers that were good, and connections ended for want of one.
    pub proxy_headers: [u64; 2],
    /// What happens where clients are heard over TLS.
    pub tls: Tls,
    /// Times a configuration was read again and taken, ever.
    pub reloads_succeeded: u64,
    /// Times it was read again and refused, ever.
    pub reloads_failed: u64,
    /// Whether the last one was taken; true before the first.
    pub last_reload_successful: bool,
    /// What probes of hosts showed.
    pub probes: Probes,
    /// Log lines lost, ever.
    pub log_lines_dropped: u64,
}

/// What probes of hosts showed.
#[derive(Clone, Debug, Default)]
pub struct Probes {
    /// Each rule that goes by them, once.
    pub rules: Vec<Probed>,
    /// Probes ever, by what came of them, each outcome once.
    pub outcomes: Vec<(&'static str, u64)>,
    /// Time it takes to probe every host once.
    pub round_seconds: f64,
}

/// What probes showed for one rule.
#[derive(Clone, Debug, Default)]
pub struct Probed {
    /// The rule.
    pub name: String,
    /// Hosts that are watched.
    pub hosts: u64,
    /// Addresses that are broken.
    pub broken: u64,
    /// Addresses that became broken, ever.
    pub broke: u64,
    /// Addresses that became healthy, ever.
    pub healed: u64,
    /// Retries of clients, ever.
    pub retries: u64,
}

/// Handshakes of clients, and the certificate that they see.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tls {
    /// Handshakes that came to their end, ever.
    pub succeeded: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that were too slow, or had to make room.
    pub dropped: u64,
    /// Times another certificate was taken, and refused.
    pub reloads: [u64; 2],
    /// Whether the files hold what clients see.
    pub last_reload_successful: bool,
}

/// What is known of one upstream.
#[derive(Clone, Debug, Default)]
pub struct Upstream {
    /// Its address and port, as people write them.
    pub address: String,
    /// Whether it is asked at present.
    pub up: bool,
    /// Smoothed time it takes to answer.
    pub rtt_seconds: f64,
    /// Queries sent to it, ever.
    pub queries: u64,
    /// Those that brought no usable answer, by reason, each reason once.
    pub failures: Vec<(&'static str, u64)>,
}

/// The whole page: the sum of all workers, and the rest beside it.
pub fn render(workers: &[&Worker], rules: &Rules, gauges: &Gauges) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape::new(workers, rules, gauges)));
    let mut page = String::new();
    encode(&mut page, &registry).expect("writing to a string cannot fail");
    page
}

/// All numbers at the moment somebody looks.
#[derive(Debug)]
pub(super) struct Scrape {
    pub(super) queries: [u64; Transport::COUNT],
    pub(super) unanswered: u64,
    pub(super) replies: [[u64; Rcode::COUNT]; Source::COUNT],
    pub(super) truncated: u64,
    pub(super) prefetches: u64,
    pub(super) rules: Vec<Rule>,
    pub(super) gauges: Gauges,
}

/// What one rule did.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) changed: u64,
    pub(super) reported: u64,
}

impl Scrape {
    fn new(workers: &[&Worker], rules: &Rules, gauges: &Gauges) -> Self {
        let sum = |counter: &dyn Fn(&Worker) -> Option<&AtomicU64>| -> u64 {
            let counters = workers.iter().filter_map(|worker| counter(worker));
            counters
                .map(|counter| counter.load(Ordering::Relaxed))
                .fold(0, u64::wrapping_add)
        };
        let rule = |(slot, name)| Rule {
            name,
            changed: sum(&|worker| worker.changed.get(usize::from(slot))),
            reported: sum(&|worker| worker.reported.get(usize::from(slot))),
        };
        Self {
            queries: std::array::from_fn(|at| sum(&|worker| worker.queries.get(at))),
            unanswered: sum(&|worker| Some(&worker.unanswered)),
            replies: std::array::from_fn(|source| {
                std::array::from_fn(|rcode| sum(&|worker| worker.replies.get(source)?.get(rcode)))
            }),
            truncated: sum(&|worker| Some(&worker.truncated)),
            prefetches: sum(&|worker| Some(&worker.prefetches)),
            rules: rules.named().into_iter().map(rule).collect(),
            gauges: gauges.clone(),
        }
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        for metric in TABLE {
            let (stem, kind) = described(metric);
            let mut family = encoder.encode_descriptor(stem, metric.help, None, kind)?;
            for sample in (metric.samples)(self) {
                sample.encode(metric, &mut family)?;
            }
        }
        Ok(())
    }
}

/// A metric's name without the suffix that prometheus-client adds for its kind, and that kind.
fn described(metric: &Metric) -> (&'static str, MetricType) {
    let (suffix, kind) = match metric.kind {
        Kind::Counter => ("_total", MetricType::Counter),
        Kind::Gauge => ("", MetricType::Gauge),
        Kind::Info => ("_info", MetricType::Info),
    };
    (
        metric.name.strip_suffix(suffix).unwrap_or(metric.name),
        kind,
    )
}

/// One line of the page.
#[derive(Debug)]
pub(super) struct Sample {
    /// The values of the metric's labels, in their order.
    labels: Vec<String>,
    number: Number,
}

#[derive(Clone, Copy, Debug)]
enum Number {
    Count(u64),
    Level(f64),
}

/// The only line of a metric without labels.
pub(super) fn number(count: u64) -> Vec<Sample> {
    vec![Sample::count(&[], count)]
}

impl Sample {
    pub(super) fn count(labels: &[&str], count: u64) -> Self {
        Self::new(labels, Number::Count(count))
    }

    pub(super) fn level(labels: &[&str], level: f64) -> Self {
        Self::new(labels, Number::Level(level))
    }

    fn new(labels: &[&str], number: Number) -> Self {
        Self {
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
            number,
        }
    }

    fn encode(&self, metric: &Metric, family: &mut MetricEncoder<'_>) -> Result<(), Error> {
        let labels: Vec<(&str, &str)> = metric
            .labels
            .iter()
            .copied()
            .zip(self.labels.iter().map(String::as_str))
            .collect();
        if metric.kind == Kind::Info {
            return family.encode_info(&labels);
        }
        if labels.is_empty() {
            return self.number.encode(metric.kind, family);
        }
        self.number
            .encode(metric.kind, &mut family.encode_family(&labels)?)
    }
}

impl Number {
    fn encode(self, kind: Kind, line: &mut MetricEncoder<'_>) -> Result<(), Error> {
        match (kind, self) {
            (Kind::Counter, Self::Count(count)) => {
                line.encode_counter::<NoLabelSet, _, u64>(&count, None)
            }
            (Kind::Counter, Self::Level(level)) => {
                line.encode_counter::<NoLabelSet, _, u64>(&level, None)
            }
            (_, Self::Count(count)) => line.encode_gauge(&count),
            (_, Self::Level(level)) => line.encode_gauge(&level),
        }
    }
}
