//! From a decision to the bytes a client gets: rules work on the way out.
//!
//! The cache keeps what upstream said; here the hints go, chains are flattened, heirs are learned, and
//! a NODATA of our own gets its SOA. Every reply is then written by `message::write_reply`, so the hit, the
//! miss and the stale answer cannot disagree.

use super::check::{Said, is_good};
use super::flight::Failed;
use super::flights::Side;
use super::settings::Settings;
use super::written::room;
use super::{Client, Pipeline, Source, Tally};
use crate::cache::{Entry, Memo, Stamp};
use crate::config::Mode;
use crate::message::{self, Answer, Body, Kind, Name, OwnEde, Query, Section, Ttl};
use crate::policy::{Left, RuleSet, Sixes};
use crate::time::Moment;
use std::sync::Arc;
use std::time::Duration;

/// Whom a reply is for.
#[derive(Clone, Copy)]
pub(super) struct Audience<'a> {
    pub(super) settings: &'a Settings,
    pub(super) query: &'a Query<'a>,
    pub(super) client: Client,
    pub(super) now: Moment,
}

/// An answer on its way out.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) answer: &'a Answer,
    pub(super) learned: Moment,
    pub(super) stale: bool,
    pub(super) source: Source,
    /// The rule that removed something from it already.
    pub(super) removed: Option<usize>,
    /// The rule in report mode that would have changed it.
    pub(super) reported: Option<usize>,
}

impl<'a> Given<'a> {
    /// What an upstream said just now.
    pub(super) fn fresh(answer: &'a Answer, now: Moment) -> Self {
        Self {
            answer,
            learned: now,
            stale: false,
            source: Source::Upstream,
            removed: None,
            reported: None,
        }
    }

    /// What was said, by the cache or just now.
    pub(super) fn of(said: &'a Said) -> Self {
        let source = match (said.stale, said.known) {
            (true, _) => Source::Stale,
            (false, true) => Source::Cache,
            (false, false) => Source::Upstream,
        };
        Self {
            answer: &said.answer,
            learned: said.learned,
            stale: said.stale,
            source,
            removed: None,
            reported: None,
        }
    }
}

impl Pipeline {
    /// Upstream's answer, as the rules let it out.
    pub(super) fn give(&self, to: Audience<'_>, given: Given<'_>, out: &mut Vec<u8>) -> Tally {
        let kind = to.query.question.kind;
        if given.answer.mentions_ipv6_aside()
            || !given.answer.chain().is_empty()
            || matches!(kind, Kind::HTTPS | Kind::SVCB)
        {
            self.give_shaped(to, given, out)
        } else {
            self.write_answer(to, given, given.answer, out)
        }
    }

    fn give_shaped(&self, to: Audience<'_>, given: Given<'_>, out: &mut Vec<u8>) -> Tally {
        let (policy, question) = (&to.settings.policy, &to.query.question);
        let serving = policy.serving(to.client.address);
        let rules = self.rules_along(to, given.answer.chain());
        let flat = (policy.flattens(rules)
            && matches!(question.kind, Kind::A | Kind::AAAA | Kind::HTTPS))
        .then(|| message::flatten(given.answer))
        .flatten();
        let answer = flat.as_ref().unwrap_or(given.answer);
        // What is flattened shows no chain to follow.
        self.hand_on(to, Given { answer, ..given }, rules);
        let hinted = policy.without_hints(answer, question, rules, serving);
        let given = Given {
            removed: given.removed.or(hinted.removed),
            reported: given.reported.or(hinted.reported),
            ..given
        };
        match (hinted.left, given.removed) {
            (Left::Nothing, Some(place)) => self.give_nodata(to, place, (None, u32::MAX), out),
            (Left::Part(part), _) => self.write_answer(to, given, &part, out),
            _ => self.write_answer(to, given, answer, out),
        }
    }

    /// Upstream's answer without the AAAA records that the rule at `place` means.
    pub(super) fn give_stripped(
        &self,
        to: Audience<'_>,
        place: usize,
        (own, ipv4): (&Said, Option<&Said>),
        out: &mut Vec<u8>,
    ) -> Tally {
        match to
            .settings
            .policy
            .without_sixes(&own.answer, place, &to.query.question.name)
        {
            Sixes::Untouched => self.give(to, Given::of(own), out),
            Sixes::Fewer(answer) => {
                let given = Given {
                    answer: &answer,
                    removed: Some(place),
                    ..Given::of(own)
                };
                self.give(to, given, out)
            }
            Sixes::Gone => {
                let left = [Some(own), ipv4]
                    .into_iter()
                    .flatten()
                    .map(|said| left_of(said, to.now));
                // Where the good A decides alone, its chain is shown, whichever came first; else the AAAA's own.
                let (policy, question) = (&to.settings.policy, &to.query.question);
                let decides = |said: &&Said| {
                    let rules = self.rules_along(to, said.answer.chain());
                    let certain = policy.certain(rules, question.dnssec_ok);
                    certain.is_some() && !said.stale && is_good(said)
                };
                let chain = ipv4.filter(decides).unwrap_or(own);
                self.give_nodata(to, place, (Some(chain), left.min().unwrap_or(0)), out)
            }
        }
    }

