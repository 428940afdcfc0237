//! Which hosts are watched, when each is due, and what was decided of each.

use super::track::{Limits, Seen, Track, Verdict};
use super::words;
use crate::config::{Pattern, ProbeOptions};
use crate::message::Name;
use crate::policy::{Policy, RuleSet, Traffic, Verdicts, Watched};
use crate::probe::Outcome;
use crate::time::{Moment, Utc};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

/// A host and the port that is probed there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Its name, in lower case.
    pub host: Name,
    /// A TCP port.
    pub port: u16,
}

/// Why a host is, or is not, judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nobody has looked yet.
    #[default]
    New,
    /// Its IPv6 is probed.
    Probed,
    /// It has no IPv6 address: there is nothing to judge.
    NoIpv6,
    /// It has no IPv4 address: its IPv6 is all there is, and is never broken.
    NoIpv4,
    /// All its IPv6 addresses are kept inside a network, and `probe.allow` does not name them.
    Private,
    /// This host has no way to its IPv6 addresses: nothing can be told about them.
    NoRoute,
    /// Its addresses could not be learned.
    Unresolved,
}

/// What one round showed of a host.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Whether it could be judged at all.
    pub condition: Condition,
    /// Each IPv6 address that was probed, and what came of it.
    pub ipv6: Vec<(Ipv6Addr, Outcome)>,
    /// Whether its IPv4 works; none where nobody had to ask.
    pub ipv4_works: Option<bool>,
    /// Whether a control's IPv6 works meanwhile; none where nobody had to ask, or none tells.
    pub elsewhere: Option<bool>,
}

/// A verdict that became another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Of which host.
    pub endpoint: Endpoint,
    /// Of which address.
    pub address: Ipv6Addr,
    /// The rules that go by it.
    pub rules: Vec<String>,
    /// What is thought now.
    pub verdict: Verdict,
    /// How the address failed last, if it ever did.
    pub cause: Option<Outcome>,
    /// When, since 1970.
    pub at: Duration,
    /// Breaks within the last hour, this one included.
    pub breaks: usize,
    /// Whether IPv6 works elsewhere, where somebody looked.
    pub elsewhere: Option<bool>,
}

/// All hosts that are watched.
#[derive(Debug)]
pub struct Book {
    policy: Policy,
    options: ProbeOptions,
    hosts: HashMap<Endpoint, Host>,
    history: VecDeque<Change>,
}

#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) rules: RuleSet,
    /// A rule names it; else it was seen under a pattern.
    listed: bool,
    pub(super) condition: Condition,
    pub(super) addresses: BTreeMap<Ipv6Addr, Address>,
    traffic: Arc<Traffic>,
    due: Moment,
    /// When the last round began.
    begun: Moment,
    /// It is under way.
    busy: bool,
    /// Probes that the last round took.
    cost: usize,
}

#[derive(Debug, Default)]
pub(super) struct Address {
    pub(super) track: Track,
    /// When the name last led to it.
    seen: Moment,
}

impl Book {
    /// Watches what these rules name.
    pub fn new(policy: &Policy, options: &ProbeOptions, now: Moment) -> Self {
        let mut book = Self {
            policy: policy.clone(),
            options: options.clone(),
            hosts: HashMap::new(),
            history: VecDeque::new(),
        };
        book.follow(policy, options, now);
        book
    }

    /// A reload: what no rule names any more is forgotten, the rest keeps its verdicts.
    pub fn follow(&mut self, policy: &Policy, options: &ProbeOptions, now: Moment) {
        self.policy = policy.clone();
        self.options = options.clone();
        let mut listed = Vec::new();
        for place in policy.managed().places() {
            let Some(rule) = policy.rule(place) else {
                continue;
            };
            let exact = rule.hosts.iter().filter_map(|pattern| match pattern {
                Pattern::Exact(name) => Some(*name),
                Pattern::Below(_) | Pattern::AtOrBelow(_) => None,
            });
            for host in exact.chain(rule.witnesses.iter().copied()) {
                let host = host.lower();
                listed.push(Endpoint {
                    host,
                    port: rule.port,
                });
            }
        }
        for host in self.hosts.values_mut() {
            host.listed = false;
        }
        for endpoint in listed {
            let host = self.hosts.entry(endpoint).or_insert_with(|| Host::new(now));
            host.listed = true;
        }
        let policy = &self.policy;
        self.hosts.retain(|endpoint, host| {
            host.rules = rules_of(policy, *endpoint);
            !host.rules.is_empty()
        });
    }

    /// A client asked for a host that a rule watches on this port. True: it was new.
    pub fn sight(&mut self, name: &Name, port: u16, now: Moment) -> bool {
        let host = name.lower();
        let endpoint = Endpoint { host, port };
        let rules = rules_of(&self.policy, endpoint);
        if rules.is_empty() || self.hosts.contains_key(&endpoint) {
            return false;
        }
        self.make_room(rules);
        let host = Host {
            rules,
            ..Host::new(now)
        };
        host.traffic.touch(now);
        self.hosts.insert(endpoint, host);
        true
    }

