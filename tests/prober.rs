//! `when: broken`: a real daemon, real probes, and servers on loopback that answer TLS, hang and heal.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "functions beside the tests are not exempt"
)]

mod daemon;

use daemon::client::{Client, ask};
use daemon::files::Folder;
use daemon::http::{get, samples};
use daemon::program::{Program, run};
use daemon::upstream::{Upstream, at_once};
use daemon::{millis, now, until, wire};
use rustix::process::Signal;
use serde_json::Value as Json;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use unsix::daemon::Daemon;

/// A host on loopback: the same port over both families, each of which answers a ClientHello or hangs.
struct Host {
    port: u16,
    ipv4: Arc<Side>,
    ipv6: Arc<Side>,
}

#[derive(Default)]
struct Side {
    hangs: AtomicBool,
    connections: AtomicUsize,
}

impl Host {
    fn new() -> Self {
        for _ in 0..16 {
            let ipv4 = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = ipv4.local_addr().unwrap().port();
            if let Ok(ipv6) = TcpListener::bind((Ipv6Addr::LOCALHOST, port)) {
                let [ipv4, ipv6] = [ipv4, ipv6].map(Side::serve);
                return Self { port, ipv4, ipv6 };
            }
        }
        panic!("no port is free on both loopback addresses: is there no ::1 here?");
    }
}

impl Side {
    fn serve(listener: TcpListener) -> Arc<Self> {
        let side = Arc::new(Self::default());
        let shared = Arc::clone(&side);
        thread::spawn(move || {
            let mut held = Vec::new();
            for mut stream in listener.incoming().map_while(Result::ok) {
                shared.connections.fetch_add(1, Relaxed);
                if shared.hangs.load(Relaxed) {
                    held.push(stream);
                    continue;
                }
                thread::spawn(move || {
                    // An alert is a whole record (RFC 8446 §6): somebody is there. How the client leaves is its own affair.
                    let _ = stream.read(&mut [0; 4096]);
                    let _ = stream.write_all(&[21, 3, 3, 0, 2, 2, 40]);
                });
            }
        });
        side
    }

    fn hang(&self, hangs: bool) {
        self.hangs.store(hangs, Relaxed);
    }
}

/// Knows every name: 127.0.0.1 and ::1, for an hour.
fn upstream() -> Upstream {
    Upstream::new(|asked| {
        at_once(match asked.kind {
            wire::A => wire::answer(
                &asked.packet,
                &[wire::record(wire::A, 3600, &Ipv4Addr::LOCALHOST.octets())],
            ),
            wire::AAAA => wire::answer(
                &asked.packet,
                &[wire::record(
                    wire::AAAA,
                    3600,
                    &Ipv6Addr::LOCALHOST.octets(),
                )],
            ),
            _ => wire::no_data(&asked.packet),
        })
    })
}

const HUB: &str = "hosts: [hub.example], initial: pass";
const QUICK: &str = "interval: 200ms, timeout: 100ms, fall: 3, rise: 2, min_broken: 0s, managed_ttl: 7s, controls: []";
const LOOPBACK: &str = "allow: [127.0.0.0/8, \"::1/128\"]";

fn config(upstream: &Upstream, host: &Host, rule: &str, probe: &str) -> String {
    format!(
        "upstreams: [\"{}\"]\nadmin: {{listen: \"127.0.0.2:0\"}}\n\
         rules: [{{name: hub, {rule}, when: broken, port: {}}}]\nprobe: {{{QUICK}, {probe}}}\n",
        upstream.address, host.port
    )
}

fn start(
    upstream: &Upstream,
    host: &Host,
    rule: &str,
    probe: &str,
) -> (Daemon, SocketAddr, SocketAddr) {
    let daemon = daemon::start(&config(upstream, host, rule, probe));
    let (server, admin) = (daemon.addresses()[0], daemon.admin_address().unwrap());
    (daemon, server, admin)
}

