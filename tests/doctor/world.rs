//! This host's /etc, its name server, and what doctor says here.

use crate::daemon::namespace;
use crate::daemon::network::shell;
use crate::daemon::program::Ended;
use crate::daemon::upstream::{Upstream, at_once};
use crate::daemon::wire;
use serde_json::Value;
use std::fs;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::process::Command;

/// The host that is looked at, its addresses those of the far side.
pub(crate) const HOST: &str = "registry-1.docker.io";
/// A host behind another prefix.
pub(crate) const CONTROL: &str = "control.example";

/// The addresses of hosts, as the name server tells them.
pub(crate) type Zone = &'static [(&'static str, &'static [&'static str])];

pub(crate) const ZONE: Zone = &[
    (HOST, &["198.51.100.2", "2001:db8:b::2"]),
    (CONTROL, &["198.51.100.3", "2001:db8:c::2"]),
    ("cdn.example", &["198.51.100.2", "2001:db8:b::2"]),
    ("four.example", &["198.51.100.2"]),
    ("six.example", &["2001:db8:b::2"]),
    ("dead.example", &["198.51.100.99", "2001:db8:b::99"]),
    ("half.example", &["198.51.100.99", "2001:db8:c::2"]),
    (
        "mixed.example",
        &["198.51.100.2", "2001:db8:c::2", "2001:db8:b::2"],
    ),
    ("none.example", &[]),
];

/// An /etc of the test's own, one name server on loopback, and a second network far away.
pub(crate) fn host() -> Upstream {
    etc();
    fs::write("/etc/resolv.conf", "nameserver 127.0.0.1\n").unwrap();
    shell(
        "ip -n far address add 198.51.100.3/24 dev far && ip -n far address add 2001:db8:c::2/64 dev far nodad \
        && ip -n router route add 2001:db8:c::/64 dev right",
    );
    name_server("127.0.0.1", ZONE)
}

fn etc() {
    assert!(namespace::is_inside(), "the machine's own stays as it is");
    // Whoever is root of a user namespace alone cannot read all of it, and needs no more.
    shell(
        "mkdir -p /run/etc && { cp -a /etc/. /run/etc 2>/dev/null || true; } && mount --bind /run/etc /etc",
    );
    shell("rm -rf /etc/resolv.conf /etc/gai.conf /etc/unsix /etc/systemd/system/unsix*");
    fs::write("/etc/hosts", "127.0.0.1 localhost\n").unwrap();
    fs::write("/etc/nsswitch.conf", "hosts: files dns\n").unwrap();
}

/// A name server that knows these hosts, and no other name.
pub(crate) fn name_server(ip: &str, zone: Zone) -> Upstream {
    let datagrams = UdpSocket::bind((ip, 53)).unwrap();
    let streams = TcpListener::bind((ip, 53)).unwrap();
    Upstream::on(datagrams, Some(streams), move |asked| {
        let known = zone
            .iter()
            .find(|(name, _)| asked.name == format!("{name}."));
        let Some((_, addresses)) = known else {
            return at_once(wire::failure(&asked.packet, NXDOMAIN));
        };
        let records: Vec<Vec<u8>> = addresses
            .iter()
            .filter_map(|address| match (address.parse().unwrap(), asked.kind) {
                (IpAddr::V4(ip), wire::A) => Some(wire::record(wire::A, 300, &ip.octets())),
                (IpAddr::V6(ip), wire::AAAA) => Some(wire::record(wire::AAAA, 300, &ip.octets())),
                _ => None,
            })
            .collect();
        at_once(match records.is_empty() {
            true => wire::no_data(&asked.packet),
            false => wire::answer(&asked.packet, &records),
        })
    })
}

const NXDOMAIN: u8 = 3;

/// Doctor with these arguments, and the control of this network.
pub(crate) fn doctor(arguments: &[&str]) -> Ended {
    run(&[arguments, &["--control", CONTROL]].concat())
}

/// Doctor with these arguments alone.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unsix"));
    let output = command.arg("doctor").args(arguments).output().unwrap();
    Ended {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The same as JSON, with its exit code.
pub(crate) fn json(arguments: &[&str]) -> (Value, i32) {
    let ended = doctor(&[arguments, &["--json"]].concat());
    assert_eq!(ended.err, "");
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["exit_code"], ended.code, "{report:#}");
    (report, ended.code)
}

/// What is said of the first host.
pub(crate) fn first(report: &Value) -> (&str, &str) {
    let host = &report["hosts"][0];
    (
        host["verdict"].as_str().unwrap(),
        host["sentence"].as_str().unwrap(),
    )
}

/// Looks at the host, and finds this verdict with these words in its sentence.
#[track_caller]
pub(crate) fn finds(host: &str, verdict: &str, code: i32, words: &str) -> Value {
    let (report, found) = json(&[host]);
    let (said, sentence) = first(&report);
    assert_eq!((said, found), (verdict, code), "{report:#}");
    assert!(sentence.contains(words), "{sentence}\nhas no {words}");
    report
}
