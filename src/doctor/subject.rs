//! Which hosts are looked at where none is named: those of the rules, and the controls. No IO.

use super::dns::bare;
use super::report::HTTPS;
use crate::config::{Config, Pattern};
use crate::message::Name;

/// A host to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// As it was written.
    pub host: String,
    /// The same for name servers.
    pub name: Name,
    /// The port to connect to.
    pub port: u16,
}

impl Subject {
    fn of(name: &Name) -> Self {
        Self {
            host: bare(name),
            name: *name,
            port: HTTPS,
        }
    }
}

/// The names of a pull from Docker Hub: the registry, who gives its tokens, and where layers come from.
const DOCKER_HUB: [&str; 4] = [
    "registry-1.docker.io",
    "auth.docker.io",
    "production.cloudflare.docker.com",
    "production.cloudfront.docker.com",
];

/// Dual-stack hosts on two other networks.
const CONTROLS: [&str; 2] = ["quay.io", "registry.k8s.io"];

/// Rules may name tens of thousands of hosts.
const MOST: usize = 16;

/// The hosts that the rules of a configuration name, at most sixteen; those of a pull from Docker Hub for its preset,
/// and where no rule names a host.
pub fn of_rules(config: &Config) -> Vec<Subject> {
    let mut hosts: Vec<Subject> = Vec::new();
    let mut add = |name: Name| {
        let is_new = !name.is_root() && hosts.iter().all(|known| known.name != name);
        if is_new && hosts.len() < MOST {
            hosts.push(Subject::of(&name));
        }
    };
    for rule in &config.rules {
        if rule.witnesses.is_empty() {
            let names = rule.hosts.iter().filter_map(|pattern| match pattern {
                Pattern::Below(_) => None,
                Pattern::Exact(name) | Pattern::AtOrBelow(name) => Some(*name),
            });
            names.for_each(&mut add);
        } else {
            named(&DOCKER_HUB).for_each(&mut add);
        }
    }
    match hosts.is_empty() {
        true => named(&DOCKER_HUB).map(|name| Subject::of(&name)).collect(),
        false => hosts,
    }
}

/// The hosts that show whether IPv6 works at all.
pub fn controls() -> Vec<Subject> {
    named(&CONTROLS).map(|name| Subject::of(&name)).collect()
}

fn named<'a>(hosts: &'a [&str]) -> impl Iterator<Item = Name> + 'a {
    hosts.iter().filter_map(|host| Name::parse(host).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_say_which_hosts_are_looked_at() {
        let hub = DOCKER_HUB.join(" ");
        let mixed = format!("a.example b.example {hub}");
        let cases = [
            ("{}", hub.as_str()),
            ("rules: []", &hub),
            ("rules: [{addresses: ['2600:1f18::/32']}]", &hub),
            (
                "rules: [{hosts: [a.example, '*.c.example', .b.example]}, {preset: docker-hub}]",
                &mixed,
            ),
            ("rules: [{hosts: [a.example], mode: report}]", "a.example"),
            ("rules: [{hosts: ['.']}]", &hub),
        ];
        for (text, want) in cases {
            let found = of_rules(&Config::read(text).unwrap());
            let found: Vec<&str> = found.iter().map(|one| one.host.as_str()).collect();
            assert_eq!(found.join(" "), want, "{text}");
        }
        let many: Vec<String> = (0..40).map(|number| format!("h{number}.example")).collect();
        let many = format!("rules: [{{hosts: [{}]}}]", many.join(", "));
        assert_eq!(of_rules(&Config::read(&many).unwrap()).len(), MOST);
        assert_eq!(controls().len(), 2);
    }
}
