//! Why a client gets what it gets: the steps of a reply, in words.
//!
//! Looks at what the cache knows and decides with the very functions that decide for clients; asks
//! nobody. Whoever wants the whole story has the questions asked before ([`crate::cli`] does).

use super::check::{Decision, Said, Slot, View};
use super::pair::question_for_ipv4;
use super::replies::Audience;
use super::{Client, Pipeline};
use crate::config::{Initial, Mode, Pattern, Rule, When};
use crate::message::{Answer, Kind, Meaning, Name, Query, Section};
use crate::policy::{Policy, RuleSet};
use crate::time::Moment;
use std::net::Ipv4Addr;

/// The steps, each with the word it starts with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// In the order in which they count.
    pub steps: Vec<(&'static str, String)>,
}

impl Explanation {
    fn say(&mut self, what: &'static str, text: impl Into<String>) {
        self.steps.push((what, text.into()));
    }
}

impl Pipeline {
    /// Explains what a client would be told now; none where the bytes are no query.
    pub fn explain(&self, query: &[u8], client: Client, now: Moment) -> Option<Explanation> {
        let query = Query::peek(query).ok()?;
        let settings = self.settings();
        let to = Audience {
            settings: &settings,
            query: &query,
            client,
            now,
        };
        let mut told = Explanation::default();
        let question = &query.question;
        told.say(
            "question",
            format!(
                "{} {} from {}",
                question.name, question.kind, client.address
            ),
        );
        if !settings.access.contains(client.address) {
            told.say("access", "refused: the client is outside `access.allow`");
            return Some(told);
        }
        if let Some(special) = settings.special(question) {
            told.say(
                "special",
                format!("{} is answered here and never forwarded", special.zone),
            );
            return Some(told);
        }
        self.explain_servers(to, &mut told);
        let own = self.slot(to, question);
        let ipv4 = self.slot(to, &question_for_ipv4(question));
        let rules = self.explain_rules(to, &own, &ipv4, &mut told);
        if matches!(question.kind, Kind::AAAA | Kind::ANY) && !rules.is_empty() {
            told.say("A check", tell("A", &ipv4, now));
        }
        told.say("answer", tell(&question.kind.to_string(), &own, now));
        if let Some(said) = own.said() {
            explain_chain(&question.name, &said.answer, &mut told);
        }
        told.say("decision", self.explain_decision(to, (&own, &ipv4), rules));
        Some(told)
    }

    fn explain_servers(&self, to: Audience<'_>, told: &mut Explanation) {
        let servers = to.settings.servers(&to.query.question.name);
        let each = servers
            .iter()
            .map(|server| format!("{} ({:?})", server.server, server.state()));
        let text = each.collect::<Vec<_>>().join(", ").to_lowercase();
        told.say(
            "upstreams",
            if text.is_empty() {
                "none".to_owned()
            } else {
                text
            },
        );
    }

    /// Which rules touch the question, by which name and pattern.
    fn explain_rules(
        &self,
        to: Audience<'_>,
        own: &Slot,
        ipv4: &Slot,
        told: &mut Explanation,
    ) -> RuleSet {
        let policy = &to.settings.policy;
        let question = &to.query.question;
        let inherited = self.inherited(to);
        let chain = own
            .said()
            .or_else(|| ipv4.said())
            .map_or(&[][..], |said| said.answer.chain());
        let serving = policy.serving(to.client.address);
        let all = policy.touching(&question.name, inherited, chain);
        for place in all.places() {
            let Some(rule) = policy.rule(place) else {
                continue;
            };
            let why = reason(rule, &question.name, chain);
            let heard = if (RuleSet::of(place) & serving).is_empty() {
                ", but not for this client"
            } else {
                ""
            };
            let mode = if rule.mode == Mode::Report {
                " (report only)"
            } else {
                ""
            };
            told.say("rule", format!("{}{mode}: {why}{heard}", rule.name));
            if rule.when == When::Broken {
                told.say("verdict", verdict(policy, rule, &question.name));
            }
        }
        if all.is_empty() {
            told.say("rule", "none touches this name");
        }
        all & serving
    }

