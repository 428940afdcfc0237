//! Load balancers that say whose connections they bring (PROXY protocol, version 2), over TCP and TLS; and those that lie.

use crate::daemon::client::{Client, Connection};
use crate::daemon::upstream::Upstream;
use crate::daemon::{millis, now, until, wire};
use crate::{NAME, World, config, from};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::Duration;
use unsix::daemon::Reloaded;

/// Where the load balancer stands, and what unsix is told of it.
pub(crate) const BALANCER: Ipv4Addr = Ipv4Addr::new(127, 0, 7, 1);
pub(crate) const LINES: &str = "proxy_protocol: [127.0.7.0/24]\nrules: [{hosts: [hub.example], clients: [10.9.0.0/16, \"fd09::/16\"]}]";
const STRANGER: Ipv4Addr = Ipv4Addr::LOCALHOST;
const CHECK: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const BAD: &str = "unsix_proxy_headers_total{result=\"failure\"}";

/// The header of a client's connection, as the specification has it.
pub(crate) fn header(client: &str) -> Vec<u8> {
    let mut octets = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    match client.parse().unwrap() {
        IpAddr::V4(ip) => {
            octets.extend([0x11, 0, 12]);
            octets.extend(ip.octets());
            octets.extend([192, 0, 2, 53]);
        }
        IpAddr::V6(ip) => {
            octets.extend([0x21, 0, 36]);
            octets.extend(ip.octets());
            octets.extend([0; 16]);
        }
    }
    octets.extend([0x9c, 0x40, 0, 53]);
    octets
}

impl World {
    fn behind(lines: &str) -> Self {
        Self::with(Upstream::plain(), lines)
    }

    fn tcp(&self) -> SocketAddr {
        self.daemon.addresses()[0]
    }
}

/// A connection that begins with these octets.
fn begin(own: Ipv4Addr, server: SocketAddr, octets: &[u8]) -> Connection<TcpStream> {
    let mut stream = from(own, server);
    stream
        .set_read_timeout(Some(Duration::from_secs(15)))
        .unwrap();
    // It may be closed meanwhile.
    let _ = stream.write_all(octets);
    Connection { stream }
}

/// Whether it ends without a word.
fn ends(mut stream: TcpStream) -> bool {
    let mut said = Vec::new();
    // Reset is an end, too; a time-out is none.
    let over = stream.read_to_end(&mut said);
    let in_time = over.map_or_else(
        |error| error.kind() == std::io::ErrorKind::ConnectionReset,
        |_| true,
    );
    // An alert is a word of TLS, not of ours.
    in_time && (said.is_empty() || said[0] == 21)
}

fn question() -> Vec<u8> {
    wire::query(7, "hub.example", wire::AAAA)
}

#[test]
fn the_client_that_a_balancer_names_is_the_client() {
    let world = World::behind(LINES);
    // Its reply code, and how many addresses are left.
    #[rustfmt::skip]
    let cases = [
        ("a client of the rule", header("10.9.0.1"), (wire::NOERROR, 0)),
        ("one of IPv6", header("fd09::1"), (wire::NOERROR, 0)),
        ("another client", header("10.8.0.1"), (wire::NOERROR, 1)),
        ("a client that is not served", header("203.0.113.9"), (wire::REFUSED, 0)),
        ("the balancer itself", CHECK.to_vec(), (wire::NOERROR, 1)),
    ];
    for (what, octets, expected) in &cases {
        let mut clear = begin(BALANCER, world.tcp(), octets);
        let stream = begin(BALANCER, world.tls(), octets).stream;
        let mut secured = Connection::over(stream, NAME, &world.client).unwrap();
        // The second query of a connection is the same client's.
        for reply in [
            clear.ask(question()),
            clear.ask(question()),
            secured.ask(question()),
        ] {
            let found = (wire::rcode_of(&reply), wire::addresses(&reply).len());
            assert_eq!(found, *expected, "{what}");
        }
    }
    // Datagrams have no header, and HTTP is not asked who else stands there.
    let reply = Client::from("127.0.7.1", world.tcp()).ask(&question());
    assert_eq!(wire::addresses(&reply).len(), 1);
    assert_eq!(world.metric(BAD), 0.0);
    assert_eq!(
        world.metric("unsix_proxy_headers_total{result=\"success\"}"),
        10.0
    );
}

#[test]
fn a_stranger_does_not_choose_its_address() {
    let world = World::behind(LINES);
    for server in [world.tcp(), world.tls()] {
        let mut connection = begin(STRANGER, server, &header("10.9.0.1"));
        connection.send(&[question()]);
        assert!(ends(connection.stream));
    }
    assert_eq!(world.metric("unsix_queries_total{transport=\"tcp\"}"), 0.0);
    assert_eq!(world.metric("unsix_queries_total{transport=\"dot\"}"), 0.0);
    // Without one it is served, as itself.
    let mut connection = begin(STRANGER, world.tcp(), b"");
    assert_eq!(wire::addresses(&connection.ask(question())).len(), 1);
    assert_eq!(world.metric(BAD), 0.0);
}

