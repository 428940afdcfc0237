//! What helps: the rule, the commands that put it in force and those that undo that, and what mends the cause. No IO.

use super::Judged;
use super::dns::bare;
use super::puller::Resolver;
use super::report::{Advice, Place, Repair};
use super::route::{Route, network_of, way_to};
use super::seen::Seen;
use super::surroundings::Surroundings;
use super::verdict::{Control, Family, Fault, Strip, Verdict};
use crate::config::{Config, Mode};
use crate::message::Name;
use crate::policy::{Policy, RuleSet};
use std::net::{IpAddr, Ipv6Addr};

/// For all hosts of a run together.
pub(super) fn advice(
    hosts: &[Judged<'_>],
    controls: &[Seen],
    surroundings: &Surroundings,
    config: &Config,
    routes: &[Route],
) -> Advice {
    let broken: Vec<&Judged<'_>> = hosts
        .iter()
        .filter(|one| one.verdict.strip() == Strip::Yes)
        .collect();
    let mut advice = Advice {
        repairs: repairs(hosts, controls, routes),
        ..Advice::default()
    };
    if !broken.is_empty() {
        let lacking = lacking(&broken, surroundings, config);
        advice.rule = rule(&lacking);
        (advice.apply, advice.undo) = commands(&broken, &lacking, surroundings);
        let shown: Vec<&str> = broken.iter().map(|one| one.seen.host.as_str()).collect();
        advice
            .apply
            .push(format!("unsix verify {}", shown.join(" ")));
        advice.notes = notes(&broken, surroundings);
    }
    advice
}

/// Hosts that no rule in force of an installed unsix names.
fn lacking<'a>(
    broken: &[&'a Judged<'a>],
    surroundings: &Surroundings,
    config: &Config,
) -> Vec<&'a Judged<'a>> {
    let policy = Policy::new(&config.rules);
    let is_covered = |one: &&Judged<'_>| {
        let Ok(name) = Name::parse(&one.seen.host) else {
            return false;
        };
        let touching = policy.touching(&name.lower(), RuleSet::NONE, &[]);
        let first = touching
            .places()
            .next()
            .and_then(|place| policy.rule(place));
        first.is_some_and(|rule| rule.mode == Mode::Enforce)
    };
    let is_installed = surroundings.unsix.config.is_some();
    let lacking = broken
        .iter()
        .filter(|one| !(is_installed && is_covered(one)));
    lacking.copied().collect()
}

