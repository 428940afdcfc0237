//! What was seen of a host, in one sentence. No IO but the reading of the rules.

use super::connect::Outcome;
use super::{Seen, Target};
use crate::cli::Failure;
use crate::cli::health::read_running;
use crate::config::Mode;
use crate::message::Name;
use crate::policy::{Policy, RuleSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The rules that the running daemon should have.
pub(super) struct Rules {
    policy: Policy,
    file: String,
}

impl Rules {
    /// Of the file, or of the installed one.
    pub(super) fn read(file: Option<PathBuf>) -> Result<Self, Failure> {
        let (config, file) = read_running(file)?;
        let file = file.map_or_else(
            || "the configuration".to_owned(),
            |file| file.display().to_string(),
        );
        Ok(Self {
            policy: Policy::new(&config.rules),
            file,
        })
    }

    /// Why no rule takes anything from a host, and what to write; `None` where one should.
    fn lack(&self, host: &Name) -> Option<String> {
        let touching = self.policy.touching(&host.lower(), RuleSet::NONE, &[]);
        let first = touching.places().next();
        let file = &self.file;
        match first.and_then(|place| self.policy.rule(place)) {
            None => Some(format!(
                "no rule in {file} names it: write it into `hosts` of one"
            )),
            Some(rule) if rule.mode == Mode::Report => {
                let name = &rule.name;
                Some(format!(
                    "rule {name} in {file} only reports: write `mode: enforce` into it"
                ))
            }
            Some(_) => None,
        }
    }
}

/// A sentence that says whether programs are told IPv4 alone, and whether that works; an error where not.
pub(super) fn verdict(target: &Target, seen: &Seen, rules: &Rules) -> Result<String, String> {
    let lookup = span(seen.lookup);
    let told = match &seen.told {
        Ok(told) => told,
        Err(why) => {
            return Err(format!(
                "no: the system cannot look it up (after {lookup}): {why}: see `unsix status`"
            ));
        }
    };
    let (fours, sixes): (Vec<_>, Vec<_>) = told.iter().partition(|(address, _)| address.is_ipv4());
    let (four, six) = (shown(&fours), shown(&sixes));
    let works = |(_, outcome): &&(IpAddr, Outcome)| matches!(outcome, Outcome::Works { .. });
    let lack = rules.lack(&target.name);
    if fours.is_empty() {
        Err(format!(
            "no: programs are told IPv6 alone, which a rule leaves to a host without IPv4: {six}"
        ))
    } else if !sixes.is_empty() {
        let cure = lack.unwrap_or_else(|| ASTRAY.to_owned());
        Err(format!(
            "no, programs are still told IPv6: {six}; and IPv4: {four}; {cure}"
        ))
    } else if !fours.iter().any(works) {
        Err(format!(
            "no: programs are told IPv4 alone, and that does not work: {four}; {ELSEWHERE}"
        ))
    } else {
        let remark = lack.map(|lack| format!("; unsix has no part in that: {lack}"));
        Ok(format!(
            "yes, programs are told IPv4 alone (in {lookup}), and it works: {four}{}",
            remark.unwrap_or_default()
        ))
    }
}

const ASTRAY: &str = "a rule names it, so its questions do not come to unsix: see `unsix status`, and lead them there with `unsix attach`";
const ELSEWHERE: &str = "this is no matter of IPv6: look at firewalls, proxies and the host itself";

/// Each address with what came of it.
fn shown(addresses: &[&(IpAddr, Outcome)]) -> String {
    let each = addresses.iter().map(|(address, outcome)| match outcome {
        Outcome::Works {
            tcp,
            tls,
            certificate,
        } => {
            let remark = certificate
                .as_ref()
                .map(|fault| format!(", though its certificate is not good here: {fault}"));
            format!(
                "{address} (TCP {}, TLS {}{})",
                span(*tcp),
                span(*tls),
                remark.unwrap_or_default()
            )
        }
        Outcome::Fails { step, why } => format!("{address} ({step}: {why})"),
    });
    each.collect::<Vec<_>>().join(", ")
}

fn span(span: Duration) -> String {
    match span.as_millis() {
        0 => "under 1 ms".to_owned(),
        count => format!("{count} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn each_kind_of_answer_has_its_sentence() {
        let ms = Duration::from_millis;
        let works = || Outcome::Works {
            tcp: ms(11),
            tls: ms(24),
            certificate: None,
        };
        let proxied = || Outcome::Works {
            tcp: ms(0),
            tls: ms(24),
            certificate: Some("UnknownIssuer".to_owned()),
        };
        let hangs = || Outcome::Fails {
            step: "TLS",
            why: "no answer within 5 s".to_owned(),
        };
        let at = |ip: &str| ip.parse::<IpAddr>().unwrap();
        let (four, other, six) = (at("192.0.2.7"), at("192.0.2.8"), at("2001:db8::7"));
        #[rustfmt::skip]
        let cases = [
            ("registry-1.docker.io", vec![(four, works())], true,
                "yes, programs are told IPv4 alone (in 2 ms), and it works: 192.0.2.7 (TCP 11 ms, TLS 24 ms)"),
            ("registry-1.docker.io", vec![(four, hangs()), (other, proxied())], true,
                "192.0.2.7 (TLS: no answer within 5 s), 192.0.2.8 (TCP under 1 ms, TLS 24 ms, though its certificate is not good here: UnknownIssuer)"),
            ("registry-1.docker.io", vec![(six, hangs()), (four, works())], false,
                "no, programs are still told IPv6: 2001:db8::7 (TLS: no answer within 5 s); and IPv4: 192.0.2.7 (TCP 11 ms, TLS 24 ms); a rule names it, so"),
            ("quay.io", vec![(four, works())], true, "; unsix has no part in that: no rule in FILE names it"),
            ("quay.io", vec![(six, works()), (four, works())], false, "no rule in FILE names it: write it into `hosts` of one"),
            ("counted.example", vec![(six, works()), (four, works())], false, "rule seen in FILE only reports: write `mode: enforce` into it"),
            ("registry-1.docker.io", vec![(four, hangs())], false, "no: programs are told IPv4 alone, and that does not work: 192.0.2.7 (TLS: "),
            ("registry-1.docker.io", vec![(six, works())], false, "no: programs are told IPv6 alone, which a rule leaves to a host without IPv4"),
        ];
        let config = Config::read(
            "rules: [{preset: docker-hub}, {name: seen, hosts: [counted.example], mode: report}]",
        )
        .unwrap();
        let rules = Rules {
            policy: Policy::new(&config.rules),
            file: "FILE".to_owned(),
        };
        for (host, told, acts, words) in cases {
            let seen = Seen {
                told: Ok(told),
                lookup: ms(2),
            };
            let found = verdict(&host.parse().unwrap(), &seen, &rules);
            assert_eq!(found.is_ok(), acts, "{found:?}");
            let (Ok(sentence) | Err(sentence)) = found;
            assert!(sentence.contains(words), "{sentence}\nhas no {words}");
        }
        let seen = Seen {
            told: Err("Name or service not known".to_owned()),
            lookup: ms(2),
        };
        let sentence = verdict(&"quay.io".parse().unwrap(), &seen, &rules).unwrap_err();
        assert!(
            sentence.contains("cannot look it up (after 2 ms): Name or service"),
            "{sentence}"
        );
    }
}
