//! The admin pages over HTTP, of a daemon that serves.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "functions beside the tests are not exempt"
)]

mod daemon;

use daemon::client::{Client, ask};
use daemon::http::{get, samples, send};
use daemon::upstream::{Upstream, at_once, usual};
use daemon::{millis, now, until, wire};
use std::collections::HashMap;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use unsix::daemon::Daemon;

fn start(upstreams: &[&Upstream], rest: &str) -> (Daemon, SocketAddr, SocketAddr) {
    let upstreams: Vec<String> = upstreams.iter().map(|u| u.address.to_string()).collect();
    let daemon = daemon::start(&format!(
        "admin: {{listen: \"127.0.0.2:0\"}}\nupstreams: {upstreams:?}\n{rest}\n"
    ));
    let (server, admin) = (daemon.addresses()[0], daemon.admin_address().unwrap());
    until("readiness", || {
        (get(admin, "/ready").0 == 200).then_some(())
    });
    (daemon, server, admin)
}

fn metrics(admin: SocketAddr) -> HashMap<String, f64> {
    let (status, page) = get(admin, "/metrics");
    assert_eq!(status, 200);
    samples(&page).unwrap_or_else(|fault| panic!("{fault}\n{page}"))
}

#[test]
fn ready_after_the_self_query_though_every_upstream_is_dead() {
    let (silent, plain) = (Upstream::silent(), Upstream::plain());
    let (_daemon, server, admin) = start(&[&silent, &plain], "");
    assert_eq!(get(admin, "/live"), (200, "alive\n".into()));
    ask(server, "www.example", wire::A);
    let (status, body) = get(admin, "/ready");
    let down = format!("ready\nupstream {} is down\n", silent.address);
    assert_eq!((status, body), (200, down));
}

#[test]
fn counters_move_with_what_clients_get() {
    let upstream = Upstream::plain();
    let (_daemon, server, admin) =
        start(&[&upstream], "rules: [{name: hubs, hosts: [hub.example]}]");
    let before = metrics(admin);
    let client = Client::of(server);
    for (name, kind) in [
        ("www.example", wire::A),
        ("www.example", wire::A),
        ("hub.example", wire::A),
        ("hub.example", wire::AAAA),
        ("localhost", wire::A),
    ] {
        client.ask(&wire::query(7, name, kind));
    }
    client.send(&[0; 12]);
    client.send(&wire::failure(&wire::query(8, "www.example", wire::A), 0));
    client.ask(&wire::query(9, "www.example", 252));
    let after = metrics(admin);
    let grown = |name: &str| after[name] - before[name];
    let upstreams = format!(
        "unsix_upstream_queries_total{{upstream=\"{}\"}}",
        upstream.address
    );
    #[rustfmt::skip]
    let cases = [
        ("unsix_queries_total{transport=\"udp\"}", 8.0),
        ("unsix_queries_total{transport=\"tcp\"}", 0.0),
        ("unsix_queries_unanswered_total", 1.0),
        ("unsix_replies_total{source=\"cache\",rcode=\"noerror\"}", 1.0),
        ("unsix_replies_total{source=\"upstream\",rcode=\"noerror\"}", 2.0),
        ("unsix_replies_total{source=\"filtered\",rcode=\"noerror\"}", 1.0),
        ("unsix_replies_total{source=\"special\",rcode=\"noerror\"}", 1.0),
        ("unsix_replies_total{source=\"error\",rcode=\"refused\"}", 1.0),
        ("unsix_rule_replies_total{rule=\"hubs\",effect=\"changed\"}", 1.0),
    ];
    for (name, want) in cases {
        assert!(after.contains_key(name), "no {name} in {:#?}", after.keys());
        assert_eq!(grown(name), want, "{name}");
    }
    assert!(grown(&upstreams) >= 2.0);
    assert_eq!(
        after[&format!("unsix_upstream_up{{upstream=\"{}\"}}", upstream.address)],
        1.0
    );
}

#[test]
fn strangers_make_no_label() {
    let upstream = Upstream::plain();
    let (_daemon, server, admin) = start(&[&upstream], "");
    let client = Client::of(server);
    client.ask(&wire::query(1, "www.example", wire::A));
    let before = metrics(admin).len();
    for number in 0..500_u16 {
        let name = format!("n{number}\"}}\n\u{1b}[31m.example");
        client.ask(&wire::query(number, &name, number.max(1)));
    }
    assert_eq!(metrics(admin).len(), before);
}

#[test]
fn only_three_pages_and_two_methods() {
    let upstream = Upstream::plain();
    let (_daemon, _, admin) = start(&[&upstream], "");
    for path in ["/", "/metrics/", "/ready2", "/../metrics", "//live"] {
        assert_eq!(get(admin, path).0, 404, "{path}");
    }
    assert_eq!(get(admin, "/live?verbose=1").0, 200);
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let response = send(
            admin,
            &format!("{method} /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"),
        );
        assert!(
            response.starts_with("HTTP/1.1 405 "),
            "{method}: {response}"
        );
        assert!(
            response.to_lowercase().contains("\r\nallow: get, head\r\n"),
            "{response}"
        );
    }
    let response = send(admin, "HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(
        response.starts_with("HTTP/1.1 200 ") && response.ends_with("\r\n\r\n"),
        "{response}"
    );
    let response = send(
        admin,
        &format!("GET /live HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(20_000)),
    );
    assert!(
        response.is_empty() || response.starts_with("HTTP/1.1 4"),
        "{response}"
    );
}

#[test]
fn slow_clients_of_the_page_disturb_nobody() {
    let upstream = Upstream::new(|asked| at_once(usual(&asked.packet)));
    let (_daemon, server, admin) = start(&[&upstream], "");
    let mut slow: Vec<TcpStream> = (0..48)
        .map(|_| TcpStream::connect(admin).unwrap())
        .collect();
    for stream in &mut slow {
        stream.write_all(b"GET /metr").unwrap();
    }
    let client = Client::of(server);
    for number in 0..50 {
        let start = now();
        client.ask(&wire::query(number, &format!("n{number}.example"), wire::A));
        assert!(
            start.elapsed() < millis(300),
            "DNS waited {:?}",
            start.elapsed()
        );
    }
    drop(slow);
    let start = now();
    assert_eq!(get(admin, "/live").0, 200);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn the_reader_of_metrics_sees_what_it_must() {
    let good = "# HELP a b c\n# TYPE a counter\na_total{x=\"q\\\"\",y=\"\"} 1\na_total 2\n# EOF\n";
    assert_eq!(samples(good).unwrap().len(), 2);
    for (why, bad) in [
        ("no end", "# TYPE a gauge\na 1\n"),
        ("an empty line", "# TYPE a gauge\n\na 1\n# EOF\n"),
        (
            "a counter without its suffix",
            "# TYPE a counter\na 1\n# EOF\n",
        ),
        ("no type", "a 1\n# EOF\n"),
        ("twice", "# TYPE a gauge\na 1\na 1\n# EOF\n"),
        ("an open quote", "# TYPE a gauge\na{x=\"1} 1\n# EOF\n"),
        ("a line end", "# TYPE a gauge\na{x=\"1\n2\"} 1\n# EOF\n"),
        ("no number", "# TYPE a gauge\na one\n# EOF\n"),
    ] {
        assert!(samples(bad).is_err(), "{why}");
    }
}
