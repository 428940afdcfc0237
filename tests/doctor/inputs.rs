//! Hosts, networks and name servers as they should not be: one clear line each, and never an exit code that says healthy.

use crate::daemon::authority::Authority;
use crate::daemon::files::Folder;
use crate::daemon::network::{FAR6, on_the_way, serve, server, shell};
use crate::daemon::upstream::{Asked, Over, Upstream, at_once};
use crate::daemon::wire;
use crate::world::{CONTROL, HOST, ZONE, doctor, finds, first, host, json, name_server};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv6Addr, TcpListener, UdpSocket};
use std::process::Command;
use unsix::config::Config;
use unsix::daemon::Daemon;

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
        at_once(match asked.kind {
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
    // A service that waits for words of its own.
    serve(9092, |mut stream| {
        let mut room = [0; 4096];
        while stream.read(&mut room).is_ok_and(|length| length > 0) {}
    });
    finds(
        &format!("{HOST}:9092"),
        "DOWN",
        20,
        "TCP connects and TLS hangs over every family it has: the server or a proxy before it, or a port that speaks no TLS",
    );
}

/// What unsix asks over TLS says what programs are not told.
pub(crate) fn encrypted_upstream() {
    let _dns = host();
    server();
    let _stripping = name_server("127.0.0.2", &[(HOST, &["198.51.100.2"])]);
    fs::write("/etc/resolv.conf", "nameserver 127.0.0.2\n").unwrap();
    let (authority, folder) = (Authority::new(), Folder::new());
    let (certificate, key) = authority.issue(&["dns.example"]);
    folder.write("cert.pem", &certificate);
    folder.write("key.pem", &key);
    let provider = "listen: [\"127.0.0.3:53\", \"tls://127.0.0.3\"]\ntls: {certificate: cert.pem, key: key.pem}\n\
        upstreams: [127.0.0.1]\nrules: []\nadmin: off\n";
    let provider = Config::read(provider)
        .unwrap()
        .beside(&folder.write("provider.yaml", provider));
    let _provider = Daemon::start(&provider, None).unwrap();
    for (root, status, told) in [
        (authority.pem, "NOERROR", "A 1, AAAA 1"),
        (Authority::new().pem, "certificate", "AAAA certificate"),
    ] {
        let root = folder.write("root.pem", &root);
        let upstream = format!("tls://127.0.0.3?name=dns.example&ca={}", root.display());
        let config = format!("upstreams: [\"{upstream}\"]\n");
        let config = folder.write("unsix.yaml", &config).display().to_string();
        let (report, _) = json(&[HOST, "--config", &config]);
        let said = &report["hosts"][0]["name_servers"][1];
        assert_eq!(said["server"], upstream, "{report:#}");
        assert_eq!(
            (&said["role"], &said["aaaa"]["status"]),
            (&"unsix".into(), &status.into())
        );
        let page = doctor(&[HOST, "--config", &config]).out;
        let line = page.lines().find(|line| line.contains(&upstream)).unwrap();
        assert!(line.contains(told), "{line}");
    }
}

/// Each answers in its own way, and all are understood.
pub(crate) fn odd_servers() {
    const CDN: &[u8] = b"\x03cdn\x07example\0";
    let _dns = host();
    server();
    fs::write(
        "/etc/resolv.conf",
        "nameserver 127.0.0.2\nnameserver 127.0.0.3\nnameserver 127.0.0.4\n",
    )
    .unwrap();
    // One whose answers fit no datagram, by way of an alias.
    let _truncating = on("127.0.0.2", |asked| {
        let alias = wire::record(5, 30, CDN);
        let aliased = |kind, rdata: &[u8]| {
            let record = wire::record(kind, 300, rdata);
            let records = [alias.clone(), [CDN, &record[2..]].concat()];
            wire::answer(&asked.packet, &records)
        };
        match (asked.over, asked.kind) {
            (Over::Udp, _) => {
                let mut cut = wire::failure(&asked.packet, wire::NOERROR);
                cut[2] |= 0x02;
                cut
            }
            (Over::Tcp, wire::A) => aliased(wire::A, &[198, 51, 100, 2]),
            (Over::Tcp, wire::AAAA) => {
                aliased(wire::AAAA, &FAR6.parse::<Ipv6Addr>().unwrap().octets())
            }
            (Over::Tcp, _) => wire::no_data(&asked.packet),
        }
    });
    // One that knows no EDNS, and says so without the question.
    let _old = on("127.0.0.3", |asked| match asked.packet[11] {
        0 => known(asked),
        _ => {
            let mut refusal = asked.packet[..12].to_vec();
            refusal[2..4].copy_from_slice(&[0x81, 0x81]);
            refusal[4..].fill(0);
            refusal
        }
    });
    // A filter, which tells a terminal what to do.
    let _filter = on("127.0.0.4", |asked| match asked.kind {
        wire::A => known(asked),
        _ => filtered(&asked.packet, b"parental\x1b[2J"),
    });
    let report = finds(HOST, "HEALTHY", 0, "both answer");
    let servers = &report["hosts"][0]["name_servers"];
    assert_eq!(servers[0]["aaaa"]["addresses"][0], FAR6);
    assert_eq!(servers[0]["a"]["chain"][0], "cdn.example");
    assert_eq!(servers[0]["a"]["ttl"], 30);
    assert_eq!(servers[1]["a"]["status"], "NOERROR");
    assert_eq!(servers[2]["aaaa"]["filtered"], "parental[2J");
    let page = doctor(&[HOST]).out;
    assert!(page.contains("by way of cdn.example, TTL 30 s"), "{page}");
    assert!(
        page.contains("filtered: parental[2J") && !page.contains('\x1b'),
        "{page}"
    );
}

fn on(ip: &str, say: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static) -> Upstream {
    let datagrams = UdpSocket::bind((ip, 53)).unwrap();
    let streams = TcpListener::bind((ip, 53)).unwrap();
    Upstream::on(datagrams, Some(streams), move |asked| at_once(say(asked)))
}

fn known(asked: &Asked) -> Vec<u8> {
    match asked.kind {
        wire::A => wire::ipv4(&asked.packet, [198, 51, 100, 2]),
        wire::AAAA => wire::ipv6(&asked.packet, FAR6.parse().unwrap()),
        _ => wire::no_data(&asked.packet),
    }
}

/// NODATA with the extended error 17 (RFC 8914) and this text.
fn filtered(query: &[u8], text: &[u8]) -> Vec<u8> {
    let mut packet = wire::no_data(query);
    packet[11] = 1;
    let length = u8::try_from(text.len()).unwrap();
    packet.extend([
        0,
        0,
        41,
        4,
        208,
        0,
        0,
        0,
        0,
        0,
        length + 6,
        0,
        15,
        0,
        length + 2,
        0,
        17,
    ]);
    packet.extend(text);
    packet
}

/// Without a capability, and as nobody where that user is known.
pub(crate) fn no_rights() {
    let _dns = host();
    server();
    on_the_way("ip6 daddr 2001:db8:b::2 tcp flags syn drop");
    fs::copy(env!("CARGO_BIN_EXE_unsix"), "/run/unsix").unwrap();
    let is_mapped = fs::read_to_string("/proc/self/uid_map")
        .unwrap()
        .contains("4294967295");
    let user = if is_mapped {
        "--reuid 65534 --regid 65534 --clear-groups"
    } else {
        ""
    };
    let ended = Command::new("sh")
        .args(["-c", &format!("exec setpriv {user} --inh-caps -all --bounding-set -all /run/unsix doctor {HOST} --control {CONTROL}")])
        .output()
        .unwrap();
    let page = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(10), "{page}");
    assert!(
        page.contains("IPV6_DROPPED  registry-1.docker.io: "),
        "{page}"
    );
}

