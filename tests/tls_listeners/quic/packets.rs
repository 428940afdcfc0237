//! Packets by hand: what is sent to whoever has not proved its address, and to whoever says nothing of sense.

use super::client::{begin, endpoint, framed, quic};
use crate::daemon::upstream::Upstream;
use crate::daemon::{millis, now, until, wire};
use crate::{NAME, World, alone, question, write_pair};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::kx_group::X25519;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// The first packets of connections that nobody goes on with: all they have to say fits into one each.
pub(super) fn first_packets(tls: &ClientConfig, count: usize) -> Vec<Vec<u8>> {
    let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
    sink.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let server = sink.local_addr().unwrap();
    let (mut packets, mut seen) = (Vec::new(), HashSet::new());
    while packets.len() < count {
        let (from, config) = (endpoint("127.0.0.1", None), short_hello(tls));
        let batch = 20.min(count - packets.len());
        let _open: Vec<_> = (0..batch)
            .map(|_| begin(&from, server, config.clone()))
            .collect();
        let whole = packets.len() + batch;
        let mut packet = [0; 1500];
        while packets.len() < whole {
            let length = sink.recv(&mut packet).unwrap();
            // Once each, though they are sent again.
            if is_initial(&packet) && seen.insert(connection_id(&packet).to_vec()) {
                packets.push(packet[..length].to_vec());
            }
        }
    }
    packets
}

/// A client whose hello is short: it has no post-quantum keys. It trusts nobody, and never hears enough to.
pub(super) fn short_hello(tls: &ClientConfig) -> quinn::ClientConfig {
    let mut provider: CryptoProvider = (**tls.crypto_provider()).clone();
    provider.kx_groups = vec![X25519];
    let short = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    quic(&short, &[b"doq"])
}

/// A packet's type (RFC 9000 §17.2).
fn kind(packet: &[u8]) -> Option<u8> {
    (packet[0] & 0x80 != 0).then_some(packet[0] >> 4 & 3)
}

fn is_initial(packet: &[u8]) -> bool {
    kind(packet) == Some(0)
}

pub(super) fn is_retry(packet: &[u8]) -> bool {
    kind(packet) == Some(3)
}

/// The destination's, of a packet with a long header.
fn connection_id(packet: &[u8]) -> &[u8] {
    &packet[6..6 + usize::from(packet[5])]
}

/// All that comes in until nothing has come for a while.
fn heard(socket: &UdpSocket, silence: Duration) -> Vec<Vec<u8>> {
    socket.set_read_timeout(Some(silence)).unwrap();
    let (mut all, mut packet) = (Vec::new(), [0; 65_535]);
    while let Ok(length) = socket.recv(&mut packet) {
        all.push(packet[..length].to_vec());
    }
    all
}

fn octets(packets: &[Vec<u8>]) -> usize {
    packets.iter().map(Vec::len).sum()
}

/// Somebody who can only send and hear.
fn stranger(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket
}

#[test]
fn who_has_not_proved_its_address_gets_three_times_what_it_sent() {
    let mut world = World::new(Upstream::plain());
    // A certificate that takes ten packets.
    let names: Vec<_> = (0..300)
        .map(|n| format!("a-rather-long-name-{n}.{NAME}"))
        .collect();
    let names: Vec<_> = [NAME]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    let pair = world.authority.issue(&names);
    assert!(pair.0.len() > 10_000);
    write_pair(&world.folder, pair);
    world.watch.reload();
    for packet in first_packets(&world.client, 3) {
        let stranger = stranger(world.quic());
        stranger.send(&packet).unwrap();
        let said = heard(&stranger, Duration::from_secs(3));
        let (sent, got) = (packet.len(), octets(&said));
        println!("{got} octets in {} packets for {sent}", said.len());
        assert!(said.iter().any(|packet| is_initial(packet)));
        assert!(
            got > sent && got <= 3 * sent,
            "{got} for {sent}: RFC 9000 §8.1"
        );
    }
    // An honest one proves it as it goes.
    assert_eq!(
        wire::addresses(&world.connect_quic().ask(question(0))).len(),
        1
    );
}

