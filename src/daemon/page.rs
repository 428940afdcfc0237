//! What the admin pages say.

use super::Shared;
use crate::admin::{Page, Pages, Path};
use crate::metrics::{self, Gauges};
use crate::pipeline::{State, Trouble, Upstream};
use std::fmt::Write;
use std::sync::Arc;

/// The pages of a daemon.
pub(super) fn pages(shared: &Arc<Shared>) -> Arc<Pages> {
    let shared = Arc::clone(shared);
    Arc::new(move |path| match path {
        Path::Metrics => Page {
            status: 200,
            body: shared.metrics(),
        },
        Path::Live => verdict(
            shared.is_alive(),
            "alive\n",
            "a thread hangs or has ended\n",
        ),
        Path::Ready => shared.readiness(),
        Path::Verdicts => Page {
            status: 200,
            body: shared.prober.page(),
        },
    })
}

fn verdict(good: bool, yes: &str, no: &str) -> Page {
    let (status, body) = if good { (200, yes) } else { (503, no) };
    Page {
        status,
        body: body.to_owned(),
    }
}

impl Shared {
    /// Ready or not, and what is wrong with the upstreams and the configuration either way.
    fn readiness(&self) -> Page {
        let mut page = verdict(
            self.is_ready(),
            "ready\n",
            "not ready: no self-query was answered yet, or we are stopping\n",
        );
        page.body += &self.troubles();
        page
    }

    /// What is wrong with the upstreams and the configuration, a line each.
    pub(super) fn troubles(&self) -> String {
        let mut troubles = String::new();
        let settings = self.pipeline.settings();
        for upstream in settings.upstreams().iter() {
            let state = match upstream.state() {
                State::Up => continue,
                State::Down => "is down",
                State::Looping => "leads back to us (a forwarding loop): it is not asked",
            };
            // Writing to a String cannot fail.
            let _ = match self.secure.problem(&upstream.server) {
                Some(problem) => {
                    writeln!(troubles, "upstream {} {state}: {problem}", upstream.server)
                }
                None => writeln!(troubles, "upstream {} {state}", upstream.server),
            };
        }
        if let Some(problem) = self.reloads.last_problem() {
            let _ = writeln!(
                troubles,
                "the configuration file was not reloaded: {problem}"
            );
        }
        let encryption = self.encryption.as_ref();
        if let Some(problem) = encryption.and_then(|one| one.reloads.last_problem()) {
            let _ = writeln!(troubles, "the certificate was not reloaded: {problem}");
        }
        troubles
    }

    fn tls(&self) -> metrics::Tls {
        let Some(encryption) = &self.encryption else {
            return metrics::Tls {
                last_reload_successful: true,
                ..metrics::Tls::default()
            };
        };
        let [succeeded, failed, dropped] = encryption.tls.handshakes();
        metrics::Tls {
            succeeded,
            failed,
            dropped,
            reloads: encryption.reloads.counts().into(),
            last_reload_successful: encryption.reloads.last_problem().is_none(),
        }
    }

    /// What the prober counts. Each rule that it serves has its lines from the start.
    fn probes(&self) -> metrics::Probes {
        let numbers = self.prober.numbers();
        let rules = numbers.rules.into_iter().map(|(name, hosts, broken)| {
            let counted = numbers.counts.rules.get(&name).copied().unwrap_or_default();
            metrics::Probed {
                name,
                hosts: hosts as u64,
                broken: broken as u64,
                broke: counted.broke,
                healed: counted.healed,
                retries: counted.retries,
            }
        });
        metrics::Probes {
            rules: rules.collect(),
            outcomes: numbers.counts.probes.into_iter().collect(),
            round_seconds: numbers.round.as_secs_f64(),
        }
    }

    fn metrics(&self) -> String {
        let workers: Vec<&metrics::Worker> = self.counts.iter().map(|worker| &**worker).collect();
        let cache = self.pipeline.cache_usage();
        let settings = self.pipeline.settings();
        // A rule stands on the page before it first acts, or an alert on its counter would miss the first time.
        for rule in settings.policy.rules() {
            self.rules.slot(&rule.name);
        }
        let (succeeded, failed) = self.reloads.counts();
        metrics::render(
            &workers,
            &self.rules,
            &Gauges {
                fetches_in_flight: self.pipeline.in_flight() as u64,
                cache_octets: cache.octets,
                cache_entries: cache.entries,
                cache_evictions: cache.evictions,
                upstreams: settings
                    .upstreams()
                    .iter()
                    .map(|upstream| gauge(upstream))
                    .collect(),
                stream_connections: self.connections.open(),
                stream_refused: self.connections.refused(),
                proxy_headers: self.connections.balancers.headers(),
                tls: self.tls(),
                reloads_succeeded: succeeded,
                reloads_failed: failed,
                last_reload_successful: self.reloads.last_problem().is_none(),
                probes: self.probes(),
                log_lines_dropped: self.log.as_ref().map_or(0, crate::log::Log::dropped),
            },
        )
    }
}

fn gauge(upstream: &Upstream) -> metrics::Upstream {
    let labels = Trouble::ALL.iter().map(|trouble| trouble.label());
    metrics::Upstream {
        address: upstream.server.to_string(),
        up: upstream.state() == State::Up,
        rtt_seconds: upstream.round_trip().map_or(0.0, |span| span.as_secs_f64()),
        queries: upstream.queries(),
        failures: labels.zip(upstream.failures()).collect(),
    }
}
