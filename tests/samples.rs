//! The shipped configurations, each run as it stands, in a network of the test's own where their
//! addresses exist; and once more on loopback, with only addresses replaced, for where none can be had.

#![expect(
    clippy::unwrap_used,
    reason = "functions beside the tests are not exempt"
)]

mod daemon;

use daemon::client::{Client, Connection};
use daemon::program::Program;
use daemon::upstream::{Upstream, at_once, usual};
use daemon::{http, namespace, wire};
use socket2::{Domain, Socket, Type};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use unsix::config::Config;
use unsix::daemon::Daemon;

/// The addresses that the samples name, all on this host.
const ADDRESSES: &str = "ip address add 192.0.2.53/32 dev lo && ip address add 192.0.2.54/32 dev lo \
    && ip address add 10.96.0.10/32 dev lo && ip address add 10.0.0.7/32 dev lo";

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config")
        .join(name)
}

/// An upstream on port 53, beside a listener on every address: what is bound closer hears first.
fn upstream(address: &str) -> Upstream {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    let address = SocketAddr::new(address.parse().unwrap(), 53);
    socket.bind(&address.into()).unwrap();
    Upstream::on(socket.into(), None, |asked| at_once(usual(&asked.packet)))
}

/// What every sample must do for this client.
fn serves(server: SocketAddr, client: &str) {
    let client = Client::from(client, server);
    let count = |name, kind| wire::addresses(&client.ask(&wire::query(1, name, kind))).len();
    assert_eq!(count("registry-1.docker.io", wire::A), 1);
    assert_eq!(
        count("registry-1.docker.io", wire::AAAA),
        0,
        "the preset acts"
    );
    assert_eq!(count("www.example", wire::AAAA), 1, "other names keep IPv6");
}

#[test]
fn each_with_other_addresses() {
    for name in ["host.yaml", "node.yaml", "coredns.yaml"] {
        let mut config = Config::read(&fs::read_to_string(sample(name)).unwrap()).unwrap();
        let (upstream, cluster) = (Upstream::plain(), Upstream::plain());
        let any_port: SocketAddr = "127.0.0.1:0".parse().unwrap();
        config.listen = vec![any_port];
        config.upstreams = Some(vec![upstream.address]);
        for route in &mut config.routes {
            route.upstreams = vec![cluster.address];
        }
        config.access.push("127.0.0.0/8".parse().unwrap());
        config.admin = Some(any_port);
        let daemon = Daemon::start(&config, None).unwrap();
        serves(daemon.addresses()[0], "127.0.0.1");
        assert!(!upstream.asked("www.example.").is_empty(), "{name}");
    }
}

#[test]
fn host() {
    if !namespace::alone("host", ADDRESSES) {
        return;
    }
    let (first, _second) = (upstream("192.0.2.53"), upstream("192.0.2.54"));
    let program = Program::serve(&sample("host.yaml"));
    assert_eq!(program.address(), "127.0.6.53:53".parse().unwrap());
    serves(program.address(), "127.0.0.1");
    assert!(
        !first.asked("www.example.").is_empty(),
        "the first one is asked"
    );
    assert_eq!(program.count(" WARN "), 0);
}

#[test]
fn node() {
    if !namespace::alone("node", ADDRESSES) {
        return;
    }
    let (_first, _second) = (upstream("192.0.2.53"), upstream("192.0.2.54"));
    let cluster = upstream("10.96.0.10");
    let program = Program::serve(&sample("node.yaml"));
    serves(program.address(), "127.0.0.1");
    let client = Client::of(program.address());
    client.ask(&wire::query(2, "api.default.svc.cluster.local", wire::A));
    client.ask(&wire::query(3, "7.0.0.10.in-addr.arpa", 12));
    assert_eq!(cluster.asked_below(".cluster.local.").len(), 1);
    assert_eq!(cluster.asked_below(".in-addr.arpa.").len(), 1);
    assert_eq!(cluster.asked("www.example.").len(), 0);
    assert_eq!(
        http::get("127.0.0.1:9353".parse().unwrap(), "/ready").0,
        200
    );
    assert_eq!(program.count(" WARN "), 0);
}

#[test]
fn coredns() {
    if !namespace::alone("coredns", ADDRESSES) {
        return;
    }
    let program = Program::serve(&sample("coredns.yaml"));
    let (_first, _second) = (upstream("192.0.2.53"), upstream("192.0.2.54"));
    serves("10.0.0.7:53".parse().unwrap(), "10.0.0.7");
    let mut connection = Connection::to("127.0.0.1:53".parse().unwrap());
    let reply = connection.ask(wire::query(4, "www.example", wire::A));
    assert_eq!(
        wire::rcode_of(&reply),
        wire::REFUSED,
        "a client outside the pods' networks"
    );
    assert_eq!(http::get("10.0.0.7:9353".parse().unwrap(), "/ready").0, 200);
    assert_eq!(program.count(" ERROR "), 0);
}