    fn explain_decision(
        &self,
        to: Audience<'_>,
        (own, ipv4): (&Slot, &Slot),
        rules: RuleSet,
    ) -> String {
        let policy = &to.settings.policy;
        let question = &to.query.question;
        let name = |place: usize| {
            policy
                .rule(place)
                .map_or_else(String::new, |rule| rule.name.clone())
        };
        if matches!((own, ipv4), (Slot::Open, Slot::Open)) {
            return "upstream's answer, asked for anew by each query: nothing of it is kept (TTL 0, or a denial without SOA)".to_owned();
        }
        if !matches!(question.kind, Kind::AAAA | Kind::ANY) {
            return hints_decision(question.kind, own, rules);
        }
        let serving = policy.serving(to.client.address);
        let view = View {
            settings: to.settings,
            question,
            rules: policy.touching(&question.name, self.inherited(to), &[]) & serving,
            inherited: self.inherited(to),
            serving,
            ipv4,
            own,
            now: to.now,
            over: true,
        };
        match view.decide() {
            Decision::Pass {
                reported: Some(place),
            } => {
                format!("passes, and is counted: rule {} only reports", name(place))
            }
            Decision::Pass { .. } => passing(&view, own, ipv4),
            Decision::Strip(place) => format!(
                "rule {} keeps the AAAA records it means from the client",
                name(place)
            ),
            Decision::NoData(place) => {
                let soa = self.explain_soa(to, ipv4);
                format!(
                    "rule {}: NODATA of our own, for the host has IPv4; {soa}",
                    name(place)
                )
            }
            Decision::NoName => {
                "NXDOMAIN: the A question says that the name does not exist".to_owned()
            }
            Decision::Ask { .. } | Decision::Wait(_) | Decision::Fail => {
                "SERVFAIL, or what the upstream said: nobody answered".to_owned()
            }
        }
    }

    fn explain_soa(&self, to: Audience<'_>, ipv4: &Slot) -> String {
        let last = ipv4.said().and_then(|said| said.answer.chain().last());
        let soa = self
            .zones
            .choose(last.unwrap_or(&to.query.question.name), to.now);
        format!("its SOA is that of {} ({})", soa.owner, soa.mname)
    }
}

/// Upstream's answer passes: because nothing touches it, or because IPv4 is missing.
fn passing(view: &View<'_>, own: &Slot, ipv4: &Slot) -> String {
    let Some(said) = own.said() else {
        return "upstream's own answer".to_owned();
    };
    let sixes = said.answer.ipv6_addresses();
    let rules = view.touching(&said.answer);
    let has_sixes = sixes.clone().next().is_some();
    let touched = view
        .settings
        .policy
        .first_applying(rules, &view.question.name, &sixes);
    match (touched, ipv4.said().map(|a| a.answer.meaning())) {
        (Some(_), Some(Meaning::NoData)) if has_sixes => {
            "passes unchanged: the host has no IPv4 and would be stranded (`require_ipv4`)"
                .to_owned()
        }
        (Some(_), None) if has_sixes => {
            "passes unchanged: nobody could say whether the host has IPv4".to_owned()
        }
        _ => "passes unchanged".to_owned(),
    }
}

fn hints_decision(kind: Kind, own: &Slot, rules: RuleSet) -> String {
    let mentions = own.said().is_some_and(|said| said.answer.mentions_ipv6());
    if rules.is_empty() || !mentions {
        return "passes unchanged".to_owned();
    }
    match kind {
        Kind::HTTPS | Kind::SVCB => {
            "passes without the ipv6hint addresses that the rules mean".to_owned()
        }
        _ => "passes without the AAAA records in ADDITIONAL that the rules mean".to_owned(),
    }
}

