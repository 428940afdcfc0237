//! What lies between this host and others, and the verdict on it.

use crate::daemon::network::{FAR6, narrow_to, on_the_way, server, shell};
use crate::world::{CONTROL, HOST, finds, first, host, json, run};

/// What carries data on its way to the host is lost, as with servers that accept and then hang.
const STALLS: &str = "ip6 daddr 2001:db8:b::2 tcp flags & psh == psh drop";
/// A hello of more than one segment makes one full segment at least.
const LARGE: &str = "ip6 daddr 2001:db8:b::2 meta length > 700 drop";

pub(crate) fn healthy() {
    let _dns = host();
    server();
    let report = finds(HOST, "HEALTHY", 0, "IPv4 and IPv6 both answer");
    assert_eq!(report["hosts"][0]["strip"], "no");
    assert_eq!(report["advice"]["apply"].as_array().unwrap().len(), 0);
    assert_eq!(report["hosts"][0]["addresses"][1]["outcome"], "reachable");
}

pub(crate) fn nothing_to_strip() {
    let _dns = host();
    server();
    finds(
        "four.example",
        "NOTHING_TO_STRIP",
        0,
        "it has no IPv6 address",
    );
}

pub(crate) fn ipv6_only() {
    let _dns = host();
    server();
    let report = finds(
        "six.example",
        "IPV6_ONLY",
        0,
        "IPv6 alone, and that answers",
    );
    assert_eq!(report["hosts"][0]["strip"], "never");
    on_the_way(STALLS);
    // Nothing of it works: no exit code may say otherwise.
    finds("six.example", "IPV6_ONLY", 20, "IPv6 alone, and that fails");
}

pub(crate) fn no_ipv6_route() {
    let _dns = host();
    server();
    shell("ip -6 route add unreachable 2001:db8:b::/64");
    finds(
        HOST,
        "NO_IPV6_ROUTE",
        0,
        "there is no way to it), while IPv6 to control.example works",
    );
    shell("ip -6 route del default");
    let report = finds(
        HOST,
        "NO_IPV6_ROUTE",
        0,
        "and IPv6 to control.example fails too",
    );
    assert_eq!(report["hosts"][0]["strip"], "optional");
}

pub(crate) fn refused() {
    let _dns = host();
    server();
    on_the_way("ip6 daddr 2001:db8:b::2 tcp flags syn reject with tcp reset");
    finds(
        HOST,
        "IPV6_BROKEN",
        10,
        "it refuses connections over IPv6, while",
    );
    on_the_way("ip6 daddr 2001:db8:c::2 tcp flags syn reject with tcp reset");
    finds(
        HOST,
        "NO_IPV6_ROUTE",
        0,
        "it refuses connections), and IPv6 to control.example fails too",
    );
}

pub(crate) fn ipv6_dropped() {
    let _dns = host();
    server();
    on_the_way("ip6 daddr 2001:db8:b::2 tcp flags syn drop");
    let report = finds(
        HOST,
        "IPV6_DROPPED",
        10,
        "while IPv6 to control.example works: Go loses 300 ms",
    );
    assert_eq!(
        report["advice"]["rule"],
        "rules:\n  - {preset: docker-hub, when: broken}\n"
    );
    // With a control that fails in the same way it is not this host.
    on_the_way("ip6 daddr 2001:db8:c::2 tcp flags syn drop");
    let report = finds(HOST, "IPV6_BROKEN", 10, "IPv6 of this network is broken");
    assert!(report["advice"]["rule"].as_str().unwrap().contains("\".\""));
}

pub(crate) fn black_hole() {
    let _dns = host();
    server();
    narrow_to(FAR6);
    let report = finds(
        HOST,
        "PMTU_BLACK_HOLE",
        10,
        "with segments of 1,220 octets it answers",
    );
    assert_eq!(report["hosts"][0]["addresses"][1]["mss_1220"], true);
}

pub(crate) fn big_hello() {
    let _dns = host();
    server();
    on_the_way(LARGE);
    let report = finds(
        HOST,
        "BIG_HELLO",
        10,
        "a ClientHello of one small packet is answered",
    );
    assert!(
        report["advice"]["notes"][0]
            .as_str()
            .unwrap()
            .contains("tlsmlkem=0")
    );
}

