//! What is told decides, whoever else knows better.

use super::*;
use crate::probe::{Finding, Outcome};
use std::net::SocketAddr;

fn answered(addresses: &[&str]) -> Answered {
    Answered {
        status: "NOERROR".to_owned(),
        addresses: addresses.iter().map(|one| one.parse().unwrap()).collect(),
        records: addresses.len(),
        known: true,
        ..Answered::default()
    }
}

fn failed() -> Answered {
    Answered {
        status: "SERVFAIL".to_owned(),
        ..Answered::default()
    }
}

/// A name server that tells these IPv4 and these IPv6 addresses.
fn said(role: Role, last: u8, a: &[&str], aaaa: &[&str]) -> Said {
    Said {
        server: (role != Role::HostsFile).then(|| SocketAddr::from(([192, 0, 2, last], 53)).into()),
        role,
        unsix: None,
        a: answered(a),
        aaaa: answered(aaaa),
        https: answered(&[]),
    }
}

/// The same where it is a unsix that takes IPv6 addresses away.
fn stripping(last: u8, a: &[&str], text: Option<&str>) -> Said {
    let mut said = said(Role::Programs, last, a, &[]);
    said.unsix = Some("0.1.0".to_owned());
    said.aaaa.filtered = text.map(str::to_owned);
    said
}

fn seen(said: Vec<Said>, outcome: impl Fn(&IpAddr) -> Outcome) -> Seen {
    let probe = |address: IpAddr| {
        let finding = Finding {
            outcome: outcome(&address),
            connected: None,
            answered: None,
        };
        Probed::of(address, Ok(finding))
    };
    Seen {
        host: "a.example".to_owned(),
        port: 443,
        probes: to_probe(&said).into_iter().map(probe).collect(),
        said,
    }
}

fn works(_: &IpAddr) -> Outcome {
    Outcome::Reachable
}

fn ipv4_works(address: &IpAddr) -> Outcome {
    match address.is_ipv4() {
        true => Outcome::Reachable,
        false => Outcome::ConnectTimeout,
    }
}

const A: &[&str] = &["198.51.100.1"];
const AAAA: &[&str] = &["2001:db8::1"];

#[test]
fn three_addresses_of_a_family_are_probed_those_of_programs_first() {
    let programs = said(Role::Programs, 1, &["198.51.100.1", "0.0.0.0"], &["::"]);
    let behind = said(
        Role::Resolved,
        2,
        &[
            "198.51.100.2",
            "198.51.100.1",
            "198.51.100.3",
            "198.51.100.4",
        ],
        AAAA,
    );
    let found = to_probe(&[behind, programs]);
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "198.51.100.1",
            "198.51.100.2",
            "198.51.100.3",
            "2001:db8::1"
        ]
    );
}

#[test]
fn what_programs_are_told_decides() {
    let control = Control::Works;
    let judge = |said| seen(said, ipv4_works).judge(control);
    #[rustfmt::skip]
    let cases = [
        ("both", vec![said(Role::Programs, 1, A, AAAA)], (Verdict::Ipv6Dropped, None)),
        ("another filter takes IPv6 away", vec![said(Role::Programs, 1, A, &[]), said(Role::Resolved, 2, A, AAAA)], (Verdict::NothingToStrip, None)),
        ("ours does, and says so", vec![stripping(1, A, Some("docker-hub"))], (Verdict::NothingToStrip, None)),
        ("ours does, as others show", vec![stripping(1, A, None), said(Role::Unsix, 2, A, AAAA)], (Verdict::NothingToStrip, Some(Verdict::Ipv6Dropped))),
        ("ours, and a second one gives it back", vec![stripping(1, A, Some("x")), said(Role::Programs, 2, A, AAAA)], (Verdict::Ipv6Dropped, None)),
        ("the file alone", vec![said(Role::HostsFile, 0, A, &[]), said(Role::Programs, 1, A, AAAA)], (Verdict::NothingToStrip, None)),
        ("programs' servers fail", vec![Said { a: failed(), aaaa: failed(), ..said(Role::Programs, 1, &[], &[]) }, said(Role::Resolved, 2, A, AAAA)], (Verdict::Ipv6Dropped, None)),
        ("nobody knows of IPv6", vec![Said { aaaa: failed(), ..said(Role::Programs, 1, A, &[]) }], (Verdict::CannotTell, None)),
        ("nobody knows of IPv4", vec![Said { a: failed(), ..said(Role::Programs, 1, &[], AAAA) }], (Verdict::CannotTell, None)),
        ("nobody", vec![], (Verdict::CannotTell, None)),
    ];
    for (why, said, want) in cases {
        assert_eq!(judge(said), want, "{why}");
    }
}

#[test]
fn controls_say_only_what_they_show() {
    let named = |host: &str, seen: Seen| Seen {
        host: host.to_owned(),
        ..seen
    };
    let both = || vec![said(Role::Programs, 1, A, AAAA)];
    let host = named("host.example", seen(both(), ipv4_works));
    let healthy = || named("healthy.example", seen(both(), works));
    let broken = || named("broken.example", seen(both(), ipv4_works));
    let dead = || named("dead.example", seen(both(), |_| Outcome::ConnectTimeout));
    let four = || {
        named(
            "four.example",
            seen(vec![said(Role::Programs, 1, A, &[])], works),
        )
    };
    let itself = || named("HOST.example", seen(both(), works));
    #[rustfmt::skip]
    let cases = [
        ("it works",               vec![],                   vec![healthy()],           Control::Works,   Some("healthy.example")),
        ("one of two works",       vec![],                   vec![broken(), healthy()], Control::Works,   Some("healthy.example")),
        ("it fails",               vec![],                   vec![dead(), broken()],    Control::Fails,   Some("broken.example")),
        ("another host works",     vec![healthy()],          vec![broken()],            Control::Works,   Some("healthy.example")),
        ("another host is broken", vec![broken()],           vec![dead()],              Control::Missing, None),
        ("it is down",             vec![],                   vec![dead()],              Control::Missing, None),
        ("it has no IPv6",         vec![],                   vec![four()],              Control::Missing, None),
        ("it is the host itself",  vec![],                   vec![itself()],            Control::Missing, None),
        ("none",                   vec![],                   vec![],                    Control::Missing, None),
    ];
    for (why, others, controls, want, name) in cases {
        assert_eq!(control(&host, &others, &controls), (want, name), "{why}");
    }
}

#[test]
fn what_else_was_noticed_is_said() {
    let odd = said(
        Role::Programs,
        1,
        &["0.0.0.0", "198.51.100.1"],
        &["64:ff9b::c633:6401"],
    );
    let without = said(Role::Programs, 2, A, &[]);
    let remarks = seen(vec![odd, without], works).remarks();
    let words = [
        "192.0.2.1 tells IPv6 addresses and 192.0.2.2 none",
        "192.0.2.1 tells the unspecified address",
        "is made from an IPv4 address by DNS64",
    ];
    assert_eq!(remarks.len(), words.len(), "{remarks:?}");
    for (remark, words) in remarks.iter().zip(words) {
        assert!(remark.contains(words), "{remark}");
    }
}