    /// NODATA beside a good A.
    pub(super) fn give_nodata_by_ipv4(
        &self,
        to: Audience<'_>,
        place: usize,
        ipv4: Option<&Said>,
        out: &mut Vec<u8>,
    ) -> Tally {
        let left = ipv4.map_or(u32::MAX, |said| left_of(said, to.now));
        self.give_nodata(to, place, (ipv4, left), out)
    }

    /// NODATA that lives for `left` seconds, or for the rule's `negative_ttl` if that is less.
    fn give_nodata(
        &self,
        to: Audience<'_>,
        place: usize,
        (chain, left): (Option<&Said>, u32),
        out: &mut Vec<u8>,
    ) -> Tally {
        if let Some(said) = chain {
            self.hand_on_chain(to, place, Given::of(said));
        }
        let answer = self.make_nodata(to, place, chain);
        let age = chain.map_or(0, |said| age(said.learned, to.now));
        self.write_nodata(to, place, (&answer, age, left), out)
    }

    /// The reply to an AAAA that a rule strips while the good A is fresh: shaped once, then kept beside the entry
    /// that it is made of, the AAAA's own or the A's. `bound` is what is left of the other one.
    pub(super) fn give_memo(
        &self,
        to: Audience<'_>,
        (rule, rules): (usize, RuleSet),
        (entry, side, bound): (&mut Entry, Side, u32),
        out: &mut Vec<u8>,
    ) -> Tally {
        let given = Given {
            source: Source::Cache,
            learned: entry.learned,
            removed: Some(rule),
            ..Given::fresh(&entry.answer, to.now)
        };
        let stamp = self.stamp(to, rules);
        let good = entry.memo.take().filter(|memo| memo.stamp == stamp);
        let memo = good.unwrap_or_else(|| {
            let (is_nodata, shaped) = self.make_memo(to, rule, (entry, side));
            Box::new(Memo {
                stamp,
                rule,
                shaped,
                is_nodata,
            })
        });
        let answer = &memo.shaped;
        let tally = if memo.is_nodata {
            self.hand_on_chain(to, rule, given);
            let left = left_of_kept(entry, to.now).min(bound);
            self.write_nodata(to, rule, (answer, age(entry.learned, to.now), left), out)
        } else {
            self.give(to, Given { answer, ..given }, out)
        };
        entry.memo = Some(memo);
        tally
    }

    /// The rule that a memo says strips the answer; none, if it was made under other circumstances.
    pub(super) fn remembered(
        &self,
        to: Audience<'_>,
        rules: RuleSet,
        entry: &Entry,
    ) -> Option<usize> {
        let memo = entry.memo.as_ref()?;
        (memo.stamp == self.stamp(to, rules)).then_some(memo.rule)
    }

    fn stamp(&self, to: Audience<'_>, rules: RuleSet) -> Stamp {
        (to.settings.generation, self.zones.version(), rules.0)
    }

    /// What a rule leaves of an AAAA; beside an A, a NODATA.
    fn make_memo(
        &self,
        to: Audience<'_>,
        place: usize,
        (entry, side): (&Entry, Side),
    ) -> (bool, Answer) {
        let left = match side {
            Side::Ipv4 => Sixes::Gone,
            Side::Own => {
                let host = &to.query.question.name;
                to.settings.policy.without_sixes(&entry.answer, place, host)
            }
        };
        match left {
            Sixes::Untouched => (false, Answer::clone(&entry.answer)),
            Sixes::Fewer(answer) => (false, *answer),
            Sixes::Gone => {
                let said = Said::kept(entry, false);
                (true, self.make_nodata(to, place, Some(&said)))
            }
        }
    }

    /// A NODATA with the chain of an answer, if it has one, and the SOA of its end.
    fn make_nodata(&self, to: Audience<'_>, place: usize, chain: Option<&Said>) -> Answer {
        let policy = &to.settings.policy;
        let question = &to.query.question;
        let chain = chain.filter(|_| !policy.flattens(RuleSet::of(place)));
        let last = chain.and_then(|said| said.answer.chain().last());
        let mut soa = self.zones.choose(last.unwrap_or(&question.name), to.now);
        let negative = policy
            .rule(place)
            .map_or(0, |rule| rule.negative_ttl.as_secs());
        soa.minimum = u32::try_from(negative).unwrap_or(u32::MAX);
        message::nodata(question, chain.map(|said| &*said.answer), &soa)
    }