pub(crate) fn tls_stall() {
    let _dns = host();
    server();
    on_the_way(STALLS);
    let report = finds(
        HOST,
        "TLS_STALL",
        10,
        "TLS hangs, whatever the size of packets, while IPv6 to control.example works",
    );
    assert_eq!(report["advice"]["repairs"].as_array().unwrap().len(), 0);
}

pub(crate) fn tls_cut() {
    let _dns = host();
    server();
    on_the_way("ip6 daddr 2001:db8:b::2 tcp flags & psh == psh reject with tcp reset");
    let report = finds(HOST, "TLS_STALL", 10, "TLS is cut off");
    assert_eq!(report["hosts"][0]["addresses"][1]["outcome"], "tls_cut");
}

pub(crate) fn ipv6_broken() {
    let _dns = host();
    server();
    on_the_way("meta nfproto ipv6 tcp flags & psh == psh drop");
    let report = finds(
        HOST,
        "IPV6_BROKEN",
        10,
        "and IPv6 to control.example fails too",
    );
    assert_eq!(report["controls"][0]["host"], CONTROL);
}

pub(crate) fn ipv4_broken() {
    let _dns = host();
    server();
    let report = finds(
        "half.example",
        "IPV4_BROKEN",
        20,
        "never take its IPv6 away",
    );
    assert_eq!(report["hosts"][0]["strip"], "never");
}

pub(crate) fn down() {
    let _dns = host();
    server();
    finds("dead.example", "DOWN", 20, "this is no matter of IPv6");
}

pub(crate) fn other_control() {
    let _dns = host();
    server();
    on_the_way(STALLS);
    // No control resolves, and the other host is healthy.
    let ended = run(&[HOST, CONTROL, "--control", "none.example", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(first(&report).0, "TLS_STALL");
    assert!(
        first(&report)
            .1
            .contains("while IPv6 to control.example works")
    );
    // Without one the sentence says so; a host is no control of itself.
    let ended = run(&[HOST, "--control", "nobody.example", "--control", HOST]);
    assert_eq!(ended.code, 10, "{ended:?}");
    assert!(
        ended
            .out
            .contains("no other host answered here over both families"),
        "{}",
        ended.out
    );
}

pub(crate) fn control_is_down() {
    let _dns = host();
    server();
    on_the_way("meta nfproto ipv6 tcp flags & psh == psh drop");
    on_the_way("ip daddr 198.51.100.3 drop");
    let (report, _) = json(&[HOST]);
    assert_eq!(first(&report).0, "TLS_STALL", "{report:#}");
    assert!(first(&report).1.contains("no other host answered here"));
}

pub(crate) fn mixture() {
    let _dns = host();
    server();
    on_the_way(STALLS);
    let report = finds("mixed.example", "TLS_STALL", 10, "TLS hangs");
    let remarks = report["hosts"][0]["remarks"].as_array().unwrap();
    assert_eq!(remarks[0], "1 of its 2 IPv6 addresses fails: 2001:db8:b::2");
}

pub(crate) fn exit_codes() {
    let _dns = host();
    server();
    on_the_way("ip6 daddr 2001:db8:b::2 tcp flags syn drop");
    #[rustfmt::skip]
    let cases: &[(&[&str], i32)] = &[
        (&[CONTROL, "four.example"],                     0),
        (&[CONTROL, "nobody.example"],                   11),
        (&[CONTROL, "nobody.example", HOST],             10),
        (&[CONTROL, "nobody.example", HOST, "dead.example"], 20),
        (&["half.example", CONTROL],                     20),
    ];
    for (hosts, want) in cases {
        let (report, code) = json(hosts);
        assert_eq!(code, *want, "{report:#}");
        let found = report["hosts"].as_array().unwrap().iter();
        let found: Vec<&str> = found.map(|one| one["host"].as_str().unwrap()).collect();
        assert_eq!(&found, hosts, "in their order");
    }
}
