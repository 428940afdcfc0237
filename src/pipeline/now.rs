//! The synchronous half: what the cache can answer at once.
//!
//! A plain hit is one look into the cache and one copy. AAAA questions have two ways of their own that are nearly
//! as short. Where a rule strips whatever the addresses are, our NODATA lies beside the good A. Else the AAAA's own
//! addresses decide: it passes, or what a rule leaves of it lies beside it. All else goes through the table
//! of the A check, which decides the same.

use super::check::{Decision, LATELY, Said, Slot};
use super::flight::Failed;
use super::flights::Side;
use super::pair::question_for_ipv4;
use super::replies::{Audience, Given, left_of_kept};
use super::settings::Settings;
use super::written::write_code;
use super::{Outcome, Pipeline, Source, said};
use crate::cache::Entry;
use crate::config::Mode;
use crate::message::{Kind, Meaning, Question};
use crate::policy::RuleSet;
use crate::time::Moment;

impl Pipeline {
    /// A question that no second answer decides.
    pub(super) fn plain_now(&self, to: Audience<'_>, reply: &mut Vec<u8>) -> Outcome {
        let hit = self.cache.look(&to.query.question, |entry| {
            is_fresh_for(entry, to).then(|| self.give_kept(to, entry, reply))
        });
        hit.flatten()
            .or_else(|| self.failed_now(to, reply))
            .unwrap_or(Outcome::Fetch)
    }

    fn give_kept(&self, to: Audience<'_>, entry: &mut Entry, reply: &mut Vec<u8>) -> Outcome {
        let refresh = claim(entry, to);
        let given = Given {
            source: Source::Cache,
            learned: entry.learned,
            ..Given::fresh(&entry.answer, to.now)
        };
        let tally = self.give(to, given, reply);
        Outcome::Reply { tally, refresh }
    }

    /// An AAAA or ANY that is known, and passes; or an AAAA that a rule strips beside a good A. None: the
    /// table decides.
    fn known_now(&self, to: Audience<'_>, rules: RuleSet, reply: &mut Vec<u8>) -> Option<Outcome> {
        match self.own_now(to, rules, None, reply)? {
            Own::Given(outcome) => Some(outcome),
            Own::Struck => {
                let question = &to.query.question;
                let ipv4 = self.cache.look(&question_for_ipv4(question), |entry| {
                    // Along its chain a rule may stand that strips whatever the addresses are.
                    let rules = self.rules_with(to, rules, entry);
                    let certain = to.settings.policy.certain(rules, question.dnssec_ok);
                    (certain.is_none() && is_good_for(entry, to))
                        .then(|| (left_of_kept(entry, to.now), claim(entry, to)))
                });
                match self.own_now(to, rules, ipv4.flatten(), reply)? {
                    Own::Given(outcome) => Some(outcome),
                    Own::Struck => None,
                }
            }
        }
    }

    /// One look at the AAAA itself. `ipv4` is what is left of the good A, and whether that is to be refreshed.
    fn own_now(
        &self,
        to: Audience<'_>,
        rules: RuleSet,
        ipv4: Option<(u32, bool)>,
        reply: &mut Vec<u8>,
    ) -> Option<Own> {
        let (policy, question) = (&to.settings.policy, &to.query.question);
        let seen = self.cache.look(question, |entry| {
            if !is_fresh_for(entry, to) {
                return None;
            }
            let rules = self.rules_with(to, rules, entry);
            let struck = self
                .remembered(to, rules, entry)
                .or_else(|| policy.striking(rules, &entry.answer, question));
            let Some(place) = struck else {
                // An error for AAAA may be NODATA beside a good A.
                let is_certain = rules.is_empty()
                    || matches!(entry.answer.meaning(), Meaning::Data | Meaning::NoData);
                return is_certain.then(|| Own::Given(self.give_kept(to, entry, reply)));
            };
            let enforced = policy.rule(place)?.mode == Mode::Enforce;
            if !enforced || question.kind != Kind::AAAA {
                return None;
            }
            let Some((bound, refresh)) = ipv4 else {
                return Some(Own::Struck);
            };
            let tally = self.give_memo(to, (place, rules), (entry, Side::Own, bound), reply);
            let refresh = claim(entry, to) || refresh || self.zones.wants();
            Some(Own::Given(Outcome::Reply { tally, refresh }))
        });
        seen.flatten()
    }

