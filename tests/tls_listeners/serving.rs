//! What clients over TLS get.

use crate::daemon::authority::Authority;
use crate::daemon::client::{Client, Connection};
use crate::daemon::files::Folder;
use crate::daemon::program::Program;
use crate::daemon::upstream::{Upstream, after, usual};
use crate::daemon::{now, until, wire};
use crate::{NAME, World, question, write_pair};
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ProtocolVersion};
use std::collections::HashSet;
use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// An OPT with options, at the end of a query.
pub(crate) fn with_options(mut query: Vec<u8>, options: &[u8]) -> Vec<u8> {
    query[11] = 1;
    query.extend([0, 0, 41, 4, 0xd0, 0, 0, 0, 0]);
    query.extend(u16::try_from(options.len()).unwrap().to_be_bytes());
    query.extend(options);
    query
}

pub(crate) const PADDING: &[u8] = &[0, 12, 0, 2, 0, 0];
const KEEPALIVE: &[u8] = &[0, 11, 0, 0];

#[test]
fn over_tls_it_says_the_same() {
    let world = World::new(Upstream::plain());
    let client = Client::of(world.daemon.addresses()[0]);
    for (versions, version) in [
        ([&TLS12], ProtocolVersion::TLSv1_2),
        ([&TLS13], ProtocolVersion::TLSv1_3),
    ] {
        for alpn in [
            &[][..],
            &[b"dot".to_vec()],
            &[b"h2".to_vec(), b"dot".to_vec()],
        ] {
            let mut config = world.authority.trusted_by(&versions);
            config.alpn_protocols = alpn.to_vec();
            let mut connection = Connection::secured(world.tls(), NAME, &Arc::new(config)).unwrap();
            let tls = &connection.stream.conn;
            assert_eq!(tls.protocol_version(), Some(version));
            assert_eq!(tls.alpn_protocol(), alpn.last().map(Vec::as_slice));
            for (name, kind) in [("www.example", wire::A), ("hub.example", wire::AAAA)] {
                let query = wire::query(77, name, kind);
                let (udp, tls) = (client.ask(&query), connection.ask(query));
                assert_eq!(wire::addresses(&udp), wire::addresses(&tls));
                assert_eq!(wire::rcode_of(&udp), wire::rcode_of(&tls));
            }
        }
    }
    assert_eq!(world.metric("unsix_queries_total{transport=\"dot\"}"), 12.0);
    assert_eq!(
        world.metric("unsix_tls_handshakes_total{result=\"success\"}"),
        6.0
    );
}

#[test]
fn other_protocols_than_dns_are_refused() {
    let world = World::new(Upstream::plain());
    let mut config = world.authority.trusted_by(&[&TLS13]);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let refused = Connection::secured(world.tls(), NAME, &Arc::new(config)).err();
    let refused = refused.unwrap().to_string();
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");
}

#[test]
fn pipelined_queries_are_answered_as_answers_come() {
    let upstream = Upstream::new(|asked| {
        let late = asked.name.starts_with("slow");
        after(if late { 400 } else { 0 }, usual(&asked.packet))
    });
    let world = World::new(upstream);
    let mut connection = world.connect();
    let query = |id| {
        wire::query(
            id,
            if id == 0 {
                "slow.example"
            } else {
                "www.example"
            },
            wire::A,
        )
    };
    connection.send(&(0..20).map(query).collect::<Vec<_>>());
    let ids: Vec<u16> = (0..20)
        .map(|_| wire::id_of(&connection.receive().unwrap()))
        .collect();
    assert_eq!(ids[19], 0, "the slow one last: {ids:?}");
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 20);
}

#[test]
fn ten_thousand_queries_on_one_connection() {
    let world = World::new(Upstream::plain());
    let mut connection = world.connect();
    for batch in 0..100 {
        let ids = batch * 100..(batch + 1) * 100;
        connection.send(&ids.clone().map(question).collect::<Vec<_>>());
        let mut open: HashSet<u16> = ids.collect();
        while !open.is_empty() {
            let reply = connection.receive().unwrap();
            assert!(open.remove(&wire::id_of(&reply)));
            assert_eq!(wire::addresses(&reply).len(), 1);
        }
    }
    assert_eq!(world.metric("unsix_stream_connections"), 1.0);
}