fn has_ipv6(server: SocketAddr, name: &str) -> bool {
    let found = wire::addresses(&ask(server, name, wire::AAAA));
    found == [IpAddr::from(Ipv6Addr::LOCALHOST)]
}

#[track_caller]
fn until_ipv6(server: SocketAddr, name: &str, want: bool) {
    until(&format!("IPv6 of {name} to be {want}"), || {
        (has_ipv6(server, name) == want).then_some(())
    });
}

fn verdicts(admin: SocketAddr) -> Json {
    let (status, page) = get(admin, "/verdicts");
    assert_eq!(status, 200);
    serde_json::from_str(&page).unwrap()
}

/// What is thought of the first address of the first host.
fn verdict(admin: SocketAddr) -> String {
    verdicts(admin)["hosts"][0]["addresses"][0]["verdict"]
        .as_str()
        .unwrap_or("none")
        .to_owned()
}

fn metric(admin: SocketAddr, name: &str) -> f64 {
    let (_, page) = get(admin, "/metrics");
    samples(&page)
        .unwrap()
        .get(name)
        .copied()
        .unwrap_or_default()
}

#[test]
fn what_hangs_is_taken_away_and_what_heals_is_given_back() {
    let (upstream, host) = (upstream(), Host::new());
    let (_daemon, server, admin) = start(&upstream, &host, HUB, LOOPBACK);
    assert!(has_ipv6(server, "hub.example"), "`initial: pass`");
    until("a verdict", || (verdict(admin) == "healthy").then_some(()));

    host.ipv6.hang(true);
    until_ipv6(server, "hub.example", false);
    let query = wire::with_edns(wire::query(1, "hub.example", wire::AAAA), 1232);
    let reply = Client::of(server).ask(&query);
    let text = String::from_utf8_lossy(&reply);
    assert!(
        text.contains("hub: TLS over IPv6 stalls since 20"),
        "{text}"
    );
    let soa = &wire::read(&reply).authorities[0];
    assert!(soa.ttl <= 7, "its SOA lives {} s", soa.ttl);
    let ipv4 = ask(server, "hub.example", wire::A);
    assert_eq!(wire::addresses(&ipv4), [IpAddr::from(Ipv4Addr::LOCALHOST)]);
    let change = verdicts(admin)["changes"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(change["verdict"], "broken");
    assert_eq!(change["cause"], "tls_stall");
    assert_eq!(metric(admin, "unsix_broken_addresses{rule=\"hub\"}"), 1.0);

    host.ipv6.hang(false);
    until_ipv6(server, "hub.example", true);
    assert_eq!(verdict(admin), "healthy");
    assert_eq!(metric(admin, "unsix_broken_addresses{rule=\"hub\"}"), 0.0);
    assert_eq!(
        metric(
            admin,
            "unsix_verdict_changes_total{rule=\"hub\",verdict=\"broken\"}"
        ),
        1.0
    );
    assert!(metric(admin, "unsix_probes_total{outcome=\"tls_stall\"}") >= 3.0);
}

#[test]
fn clients_keep_answers_of_watched_hosts_for_a_while_only() {
    let (upstream, host) = (upstream(), Host::new());
    let (_daemon, server, _) = start(&upstream, &host, HUB, LOOPBACK);
    #[rustfmt::skip]
    let cases = [
        ("hub.example",   wire::AAAA, 7),
        ("hub.example",   wire::A,    7),
        ("other.example", wire::AAAA, 3600),
        ("other.example", wire::A,    3600),
    ];
    for (name, kind, ttl) in cases {
        for way in ["as a miss", "as a hit"] {
            let reply = wire::read(&ask(server, name, kind));
            assert_eq!(reply.answers[0].ttl, ttl, "{name} {kind} {way}");
        }
    }
}

#[test]
fn no_host_is_stripped_towards_a_dead_ipv4() {
    let (upstream, host) = (upstream(), Host::new());
    host.ipv4.hang(true);
    host.ipv6.hang(true);
    let (_daemon, server, admin) = start(&upstream, &host, HUB, LOOPBACK);
    until("rounds", || {
        (metric(admin, "unsix_probes_total{outcome=\"tls_stall\"}") >= 8.0).then_some(())
    });
    assert!(has_ipv6(server, "hub.example"));
    assert_eq!(verdict(admin), "unknown");
    host.ipv4.hang(false);
    until_ipv6(server, "hub.example", false);
}

#[test]
fn until_the_first_verdict_the_rule_says_what_happens() {
    let (upstream, host) = (upstream(), Host::new());
    let (_daemon, server, _) = start(&upstream, &host, "hosts: [hub.example]", LOOPBACK);
    assert!(
        !has_ipv6(server, "hub.example"),
        "`initial: strip` is the default"
    );
    until_ipv6(server, "hub.example", true);
}

#[test]
fn names_under_a_pattern_are_probed_once_somebody_asks() {
    let (upstream, host) = (upstream(), Host::new());
    host.ipv6.hang(true);
    let (_daemon, server, admin) = start(
        &upstream,
        &host,
        "hosts: [.hub.example], initial: pass",
        LOOPBACK,
    );
    assert_eq!(verdicts(admin)["hosts"], Json::Array(Vec::new()));
    assert!(has_ipv6(server, "cdn.hub.example"));
    until_ipv6(server, "cdn.hub.example", false);
    let page = verdicts(admin);
    assert_eq!(page["hosts"][0]["host"], "cdn.hub.example.");
    assert_eq!(page["hosts"].as_array().unwrap().len(), 1);
}

#[test]
fn private_addresses_are_not_probed_unless_allowed() {
    let (upstream, host) = (upstream(), Host::new());
    let (_daemon, server, admin) = start(&upstream, &host, HUB, "allow: []");
    until("a round", || {
        (verdicts(admin)["hosts"][0]["condition"] == "private").then_some(())
    });
    thread::sleep(millis(500));
    assert_eq!(host.ipv6.connections.load(Relaxed), 0);
    assert!(has_ipv6(server, "hub.example"));
}

#[test]
fn a_client_that_asks_again_and_again_is_counted_and_hurries_the_probe() {
    let (upstream, host) = (upstream(), Host::new());
    let text = config(&upstream, &host, HUB, LOOPBACK);
    let slow = QUICK.replace("interval: 200ms", "interval: 1h");
    let slow = slow.replace("fall: 3, rise: 2", "fall: 1, rise: 1");
    let daemon = daemon::start(&text.replace(QUICK, &slow));
    let (server, admin) = (daemon.addresses()[0], daemon.admin_address().unwrap());
    let folder = Folder::new();
    let file = format!("listen: [\"{server}\"]\nadmin: {{listen: \"{admin}\"}}\n");
    let file = folder.write("unsix.yaml", file);
    until("the first round", || {
        (verdict(admin) == "healthy").then_some(())
    });
    host.ipv6.hang(true);
    let client = Client::of(server);
    let begun = now();
    for second in [0, 2, 4] {
        thread::sleep(millis(second * 1000).saturating_sub(begun.elapsed()));
        client.ask(&wire::query(1, "hub.example", wire::AAAA));
    }
    until("the verdict, long before the hour is over", || {
        (verdict(admin) == "broken").then_some(())
    });
    assert_eq!(
        metric(admin, "unsix_client_retries_total{rule=\"hub\"}"),
        1.0
    );
    let status = run(&["status", "--config", file.to_str().unwrap()]);
    holds(&status.out, &["; 1 retry of clients"]);
}

#[test]
fn verdicts_survive_a_restart() {
    let (upstream, host, folder) = (upstream(), Host::new(), Folder::new());
    host.ipv6.hang(true);
    let text = config(&upstream, &host, HUB, LOOPBACK).replace("min_broken: 0s", "min_broken: 1h");
    let file = folder.write("unsix.yaml", format!("listen: [\"127.0.0.1:0\"]\n{text}"));
    let state = folder.path("verdicts.json");
    let run = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unsix"));
        command
            .arg("run")
            .arg("--config")
            .arg(&file)
            .env("STATE_DIRECTORY", state.parent().unwrap());
        let program = Program::of(command);
        program.says("ready");
        program
    };
    let first = run();
    until_ipv6(first.address(), "hub.example", false);
    until("the file", || state.exists().then_some(()));
    first.signal(Signal::KILL);
    drop(first);

    host.ipv6.hang(false);
    let second = run();
    assert!(
        !has_ipv6(second.address(), "hub.example"),
        "broken for an hour at least"
    );
    second.says("verdicts of before are taken over");
    drop(second);

    std::fs::write(&state, "{\"version\":1,").unwrap();
    let third = run();
    third.says("the verdicts of before cannot be used");
    until_ipv6(third.address(), "hub.example", true);
}

