//! What doctor prints as a cure is done word for word, heals, and is undone.

use crate::daemon::network::{FAR6, narrow, narrow_to, server, shell};
use crate::daemon::program::Program;
use crate::world::{CONTROL, HOST, finds, first, host, json};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Runs commands as a person would, where they belong.
fn do_all(commands: &Value, place: &str) {
    let commands = commands.as_array().unwrap();
    assert!(!commands.is_empty());
    for command in commands {
        let line = command.as_str().unwrap().replace('\'', "'\\''");
        // We are root already.
        let script = format!("sh -c 'sudo() {{ \"$@\"; }}; {line}'");
        match place {
            "here" => shell(&script),
            "router" => shell(&format!("ip netns exec router {script}")),
            other => panic!("{other}"),
        }
    }
}

/// A black hole that the repair of this title heals, for as long as it is in force.
fn heals(title: &str) {
    let _dns = host();
    server();
    narrow_to(FAR6);
    let report = finds(HOST, "PMTU_BLACK_HOLE", 10, "a path MTU black hole");
    let repairs = report["advice"]["repairs"].as_array().unwrap().iter();
    let mut fitting = repairs.filter(|one| one["title"].as_str().unwrap().contains(title));
    let repair = fitting.next().unwrap_or_else(|| panic!("{report:#}"));
    let place = repair["place"].as_str().unwrap();
    do_all(&repair["apply"], place);
    finds(HOST, "HEALTHY", 0, "both answer");
    do_all(&repair["undo"], place);
    finds(HOST, "PMTU_BLACK_HOLE", 10, "");
}

pub(crate) fn route() {
    heals("smaller packets");
}

pub(crate) fn nftables() {
    heals("nftables");
}

pub(crate) fn ip6tables() {
    heals("ip6tables");
}

/// Where the control is hit too, the route is for all that is global.
pub(crate) fn everywhere() {
    let _dns = host();
    server();
    narrow(false);
    let (report, _) = json(&[HOST]);
    assert_eq!(report["controls"][0]["verdict"], "PMTU_BLACK_HOLE");
    let repair = &report["advice"]["repairs"][0];
    let line = repair["apply"][0].as_str().unwrap();
    assert_eq!(
        line,
        "sudo ip -6 route add 2000::/3 via 2001:db8:a::1 dev here mtu 1280 advmss 1220"
    );
    do_all(&repair["apply"], "here");
    let (report, code) = json(&[HOST]);
    assert_eq!((first(&report).0, code), ("HEALTHY", 0));
    assert_eq!(report["controls"][0]["verdict"], "HEALTHY");
}

/// The rule it prints, in the file of a daemon that this host's programs ask.
pub(crate) fn rule() {
    let _dns = host();
    server();
    narrow_to(FAR6);
    let (report, code) = json(&[HOST, "cdn.example", "four.example"]);
    assert_eq!(code, 10);
    let rule = report["advice"]["rule"].as_str().unwrap();
    assert_eq!(
        rule,
        "rules:\n  - {preset: docker-hub, when: broken}\n  - {name: broken-ipv6, hosts: [\"cdn.example\"], when: broken}\n"
    );
    assert_eq!(report["advice"]["apply"][0], "sudo unsix install");
    assert_eq!(report["advice"]["undo"][0], "sudo unsix uninstall");
    let listen = "listen: [\"127.0.6.53:53\"]\nupstreams: [127.0.0.1]\nadmin: off\n";
    let file = "/run/unsix.yaml";
    fs::write(file, format!("{listen}{rule}")).unwrap();
    let _daemon = Program::serve(Path::new(file));
    // It runs, and nobody asks it: no rule is lacking, and the programs must be led there.
    let (report, code) = json(&[HOST, "--config", file]);
    assert_eq!((first(&report).0, code), ("PMTU_BLACK_HOLE", 10));
    assert_eq!(report["advice"]["rule"], Value::Null);
    assert_eq!(
        report["advice"]["apply"][0],
        "sudo unsix attach --config /run/unsix.yaml"
    );
    fs::write("/etc/resolv.conf", "nameserver 127.0.6.53\n").unwrap();
    let (report, code) = json(&[HOST, "cdn.example", "--config", file]);
    assert_eq!(code, 0, "{report:#}");
    for (host, rule) in report["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .zip(["docker-hub", "broken-ipv6"])
    {
        assert_eq!(host["verdict"], "NOTHING_TO_STRIP");
        assert_eq!(host["behind_unsix"], "PMTU_BLACK_HOLE");
        let sentence = host["sentence"].as_str().unwrap();
        let words = format!(
            "unsix at 127.0.6.53 already keeps its IPv6 addresses from programs here, rule {rule}"
        );
        assert!(sentence.contains(&words), "{sentence}");
    }
    // The control has no rule and keeps its addresses.
    assert_eq!(report["controls"][0]["host"], CONTROL);
    assert_eq!(
        report["controls"][0]["addresses"].as_array().unwrap().len(),
        2
    );
}