    /// The host that nobody has asked for the longest goes, where a rule has as many as it may.
    fn make_room(&mut self, rules: RuleSet) {
        let first = rules.places().next().map_or(RuleSet::NONE, RuleSet::of);
        let seen = self
            .hosts
            .iter()
            .filter(|(_, host)| !host.listed && !(host.rules & first).is_empty());
        if seen.clone().count() >= MOST_SEEN
            && let Some((oldest, _)) = seen.min_by_key(|(_, host)| host.traffic.last())
        {
            let oldest = *oldest;
            self.hosts.remove(&oldest);
        }
    }

    /// A client asks for a host again and again: it is looked at now, unless it was just a moment ago. Gives the names of
    /// its rules.
    pub fn hurry(&mut self, host: Name, port: u16, now: Moment) -> Vec<String> {
        let Some(host) = self.hosts.get_mut(&Endpoint { host, port }) else {
            return Vec::new();
        };
        if now.since(host.begun) >= HURRY {
            host.due = host.due.min(now);
        }
        names(&self.policy, host.rules)
    }

    /// Hosts whose time has come, those that have waited longest, `most` of them; they are under way then, until
    /// [`Self::report`].
    pub fn take_due(&mut self, now: Moment, most: usize) -> Vec<Endpoint> {
        let waiting = self.hosts.iter_mut();
        let waiting = waiting.filter(|(_, host)| !host.busy && host.due <= now);
        let mut waiting: Vec<_> = waiting.collect();
        waiting.sort_unstable_by_key(|(_, host)| host.due);
        let taken = waiting.into_iter().take(most).map(|(endpoint, host)| {
            host.busy = true;
            host.begun = now;
            *endpoint
        });
        taken.collect()
    }

    /// What a round showed. `jitter` in 0..1 spreads the next ones, never beyond the interval.
    pub fn report(
        &mut self,
        endpoint: Endpoint,
        report: &Report,
        (now, wall): (Moment, Duration),
        jitter: f64,
    ) -> Vec<Change> {
        let limits = self.limits();
        let Some(host) = self.hosts.get_mut(&endpoint) else {
            return Vec::new();
        };
        host.busy = false;
        host.condition = report.condition;
        host.cost = report.ipv6.len() + usize::from(report.ipv4_works.is_some());
        let mut changes = Vec::new();
        for (address, outcome) in &report.ipv6 {
            let seen = match outcome {
                Outcome::Reachable => Seen::Works,
                failure if report.ipv4_works == Some(true) => Seen::Fails(*failure),
                _ => Seen::Nothing,
            };
            let known = host.addresses.entry(*address).or_default();
            known.seen = now;
            if known.track.observe(seen, (now, wall), &limits) {
                changes.push(Change {
                    endpoint,
                    address: *address,
                    rules: names(&self.policy, host.rules),
                    verdict: known.track.verdict,
                    cause: known.track.cause,
                    at: wall,
                    breaks: known.track.breaks(now),
                    elsewhere: report.elsewhere,
                });
            }
        }
        host.addresses
            .retain(|_, address| now.since(address.seen) <= FORGOTTEN);
        host.due = host.next_round(now, &limits, (self.options.interval, jitter));
        for change in &changes {
            if self.history.len() >= MOST_HISTORY {
                self.history.pop_front();
            }
            self.history.push_back(change.clone());
        }
        changes
    }

    /// What replies go by.
    pub fn verdicts(&self) -> Verdicts {
        let mut verdicts = Verdicts::default();
        for (endpoint, host) in &self.hosts {
            verdicts.put(endpoint.port, &endpoint.host, host.watched());
        }
        verdicts
    }

    /// How long it takes to probe every host once: the interval, or longer where `max_per_second` does not suffice.
    pub fn round(&self) -> Duration {
        let probes: usize = self.hosts.values().map(|host| host.cost).sum();
        let seconds = probes as f64 / f64::from(self.options.max_per_second.max(1));
        self.options.interval.max(Duration::from_secs_f64(seconds))
    }

    /// How the hosts are probed.
    pub fn options(&self) -> &ProbeOptions {
        &self.options
    }

