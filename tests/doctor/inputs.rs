//! Hosts, networks and name servers as they should not be: one clear line each, and never an exit code that says healthy.

use crate::daemon::network::{serve, server, shell};
use crate::daemon::upstream::Upstream;
use crate::daemon::wire;
use crate::world::{HOST, doctor, finds, first, host, json, name_server};
use std::fs;
use std::io::{Read, Write};
use std::net::UdpSocket;

pub(crate) fn one_family() {
    let _dns = host();
    server();
    shell("ip -4 address flush dev here");
    finds(
        HOST,
        "IPV4_BROKEN",
        20,
        "IPv4 fails (there is no way to it) and IPv6 works",
    );
    shell("ip address add 192.0.2.2/24 dev here && ip route add default via 192.0.2.1");
    shell("sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
    finds(
        HOST,
        "NO_IPV6_ROUTE",
        0,
        "give this host working IPv6, or none",
    );
}

pub(crate) fn no_network() {
    let _dns = host();
    fs::write(
        "/etc/resolv.conf",
        "nameserver 198.51.100.53\nnameserver 2001:db8:b::53\n",
    )
    .unwrap();
    shell("ip link set here down");
    let report = finds(
        HOST,
        "CANNOT_TELL",
        11,
        "no name server says what addresses it has: 198.51.100.53 unreachable, 2001:db8:b::53 unreachable",
    );
    assert_eq!(report["hosts"][0]["addresses"].as_array().unwrap().len(), 0);
}

pub(crate) fn no_name_server() {
    let _dns = host();
    fs::write("/etc/resolv.conf", "search example\n").unwrap();
    finds(
        HOST,
        "CANNOT_TELL",
        11,
        "/etc/resolv.conf names no name server",
    );
    fs::remove_file("/etc/resolv.conf").unwrap();
    let ended = doctor(&[HOST]);
    assert_eq!(ended.code, 11);
    assert!(
        ended
            .out
            .contains("resolv.conf   cannot be read: No such file"),
        "{}",
        ended.out
    );
    // What /etc/hosts names needs none.
    server();
    fs::write(
        "/etc/hosts",
        "198.51.100.2 pinned.example\n2001:db8:b::2 pinned.example\n",
    )
    .unwrap();
    let report = finds("pinned.example", "HEALTHY", 0, "both answer");
    assert!(
        report["hosts"][0]["remarks"][0]
            .as_str()
            .unwrap()
            .starts_with("/etc/hosts names it")
    );
}

pub(crate) fn failing_servers() {
    let _dns = host();
    server();
    finds(
        "nobody.example",
        "CANNOT_TELL",
        11,
        "it has no address at all: 127.0.0.1 NXDOMAIN: is the name right?",
    );
    finds(
        "none.example",
        "CANNOT_TELL",
        11,
        "it has no address at all: 127.0.0.1 NOERROR",
    );
    finds("registry", "CANNOT_TELL", 11, "write its full name");
    // That a host has IPv4 is known, that it has IPv6 is not.
    let _half = Upstream::on(UdpSocket::bind("127.0.0.2:53").unwrap(), None, |asked| {
        crate::daemon::upstream::at_once(match asked.kind {
            wire::A => wire::ipv4(&asked.packet, [198, 51, 100, 2]),
            _ => wire::failure(&asked.packet, wire::SERVFAIL),
        })
    });
    fs::write("/etc/resolv.conf", "nameserver 127.0.0.2\n").unwrap();
    finds(
        HOST,
        "CANNOT_TELL",
        11,
        "no name server says whether it has IPv6: 127.0.0.2 SERVFAIL",
    );
    // One that is silent is waited for two seconds, and the other one counts.
    let _silent = UdpSocket::bind("127.0.0.3:53").unwrap();
    fs::write(
        "/etc/resolv.conf",
        "nameserver 127.0.0.3\nnameserver 127.0.0.1\n",
    )
    .unwrap();
    let report = finds(HOST, "HEALTHY", 0, "both answer");
    assert_eq!(
        report["hosts"][0]["name_servers"][0]["a"]["status"],
        "timeout"
    );
}

pub(crate) fn differing_servers() {
    let _dns = host();
    server();
    let _other = name_server("127.0.0.2", &[(HOST, &["198.51.100.2"])]);
    fs::write(
        "/etc/resolv.conf",
        "nameserver 127.0.0.1\nnameserver 127.0.0.2\n",
    )
    .unwrap();
    let report = finds(HOST, "HEALTHY", 0, "both answer");
    assert_eq!(
        report["hosts"][0]["remarks"][0],
        "127.0.0.1 tells IPv6 addresses and 127.0.0.2 none: what a program gets depends on whom it asks first"
    );
}

pub(crate) fn other_ports() {
    let _dns = host();
    server();
    // SSH: the server speaks first.
    serve(22, |mut stream| {
        let _ = stream.write_all(b"SSH-2.0-test\r\n");
    });
    // HTTP without TLS where TLS is expected.
    serve(8443, |mut stream| {
        let mut room = [0; 4096];
        let _ = stream.read(&mut room);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    for (port, outcome, words) in [
        (22, "reachable", "no TLS on this port"),
        (8443, "not_tls", "NOT TLS"),
    ] {
        let host = format!("{HOST}:{port}");
        let (report, code) = json(&[&host]);
        assert_eq!((first(&report).0, code), ("HEALTHY", 0), "{report:#}");
        assert_eq!(report["hosts"][0]["addresses"][0]["outcome"], outcome);
        let page = doctor(&[&host]).out;
        assert!(page.contains(words) && page.contains(&host), "{page}");
    }
    finds(
        &format!("{HOST}:9"),
        "DOWN",
        20,
        "IPv4: it refuses connections",
    );
}
