//! What is left of an answer when a rule has had its way with it.
//!
//! Works on the way out: the cache keeps what upstream said. Takes out AAAA records of a touched
//! question, IPv6 hints of HTTPS and SVCB records (RFC 9460 §7.3), and AAAA records that came along
//! with an answer to another question, each by its own owner's rules.

use super::{Policy, RuleSet};
use crate::config::{Dnssec, Mode};
use crate::message::{self, Answer, Fate, Hints, Kind, Meaning, Name, Question, Record, Section};
use std::net::Ipv6Addr;

/// What a rule leaves of the AAAA records in ANSWER.
#[derive(Debug)]
pub enum Sixes {
    /// None of them was in the rule's ranges.
    Untouched,
    /// Some records are left.
    Fewer(Box<Answer>),
    /// Nothing that answers is left, or the answer cannot be edited: NODATA.
    Gone,
}

/// What the rules leave of an answer's hints and additional addresses.
#[derive(Debug, Default)]
pub struct Hinted {
    /// What is left.
    pub left: Left,
    /// The first rule that removed something.
    pub removed: Option<usize>,
    /// The first rule in report mode that would have.
    pub reported: Option<usize>,
}

/// What is left of an answer.
#[derive(Debug, Default)]
pub enum Left {
    /// All of it.
    #[default]
    Whole,
    /// This.
    Part(Box<Answer>),
    /// Something had to go from ANSWER that could not be cut out: only NODATA leaks nothing.
    Nothing,
}

/// For whom an answer is shaped.
#[derive(Clone, Copy, Debug)]
pub(super) struct For<'a> {
    question: &'a Question,
    /// Rules that touch the question.
    rules: RuleSet,
    /// Rules that hold for the client.
    serving: RuleSet,
}

impl Policy {
    /// The first of these rules that means AAAA records in ANSWER, unless it respects their signatures.
    pub fn striking(&self, rules: RuleSet, answer: &Answer, question: &Question) -> Option<usize> {
        if rules.is_empty() {
            return None;
        }
        let addresses = answer.ipv6_addresses();
        addresses.clone().next()?;
        let place = self.first_applying(rules, &question.name, &addresses)?;
        let respects = question.dnssec_ok
            && self
                .rule(place)
                .is_some_and(|rule| rule.dnssec == Dnssec::Respect)
            && answer.is_signed(Kind::AAAA);
        (!respects).then_some(place)
    }

    /// Takes the AAAA records of a host that the rule at `place` means out of ANSWER.
    pub fn without_sixes(&self, answer: &Answer, place: usize, host: &Name) -> Sixes {
        let (mut removed, mut left) = (false, false);
        for record in answer.records().filter(|r| r.section == Section::Answer) {
            match record.ipv6() {
                Some(address) if self.removes(place, host, address) => removed = true,
                _ => left |= !matches!(record.kind, Kind::CNAME | Kind::DNAME | Kind::RRSIG),
            }
        }
        match (removed, left) {
            (false, _) => Sixes::Untouched,
            (true, false) => Sixes::Gone,
            (true, true) => {
                let edited = message::edit(answer, &mut |record| match record.ipv6() {
                    Some(address)
                        if record.section == Section::Answer
                            && self.removes(place, host, address) =>
                    {
                        Fate::Remove
                    }
                    _ => Fate::Keep,
                });
                // An A that an upstream put beside the AAAA records answers nothing.
                edited
                    .filter(|answer| answer.meaning() == Meaning::Data)
                    .map_or(Sixes::Gone, |answer| Sixes::Fewer(Box::new(answer)))
            }
        }
    }

    /// Takes IPv6 hints out, and AAAA records that nobody asked for.
    ///
    /// `rules` are those that touch the question; records with other owners go by their own.
    pub fn without_hints(
        &self,
        answer: &Answer,
        question: &Question,
        rules: RuleSet,
        serving: RuleSet,
    ) -> Hinted {
        let mut hinted = Hinted::default();
        if !answer.mentions_ipv6_aside() {
            return hinted;
        }
        let client = For {
            question,
            rules,
            serving,
        };
        // Where something has to go, and where it cannot be read: ANSWER, ADDITIONAL.
        let (mut cut, mut unreadable) = ([false; 2], [false; 2]);
        let edited = message::edit(answer, &mut |record| {
            let Some((place, fate)) = self.fate(answer, record, client) else {
                return Fate::Keep;
            };
            let rule = self.rule(place);
            if rule.is_some_and(|rule| rule.mode == Mode::Report) {
                hinted.reported.get_or_insert(place);
                return Fate::Keep;
            }
            hinted.removed.get_or_insert(place);
            let [in_answer, in_additional] = if fate.is_some() {
                &mut cut
            } else {
                &mut unreadable
            };
            *in_answer |= record.section == Section::Answer;
            *in_additional |= record.section == Section::Additional;
            fate.unwrap_or(Fate::Remove)
        });
        hinted.left = match (edited, hinted.removed) {
            (_, None) => Left::Whole,
            _ if unreadable[0] => Left::Nothing,
            // ADDITIONAL that cannot be edited goes whole (answers.md 5).
            _ if unreadable[1] => {
                let rest = message::without_additional(answer);
                match self.without_hints(&rest, question, rules, serving).left {
                    Left::Whole => Left::Part(Box::new(rest)),
                    left => left,
                }
            }
            (Some(edited), Some(_)) => Left::Part(Box::new(edited)),
            (None, Some(_)) if cut == [false, true] => {
                Left::Part(Box::new(message::without_additional(answer)))
            }
            (None, Some(_)) => Left::Nothing,
        };
        hinted
    }

