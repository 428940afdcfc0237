//! The three resolvers that programs bring along: each loses IPv6 of the listed host, and nothing else.

use crate::ways::Way;
use crate::world::{LISTED, OTHER, provider};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::process::Command;

/// Names whose answers are all the same with us: healthy, without IPv4, not there.
const UNTOUCHED: &[&str] = &[
    OTHER,
    "mx1.quay.io",
    "six-only.docker.io",
    "nobody.docker.io",
];

/// Names that lose their IPv6 addresses.
const TOUCHED: &[&str] = &[LISTED, "auth.docker.io", "docker.io"];

/// What a resolver says about a name, line by line: addresses, or why there are none.
type Look = fn(&str) -> BTreeSet<String>;

const RESOLVERS: [(&str, Look); 3] = [("glibc", glibc), ("musl", musl), ("Go", go)];

const MUSL: &str = "/run/host/getaddrinfo";

pub(crate) fn lose_nothing_else(way: Way) {
    let _provider = provider();
    let built = Command::new("musl-gcc")
        .args(["-static", "-o", MUSL])
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/real/getaddrinfo.c"
        ))
        .status();
    assert!(built.unwrap().success());
    let mut host = way.without_us();
    let before = RESOLVERS.map(|(_, look)| {
        let look = |name: &&'static str| (*name, look(name));
        TOUCHED
            .iter()
            .chain(UNTOUCHED)
            .map(look)
            .collect::<Vec<_>>()
    });
    let _led = host.lead();
    for ((resolver, look), before) in RESOLVERS.iter().zip(before) {
        for (name, before) in before {
            let found = look(name);
            if !TOUCHED.contains(&name) {
                assert_eq!(found, before, "{resolver}, {name}");
                continue;
            }
            let count = |lines: &BTreeSet<String>| {
                let fours = lines.iter().filter(|line| line.parse::<Ipv4Addr>().is_ok());
                let sixes = lines.iter().filter(|line| line.parse::<Ipv6Addr>().is_ok());
                (fours.count(), sixes.count())
            };
            assert!(
                matches!(count(&before), (1.., 1..)),
                "{resolver}: {before:?}"
            );
            let fours = before
                .iter()
                .filter(|line| line.parse::<Ipv4Addr>().is_ok());
            assert!(found.iter().eq(fours), "{resolver}, {name}: {found:?}");
        }
    }
}

/// That of this very program.
fn glibc(name: &str) -> BTreeSet<String> {
    match (name, 443).to_socket_addrs() {
        Ok(found) => found.map(|address| address.ip().to_string()).collect(),
        Err(error) => [error.to_string()].into(),
    }
}

/// A static program, as containerd of k3s is not but many tools in containers are.
fn musl(name: &str) -> BTreeSet<String> {
    lines(Command::new(MUSL).arg(name))
}

/// The pure Go resolver, as in containerd and dockerd.
fn go(name: &str) -> BTreeSet<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/lookup.go");
    lines(
        Command::new("yaegi")
            .args(["run", script, name])
            .env("GODEBUG", "netdns=go"),
    )
}

fn lines(command: &mut Command) -> BTreeSet<String> {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!said.is_empty(), "{command:?}: {output:?}");
    said.lines().map(str::to_owned).collect()
}