#[test]
fn under_load_an_address_must_be_proved_first() {
    let _turn = alone();
    let world = World::new(Upstream::plain());
    let packets = first_packets(&world.client, 40);
    let strangers: Vec<_> = packets.iter().map(|_| stranger(world.quic())).collect();
    for (stranger, packet) in strangers.iter().zip(&packets) {
        stranger.send(packet).unwrap();
    }
    let said: Vec<_> = strangers
        .iter()
        .map(|stranger| heard(stranger, millis(50)))
        .collect();
    let retries = said.iter().filter(|said| is_retry(&said[0]));
    for said in retries.clone() {
        assert!(said.len() == 1 && said[0].len() < 200, "{said:?}");
    }
    let (retries, places) = (retries.count(), world.metric("unsix_stream_connections"));
    println!("{retries} of 40 were asked for a proof, {places} have a place");
    assert_eq!((retries, places), (24, 16.0));
    // An honest client has the proof, and no more to wait than for another round trip.
    let start = now();
    assert_eq!(
        wire::addresses(&world.connect_quic().ask(question(0))).len(),
        1
    );
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    until("the others end", || {
        (world.handshakes("dropped") == 16.0).then_some(())
    });
}

#[test]
fn a_first_packet_that_is_replayed_asks_nothing() {
    let world = World::new(Upstream::plain());
    let [packet] = first_packets(&world.client, 1).try_into().unwrap();
    for _ in 0..100 {
        stranger(world.quic()).send(&packet).unwrap();
    }
    let client = world.connect_quic();
    for _ in 0..100 {
        stranger(world.quic()).send(&packet).unwrap();
        client.ask(question(0));
    }
    assert_eq!(world.queries(), 100.0);
    // All of them are one connection: its id says so, wherever they come from.
    assert!(world.metric("unsix_stream_connections") <= 2.0);
}

#[test]
fn other_versions_of_quic_are_told_which_one_is_spoken() {
    let world = World::new(Upstream::plain());
    let mut packet = vec![0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0];
    packet.resize(1200, 0);
    let socket = stranger(world.quic());
    socket.send(&packet).unwrap();
    let said = heard(&socket, millis(500));
    let [negotiation] = &said[..] else {
        panic!("{said:?}");
    };
    // RFC 9000 §17.2.1: version 0, and the ids the other way round.
    assert_eq!(negotiation[1..5], [0; 4]);
    assert_eq!(
        negotiation[6..],
        [&[8, 1, 2, 3, 4, 5, 6, 7, 8][..], &negotiation[15..]].concat()
    );
    let versions: Vec<_> = negotiation[15..].chunks(4).collect();
    assert!(versions.contains(&&[0, 0, 0, 1][..]), "{versions:?}");
    assert!(
        !versions.iter().any(|version| version[..3] == [0xff, 0, 0]),
        "no draft: {versions:?}"
    );
    assert!(negotiation.len() < 100);
    // A short one gets nothing, for it could make us say more than it does.
    socket.send(&packet[..1199]).unwrap();
    assert_eq!(heard(&socket, millis(500)), Vec::<Vec<u8>>::new());
}

#[test]
fn a_hundred_thousand_packets_of_garbage_are_nothing() {
    let _turn = alone();
    let world = World::new(Upstream::plain());
    let client = world.connect_quic();
    client.ask(question(0));
    let good = first_packets(&world.client, 50);
    let seed = 20_261_122;
    let mut random = StdRng::seed_from_u64(seed);
    let socket = stranger(world.quic());
    let mut sent = 0;
    let start = now();
    for number in 0..100_000_usize {
        let mut packet = match number % 4 {
            // Any octets, some of them in clear text.
            0 => vec![0; random.random_range(0..1400)],
            1 => framed(&question(0)),
            // As if of a connection.
            2 => vec![0x40; random.random_range(20..200)],
            // A first packet, with one octet that is another.
            _ => good[number % good.len()].clone(),
        };
        match number % 4 {
            0 => random.fill_bytes(&mut packet),
            2 => random.fill_bytes(&mut packet[1..]),
            3 => {
                let at = random.random_range(0..packet.len());
                packet[at] ^= random.random_range(1..=255);
            }
            _ => {}
        }
        socket.send(&packet).unwrap();
        sent += packet.len();
        if number % 1000 == 0 {
            client.ask(question(0));
        }
    }
    println!("100,000 packets, {sent} octets, took {:?}", start.elapsed());
    let got = octets(&heard(&socket, millis(300)));
    assert!(got < 3 * sent, "{got} for {sent}");
    assert_eq!(world.queries(), 101.0);
    assert_eq!(
        wire::addresses(&world.connect_quic().ask(question(0))).len(),
        1
    );
}
