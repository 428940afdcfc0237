//! What we may tell a client: which rule touches a question, and what is left of an answer.
//!
//! Pure: decides from names, addresses and records alone. It never asks whether a host has IPv4;
//! that needs another question and is the pipeline's part ([`crate::pipeline`], the A check).
//!
//! A rule applies when all its conditions hold: host, client and address range. The first that
//! applies wins, in file order. Rules are numbered by their place in the file, and a [`RuleSet`]
//! holds any of them, so that conditions are looked up apart and joined with one AND.

mod hosts;
mod ranges;
mod shape;
mod verdicts;

#[cfg(test)]
mod tests;

use crate::config::{Cname, Dnssec, Initial, Mode, Rule, When};
use crate::message::{Answer, Name};
use std::net::{IpAddr, Ipv6Addr};
use std::ops::{BitAnd, BitOr};
use std::sync::Arc;

pub use hosts::Found;
pub use ranges::Ranges;
pub use shape::{Hinted, Left, Sixes};
pub use verdicts::{Traffic, Verdicts, Watched};

/// Any of the rules, by their place in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleSet(pub u128);

impl RuleSet {
    /// No rule.
    pub const NONE: Self = Self(0);

    /// The rule at this place alone; none past the 128th, which the configuration refuses.
    pub fn of(index: usize) -> Self {
        let shift = u32::try_from(index).unwrap_or(u32::MAX);
        Self(1u128.checked_shl(shift).unwrap_or(0))
    }

    /// No rule in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Their places, in file order.
    pub fn places(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let place = left.trailing_zeros() as usize;
            left &= left.checked_sub(1)?;
            Some(place)
        })
    }
}

impl BitOr for RuleSet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for RuleSet {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// All rules, compiled for asking, and what is known of the hosts that some of them watch.
#[derive(Clone, Debug)]
pub struct Policy {
    rules: Arc<[Compiled]>,
    hosts: Arc<hosts::Hosts>,
    verdicts: Arc<Verdicts>,
    /// Rules that name hosts, as opposed to those by addresses alone.
    hosted: RuleSet,
    /// Rules that look at the query name only (`cname: keep`).
    by_name_only: RuleSet,
    /// Rules that flatten chains.
    flattening: RuleSet,
    /// Rules for some clients only.
    selective: RuleSet,
    /// Rules that hold while their hosts are broken.
    managed: RuleSet,
}

/// One rule and its ranges.
#[derive(Clone, Debug)]
struct Compiled {
    rule: Rule,
    addresses: Ranges,
    clients: Ranges,
}

impl Compiled {
    /// Whether the addresses decide if it applies: those of its ranges, or those that are broken.
    fn is_bounded(&self) -> bool {
        !self.addresses.is_empty() || self.rule.when == When::Broken
    }
}

impl Policy {
    /// Compiles the rules of a valid configuration.
    pub fn new(rules: &[Rule]) -> Self {
        let pick = |wanted: &dyn Fn(&Rule) -> bool| {
            let places = rules.iter().enumerate().filter(|(_, rule)| wanted(rule));
            places.fold(RuleSet::NONE, |set, (place, _)| set | RuleSet::of(place))
        };
        Self {
            hosts: Arc::new(hosts::Hosts::new(rules)),
            verdicts: Arc::default(),
            hosted: pick(&|rule| !rule.hosts.is_empty()),
            by_name_only: pick(&|rule| rule.cname == Cname::Keep),
            flattening: pick(&|rule| rule.cname == Cname::Flatten && rule.mode == Mode::Enforce),
            selective: pick(&|rule| !rule.clients.is_empty()),
            managed: pick(&|rule| rule.when == When::Broken),
            rules: rules
                .iter()
                .map(|rule| Compiled {
                    addresses: Ranges::new(rule.addresses.iter().copied().map(Into::into)),
                    clients: Ranges::new(rule.clients.iter().copied()),
                    rule: rule.clone(),
                })
                .collect(),
        }
    }

    /// The same rules, with what is known now.
    #[must_use]
    pub fn with(&self, verdicts: Arc<Verdicts>) -> Self {
        Self {
            verdicts,
            ..self.clone()
        }
    }

    /// What is known of the hosts that rules watch.
    pub fn verdicts(&self) -> &Arc<Verdicts> {
        &self.verdicts
    }

    /// Rules that hold while their hosts are broken.
    pub fn managed(&self) -> RuleSet {
        self.managed
    }

    /// Whether the rule at this place cares for what an answer says: it means every address, or one of the answer's.
    pub fn watches(&self, place: usize, answer: &Answer) -> bool {
        self.rules.get(place).is_some_and(|compiled| {
            let ranges = &compiled.addresses;
            let mut addresses = answer.ipv6_addresses();
            ranges.is_empty() || addresses.any(|address| ranges.contains_v6(address))
        })
    }