#[test]
fn replies_are_padded_where_nobody_can_read_them() {
    let world = World::new(Upstream::plain());
    let mut tls = world.connect();
    let mut tcp = Connection::to(world.daemon.addresses()[0]);
    for name in ["www.example", "a-much-longer-name.www.example", "localhost"] {
        let padded = with_options(wire::query(1, name, wire::A), PADDING);
        assert_eq!(tls.ask(padded.clone()).len(), 468, "RFC 8467");
        assert!(tcp.ask(padded).len() < 200, "not in clear text");
        let plain = with_options(wire::query(1, name, wire::A), &[]);
        assert!(tls.ask(plain).len() < 200, "not unless the client pads");
    }
    let both = with_options(question(1), &[PADDING, KEEPALIVE].concat());
    let reply = tls.ask(both);
    assert_eq!(reply.len(), 468);
    let keepalive = [0, 11, 0, 2, 0, 100];
    assert!(
        reply.windows(6).any(|octets| octets == keepalive),
        "RFC 7828"
    );
}

#[test]
fn sessions_are_resumed_and_nothing_is_said_early() {
    let world = World::new(Upstream::plain());
    for version in [&TLS12, &TLS13] {
        let mut config = world.authority.trusted_by(&[version]);
        config.enable_early_data = true;
        let config = Arc::new(config);
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut connection = Connection::secured(world.tls(), NAME, &config).unwrap();
            connection.ask(question(1));
            let tls = &mut connection.stream.conn;
            assert!(!matches!(
                tls.handshake_kind(),
                Some(HandshakeKind::FullWithHelloRetryRequest)
            ));
            assert_eq!(tls.handshake_kind(), Some(kind), "{version:?}");
            assert!(!tls.is_early_data_accepted());
        }
    }
}

#[test]
fn a_stop_lets_what_is_in_flight_finish() {
    let world = World::new(Upstream::new(|asked| after(500, usual(&asked.packet))));
    let mut connection = world.connect();
    let mut half_open = Connection::to(world.tls()).stream;
    connection.send(&[question(5)]);
    until("it is asked", || {
        (!world.upstream.asked("www.example.").is_empty()).then_some(())
    });
    let start = now();
    world.daemon.stop();
    assert_eq!(wire::id_of(&connection.receive().unwrap()), 5);
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "no handshake is waited for"
    );
    assert!(matches!(half_open.read(&mut [0; 1]), Ok(0) | Err(_)));
}

#[test]
fn a_socket_that_is_passed_is_heard_over_tls() {
    let (upstream, authority, folder) = (Upstream::plain(), Authority::new(), Folder::new());
    // An address of its own: its port must be free for TCP, too.
    let plain = UdpSocket::bind("127.0.0.77:0").unwrap();
    let tls = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, encrypted) = (plain.local_addr().unwrap(), tls.local_addr().unwrap());
    let text = format!(
        "listen: [\"{address}\", \"tls://{encrypted}\"]\ntls: {{certificate: cert.pem, key: key.pem}}\nadmin: off\n\
         upstreams: [\"{}\"]\n",
        upstream.address
    );
    let file = folder.write("unsix.yaml", text);
    write_pair(&folder, authority.issue(&[NAME]));
    let program = Program::start_with(&file, plain, tls.try_clone().unwrap());
    program.says("ready");
    let client = Arc::new(authority.trusted_by(&[&TLS13]));
    let mut connection = Connection::secured(encrypted, NAME, &client).unwrap();
    assert_eq!(wire::addresses(&connection.ask(question(1))).len(), 1);
    let warned = program
        .lines()
        .into_iter()
        .filter(|line| line.contains("is not passed"));
    let warned: Vec<_> = warned.collect();
    assert!(
        warned.len() == 1 && warned[0].contains("TCP 127.0.0.77"),
        "{warned:?}"
    );
    assert!(!warned[0].contains(&encrypted.to_string()), "{warned:?}");
}
