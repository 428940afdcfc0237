//! What clients do that they should not, and what becomes of all others.

use crate::daemon::client::Connection;
use crate::daemon::upstream::{Upstream, after, at_once, usual};
use crate::daemon::{millis, now, until, wire};
use crate::{NAME, World, alone, from, question};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// What a server says to these octets, until it closes.
fn say(server: SocketAddr, octets: &[u8]) -> Vec<u8> {
    let mut stream = Connection::to(server).stream;
    stream.write_all(octets).unwrap();
    let mut said = Vec::new();
    // Reset is closed, too.
    let _ = stream.read_to_end(&mut said);
    said
}

/// An alert of the record layer (RFC 8446 §6).
fn is_alert(said: &[u8], description: u8) -> bool {
    said.len() == 7 && said[0] == 21 && said[5..] == [2, description]
}

#[test]
fn what_is_no_tls_of_today_is_refused() {
    let world = World::new(Upstream::plain());
    let start = now();
    // TLS 1.1, with the cipher suites of its day; groups and schemes are today's.
    let extensions = b"\0\x0a\0\x04\0\x02\0\x17\0\x0d\0\x04\0\x02\x04\x03";
    let hello = [
        &[3, 2][..],
        &[7; 32],
        &[0, 0, 4, 0xc0, 0x13, 0, 0x2f, 1, 0, 0, 16],
        extensions,
    ]
    .concat();
    let length = u8::try_from(hello.len()).unwrap();
    let record = [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &hello].concat();
    let said = say(world.tls(), &record);
    assert!(is_alert(&said, 70), "protocol_version: {said:?}");
    // Clear text.
    let query = question(1);
    let framed = [
        &u16::try_from(query.len()).unwrap().to_be_bytes()[..],
        &query,
    ]
    .concat();
    let said = say(world.tls(), &framed);
    assert!(
        said.is_empty() || said[0] == 21,
        "no reply in clear text: {said:?}"
    );
    let said = say(world.tls(), b"GET / HTTP/1.1\r\nHost: dns.example\r\n\r\n");
    assert!(said.is_empty() || said[0] == 21, "{said:?}");
    assert!(start.elapsed() < Duration::from_secs(3), "at once");
    assert_eq!(world.metric("unsix_queries_total{transport=\"dot\"}"), 0.0);
}

#[test]
fn two_thousand_half_open_handshakes_stall_nobody() {
    let world = World::new(Upstream::plain());
    let mut kept = world.connect();
    half_open(&world, world.tls(), || {
        let mut fresh = world.connect();
        assert_eq!(wire::addresses(&fresh.ask(question(1))).len(), 1);
        assert_eq!(wire::addresses(&kept.ask(question(2))).len(), 1);
    });
}