    /// What is broken of a host, why and since when: for a rule that holds while it is.
    pub fn why(&self, place: usize, host: &Name) -> Option<&str> {
        let rule = self.rule(place).filter(|rule| rule.when == When::Broken)?;
        let watched = self.verdicts.host(rule.port, &host.lower())?;
        Some(&*watched.why).filter(|why| !why.is_empty())
    }

    /// The rule at a place.
    pub fn rule(&self, place: usize) -> Option<&Rule> {
        self.rules.get(place).map(|compiled| &compiled.rule)
    }

    /// Every rule, in file order.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|compiled| &compiled.rule)
    }

    /// Rules that name hosts.
    pub fn hosted(&self) -> RuleSet {
        self.hosted
    }

    /// Rules that name this name, and rules that spare it. `name` must be lower case.
    pub fn find(&self, name: &Name) -> Found {
        self.hosts.find(name)
    }

    /// Rules that hold for this client.
    pub fn serving(&self, client: IpAddr) -> RuleSet {
        let others = self.selective.places().filter(|place| {
            self.rules
                .get(*place)
                .is_some_and(|compiled| !compiled.clients.contains(client))
        });
        let excluded = others.fold(RuleSet::NONE, |set, place| set | RuleSet::of(place));
        RuleSet(u128::MAX).without(excluded)
    }

    /// Rules that touch a question by its own name or by a name its chain runs through.
    ///
    /// `inherited` are rules that the question's own name inherited from another chain. An `except`
    /// that spares the question's own name wins over all of it; `cname: keep` looks at that name only.
    pub fn touching(&self, name: &Name, inherited: RuleSet, chain: &[Name]) -> RuleSet {
        let own = self.find(name);
        let along = chain.iter().fold(RuleSet::NONE, |set, link| {
            let found = self.find(&link.lower());
            set | found.named.without(found.spared)
        });
        (own.named | inherited | along.without(self.by_name_only)).without(own.spared)
    }

    /// Of these rules, those that hand themselves on to the names that a chain or alias leads to: all but
    /// `cname: keep`. Under `cname: flatten` that happens only where there was nothing to flatten.
    ///
    /// Rules by addresses alone already mean every name.
    pub fn handed_on(&self, rules: RuleSet) -> RuleSet {
        (rules & self.hosted).without(self.by_name_only)
    }

    /// Whether one of these rules, the first of them that could apply, flattens chains.
    pub fn flattens(&self, rules: RuleSet) -> bool {
        let hosted = rules & self.hosted;
        let first = hosted.places().next().map_or(RuleSet::NONE, RuleSet::of);
        !(first & self.flattening).is_empty()
    }

    /// The first of these rules that applies to a set of addresses of a host: one that means every address, or one
    /// that means an address of the set.
    pub fn first_applying(
        &self,
        rules: RuleSet,
        host: &Name,
        addresses: &(impl Iterator<Item = Ipv6Addr> + Clone),
    ) -> Option<usize> {
        rules.places().find(|place| {
            self.rules.get(*place).is_some_and(|compiled| {
                !compiled.is_bounded()
                    || addresses
                        .clone()
                        .any(|address| self.removes(*place, host, address))
            })
        })
    }

    /// The rule that will strip a question whatever its AAAA records turn out to be, if the first of
    /// these rules is such a one: enforced, always, not bounded by addresses, no respect for signatures due.
    pub fn certain(&self, rules: RuleSet, dnssec_ok: bool) -> Option<usize> {
        let place = rules.places().next()?;
        let compiled = self.rules.get(place)?;
        let rule = &compiled.rule;
        let respects = rule.dnssec == Dnssec::Respect && dnssec_ok;
        (rule.mode == Mode::Enforce && !compiled.is_bounded() && !respects).then_some(place)
    }

    /// Whether the rule at this place removes this address of a host.
    fn removes(&self, place: usize, host: &Name, address: Ipv6Addr) -> bool {
        self.rules.get(place).is_some_and(|compiled| {
            let named = compiled.addresses.is_empty() || compiled.addresses.contains_v6(address);
            named && (compiled.rule.when == When::Always || self.strikes(compiled, host, address))
        })
    }

    /// Whether an address is broken as far as we know.
    fn strikes(&self, compiled: &Compiled, host: &Name, address: Ipv6Addr) -> bool {
        let rule = &compiled.rule;
        self.verdicts
            .is_broken(rule.port, &host.lower(), address)
            .unwrap_or(rule.initial == Initial::Strip)
    }
}
