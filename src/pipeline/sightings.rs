//! Hosts under rules with `when: broken` that clients ask for: what probes should look at.
//!
//! Replies leave a note here and never wait for whoever reads it. Of a host that probes know already only its own
//! counters are touched ([`crate::policy::Traffic`]).

use super::replies::Audience;
use crate::message::Name;
use foldhash::fast::FixedState;
use foldhash::{HashMap, HashMapExt};
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A host that probes should look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Its name, in lower case.
    pub name: Name,
    /// The port where the rule watches it.
    pub port: u16,
    /// So often did a client ask again and again for what it should know; 0 for a host that is new.
    pub retries: u32,
}

/// Notes of replies, until somebody takes them.
#[derive(Debug)]
pub(super) struct Sightings {
    names: Mutex<HashMap<(Name, u16), u32>>,
    hasher: FixedState,
}

impl Sightings {
    /// None yet.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            names: Mutex::new(HashMap::new()),
            hasher: FixedState::with_seed(seed),
        }
    }

    /// A client was told of a host that the rule at `place` watches, and may keep it for `ttl`.
    pub(super) fn note(&self, to: Audience<'_>, (place, ttl): (usize, Duration)) {
        let policy = &to.settings.policy;
        let Some(rule) = policy.rule(place) else {
            return;
        };
        let name = to.query.question.name.lower();
        let retries = match policy.verdicts().host(rule.port, &name) {
            None => 0,
            Some(host) => {
                let client = self.hasher.hash_one(to.client.address);
                if !host.traffic.note(client, ttl, to.now) {
                    return;
                }
                1
            }
        };
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name, rule.port);
        if names.len() < MOST || names.contains_key(&key) {
            *names.entry(key).or_default() += retries;
        }
    }

    /// All notes, and none are left.
    pub(super) fn take(&self) -> Vec<Sighting> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let each = names.drain().map(|((name, port), retries)| Sighting {
            name,
            port,
            retries,
        });
        each.collect()
    }
}

/// Notes kept until they are taken; the rest are lost, and made again by the next reply.
const MOST: usize = 1_024;
