//! One metric line for each reply: where it came from, its code, its rule.

use crate::message::{Kind, Name};
use crate::metrics::{self, Rules, Transport, Worker};
use crate::pipeline::{Settings, Source, Tally};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Counts for one thread. Rules are counted by name, so a reload that moves them keeps their counts.
#[derive(Debug)]
pub struct Counter {
    worker: Arc<Worker>,
    rules: Arc<Rules>,
    /// The slot of each rule of the settings of this generation, by its place.
    slots: Vec<u8>,
    generation: u64,
}

impl Counter {
    /// `worker` is written by this counter's thread alone.
    pub fn new(worker: Arc<Worker>, rules: Arc<Rules>) -> Self {
        Self {
            worker,
            rules,
            slots: Vec::new(),
            generation: 0,
        }
    }

    /// A query was heard.
    pub fn query(&self, transport: Transport) {
        self.worker.query(transport);
    }

    /// A packet got no reply.
    pub fn unanswered(&self) {
        self.worker.unanswered();
    }

    /// An answer is fetched before it expires, or a SOA in the background.
    pub fn prefetch(&self) {
        self.worker.prefetch();
    }

    /// A reply goes out to a client.
    pub fn reply(&mut self, settings: &Settings, client: IpAddr, tally: Tally, reply: &[u8]) {
        let source = match tally.source {
            Source::Cache => metrics::Source::Cache,
            Source::Upstream => metrics::Source::Upstream,
            Source::Stale => metrics::Source::Stale,
            Source::Filtered => metrics::Source::Filtered,
            Source::Special => metrics::Source::Special,
            Source::Error => metrics::Source::Error,
        };
        let rule = |place: u8| Some(&*settings.policy.rule(place.into())?.name);
        tracing::debug!(%client, question = %Asked(reply), rcode = %tally.rcode, source = source.label(), rule = tally.rule.and_then(rule), "reply");
        self.worker.reply(source, tally.rcode.0);
        // The TC bit (RFC 1035 §4.1.1).
        if reply.get(2).is_some_and(|flags| flags & 0x02 != 0) {
            self.worker.truncate();
        }
        if tally.rule.is_some() || tally.reported.is_some() {
            self.rule(settings, tally);
        }
    }

    fn rule(&mut self, settings: &Settings, tally: Tally) {
        if self.generation != settings.generation {
            self.generation = settings.generation;
            self.slots = settings
                .policy
                .rules()
                .map(|rule| self.rules.slot(&rule.name))
                .collect();
        }
        let slot = |place: Option<u8>| self.slots.get(usize::from(place?)).copied();
        if let Some(slot) = slot(tally.rule) {
            self.worker.rule_changed(slot);
        }
        if let Some(slot) = slot(tally.reported) {
            self.worker.rule_reported(slot);
        }
    }
}

/// The question of a message, for the log; names are escaped.
struct Asked<'a>(&'a [u8]);

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = Name::read(self.0, 12).and_then(|(name, end)| {
            let kind = self.0.get(end..)?.first_chunk()?;
            Some((name, Kind(u16::from_be_bytes(*kind))))
        });
        match asked {
            Some((name, kind)) => write!(f, "{name} {kind}"),
            None => f.write_str("-"),
        }
    }
}