    /// What happens to a record that carries IPv6 addresses, and by which rule.
    ///
    /// No fate: it has to go, and cannot be read.
    fn fate(
        &self,
        answer: &Answer,
        record: &Record<'_>,
        client: For<'_>,
    ) -> Option<(usize, Option<Fate>)> {
        if !may_carry(record, client.question) {
            return None;
        }
        match record.kind {
            Kind::AAAA => {
                let address = record.ipv6()?;
                let rules = self.rules_of(answer, record, client);
                let place =
                    self.first_applying(rules, &record.owner(), &std::iter::once(address))?;
                (!self.spares_signed(place, answer, record, client))
                    .then_some((place, Some(Fate::Remove)))
            }
            _ => self.hint_fate(answer, record, client),
        }
    }

    fn hint_fate(
        &self,
        answer: &Answer,
        record: &Record<'_>,
        client: For<'_>,
    ) -> Option<(usize, Option<Fate>)> {
        let service = record.service()?;
        // Hints that do not parse are still read by somebody: only rules without ranges can mean them.
        let hints = service.ipv6_hints.unwrap_or_default();
        // RFC 9460 §2.5.2: a TargetName of "." in ServiceMode is the owner itself.
        let target = if service.target.is_root() {
            RuleSet::NONE
        } else {
            self.touching(&service.target.lower(), RuleSet::NONE, &[]) & client.serving
        };
        let rules = self.rules_of(answer, record, client) | target;
        let host = &client.question.name;
        let place = self.first_applying(rules, host, &hints.iter().copied())?;
        if self.spares_signed(place, answer, record, client) {
            return None;
        }
        let removes = |address: Ipv6Addr| self.removes(place, host, address);
        match message::without_ipv6hint(record, &removes) {
            Hints::None => None,
            Hints::Stripped(rdata) => Some((place, Some(Fate::Rdata(rdata)))),
            Hints::Unreadable => Some((place, None)),
        }
    }

    /// Rules of a record's owner: the question's for ANSWER and for the question's own name, those that it
    /// hands on for the names that it leads to.
    fn rules_of(&self, answer: &Answer, record: &Record<'_>, client: For<'_>) -> RuleSet {
        if record.section == Section::Answer || record.is_of(&client.question.name) {
            return client.rules;
        }
        let owner = record.owner();
        let inherited = if leads_to(answer, &owner) {
            self.handed_on(client.rules)
        } else {
            RuleSet::NONE
        };
        self.touching(&owner.lower(), inherited, &[]) & client.serving
    }

    /// `dnssec: respect`: a signed set goes to a client that set DO as it is.
    fn spares_signed(
        &self,
        place: usize,
        answer: &Answer,
        record: &Record<'_>,
        client: For<'_>,
    ) -> bool {
        let owner = record.owner();
        client.question.dnssec_ok
            && self
                .rule(place)
                .is_some_and(|rule| rule.dnssec == Dnssec::Respect)
            && answer.records().any(|other| {
                other.section == record.section
                    && other.covers() == Some(record.kind)
                    && other.is_of(&owner)
            })
    }
}

/// The answer's chain runs through the name, or an AliasMode record of it names it.
fn leads_to(answer: &Answer, name: &Name) -> bool {
    let is_target = |record: Record<'_>| {
        let service = record.service();
        record.section == Section::Answer
            && service.is_some_and(|service| service.priority == 0 && service.target == *name)
    };
    answer.chain().contains(name) || answer.records().any(is_target)
}

/// Records that this part of the policy looks at; the AAAA that were asked for are the A check's.
fn may_carry(record: &Record<'_>, question: &Question) -> bool {
    match record.kind {
        Kind::AAAA => match record.section {
            Section::Answer => !matches!(question.kind, Kind::AAAA | Kind::ANY),
            section => section == Section::Additional,
        },
        Kind::HTTPS | Kind::SVCB => record.section != Section::Authority,
        _ => false,
    }
}