pub(crate) fn many_hosts() {
    let _dns = host();
    server();
    let _other = name_server("127.0.0.2", ZONE);
    fs::write(
        "/etc/resolv.conf",
        "nameserver 127.0.0.1\nnameserver 127.0.0.2\n",
    )
    .unwrap();
    let hosts: Vec<String> = (0..200)
        .map(|port| format!("{HOST}:{}", 443 - port % 2))
        .collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let line = format!("ulimit -n 1024; exec \"$0\" doctor \"$@\" --control {CONTROL}");
    let ended = Command::new("sh")
        .args(["-c", &line, env!("CARGO_BIN_EXE_unsix")])
        .args(hosts)
        .output()
        .unwrap();
    let page = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(20));
    assert_eq!(page.matches("  HEALTHY  ").count(), 100, "{page}");
    assert_eq!(page.matches("  DOWN  ").count(), 100, "{page}");
}

/// Without hosts those of the rules, without rules those of a pull from Docker Hub.
pub(crate) fn default_hosts() {
    let _dns = host();
    server();
    fs::write(
        "/run/unsix.yaml",
        "rules: [{hosts: [cdn.example, .four.example, '*.x.example']}]\n",
    )
    .unwrap();
    for (arguments, want, code) in [
        (
            &["--config", "/run/unsix.yaml"][..],
            vec!["cdn.example", "four.example"],
            0,
        ),
        (
            &[],
            vec![
                HOST,
                "auth.docker.io",
                "production.cloudflare.docker.com",
                "production.cloudfront.docker.com",
            ],
            11,
        ),
    ] {
        let (report, found) = json(arguments);
        let hosts = report["hosts"].as_array().unwrap().iter();
        let hosts: Vec<&str> = hosts.map(|one| one["host"].as_str().unwrap()).collect();
        assert_eq!((hosts, found), (want, code));
    }
    // What is installed counts without being named; a mistake in it is told as ever.
    fs::create_dir("/etc/unsix").unwrap();
    fs::write("/etc/unsix/unsix.yaml", "rulse: []\n").unwrap();
    let ended = doctor(&[]);
    assert_eq!(ended.code, 78, "{ended:?}");
    assert!(
        ended.err.starts_with("/etc/unsix/unsix.yaml:1:1: rulse"),
        "{ended:?}"
    );
}
