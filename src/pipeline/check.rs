//! The A check: may the AAAA of a touched host be kept from a client (answers.md 3)?
//!
//! A pure table over what the A and the AAAA question have said so far. A host without IPv4 is never
//! stranded; a name that does not exist stays so; nobody waits for what would be thrown away.

use super::flight::Failed;
use super::settings::Settings;
use crate::cache::Entry;
use crate::config::Mode;
use crate::message::{Answer, Kind, Meaning, Question, Section};
use crate::policy::RuleSet;
use crate::time::Moment;
use std::sync::Arc;
use std::time::Duration;

/// What is known of one of the two questions.
#[derive(Clone, Debug)]
pub(super) enum Slot {
    /// Nobody asked.
    Open,
    /// On its way.
    Flying,
    /// Answered.
    Said(Said),
    /// Asked in vain.
    Failed(Failed),
}

/// An answer and its age.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) answer: Arc<Answer>,
    /// When it came from upstream.
    pub(super) learned: Moment,
    /// Past its life.
    pub(super) stale: bool,
    /// It was in the cache when the client asked.
    pub(super) known: bool,
}

impl Said {
    /// What the cache keeps, past its life or not.
    pub(super) fn kept(entry: &Entry, stale: bool) -> Self {
        Self {
            answer: Arc::clone(&entry.answer),
            learned: entry.learned,
            stale,
            known: true,
        }
    }
}

/// What to do for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Ask these first.
    Ask { ipv4: bool, own: bool },
    /// Wait for what is on its way, at most until then.
    Wait(Option<Moment>),
    /// Upstream's own answer; the rule in report mode that would have changed it.
    Pass { reported: Option<usize> },
    /// Upstream's answer without the AAAA records that this rule means.
    Strip(usize),
    /// NODATA, with the A in hand and the AAAA not needed.
    NoData(usize),
    /// The A question says that the name does not exist.
    NoName,
    /// Upstream's own failure.
    Fail,
}

/// All that the table looks at.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) settings: &'a Settings,
    pub(super) question: &'a Question,
    /// Rules that touch the question by its own name, or by inheritance.
    pub(super) rules: RuleSet,
    /// Rules that the question's own name inherited.
    pub(super) inherited: RuleSet,
    /// Rules that hold for the client.
    pub(super) serving: RuleSet,
    pub(super) ipv4: &'a Slot,
    pub(super) own: &'a Slot,
    pub(super) now: Moment,
    /// The client's time is up: what has not come will not come.
    pub(super) over: bool,
}

