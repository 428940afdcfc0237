//! What an attachment needs to know of the rules: their zones, and the names that show whether they act.

use super::{Config, Mode, Pattern, When};
use crate::message::Name;
use foldhash::{HashSet, HashSetExt};

impl Config {
    /// The zones that rules in force name hosts in, in their order: none twice, and none below another.
    pub fn zones(&self) -> Vec<Name> {
        let hosts = self.rules.iter().filter(|rule| rule.mode == Mode::Enforce);
        let all: Vec<Name> = hosts
            .flat_map(|rule| &rule.hosts)
            .map(|pattern| apex(pattern).lower())
            .collect();
        // By suffix: rules may name tens of thousands of hosts.
        let known: HashSet<_> = all.iter().map(Name::wire).collect();
        let mut seen = HashSet::new();
        let zones = all.iter().filter(|zone| {
            let lies_below = zone.suffixes().skip(1).any(|suffix| known.contains(suffix));
            !lies_below && seen.insert(zone.wire())
        });
        zones.copied().collect()
    }

    /// The name whose TXT record a running daemon answers itself: `_unsix` below the first of [`Self::zones`], and
    /// below `invalid`, which nobody forwards (RFC 6761 §6.4), where no rule in force names a host.
    pub fn canary(&self) -> Name {
        let below = |zone: &Name| Name::from_wire(&[LABEL, zone.wire()].concat());
        let found = self.zones().iter().find_map(below);
        found
            .or_else(|| Name::from_wire(NOWHERE))
            .unwrap_or(Name::ROOT)
    }

    /// Hosts known by name that lose every IPv6 address whoever asks, those of presets first within their rule.
    pub fn witnesses(&self) -> Vec<Name> {
        let rules = self.rules.iter().filter(|rule| {
            rule.mode == Mode::Enforce
                && rule.when == When::Always
                && rule.addresses.is_empty()
                && rule.clients.is_empty()
        });
        let mut seen = HashSet::new();
        let mut names = Vec::new();
        for rule in rules {
            let listed = rule.hosts.iter().filter_map(|pattern| match pattern {
                Pattern::Below(_) => None,
                Pattern::Exact(name) | Pattern::AtOrBelow(name) => Some(name),
            });
            for name in rule.witnesses.iter().chain(listed) {
                if !name.is_root() && seen.insert(*name) {
                    names.push(*name);
                }
            }
        }
        names
    }
}

fn apex(pattern: &Pattern) -> &Name {
    let (Pattern::Exact(name) | Pattern::Below(name) | Pattern::AtOrBelow(name)) = pattern;
    name
}

/// In wire form.
const LABEL: &[u8] = b"\x06_unsix";
const NOWHERE: &[u8] = b"\x06_unsix\x07invalid\0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_canary_and_witnesses_follow_from_the_rules() {
        #[rustfmt::skip]
        let cases = [
            ("the preset", "{}", "docker.io. docker.com.", "_unsix.docker.io.", "registry-1.docker.io. docker.io. docker.com."),
            ("no rule", "rules: []", "", "_unsix.invalid.", ""),
            ("once each", "rules: [{hosts: [a.example, '*.a.example', .b.example]}]", "a.example. b.example.", "_unsix.a.example.", "a.example. b.example."),
            ("the wider zone", "rules: [{hosts: [x.b.example]}, {hosts: [.b.example]}]", "b.example.", "_unsix.b.example.", "x.b.example. b.example."),
            ("only counted", "rules: [{hosts: [a.example], mode: report}, {hosts: [b.example]}]", "b.example.", "_unsix.b.example.", "b.example."),
            ("every name", "rules: [{hosts: [.]}]", ".", "_unsix.", ""),
            ("only while broken", "rules: [{hosts: [a.example], when: broken}]", "a.example.", "_unsix.a.example.", ""),
            ("by addresses alone", "rules: [{addresses: ['2600:1f18::/32']}]", "", "_unsix.invalid.", ""),
            ("not for everyone", "rules: [{hosts: [a.example], clients: [10.0.0.0/8]}]", "a.example.", "_unsix.a.example.", ""),
        ];
        for (why, text, zones, canary, witnesses) in cases {
            let config = Config::read(text).unwrap();
            let shown = |names: &[Name]| {
                let names: Vec<String> = names.iter().map(ToString::to_string).collect();
                names.join(" ")
            };
            assert_eq!(shown(&config.zones()), zones, "{why}");
            assert_eq!(config.canary().to_string(), canary, "{why}");
            assert_eq!(shown(&config.witnesses()), witnesses, "{why}");
        }
    }
}