/// Begins 2,000 handshakes with that listener; meanwhile `ask` asks, by a fresh connection and by one that is kept.
pub(crate) fn half_open(world: &World, server: SocketAddr, mut ask: impl FnMut()) {
    let _turn = alone();
    let stop = Arc::new(AtomicBool::new(false));
    let begun = Arc::new(AtomicU64::new(0));
    let flood = {
        let (stop, begun) = (stop.clone(), begun.clone());
        thread::spawn(move || {
            let mut open = Vec::new();
            for number in 0..2000_u16 {
                // 32 of each address: no cap for one client helps.
                let [high, low] = (number / 32).to_be_bytes();
                let mut stream = from(Ipv4Addr::new(127, 9, high, low + 1), server);
                // The first octets of a hello.
                let _ = stream.write_all(&[22, 3, 1, 2, 0, 1, 0, 1]);
                open.push(stream);
                // Who is honest needs a few round trips before 256 others come, on a busy machine too.
                thread::sleep(millis(1));
                begun.store(u64::from(number) + 1, Relaxed);
            }
            while !stop.load(Relaxed) {
                thread::sleep(millis(10));
            }
            open
        })
    };
    let (mut slowest, mut asked) = (Duration::ZERO, 0);
    while begun.load(Relaxed) < 2000 || asked < 50 {
        let start = now();
        ask();
        slowest = slowest.max(start.elapsed());
        asked += 1;
    }
    println!("{asked} clients beside 2,000 half-open handshakes, the slowest took {slowest:?}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert!(world.metric("unsix_stream_connections") <= 300.0);
    assert!(world.metric("unsix_tls_handshakes_total{result=\"dropped\"}") >= 1700.0);
    until("they all end, while their clients still hold on", || {
        (world.metric("unsix_stream_connections") <= 1.0).then_some(())
    });
    assert_eq!(
        world.metric("unsix_tls_handshakes_total{result=\"dropped\"}"),
        2000.0
    );
    stop.store(true, Relaxed);
    flood.join().unwrap();
}

#[test]
fn a_handshake_octet_by_octet_ends_in_five_seconds() {
    let _turn = alone();
    let world = World::new(Upstream::plain());
    let mut stream = Connection::to(world.tls()).stream;
    let start = now();
    stream.write_all(&[22, 3, 1, 2, 0]).unwrap();
    while stream.write_all(&[1]).is_ok() && start.elapsed() < Duration::from_secs(9) {
        thread::sleep(millis(50));
    }
    let took = start.elapsed();
    assert!((millis(4500)..millis(7000)).contains(&took), "{took:?}");
}

#[test]
fn who_never_reads_is_given_up() {
    let _turn = alone();
    let upstream = Upstream::new(|asked| {
        let records: Vec<_> = (0..200)
            .map(|last| wire::record(wire::A, 300, &[192, 0, 2, last]))
            .collect();
        at_once(wire::answer(&asked.packet, &records[..60]))
    });
    let world = World::new(upstream);
    let mut connection = world.connect();
    let begun = now();
    // 60 addresses are a kilobyte: 40 MB of replies, that nobody reads.
    let batch: Vec<_> = (0..400).map(question).collect();
    let asking = thread::spawn(move || {
        for _ in 0..100 {
            connection.send(&batch);
        }
        connection
    });
    while begun.elapsed() < Duration::from_secs(2) {
        let start = now();
        world.connect().ask(question(1));
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "others are served"
        );
    }
    until("it is closed", || {
        (world.metric("unsix_stream_connections") == 0.0).then_some(())
    });
    asking.join().unwrap();
}

#[test]
fn who_leaves_in_mid_query_harms_nobody() {
    let upstream = Upstream::new(|asked| after(200, usual(&asked.packet)));
    let world = World::new(upstream);
    for number in 0..20 {
        let mut gone = world.connect();
        gone.send(&[wire::query(1, &format!("n{number}.example"), wire::A)]);
    }
    // With a farewell, but still there for the answer.
    let mut listening = world.connect();
    listening.send(&[wire::query(2, "last.example", wire::A)]);
    listening.stream.conn.send_close_notify();
    listening.stream.flush().unwrap();
    assert_eq!(wire::id_of(&listening.receive().unwrap()), 2);
    assert_eq!(listening.receive(), None, "then it is closed");
    until("nobody is left", || {
        (world.metric("unsix_stream_connections") == 0.0).then_some(())
    });
    assert_eq!(world.upstream.asked("n19.example.").len(), 1);
}

#[test]
fn a_client_has_64_connections_over_both_together() {
    let world = World::new(Upstream::plain());
    let mut open: Vec<_> = (0..32).map(|_| world.connect()).collect();
    let plain: Vec<_> = (0..32)
        .map(|_| {
            let mut plain = Connection::to(world.daemon.addresses()[0]);
            plain.ask(question(1));
            plain
        })
        .collect();
    assert!(Connection::secured(world.tls(), NAME, &world.client).is_err());
    let elsewhere = from(Ipv4Addr::new(127, 0, 0, 9), world.tls());
    let mut elsewhere = Connection::over(elsewhere, NAME, &world.client).unwrap();
    let reply = elsewhere.ask(question(1));
    assert_eq!(wire::addresses(&reply), [IpAddr::from([192, 0, 2, 1])]);
    open[0].ask(question(1));
    drop((open, plain));
}