    /// The rules that hold while their hosts are broken: name, hosts that are watched, addresses that are broken.
    pub fn by_rule(&self) -> Vec<(String, usize, usize)> {
        let each = self.policy.managed().places().filter_map(|place| {
            let rule = self.policy.rule(place)?;
            let own = RuleSet::of(place);
            let hosts = self.hosts.values();
            let hosts: Vec<_> = hosts
                .filter(|host| !(host.rules & own).is_empty())
                .collect();
            let broken = hosts.iter().map(|host| host.broken().count()).sum();
            Some((rule.name.clone(), hosts.len(), broken))
        });
        each.collect()
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            fall: self.options.fall,
            rise: self.options.rise,
            min_broken: self.options.min_broken,
        }
    }

    /// Every host, in the order of its name.
    pub(super) fn sorted(&self) -> Vec<(&Endpoint, &Host)> {
        let mut hosts: Vec<_> = self.hosts.iter().collect();
        hosts.sort_by_cached_key(|(endpoint, _)| (endpoint.host.to_string(), endpoint.port));
        hosts
    }

    /// What was decided before this process began.
    pub(super) fn recall(
        &mut self,
        endpoint: Endpoint,
        address: Ipv6Addr,
        track: Track,
        now: Moment,
    ) -> bool {
        if !self.hosts.contains_key(&endpoint) && !self.sight(&endpoint.host, endpoint.port, now) {
            return false;
        }
        let Some(host) = self.hosts.get_mut(&endpoint) else {
            return false;
        };
        host.addresses.insert(address, Address { track, seen: now });
        true
    }

    /// The names of a host's rules.
    pub(super) fn rules_named(&self, host: &Host) -> Vec<String> {
        names(&self.policy, host.rules)
    }

    /// The last changes, the oldest first.
    pub(super) fn history(&self) -> impl Iterator<Item = &Change> {
        self.history.iter()
    }
}

impl Host {
    fn new(now: Moment) -> Self {
        Self {
            due: now,
            ..Self::default()
        }
    }

    fn next_round(
        &self,
        now: Moment,
        limits: &Limits,
        (interval, jitter): (Duration, f64),
    ) -> Moment {
        let tracks = self.addresses.values().map(|address| &address.track);
        let span = if tracks.clone().any(Track::is_in_doubt) {
            // So that `fall` probes that each wait for their time limit end within `fall` intervals.
            interval.mul_f64(IN_DOUBT)
        } else {
            interval
        };
        let next = (self.begun + span.mul_f64(1.0 - SPREAD * jitter)).max(now);
        let heals = tracks.filter_map(|track| track.waits_until(limits)).min();
        heals.map_or(next, |at| next.min(at.max(now + interval.mul_f64(SPREAD))))
    }

    pub(super) fn broken(&self) -> impl Iterator<Item = (&Ipv6Addr, &Track)> {
        let tracks = self
            .addresses
            .iter()
            .map(|(at, address)| (at, &address.track));
        tracks.filter(|(_, track)| track.verdict == Verdict::Broken)
    }

    /// What is broken, why and since when.
    pub(super) fn why(&self) -> String {
        let first = self.broken().min_by_key(|(_, track)| track.since);
        if let Some((_, track)) = first {
            let cause = track.cause.map_or("IPv6 is broken", words::cause);
            return format!("{cause} since {}", Utc(track.since));
        }
        let unknown = |address: &Address| address.track.verdict == Verdict::Unknown;
        match self.addresses.values().all(unknown) {
            true => "not judged yet".to_owned(),
            false => String::new(),
        }
    }

    fn watched(&self) -> Watched {
        let decided =
            self.addresses
                .iter()
                .filter_map(|(at, address)| match address.track.verdict {
                    Verdict::Unknown => None,
                    Verdict::Healthy => Some((*at, false)),
                    Verdict::Broken => Some((*at, true)),
                });
        Watched {
            addresses: decided.collect(),
            why: self.why().into(),
            traffic: Arc::clone(&self.traffic),
        }
    }
}

/// The rules that hold while this host is broken on this port.
fn rules_of(policy: &Policy, endpoint: Endpoint) -> RuleSet {
    let found = policy.find(&endpoint.host);
    let all = found.named.without(found.spared) & policy.managed();
    let there = all.places().filter(|place| {
        policy
            .rule(*place)
            .is_some_and(|rule| rule.port == endpoint.port)
    });
    there.fold(RuleSet::NONE, |set, place| set | RuleSet::of(place))
}

fn names(policy: &Policy, rules: RuleSet) -> Vec<String> {
    let rules = rules.places().filter_map(|place| policy.rule(place));
    rules.map(|rule| rule.name.clone()).collect()
}

/// Hosts seen under one rule's patterns that are watched.
const MOST_SEEN: usize = 1_000;
/// Between a round and the next one, however much clients hurry.
const HURRY: Duration = Duration::from_secs(1);
/// Changes that are remembered.
const MOST_HISTORY: usize = 256;
/// An address that the name has not led to for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(3600);
/// The part of the interval after which a verdict in doubt is looked at again.
const IN_DOUBT: f64 = 0.6;
/// The part of a span by which jitter shortens it at most.
const SPREAD: f64 = 0.1;
