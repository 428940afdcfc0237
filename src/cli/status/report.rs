//! What `unsix status --json` prints: names and meanings stay; new ones may come.

use super::samples::{Sample, samples};
use crate::cli::admin::Page;
use crate::config::Config;
use crate::verdict;
use serde::Serialize;
use std::collections::BTreeMap;

/// The whole of it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// Whether clients are served as the configuration says.
    pub(super) healthy: bool,
    /// Why not.
    pub(super) problem: Option<String>,
    /// The configuration file; none where every option is at its default.
    pub(super) config: Option<String>,
    /// Who answers.
    pub(super) daemon: Daemon,
    /// What leads this host's questions to it.
    pub(super) attached: Attached,
    /// Name servers that it asks.
    pub(super) upstreams: Option<Vec<Upstream>>,
    /// What its rules did since its start.
    pub(super) rules: Option<Vec<Rule>>,
    /// What its probes found, as the admin page `/verdicts` has it; none where no page tells.
    pub(super) verdicts: Option<verdict::Page>,
    /// What it keeps.
    pub(super) cache: Option<Cache>,
    /// Replies since its start, by where their content came from.
    pub(super) replies: Option<BTreeMap<String, u64>>,
    /// What is amiss without hurting clients yet.
    pub(super) notes: Vec<String>,
    /// What cannot be seen, and why.
    pub(super) unseen: Vec<String>,
}

/// Who answers.
#[derive(Debug, Default, Serialize)]
pub(super) struct Daemon {
    /// Whether somebody does.
    pub(super) running: bool,
    /// Where it was asked.
    pub(super) address: Option<String>,
    /// Its version.
    pub(super) version: Option<String>,
    /// The user it runs as.
    pub(super) uid: Option<u32>,
}

/// What leads this host's questions to it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Attached {
    /// Which way stands; none where that cannot be seen.
    pub(super) way: Option<Way>,
    /// Whether an attach runs, attached or waiting.
    pub(super) process: bool,
}

/// What stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Way {
    /// The link with routing domains of systemd-resolved.
    Resolved,
    /// The nftables table.
    Redirect,
    /// Neither.
    None,
}

/// A name server that is asked.
#[derive(Debug, Serialize)]
pub(super) struct Upstream {
    /// Its address and port.
    pub(super) address: String,
    /// Whether it is asked.
    pub(super) state: State,
    /// Smoothed time it takes to answer; none before its first answer.
    pub(super) rtt_seconds: Option<f64>,
    /// Queries sent to it.
    pub(super) queries: u64,
    /// Those that brought no usable answer.
    pub(super) failures: u64,
}

/// Whether an upstream is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// It is.
    Up,
    /// It failed, and is probed.
    Down,
    /// It leads back to us.
    Looping,
}

/// What a rule did.
#[derive(Debug, Serialize)]
pub(super) struct Rule {
    /// Its name.
    pub(super) name: String,
    /// Replies that it changed.
    pub(super) changed: u64,
    /// Replies that it would have changed, were it in force.
    pub(super) reported: u64,
    /// Clients that asked again and again for what they should know, under a rule with `when: broken`.
    pub(super) retries: u64,
}

/// What is kept.
#[derive(Debug, Serialize)]
pub(super) struct Cache {
    /// Answers.
    pub(super) entries: u64,
    /// Memory that they take.
    pub(super) octets: u64,
    /// Memory that they may take.
    pub(super) size: u64,
    /// Answers that had to leave for others.
    pub(super) evictions: u64,
}

impl Report {
    /// As one JSON object.
    pub(super) fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Takes over what the admin pages say.
    pub(super) fn add_pages(&mut self, config: &Config, ready: &Page, metrics: &Page) {
        let Some(samples) = samples(&metrics.1) else {
            let text = "upstreams, rules and cache: what listens at `admin.listen` is not unsix";
            self.unseen.push(text.to_owned());
            return;
        };
        let page = Numbers(&samples);
        let (status, text) = ready;
        let mut lines = text.lines();
        let verdict = lines.next().unwrap_or_default();
        if *status != 200 && self.problem.is_none() {
            self.problem = Some(verdict.to_owned());
        }
        self.notes.extend(lines.map(str::to_owned));
        self.upstreams = Some(page.upstreams(text));
        self.rules = Some(page.rules());
        self.cache = Some(Cache {
            entries: page.sum("unsix_cache_entries", "", ""),
            octets: page.sum("unsix_cache_octets", "", ""),
            size: config.cache.size,
            evictions: page.sum("unsix_cache_evictions_total", "", ""),
        });
        let mut replies = BTreeMap::new();
        for one in page.named("unsix_replies_total") {
            *replies.entry(one.label("source").to_owned()).or_default() += one.value as u64;
        }
        self.replies = Some(replies);
    }
}

/// The numbers of the page.
struct Numbers<'a>(&'a [Sample]);

impl<'a> Numbers<'a> {
    fn named(&self, name: &str) -> impl Iterator<Item = &'a Sample> {
        self.0.iter().filter(move |one| one.name == name)
    }

    /// The sum of all samples of a name whose label has this value.
    fn sum(&self, name: &str, label: &str, value: &str) -> u64 {
        let fits = self.named(name).filter(|one| one.label(label) == value);
        fits.map(|one| one.value as u64).sum()
    }

    /// Which of those that are not asked leads back to us, only the other page tells.
    fn upstreams(&self, ready: &str) -> Vec<Upstream> {
        let all = self.named("unsix_upstream_up").map(|up| {
            let address = up.label("upstream");
            let rtt = self.named("unsix_upstream_rtt_seconds");
            let rtt = rtt
                .filter(|one| one.label("upstream") == address)
                .map(|one| one.value);
            let loops = format!("upstream {address} leads back to us");
            Upstream {
                address: address.to_owned(),
                state: match up.value > 0.0 {
                    true => State::Up,
                    false if ready.lines().any(|line| line.starts_with(&loops)) => State::Looping,
                    false => State::Down,
                },
                rtt_seconds: rtt.last().filter(|span| *span > 0.0),
                queries: self.sum("unsix_upstream_queries_total", "upstream", address),
                failures: self.sum("unsix_upstream_failures_total", "upstream", address),
            }
        });
        all.collect()
    }

    /// Those that share one counter are shown only where that counted something.
    fn rules(&self) -> Vec<Rule> {
        let name = "unsix_rule_replies_total";
        let mut rules: Vec<Rule> = Vec::new();
        for one in self.named(name) {
            let (rule, count) = (one.label("rule"), one.value as u64);
            if !rules.iter().any(|known| known.name == rule) {
                rules.push(Rule {
                    name: rule.to_owned(),
                    changed: 0,
                    reported: 0,
                    retries: self.sum("unsix_client_retries_total", "rule", rule),
                });
            }
            let Some(known) = rules.last_mut() else {
                continue;
            };
            match one.label("effect") {
                "changed" => known.changed = count,
                _ => known.reported = count,
            }
        }
        rules.retain(|rule| rule.name != "other" || rule.changed + rule.reported > 0);
        rules
    }
}