impl View<'_> {
    /// The table of answers.md 3.
    pub(super) fn decide(&self) -> Decision {
        match self.own {
            Slot::Said(said) => self.after_answer(said),
            Slot::Failed(_) => self.after_none(Decision::Fail),
            Slot::Flying if self.over => self.after_none(Decision::Fail),
            Slot::Open | Slot::Flying => self.before_answer(),
        }
    }

    /// Rules that touch the question, with its chain in hand.
    pub(super) fn touching(&self, answer: &Answer) -> RuleSet {
        let policy = &self.settings.policy;
        policy.touching(&self.question.name, self.inherited, answer.chain()) & self.serving
    }

    fn before_answer(&self) -> Decision {
        let open = matches!(self.own, Slot::Open);
        if let Some(decision) = self.by_good_ipv4(open) {
            return decision;
        }
        // Side by side where a rule names the host; a rule by addresses alone waits for an address.
        let hosted = !(self.rules & self.settings.policy.hosted()).is_empty();
        let ipv4 = hosted
            && self.question.kind == Kind::AAAA
            && matches!(self.ipv4, Slot::Open)
            && self.needs_ipv4(self.rules);
        if open || ipv4 {
            return Decision::Ask { ipv4, own: open };
        }
        Decision::Wait(None)
    }

    /// What the A alone decides, where a rule will strip whatever the AAAA records turn out to be.
    fn by_good_ipv4(&self, open: bool) -> Option<Decision> {
        let Slot::Said(a) = self.ipv4 else {
            return None;
        };
        // Along the chain: a rule that stands before may name a name of it.
        let rules = self.touching(&a.answer);
        if self.question.kind != Kind::AAAA {
            return None;
        }
        let policy = &self.settings.policy;
        let place = policy.certain(rules, self.question.dnssec_ok)?;
        if !self.is_still_good(a) {
            let denied = a.answer.meaning() == Meaning::NxDomain && !a.stale;
            // A rule that needs no IPv4 goes by the AAAA alone, whichever came first.
            let decides = policy.rule(place).is_some_and(|rule| rule.require_ipv4);
            return (denied && decides).then_some(Decision::NoName);
        }
        // An A that was there before: no AAAA question goes upstream at all.
        let patience = a.learned + AFTER_GOOD_A;
        if a.known || a.stale || patience <= self.now {
            return Some(Decision::NoData(place));
        }
        (!open).then_some(Decision::Wait(Some(patience)))
    }

    /// Some enforced rule of these asks for IPv4 before it strips.
    fn needs_ipv4(&self, rules: RuleSet) -> bool {
        let enforced = |place| {
            self.settings
                .policy
                .rule(place)
                .is_some_and(|rule| rule.mode == Mode::Enforce && rule.require_ipv4)
        };
        rules.places().any(enforced)
    }

    fn after_answer(&self, said: &Said) -> Decision {
        let policy = &self.settings.policy;
        if said.answer.ipv6_addresses().next().is_none() {
            return match said.answer.meaning() {
                // RFC 4074 §4.2: NXDOMAIN for AAAA beside an A is a broken server.
                Meaning::NxDomain | Meaning::Failure => {
                    self.after_none(Decision::Pass { reported: None })
                }
                Meaning::Data | Meaning::NoData => Decision::Pass { reported: None },
            };
        }
        let rules = self.touching(&said.answer);
        let struck = policy.striking(rules, &said.answer, self.question);
        let Some((place, rule)) = struck.and_then(|place| Some((place, policy.rule(place)?)))
        else {
            return Decision::Pass { reported: None };
        };
        let verdict = if rule.require_ipv4 && !has_ipv4(&said.answer) {
            self.with_ipv4(place)
        } else {
            Decision::Strip(place)
        };
        if rule.mode == Mode::Report {
            // Report changes nothing, time included: an unknown A counts as there.
            let spared = matches!(verdict, Decision::Pass { .. } | Decision::NoName);
            return Decision::Pass {
                reported: (!spared).then_some(place),
            };
        }
        verdict
    }

    /// There are AAAA records that the rule would strip: what does the A say?
    fn with_ipv4(&self, place: usize) -> Decision {
        let pass = Decision::Pass { reported: None };
        match self.ipv4 {
            Slot::Said(a) if self.is_still_good(a) => Decision::Strip(place),
            Slot::Said(a) if a.stale => pass,
            Slot::Said(a) => match a.answer.meaning() {
                Meaning::NxDomain => Decision::NoName,
                _ => pass,
            },
            Slot::Failed(_) => pass,
            Slot::Open | Slot::Flying if self.over => pass,
            Slot::Open => Decision::Ask {
                ipv4: true,
                own: false,
            },
            Slot::Flying => Decision::Wait(None),
        }
    }

    /// The A is good, or fails now and was good within the last hour.
    fn is_still_good(&self, a: &Said) -> bool {
        is_good(a) && (!a.stale || self.now.since(a.learned) <= LATELY)
    }

    /// The AAAA question gave an error or nothing; beside a good A that is NODATA.
    fn after_none(&self, otherwise: Decision) -> Decision {
        let policy = &self.settings.policy;
        // Along both chains: an NXDOMAIN has one too.
        let said = [self.ipv4, self.own].into_iter().filter_map(Slot::said);
        let rules = said.fold(self.rules, |rules, said| {
            rules | self.touching(&said.answer)
        });
        if self.question.kind != Kind::AAAA {
            return otherwise;
        }
        let Some(place) = policy.certain(rules, false) else {
            return otherwise;
        };
        let strands_nobody = policy.rule(place).is_some_and(|rule| !rule.require_ipv4);
        match self.ipv4 {
            Slot::Said(a) if is_good(a) => Decision::NoData(place),
            _ if strands_nobody && otherwise == Decision::Fail => Decision::NoData(place),
            Slot::Said(a)
                if a.answer.meaning() == Meaning::NxDomain && otherwise == Decision::Fail =>
            {
                Decision::NoName
            }
            Slot::Open if !self.over => Decision::Ask {
                ipv4: true,
                own: false,
            },
            Slot::Flying if !self.over => Decision::Wait(None),
            _ => otherwise,
        }
    }
}

/// NOERROR with at least one A at the chain's end.
pub(super) fn is_good(said: &Said) -> bool {
    said.answer.meaning() == Meaning::Data
}

/// An ANY answer may bring the A records itself.
fn has_ipv4(answer: &Answer) -> bool {
    let mut records = answer.records();
    records.any(|record| record.section == Section::Answer && record.kind == Kind::A)
}

/// How long an AAAA may take once the good A is there.
const AFTER_GOOD_A: Duration = Duration::from_millis(50);
/// How long a good A is remembered for when the A question fails.
pub(super) const LATELY: Duration = Duration::from_secs(3600);