    /// Rules that touch a question by its own name, and those by the chain of what is kept.
    fn rules_with(&self, to: Audience<'_>, own: RuleSet, entry: &Entry) -> RuleSet {
        match entry.answer.chain() {
            [] => own,
            chain => self.rules_along(to, chain),
        }
    }

    /// An AAAA that a rule strips whatever it is, while the good A is fresh: the NODATA is kept beside the A, so that
    /// it costs what any other hit costs. None: this is not the plain case, and the table decides.
    fn nodata_now(&self, to: Audience<'_>, rules: RuleSet, reply: &mut Vec<u8>) -> Option<Outcome> {
        let question = &to.query.question;
        if question.kind != Kind::AAAA {
            return None;
        }
        let policy = &to.settings.policy;
        let seen = self.cache.look(question, |entry| {
            is_fresh_for(entry, to).then(|| (entry.answer.meaning(), left_of_kept(entry, to.now)))
        });
        let bound = match seen.flatten() {
            None => u32::MAX,
            Some((Meaning::Data, left)) => left,
            // NODATA and NXDOMAIN are upstream's own, and the table knows them.
            Some(_) => return None,
        };
        let hit = self.cache.look(&question_for_ipv4(question), |entry| {
            if !is_good_for(entry, to) {
                return None;
            }
            // A rule that stands before may name the chain.
            let rules = self.rules_with(to, rules, entry);
            let place = policy.certain(rules, question.dnssec_ok)?;
            let tally = self.give_memo(to, (place, rules), (entry, Side::Ipv4, bound), reply);
            let refresh = claim(entry, to) || self.zones.wants();
            Some(Outcome::Reply { tally, refresh })
        });
        hit.flatten()
    }

    /// A failure that is remembered: the stale answer, or the failure again.
    fn failed_now(&self, to: Audience<'_>, reply: &mut Vec<u8>) -> Option<Outcome> {
        let rcode = self.failures.active(&to.query.question, to.now)?;
        if let Some(stale) = self.stale(to.settings, &to.query.question, to.now) {
            return Some(said(self.give(to, Given::of(&stale), reply)));
        }
        Some(said(write_code(to, rcode, CACHED_ERROR, reply)))
    }

    /// AAAA and ANY: what the cache says of both questions may be enough.
    pub(super) fn checked_now(&self, to: Audience<'_>, reply: &mut Vec<u8>) -> Outcome {
        let question = &to.query.question;
        let rules = self.rules_along(to, &[]);
        let policy = &to.settings.policy;
        let soon = match policy.certain(rules, question.dnssec_ok) {
            Some(_) => self.nodata_now(to, rules, reply),
            None => self.known_now(to, rules, reply),
        };
        if let Some(outcome) = soon {
            return outcome;
        }
        let ipv4_question = question_for_ipv4(question);
        let (own, ipv4) = (self.slot(to, question), self.slot(to, &ipv4_question));
        match self.decide(to, &ipv4, &own, false) {
            Decision::Ask { .. } | Decision::Wait(_) => Outcome::Fetch,
            decision => {
                let tally = self.carry_out(to, decision, (&ipv4, &own), reply);
                let by = if tally.source == Source::Filtered {
                    &ipv4_question
                } else {
                    question
                };
                let refresh = self.zones.wants() || self.claim_refresh(to, by);
                Outcome::Reply { tally, refresh }
            }
        }
    }

