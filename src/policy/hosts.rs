//! Which rules name a host: one table over all rules, by suffix.
//!
//! A name is looked up once for itself and once for each of its ancestors, so the cost grows with its
//! labels, not with the number of hosts in the rules. Whole labels, ASCII case ignored.

use super::RuleSet;
use crate::config::{Pattern, Rule};
use crate::message::Name;
use foldhash::HashMap;
use foldhash::HashMapExt;

/// The hosts and exceptions of all rules.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    by_suffix: HashMap<Box<[u8]>, Marks>,
    /// Rules without `hosts`: they mean every name.
    everywhere: RuleSet,
}

/// What one name in the table says of itself and of the names below it.
#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    named_here: RuleSet,
    named_below: RuleSet,
    spared_here: RuleSet,
    spared_below: RuleSet,
}

impl Hosts {
    /// Puts the patterns of all rules into the table.
    pub(super) fn new(rules: &[Rule]) -> Self {
        let mut hosts = Self {
            by_suffix: HashMap::new(),
            everywhere: RuleSet::NONE,
        };
        for (index, rule) in rules.iter().enumerate() {
            let set = RuleSet::of(index);
            if rule.hosts.is_empty() {
                hosts.everywhere = hosts.everywhere | set;
            }
            for pattern in &rule.hosts {
                let (here, below) =
                    hosts.marks(pattern, |m| (&mut m.named_here, &mut m.named_below));
                mark(pattern, set, here, below);
            }
            for pattern in &rule.except {
                let (here, below) =
                    hosts.marks(pattern, |m| (&mut m.spared_here, &mut m.spared_below));
                mark(pattern, set, here, below);
            }
        }
        hosts
    }

    fn marks<'a, R: 'a>(
        &'a mut self,
        pattern: &Pattern,
        pick: impl FnOnce(&'a mut Marks) -> R,
    ) -> R {
        let (Pattern::Exact(name) | Pattern::Below(name) | Pattern::AtOrBelow(name)) = pattern;
        pick(
            self.by_suffix
                .entry(name.lower().wire().into())
                .or_default(),
        )
    }

    /// Rules that name it (`hosts`, or no hosts at all), and rules that spare it (`except`).
    ///
    /// `name` must be lower case.
    pub(super) fn find(&self, name: &Name) -> Found {
        let (mut named, mut spared) = (self.everywhere, RuleSet::NONE);
        if !self.by_suffix.is_empty() {
            for (depth, suffix) in name.suffixes().enumerate() {
                let Some(marks) = self.by_suffix.get(suffix) else {
                    continue;
                };
                if depth == 0 {
                    named = named | marks.named_here;
                    spared = spared | marks.spared_here;
                } else {
                    named = named | marks.named_below;
                    spared = spared | marks.spared_below;
                }
            }
        }
        Found { named, spared }
    }
}

/// What the table says of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Rules that name it.
    pub named: RuleSet,
    /// Rules whose `except` names it.
    pub spared: RuleSet,
}

fn mark(pattern: &Pattern, set: RuleSet, here: &mut RuleSet, below: &mut RuleSet) {
    if !matches!(pattern, Pattern::Below(_)) {
        *here = *here | set;
    }
    if !matches!(pattern, Pattern::Exact(_)) {
        *below = *below | set;
    }
}
