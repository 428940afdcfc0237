//! Names that inherited rules from a chain that led to them (answers.md 4).
//!
//! A client that follows a CNAME asks for its target by name; were the target not touched then, the
//! address would leak. So the names behind a touched one inherit its rules for as long as the chain
//! may be cached, one hour at most. Bounded: past the limit, names that are about to run out go first.

use super::settings::Settings;
use crate::message::Name;
use crate::policy::RuleSet;
use crate::time::Moment;
use foldhash::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The names and what they inherited.
#[derive(Debug, Default)]
pub(super) struct Heirs {
    table: Mutex<Table>,
    /// So that a query where nobody inherited anything pays one load.
    count: AtomicUsize,
}

#[derive(Debug, Default)]
struct Table {
    /// Of the settings whose rules these are: a thread that still holds older ones teaches nothing.
    generation: u64,
    names: HashMap<Box<[u8]>, Heir>,
}

#[derive(Clone, Copy, Debug)]
struct Heir {
    rules: RuleSet,
    until: Moment,
}

impl Heirs {
    /// Nobody inherited anything under these settings.
    pub(super) fn new(settings: &Settings) -> Self {
        let heirs = Self::default();
        heirs.lock().generation = settings.generation;
        heirs
    }

    /// Rules that the name (lower case) inherited and still has.
    pub(super) fn of(&self, name: &Name, now: Moment) -> RuleSet {
        if self.count.load(Relaxed) == 0 {
            return RuleSet::NONE;
        }
        match self.lock().names.get(name.wire()) {
            Some(heir) if heir.until > now => heir.rules,
            _ => RuleSet::NONE,
        }
    }

    /// These names inherit these rules for this time, but for the rules that spare them.
    pub(super) fn learn(
        &self,
        names: &[Name],
        (rules, span): (RuleSet, Duration),
        settings: &Settings,
        now: Moment,
    ) {
        let until = now + span.clamp(SHORTEST, LONGEST);
        let mut guard = self.lock();
        if guard.generation != settings.generation {
            return;
        }
        let table = &mut guard.names;
        for name in names {
            let name = name.lower();
            let rules = rules.without(settings.policy.find(&name).spared);
            if rules.is_empty() {
                continue;
            }
            if table.len() >= MOST && !table.contains_key(name.wire()) {
                make_room(table, now);
            }
            // Known ones first: a name that inherits again takes no memory.
            match table.get_mut(name.wire()) {
                Some(heir) if heir.until > now => {
                    heir.rules = heir.rules | rules;
                    heir.until = heir.until.max(until);
                }
                Some(heir) => *heir = Heir { rules, until },
                None => {
                    table.insert(name.wire().into(), Heir { rules, until });
                }
            }
        }
        self.count.store(table.len(), Relaxed);
    }

    /// Carries inheritances over to a policy whose rules stand at other places, by their names.
    pub(super) fn move_to(&self, former: &Settings, next: &Settings) {
        let (from, to) = (&former.policy, &next.policy);
        let places: Vec<RuleSet> = from
            .rules()
            .map(|old| {
                let at = to.rules().position(|new| new.name == old.name);
                at.map_or(RuleSet::NONE, RuleSet::of) & to.handed_on(RuleSet(u128::MAX))
            })
            .collect();
        let mut guard = self.lock();
        guard.generation = next.generation;
        let table = &mut guard.names;
        table.retain(|wire, heir| {
            let moved = heir.rules.places().filter_map(|place| places.get(place));
            heir.rules = moved.fold(RuleSet::NONE, |set, rule| set | *rule);
            if let Some(name) = Name::from_wire(wire) {
                heir.rules = heir.rules.without(to.find(&name).spared);
            }
            !heir.rules.is_empty()
        });
        self.count.store(table.len(), Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops what has run out, and, where that is not enough, the eighth that runs out first.
fn make_room(table: &mut HashMap<Box<[u8]>, Heir>, now: Moment) {
    table.retain(|_, heir| heir.until > now);
    if table.len() >= MOST {
        let mut ends: Vec<Moment> = table.values().map(|heir| heir.until).collect();
        ends.sort_unstable();
        let limit = ends.get(MOST / 8).copied().unwrap_or(now);
        table.retain(|_, heir| heir.until > limit);
    }
}

/// A chain with TTL 0 is for the transaction in progress, and the question for its target belongs to it.
const SHORTEST: Duration = Duration::from_secs(5);
/// An inheritance ends after this, whatever the chain's TTL.
const LONGEST: Duration = Duration::from_secs(3600);
/// Names that may inherit at a time.
const MOST: usize = 65_536;