    /// The name does not exist, as the A question says.
    pub(super) fn give_no_name(&self, to: Audience<'_>, ipv4: &Said, out: &mut Vec<u8>) -> Tally {
        let answer = message::under_kind(&ipv4.answer, to.query.question.kind);
        self.give(
            to,
            Given {
                answer: &answer,
                ..Given::of(ipv4)
            },
            out,
        )
    }

    /// A failure: the upstream's own words, or ours. One that tells IPv6 addresses of a touched name is
    /// passed on by its code alone.
    pub(super) fn give_failure(
        &self,
        to: Audience<'_>,
        failed: &Failed,
        out: &mut Vec<u8>,
    ) -> Tally {
        let own = failed.ede.map(|code| OwnEde { code, text: "" });
        let leaks = |answer: &&Arc<Answer>| {
            answer.mentions_ipv6() && self.is_enforced(to, self.rules_along(to, answer.chain()))
        };
        let body = match failed.answer.as_ref().filter(|answer| !leaks(answer)) {
            Some(answer) => Body::Answer {
                answer,
                ttl: Ttl::aged(0),
            },
            None => Body::Code(failed.rcode),
        };
        message::write_reply(to.query, &body, own, room(to), out);
        Tally {
            source: Source::Error,
            rcode: failed.rcode,
            rule: None,
            reported: None,
        }
    }

    fn is_enforced(&self, to: Audience<'_>, rules: RuleSet) -> bool {
        let rule = |place| to.settings.policy.rule(place);
        rules
            .places()
            .filter_map(rule)
            .any(|rule| rule.mode == Mode::Enforce)
    }

    /// Rules that touch the question for this client, by its own name, by inheritance, or along a chain.
    pub(super) fn rules_along(&self, to: Audience<'_>, chain: &[Name]) -> RuleSet {
        let policy = &to.settings.policy;
        let all = policy.touching(&to.query.question.name, self.inherited(to), chain);
        if all.is_empty() {
            return all;
        }
        all & policy.serving(to.client.address)
    }

    /// Rules that the question's own name inherited.
    pub(super) fn inherited(&self, to: Audience<'_>) -> RuleSet {
        self.heirs.of(&to.query.question.name, to.now)
    }

    /// The names of the chain that a NODATA shows inherit the rules.
    fn hand_on_chain(&self, to: Audience<'_>, place: usize, given: Given<'_>) {
        let chain = given.answer.chain();
        if !chain.is_empty() && !to.settings.policy.flattens(RuleSet::of(place)) {
            self.hand_on(to, given, self.rules_along(to, chain));
        }
    }

    /// The names that a touched chain or alias leads to inherit the rules.
    fn hand_on(&self, to: Audience<'_>, given: Given<'_>, rules: RuleSet) {
        let policy = &to.settings.policy;
        let handed = policy.handed_on(rules);
        if handed.is_empty() {
            return;
        }
        let span = |ttl: u32| {
            let left = if given.stale {
                STALE_TTL
            } else {
                ttl.saturating_sub(age(given.learned, to.now))
            };
            Duration::from_secs(left.into())
        };
        if let Some(ttl) = given.answer.chain_ttl() {
            self.heirs.learn(
                given.answer.chain(),
                (handed, span(ttl)),
                to.settings,
                to.now,
            );
        }
        if matches!(to.query.question.kind, Kind::HTTPS | Kind::SVCB) {
            for (target, ttl) in aliases(given.answer) {
                self.heirs
                    .learn(&[target], (handed, span(ttl)), to.settings, to.now);
            }
        }
    }
}

/// TargetNames of AliasMode records (RFC 9460 §2.4.2), with their TTLs.
fn aliases(answer: &Answer) -> impl Iterator<Item = (Name, u32)> {
    answer.records().filter_map(|record| {
        if record.section != Section::Answer {
            return None;
        }
        let service = record.service()?;
        (service.priority == 0 && !service.target.is_root()).then_some((service.target, record.ttl))
    })
}

/// Seconds left of a fresh answer's smallest TTL.
pub(super) fn left_of_kept(entry: &Entry, now: Moment) -> u32 {
    let ttl = entry.answer.smallest_ttl().unwrap_or(0);
    ttl.saturating_sub(age(entry.learned, now))
}

/// Seconds left of an answer's smallest TTL; of a stale one the 30 it is good for.
fn left_of(said: &Said, now: Moment) -> u32 {
    if said.stale {
        return STALE_TTL;
    }
    let ttl = said.answer.smallest_ttl().unwrap_or(0);
    ttl.saturating_sub(age(said.learned, now))
}

pub(super) fn age(learned: Moment, now: Moment) -> u32 {
    u32::try_from(now.since(learned).as_secs()).unwrap_or(u32::MAX)
}

/// Seconds that a stale record lives downstream (RFC 8767 §4).
pub(super) const STALE_TTL: u32 = 30;
