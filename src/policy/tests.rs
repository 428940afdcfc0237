//! Tables of what rules touch.

use super::{Policy, RuleSet};
use crate::config::Config;
use crate::message::Name;
use std::net::Ipv6Addr;

fn policy(rules: &str) -> Policy {
    Policy::new(&Config::read(rules).unwrap().rules)
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap().lower()
}

const RULES: &str = r#"
rules:
  - name: exact
    hosts: [registry-1.docker.io]
  - name: below
    hosts: ["*.docker.com"]
    except: [ok.docker.com]
  - name: zone
    hosts: [".quay.example"]
    cname: keep
    clients: [10.0.0.0/8]
  - name: range
    addresses: ["2600:1f18::/32"]
    except: [".spared.example"]
"#;

#[test]
fn a_name_is_touched_by_whole_labels() {
    let policy = policy(RULES);
    #[rustfmt::skip]
    let cases: &[(&str, &str, &[usize])] = &[
        ("that name only",           "registry-1.docker.io",       &[0, 3]),
        ("any letter case",          "Registry-1.DOCKER.io",       &[0, 3]),
        ("not below it",             "a.registry-1.docker.io",     &[3]),
        ("a lookalike",              "evil-registry-1.docker.io",  &[3]),
        ("a search suffix behind",   "registry-1.docker.io.default.svc.cluster.local", &[3]),
        ("below a star",             "a.b.docker.com",             &[1, 3]),
        ("a star is not itself",     "docker.com",                 &[3]),
        ("spared",                   "ok.docker.com",              &[3]),
        ("below a spared exact one", "x.ok.docker.com",            &[1, 3]),
        ("a dot is itself",          "quay.example",               &[2, 3]),
        ("and below",                "cdn.quay.example",           &[2, 3]),
        ("spared everywhere",        "a.spared.example",           &[]),
    ];
    for (why, text, want) in cases {
        let places: Vec<_> = policy
            .touching(&name(text), RuleSet::NONE, &[])
            .places()
            .collect();
        assert_eq!(places, *want, "{why}: {text}");
    }
}

#[test]
fn a_chain_touches_unless_the_question_is_spared() {
    let policy = policy(RULES);
    let chain = [name("cdn.example.org"), name("edge.docker.com")];
    let through = |question: &str| -> Vec<_> {
        policy
            .touching(&name(question), RuleSet::NONE, &chain)
            .places()
            .collect()
    };
    assert_eq!(through("alias.example.org"), [1, 3]);
    assert_eq!(
        through("ok.docker.com"),
        [3],
        "an except of the question's own name wins"
    );
    let kept = [name("cdn.quay.example")];
    let found = policy.touching(&name("alias.example.org"), RuleSet::NONE, &kept);
    assert_eq!(
        found,
        RuleSet::of(3),
        "`cname: keep` looks at the question's name only"
    );
}

#[test]
fn clients_and_ranges_narrow_a_rule() {
    let policy = policy(RULES);
    let inside = policy.serving("10.1.2.3".parse().unwrap());
    let outside = policy.serving("192.0.2.1".parse().unwrap());
    assert!(!(inside & RuleSet::of(2)).is_empty());
    assert!((outside & RuleSet::of(2)).is_empty());
    assert!(
        !(outside & RuleSet::of(0)).is_empty(),
        "absent clients means everyone"
    );

    let any = RuleSet::of(3);
    let first_applying = |rules, addresses: &[Ipv6Addr]| {
        policy.first_applying(rules, &name("a.example"), &addresses.iter().copied())
    };
    assert_eq!(
        first_applying(any, &["2600:1f18::1".parse().unwrap()]),
        Some(3)
    );
    assert_eq!(first_applying(any, &["2001:db8::1".parse().unwrap()]), None);
    assert_eq!(first_applying(RuleSet::of(0) | any, &[]), Some(0));
    assert_eq!(policy.certain(RuleSet::of(0) | any, true), Some(0));
    assert_eq!(
        policy.certain(any, false),
        None,
        "bounded by addresses: wait and see"
    );
}