    /// What the cache says of a question, for a client that asks now.
    pub(super) fn slot(&self, to: Audience<'_>, question: &Question) -> Slot {
        let fresh = self.cache.look(question, |entry| {
            is_fresh_for(entry, to).then(|| Said::kept(entry, false))
        });
        match fresh.flatten() {
            Some(said) => Slot::Said(said),
            None => self.failed_slot(to, question),
        }
    }

    /// Whether a kept answer should be refreshed; says so once.
    fn claim_refresh(&self, to: Audience<'_>, question: &Question) -> bool {
        let claimed = self.cache.look(question, |entry| claim(entry, to));
        claimed.unwrap_or(false)
    }

    fn failed_slot(&self, to: Audience<'_>, question: &Question) -> Slot {
        let Some(rcode) = self.failures.active(question, to.now) else {
            return Slot::Open;
        };
        match self.memory(to.settings, question, to.now) {
            Some(stale) => Slot::Said(stale),
            None => Slot::Failed(Failed {
                rcode,
                ede: Some(CACHED_ERROR),
                answer: None,
            }),
        }
    }

    /// An answer past its life that may still be served (RFC 8767).
    pub(super) fn stale(
        &self,
        settings: &Settings,
        question: &Question,
        now: Moment,
    ) -> Option<Said> {
        let found = self.cache.look(question, |entry| {
            let end = entry.fresh_until + settings.times.serve_stale;
            (end > now).then(|| Said::kept(entry, true))
        });
        found.flatten()
    }

    /// The same for the A check, which remembers a good A for an hour whatever `serve_stale` says.
    pub(super) fn memory(
        &self,
        settings: &Settings,
        question: &Question,
        now: Moment,
    ) -> Option<Said> {
        if let Some(stale) = self.stale(settings, question, now) {
            return Some(stale);
        }
        if question.kind != Kind::A {
            return None;
        }
        let lately = |entry: &mut Entry| {
            let good = entry.answer.meaning() == Meaning::Data;
            (good && now.since(entry.learned) <= LATELY).then(|| Said::kept(entry, true))
        };
        // A host that has IPv4 has it whoever asks: DO and CD make no difference here.
        let (dnssec_ok, checking_disabled) = (question.dnssec_ok, question.checking_disabled);
        let flags = [dnssec_ok, !dnssec_ok].map(|dnssec_ok| {
            [checking_disabled, !checking_disabled].map(|checking_disabled| Question {
                dnssec_ok,
                checking_disabled,
                ..*question
            })
        });
        let mut alike = flags.iter().flatten();
        alike.find_map(|question| self.cache.look(question, lately).flatten())
    }
}

/// What one look at an AAAA gave.
enum Own {
    /// The reply.
    Given(Outcome),
    /// A rule strips it: is the A good?
    Struck,
}

/// Fresh, and learned in a way that serves this client.
fn is_fresh_for(entry: &Entry, to: Audience<'_>) -> bool {
    // RFC 6840 §5.8: an answer learned without AD or DO says nothing to a client that asks by AD.
    entry.fresh_until > to.now && (entry.asked_authentic || !to.query.authentic_data)
}

/// The same of an A that says that the host has IPv4.
fn is_good_for(entry: &Entry, to: Audience<'_>) -> bool {
    is_fresh_for(entry, to) && entry.answer.meaning() == Meaning::Data
}

/// Whether an answer should be refreshed before it expires: popular, in the last tenth of its life,
/// and nobody has said so yet.
fn claim(entry: &mut Entry, to: Audience<'_>) -> bool {
    let life = entry.fresh_until.since(entry.learned);
    let due = to.settings.prefetch
        && entry.hits >= POPULAR
        && !entry.refreshing
        && entry.fresh_until.since(to.now) * 10 <= life;
    entry.refreshing |= due;
    due
}

/// Hits that make an answer worth refreshing, the present one included.
const POPULAR: u8 = 3;
/// RFC 8914 §4.14.
const CACHED_ERROR: u16 = 13;
