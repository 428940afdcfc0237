//! What clients over HTTPS do that they should not, and what becomes of all others.

use super::client::{PATH, Web, offering};
use super::frames::{END_HEADERS, Frames, HEADERS, INITIAL_WINDOW_SIZE, field, frame, get};
use crate::daemon::client::Connection;
use crate::daemon::tls::Secured;
use crate::daemon::upstream::{Upstream, after, at_once, usual};
use crate::daemon::{millis, now, until, wire};
use crate::faults::half_open;
use crate::{NAME, World, alone, question};
use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

#[test]
fn two_thousand_half_open_handshakes_stall_nobody_over_https() {
    let world = World::new(Upstream::plain());
    let mut kept = Web::to(&world, "h2");
    half_open(&world, world.https(), || {
        assert_eq!(Web::to(&world, "h2").ask(&question(1)).status, 200);
        assert_eq!(kept.ask(&question(2)).status, 200);
    });
}

/// A connection for HTTP/1.1 by hand.
fn one(world: &World) -> Secured {
    let client = offering(&world.client, "http/1.1");
    let stream = Connection::secured(world.https(), NAME, &client)
        .unwrap()
        .stream;
    stream.sock.set_read_timeout(Some(millis(20_000))).unwrap();
    stream
}

#[test]
fn a_body_that_does_not_end_is_not_waited_for() {
    let _turn = alone();
    let world = World::new(Upstream::plain());
    let mut one = one(&world);
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: {NAME}\r\nContent-Type: application/dns-message\r\nContent-Length: 29\r\n\r\n"
    );
    let start = now();
    one.write_all(head.as_bytes()).unwrap();
    let mut said = String::new();
    one.read_to_string(&mut said).unwrap();
    let took = start.elapsed();
    assert!((millis(4500)..millis(9000)).contains(&took), "{took:?}");
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
}

/// Answers of a kilobyte.
fn large() -> Upstream {
    Upstream::new(|asked| {
        let records: Vec<_> = (0..60)
            .map(|last| wire::record(wire::A, 300, &[192, 0, 2, last]))
            .collect();
        at_once(wire::answer(&asked.packet, &records))
    })
}

#[test]
fn who_never_reads_over_https_is_given_up() {
    let _turn = alone();
    let world = World::new(large());
    let mut deaf = Frames::to(
        world.https(),
        &world.client,
        &[(INITIAL_WINDOW_SIZE, 1 << 30)],
    );
    // The connection's window, too: 40 MB of replies may come, and nobody reads.
    deaf.send(&frame(8, 0, 0, &(1_u32 << 30).to_be_bytes()))
        .unwrap();
    let asking = thread::spawn(move || {
        deaf.flood(400, |batch| {
            let streams = (0..100).map(|place| 2 * (100 * batch + place) + 1);
            streams
                .flat_map(|stream| get(stream, &question(1)))
                .collect()
        })
    });
    others_are_served(&world);
    asking.join().unwrap();
}

#[test]
fn who_gives_no_window_is_given_up() {
    let _turn = alone();
    let world = World::new(large());
    let mut deaf = Frames::to(world.https(), &world.client, &[(INITIAL_WINDOW_SIZE, 0)]);
    let start = now();
    for number in 0..128 {
        deaf.send(&get(2 * number + 1, &question(1))).unwrap();
    }
    while deaf.receive().is_some() {}
    let took = start.elapsed();
    assert!((millis(4500)..millis(9000)).contains(&took), "{took:?}");
    others_are_served(&world);
}

/// Until whoever does not read is gone.
fn others_are_served(world: &World) {
    let begun = now();
    while begun.elapsed() < Duration::from_secs(2) {
        let start = now();
        assert_eq!(Web::to(world, "h2").ask(&question(1)).status, 200);
        assert!(start.elapsed() < Duration::from_secs(1));
    }
    until("it is closed", || {
        (world.metric("unsix_stream_connections") == 0.0).then_some(())
    });
}

#[test]
fn who_asks_nothing_is_let_go() {
    let _turn = alone();
    let world = World::new(Upstream::plain());
    let start = now();
    let (mut two, mut one) = (Frames::to(world.https(), &world.client, &[]), one(&world));
    // A head that does not end.
    one.write_all(b"GET /").unwrap();
    let half = frame(HEADERS, 0, 1, &[0x82]);
    two.send(&half).unwrap();
    // How it ends is our affair.
    let _ = one.read_to_end(&mut Vec::new());
    while two.receive().is_some() {}
    let took = start.elapsed();
    assert!((millis(9_500)..millis(14_000)).contains(&took), "{took:?}");
}

#[test]
fn who_leaves_in_mid_request_harms_nobody() {
    let world = World::new(Upstream::new(|asked| after(300, usual(&asked.packet))));
    for number in 0..20 {
        let mut gone = Frames::to(world.https(), &world.client, &[]);
        gone.send(&get(
            1,
            &wire::query(1, &format!("n{number}.example"), wire::A),
        ))
        .unwrap();
    }
    let fields = [&[0x83, 0x87][..], &field(1, NAME), &field(4, PATH)].concat();
    let mut half = Frames::to(world.https(), &world.client, &[]);
    half.send(&frame(HEADERS, END_HEADERS, 1, &fields)).unwrap();
    drop(half);
    let mut web = Web::to(&world, "h2");
    assert_eq!(
        web.ask(&wire::query(1, "last.example", wire::A)).status,
        200
    );
    drop(web);
    until("nobody is left", || {
        (world.metric("unsix_stream_connections") == 0.0).then_some(())
    });
}