#[test]
fn a_reload_keeps_verdicts_and_follows_the_rules() {
    let (upstream, host, folder) = (upstream(), Host::new(), Folder::new());
    host.ipv6.hang(true);
    let text = config(&upstream, &host, HUB, LOOPBACK);
    let text = format!("listen: [\"127.0.0.1:0\"]\n{text}");
    let file = folder.write("unsix.yaml", text.clone());
    let program = Program::serve(&file);
    let server = program.address();
    until_ipv6(server, "hub.example", false);
    folder.write(
        "unsix.yaml",
        text.replace("[hub.example]", "[new.example, hub.example]")
            .replace("name: hub", "name: other"),
    );
    program.signal(Signal::HUP);
    program.says("configuration reloaded");
    assert!(
        !has_ipv6(server, "hub.example"),
        "the verdict is about the host, not the rule"
    );
    until_ipv6(server, "new.example", false);
    folder.write("unsix.yaml", text.replace("[hub.example]", "[new.example]"));
    program.signal(Signal::HUP);
    until_ipv6(server, "hub.example", true);
}

#[track_caller]
fn holds(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word} in {text}");
    }
}

#[test]
fn people_are_told_the_verdict_since_when_and_why() {
    let (upstream, host, folder) = (upstream(), Host::new(), Folder::new());
    host.ipv6.hang(true);
    let taken = TcpListener::bind("127.0.0.2:0").unwrap();
    let admin = taken.local_addr().unwrap().to_string();
    drop(taken);
    let text = config(&upstream, &host, HUB, LOOPBACK).replace("127.0.0.2:0", &admin);
    let file = folder.write("unsix.yaml", format!("listen: [\"127.0.0.1:0\"]\n{text}"));
    let file = file.to_str().unwrap();
    let explain = || run(&["explain", "hub.example", "AAAA", "--config", file]);

    let ended = explain();
    holds(&ended.err, &["the verdicts of the daemon cannot be had"]);
    holds(&ended.out, &["no probe knows it on port"]);

    let program = Program::serve(file.as_ref());
    until_ipv6(program.address(), "hub.example", false);
    #[rustfmt::skip]
    holds(
        &program.says("IPv6 is broken while IPv4 works"),
        &["WARN", "host=hub.example.", "address=::1", "rules=hub", "why=\"TLS over IPv6 stalls\""],
    );
    holds(
        &explain().out,
        &[
            "broken (::1): TLS over IPv6 stalls since 20",
            "rule hub keeps the AAAA records it means from the client",
        ],
    );
    holds(
        &run(&["status", "--config", file]).out,
        &[
            "probed     1 host each 0 s",
            "broken     hub.example. ::1: tls_stall since 20",
        ],
    );

    host.ipv6.hang(false);
    until_ipv6(program.address(), "hub.example", true);
    program.says("IPv6 works");
    holds(&explain().out, &["healthy: IPv6 works"]);
}
