//! The synchronous half: what the cache can answer at once.
//!
//! A plain hit is one look into the cache and one copy. AAAA questions have two ways of their own
//! that are as short: nobody touches the name, or the good A is fresh and our NODATA lies beside it; all else
//! goes through the table of the A check.

use super::check::{Decision, LATELY, Said, Slot};
use super::flight::Failed;
use super::pair::question_for_ipv4;
use super::replies::{Audience, Given, left_of_kept, write_code};
use super::settings::Settings;
use super::{Outcome, Pipeline, Source, said};
use crate::cache::Entry;
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

    /// An AAAA that no rule touches by its name, and that has no chain that one could touch.
    fn untouched_now(&self, to: Audience<'_>, reply: &mut Vec<u8>) -> Option<Outcome> {
        let hit = self.cache.look(&to.query.question, |entry| {
            (is_fresh_for(entry, to) && entry.answer.chain().is_empty())
                .then(|| self.give_kept(to, entry, reply))
        });
        hit.flatten()
    }

    /// A touched AAAA while the good A is fresh: the NODATA is kept beside the A, so that it costs
    /// what any other hit costs. None: this is not the plain case, and the table decides.
    fn nodata_now(&self, to: Audience<'_>, rules: RuleSet, reply: &mut Vec<u8>) -> Option<Outcome> {
        let question = &to.query.question;
        if question.kind != Kind::AAAA {
            return None;
        }
        let policy = &to.settings.policy;
        policy.certain(rules, question.dnssec_ok)?;
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
            if !is_fresh_for(entry, to) || entry.answer.meaning() != Meaning::Data {
                return None;
            }
            // A rule that stands before may name the chain.
            let rules = match entry.answer.chain() {
                [] => rules,
                chain => self.rules_along(to, chain),
            };
            let place = policy.certain(rules, question.dnssec_ok)?;
            let tally = self.give_memo(to, (place, rules), (entry, bound), reply);
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
        let soon = if rules.is_empty() {
            self.untouched_now(to, reply)
        } else {
            self.nodata_now(to, rules, reply)
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

/// Fresh, and learned in a way that serves this client.
fn is_fresh_for(entry: &Entry, to: Audience<'_>) -> bool {
    // RFC 6840 §5.8: an answer learned without AD or DO says nothing to a client that asks by AD.
    entry.fresh_until > to.now && (entry.asked_authentic || !to.query.authentic_data)
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