#[test]
fn a_header_may_come_octet_by_octet() {
    let world = World::behind(LINES);
    let mut connection = begin(BALANCER, world.tcp(), b"");
    connection.stream.set_nodelay(true).unwrap();
    for octet in header("10.9.0.1") {
        connection.stream.write_all(&[octet]).unwrap();
        sleep(millis(2));
    }
    assert!(wire::addresses(&connection.ask(question())).is_empty());
}

#[test]
fn what_is_no_header_ends_the_connection() {
    let world = World::behind(LINES);
    let start = now();
    let query = question();
    let framed = [&[0, u8::try_from(query.len()).unwrap()][..], &query].concat();
    let text = b"PROXY TCP4 10.9.0.1 192.0.2.53 40000 53\r\n".to_vec();
    let unix = [b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8".to_vec(), vec![0; 216]].concat();
    for (count, octets) in [framed, text, unix].iter().enumerate() {
        for server in [world.tcp(), world.tls()] {
            let mut connection = begin(BALANCER, server, octets);
            connection.send(&[question()]);
            assert!(ends(connection.stream));
        }
        assert_eq!(world.metric(BAD), 2.0 * (count as f64 + 1.0));
    }
    assert!(start.elapsed() < Duration::from_secs(4), "at once");
    // To connect and leave is a health check.
    drop(begin(BALANCER, world.tcp(), b""));
    until("nobody is left", || {
        (world.metric("unsix_stream_connections") == 0.0).then_some(())
    });
    assert_eq!(world.metric(BAD), 6.0);
}

#[test]
fn silence_costs_a_place_for_a_while() {
    let world = World::behind(LINES);
    let whole = header("10.9.0.1");
    // Nothing; a part; all of it and no TLS behind; the last is an idle connection over TCP.
    let silent: Vec<_> = [
        (world.tcp(), 0),
        (world.tls(), 0),
        (world.tcp(), 20),
        (world.tls(), 28),
        (world.tcp(), 28),
    ]
    .into_iter()
    .map(|(server, octets)| begin(BALANCER, server, &whole[..octets]).stream)
    .collect();
    until("all have their place", || {
        (world.metric("unsix_stream_connections") == 5.0).then_some(())
    });
    let mut other = begin(BALANCER, world.tcp(), &whole);
    assert!(
        wire::addresses(&other.ask(question())).is_empty(),
        "others are served"
    );
    drop(other);
    for stream in silent {
        assert!(ends(stream));
    }
    assert_eq!(world.metric("unsix_stream_connections"), 0.0);
    assert_eq!(world.metric(BAD), 3.0);
}

#[test]
fn each_client_behind_a_balancer_has_its_own_cap() {
    let world = World::behind(LINES);
    let mut open = Vec::new();
    // The cap of a client is 64; the balancer is none.
    for number in 0..100 {
        let mut connection = begin(BALANCER, world.tcp(), &header(&format!("10.8.0.{number}")));
        assert_eq!(
            wire::addresses(&connection.ask(question())).len(),
            1,
            "{number}"
        );
        open.push(connection);
    }
    for number in 0..64 {
        let mut connection = begin(BALANCER, world.tcp(), &header("10.9.0.1"));
        assert!(
            wire::addresses(&connection.ask(question())).is_empty(),
            "{number}"
        );
        open.push(connection);
    }
    assert!(
        ends(begin(BALANCER, world.tcp(), &header("10.9.0.1")).stream),
        "its 65th"
    );
    let mut another = begin(BALANCER, world.tcp(), &header("10.9.0.2"));
    assert!(wire::addresses(&another.ask(question())).is_empty());
    assert_eq!(world.metric("unsix_stream_refused_total"), 1.0);
}

#[test]
fn a_reload_acts_on_the_next_connection() {
    let mut world = World::behind("rules: []");
    let mut kept = begin(BALANCER, world.tcp(), b"");
    assert_eq!(wire::addresses(&kept.ask(question())).len(), 1);
    world
        .folder
        .write("unsix.yaml", config(&world.upstream, LINES));
    assert_eq!(world.watch.reload(), Reloaded::Applied);
    assert_eq!(wire::addresses(&kept.ask(question())).len(), 1, "it stands");
    let mut connection = begin(BALANCER, world.tcp(), &header("10.9.0.1"));
    assert!(wire::addresses(&connection.ask(question())).is_empty());
}