/// The `rules` for them.
fn rule(hosts: &[&Judged<'_>]) -> Option<String> {
    if hosts.is_empty() {
        return None;
    }
    let everywhere =
        |one: &&Judged<'_>| one.verdict == Verdict::Ipv6Broken && one.control.0 == Control::Fails;
    if hosts.iter().any(everywhere) {
        return Some("rules:\n  - {name: broken-ipv6, hosts: [\".\"]}\n".to_owned());
    }
    let (hub, others): (Vec<&Judged<'_>>, Vec<&Judged<'_>>) =
        hosts.iter().copied().partition(|one| is_docker_hub(one));
    let mut rules = "rules:\n".to_owned();
    if !hub.is_empty() {
        rules += "  - {preset: docker-hub, when: broken}\n";
    }
    if !others.is_empty() {
        let mut names: Vec<String> = Vec::new();
        for one in others {
            let name = Name::parse(&one.seen.host).map(|name| bare(&name.lower()));
            let name = format!("{:?}", name.unwrap_or_default());
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let names = names.join(", ");
        rules += &format!("  - {{name: broken-ipv6, hosts: [{names}], when: broken}}\n");
    }
    Some(rules)
}

fn is_docker_hub(one: &Judged<'_>) -> bool {
    let below = |zone: &str| {
        let zone = Name::parse(zone);
        let host = Name::parse(&one.seen.host);
        matches!((host, zone), (Ok(host), Ok(zone)) if host.lower().is_at_or_below(&zone))
    };
    below("docker.io") || below("docker.com")
}

/// What puts the rule in force, and what undoes that.
fn commands(
    broken: &[&Judged<'_>],
    lacking: &[&Judged<'_>],
    surroundings: &Surroundings,
) -> (Vec<String>, Vec<String>) {
    let unsix = &surroundings.unsix;
    let (mut apply, mut undo) = (Vec::new(), Vec::new());
    let Some(file) = &unsix.config else {
        apply.push("sudo unsix install".to_owned());
        if !lacking.iter().all(|one| is_docker_hub(one)) {
            apply.push(format!("sudoedit {INSTALLED}"));
        }
        undo.push("sudo unsix uninstall".to_owned());
        return (apply, undo);
    };
    if !lacking.is_empty() {
        apply.extend([format!("sudoedit {file}"), format!("unsix check {file}")]);
        undo.push(format!("sudoedit {file}"));
    }
    let is_asked = broken.iter().any(|one| one.seen.asks_unsix());
    let mut units = Vec::new();
    if unsix.version.is_none() {
        units.extend(["unsix.socket", "unsix.service"]);
    }
    if unsix.attached == "none" && !is_asked {
        units.push("unsix-attach.service");
    }
    match (units.is_empty(), unsix.unit, unsix.version.is_some()) {
        (true, ..) => {}
        (_, true, _) => {
            let units = units.join(" ");
            apply.push(format!("sudo systemctl enable --now {units}"));
            undo.push(format!("sudo systemctl disable --now {units}"));
        }
        // However it ends, nothing of it is left.
        (_, false, true) => apply.push(format!("sudo unsix attach --config {file}")),
        (_, false, false) => {
            apply.push("sudo unsix install".to_owned());
            undo.push("sudo unsix uninstall".to_owned());
        }
    }
    // It is asked, has a rule, and tells the addresses all the same.
    let heedless = |one: &&&Judged<'_>| {
        let lacks = lacking.iter().any(|other| std::ptr::eq(*other, **one));
        one.seen.asks_unsix() && !lacks
    };
    let heedless = broken.iter().find(heedless);
    apply.extend(heedless.map(|one| format!("unsix explain {} --config {file}", one.seen.host)));
    (apply, undo)
}

const INSTALLED: &str = "/etc/unsix/unsix.yaml";

fn notes(broken: &[&Judged<'_>], surroundings: &Surroundings) -> Vec<String> {
    let mut notes = Vec::new();
    let is = |verdict| broken.iter().any(|one| one.verdict == verdict);
    if is(Verdict::BigHello) {
        notes.push("whoever runs the device on the way must let large ClientHellos through; until then GODEBUG=tlsmlkem=0 in their environment makes programs of Go (containerd, dockerd) send small ones".to_owned());
    }
    if is(Verdict::Ipv6Broken) {
        notes.push(
            "IPv6 that works nowhere is better turned off, or mended by whoever runs this network"
                .to_owned(),
        );
    }
    if surroundings.kubernetes.is_some() {
        notes.push("pods whose pull failed wait up to five minutes: `kubectl delete pod NAME` tries again at once".to_owned());
    }
    if surroundings.pullers_by(Resolver::Musl).next().is_some() {
        notes.push("k3s asks all name servers of resolv.conf at once: unsix must be the only one, or be attached".to_owned());
    }
    notes
}

/// Where large packets are lost: the same from the other end.
fn repairs(hosts: &[Judged<'_>], controls: &[Seen], routes: &[Route]) -> Vec<Repair> {
    let lost: Vec<&Seen> = hosts
        .iter()
        .filter(|one| [Some(one.verdict), one.behind].contains(&Some(Verdict::PmtuBlackHole)))
        .map(|one| one.seen)
        .collect();
    if lost.is_empty() {
        return Vec::new();
    }
    let hole = Family::Fails(Fault::BlackHole);
    let mut networks: Vec<(String, Ipv6Addr)> = Vec::new();
    for seen in lost {
        for probed in &seen.probes {
            let found = Family::of(&[probed.found()]);
            let IpAddr::V6(address) = probed.address else {
                continue;
            };
            let network = network_of(address);
            if found == hole && networks.iter().all(|(known, _)| *known != network) {
                networks.push((network, address));
            }
        }
    }
    if controls.iter().any(|one| one.six() == hole) {
        // All that is global (RFC 4291 §2.4): it wins over a default route, and whoever made that one does not touch it.
        networks.truncate(1);
        networks
            .iter_mut()
            .for_each(|(network, _)| *network = "2000::/3".to_owned());
    }
    let mut repairs = Vec::new();
    repairs.extend(smaller_packets(&networks, routes));
    repairs.extend(clamps());
    repairs
}

fn smaller_packets(networks: &[(String, Ipv6Addr)], routes: &[Route]) -> Option<Repair> {
    let (mut apply, mut undo) = (Vec::new(), Vec::new());
    for (network, address) in networks {
        let way = way_to(*address, routes)?;
        apply.push(format!(
            "sudo ip -6 route add {network} {way} mtu 1280 advmss 1220"
        ));
        undo.push(format!("sudo ip -6 route del {network} {way}"));
    }
    Some(Repair {
        title: "smaller packets between this host and there, until the next start".to_owned(),
        place: Place::Here,
        apply,
        undo,
    })
}

/// Both connections' ends learn of it, for both SYNs pass there.
fn clamps() -> [Repair; 2] {
    let by = |tool: &str, apply: &[&str], undo: &str| Repair {
        title: format!("an MSS clamp for all that passes, with {tool}"),
        place: Place::Router,
        apply: apply.iter().map(|line| (*line).to_owned()).collect(),
        undo: vec![undo.to_owned()],
    };
    [
        by(
            "nftables",
            &[
                "sudo nft add table ip6 mss",
                "sudo nft 'add chain ip6 mss forward { type filter hook forward priority mangle; }'",
                "sudo nft 'add rule ip6 mss forward tcp flags syn tcp option maxseg size set 1220'",
            ],
            "sudo nft delete table ip6 mss",
        ),
        by(
            "ip6tables",
            &[
                "sudo ip6tables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1220",
            ],
            "sudo ip6tables -t mangle -D FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1220",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::surroundings::Unsix;
    use super::*;

    fn seen(host: &str) -> Seen {
        Seen {
            host: host.to_owned(),
            port: 443,
            said: Vec::new(),
            probes: Vec::new(),
        }
    }

    /// A host, its verdict and what controls say.
    type Told<'a> = (&'a str, Verdict, Control);

    /// The advice for hosts with these verdicts, under this configuration, where it is installed and where not.
    fn told(hosts: &[Told<'_>], unsix: Unsix, config: &str) -> Advice {
        let seen: Vec<Seen> = hosts.iter().map(|(host, ..)| seen(host)).collect();
        let judged = hosts
            .iter()
            .zip(&seen)
            .map(|((_, verdict, control), seen)| {
                let (verdict, control) = (*verdict, (*control, None));
                Judged {
                    seen,
                    verdict,
                    behind: None,
                    control,
                }
            });
        let judged: Vec<Judged<'_>> = judged.collect();
        let surroundings = Surroundings {
            unsix,
            ..Surroundings::default()
        };
        advice(
            &judged,
            &[],
            &surroundings,
            &Config::read(config).unwrap(),
            &[],
        )
    }

    fn unsix(config: Option<&str>, runs: bool, attached: &str) -> Unsix {
        Unsix {
            version: runs.then(|| "0.1.0".to_owned()),
            attached: attached.to_owned(),
            config: config.map(str::to_owned),
            unit: true,
        }
    }

    const HUB: &str = "  - {preset: docker-hub, when: broken}\n";

    #[test]
    fn the_rule_names_what_is_broken() {
        use Control::{Fails, Works};
        use Verdict::{Healthy, Ipv4Broken, Ipv6Broken, TlsStall};
        #[rustfmt::skip]
        let cases: [(&[Told<'_>], Option<String>); 6] = [
            (&[("a.example", Healthy, Works)], None),
            (&[("a.example", Ipv4Broken, Works)], None),
            (&[("auth.docker.io", TlsStall, Works), ("hub.DOCKER.com.", TlsStall, Works)], Some(HUB.to_owned())),
            (&[("a.example", TlsStall, Works), ("A.example.", TlsStall, Works)], Some("  - {name: broken-ipv6, hosts: [\"a.example\"], when: broken}\n".to_owned())),
            (&[("notdocker.io", TlsStall, Works), ("docker.io", Ipv6Broken, Works)], Some(format!("{HUB}  - {{name: broken-ipv6, hosts: [\"notdocker.io\"], when: broken}}\n"))),
            (&[("docker.io", Ipv6Broken, Fails)], Some("  - {name: broken-ipv6, hosts: [\".\"]}\n".to_owned())),
        ];
        for (hosts, want) in cases {
            let advice = told(hosts, unsix(None, false, "none"), "{}");
            assert_eq!(advice.rule, want.map(|rules| format!("rules:\n{rules}")));
            assert_eq!(advice.apply.is_empty(), advice.rule.is_none());
            if let Some(rule) = advice.rule {
                assert!(Config::read(&rule).is_ok(), "{rule}");
            }
        }
    }

    #[test]
    fn commands_begin_where_the_host_stands() {
        const FILE: &str = "/etc/unsix/unsix.yaml";
        let stall = |host| [(host, Verdict::TlsStall, Control::Works)];
        let (hub, other) = (stall("docker.io"), stall("a.example"));
        let (edit, check) = (format!("sudoedit {FILE}"), format!("unsix check {FILE}"));
        let bare = |unsix| Unsix {
            unit: false,
            ..unsix
        };
        const ALL: &str =
            "sudo systemctl enable --now unsix.socket unsix.service unsix-attach.service";
        const LEAD: &str = "sudo systemctl enable --now unsix-attach.service";
        let (end_all, let_go) = (
            ALL.replace("enable", "disable"),
            LEAD.replace("enable", "disable"),
        );
        let (end_all, let_go) = (end_all.as_str(), let_go.as_str());
        let by_hand = format!("sudo unsix attach --config {FILE}");
        const INSTALL: &str = "sudo unsix install";
        const UNINSTALL: &str = "sudo unsix uninstall";
        let (of_hub, of_other) = ("unsix verify docker.io", "unsix verify a.example");
        #[rustfmt::skip]
        let cases = [
            ("nothing there",       &hub,   unsix(None, false, "none"),             vec![INSTALL, of_hub],          vec![UNINSTALL]),
            ("nothing there",       &other, unsix(None, false, "none"),             vec![INSTALL, &edit, of_other], vec![UNINSTALL]),
            ("installed, no rule",  &other, unsix(Some(FILE), true, "redirect"),    vec![&edit, &check, of_other],  vec![&edit]),
            ("installed, stopped",  &hub,   unsix(Some(FILE), false, "none"),       vec![ALL, of_hub],              vec![end_all]),
            ("nobody led there",    &hub,   unsix(Some(FILE), true, "none"),        vec![LEAD, of_hub],             vec![let_go]),
            ("a file is left over", &hub,   bare(unsix(Some(FILE), false, "none")), vec![INSTALL, of_hub],          vec![UNINSTALL]),
            ("it runs by hand",     &hub,   bare(unsix(Some(FILE), true, "none")),  vec![&by_hand, of_hub],         vec![]),
            ("attached, no effect", &hub,   unsix(Some(FILE), true, "resolved"),    vec![of_hub],                   vec![]),
        ];
        for (why, hosts, unsix, want, undo) in cases {
            let advice = told(hosts, unsix, "{}");
            assert_eq!(advice.apply, want, "{why}");
            assert_eq!(advice.undo, undo, "{why}");
        }
    }
}