/// By which name and which pattern a rule touches a question.
fn reason(rule: &Rule, name: &Name, chain: &[Name]) -> String {
    if let Some(pattern) = rule.hosts.iter().find(|pattern| covers(pattern, name)) {
        return format!("`{pattern}` names it");
    }
    for link in chain {
        if let Some(pattern) = rule.hosts.iter().find(|pattern| covers(pattern, link)) {
            return format!("`{pattern}` names {link} in its chain");
        }
    }
    if rule.hosts.is_empty() {
        return "means every name, by address".to_owned();
    }
    "inherited from a chain that led here".to_owned()
}

/// What probes found of the host, for a rule that goes by it.
fn verdict(policy: &Policy, rule: &Rule, name: &Name) -> String {
    let initial = match rule.initial {
        Initial::Strip => "`initial: strip` holds",
        Initial::Pass => "`initial: pass` holds",
    };
    let Some(host) = policy.verdicts().host(rule.port, &name.lower()) else {
        return format!("no probe knows it on port {}: {initial}", rule.port);
    };
    if host.addresses.is_empty() {
        return format!("not judged yet: {initial}");
    }
    let each = |broken: bool| {
        let some = host.addresses.iter().filter(|(_, is)| **is == broken);
        let mut some: Vec<String> = some.map(|(address, _)| address.to_string()).collect();
        some.sort();
        some.join(", ")
    };
    match (each(true), each(false)) {
        (broken, _) if broken.is_empty() => "healthy: IPv6 works".to_owned(),
        (broken, healthy) if healthy.is_empty() => format!("broken ({broken}): {}", host.why),
        (broken, healthy) => format!("broken ({broken}): {}; healthy ({healthy})", host.why),
    }
}

fn covers(pattern: &Pattern, name: &Name) -> bool {
    match pattern {
        Pattern::Exact(host) => host == name,
        Pattern::Below(host) => host != name && name.is_at_or_below(host),
        Pattern::AtOrBelow(host) => name.is_at_or_below(host),
    }
}

fn tell(kind: &str, slot: &Slot, now: Moment) -> String {
    match slot {
        Slot::Said(said) => tell_said(kind, said, now),
        Slot::Failed(failed) => format!("{kind} failed: {}", failed.rcode),
        Slot::Open | Slot::Flying => {
            format!("{kind} is not known, or was not worth keeping (TTL 0)")
        }
    }
}

fn tell_said(kind: &str, said: &Said, now: Moment) -> String {
    let left = u64::from(said.answer.smallest_ttl().unwrap_or(0))
        .saturating_sub(now.since(said.learned).as_secs());
    let count = said
        .answer
        .records()
        .filter(|record| record.section == Section::Answer)
        .count();
    let plural = if count == 1 { "" } else { "s" };
    let addresses = addresses_of(&said.answer);
    let addresses = if addresses.is_empty() {
        String::new()
    } else {
        format!(" ({})", addresses.join(", "))
    };
    match said.answer.meaning() {
        Meaning::Data => {
            format!("{kind} has data: {count} record{plural}{addresses}, {left} s left")
        }
        Meaning::NoData => format!("{kind} has no data"),
        Meaning::NxDomain => format!("{kind} says that the name does not exist"),
        Meaning::Failure => format!("{kind} failed: {}", said.answer.rcode()),
    }
}

/// The addresses in ANSWER, of both families.
fn addresses_of(answer: &Answer) -> Vec<String> {
    let each = answer.records().filter_map(|record| {
        let four = <[u8; 4]>::try_from(record.rdata).ok();
        match record.kind {
            _ if record.section != Section::Answer => None,
            Kind::A => four.map(|octets| Ipv4Addr::from(octets).to_string()),
            _ => record.ipv6().map(|address| address.to_string()),
        }
    });
    each.collect()
}

/// The aliases that lead on from the question's name.
fn explain_chain(name: &Name, answer: &Answer, told: &mut Explanation) {
    if !answer.chain().is_empty() {
        let names = std::iter::once(name).chain(answer.chain());
        let names: Vec<_> = names.map(ToString::to_string).collect();
        told.say("chain", names.join(" -> "));
    }
}
