//! What a client must not do (RFC 9250 §4.3.3), and how its connection ends by that.

use super::client::{CANCELLED, Client, ask, driver, endpoint, framed, quic, wait};
use crate::daemon::upstream::{Upstream, after, at_once, usual};
use crate::daemon::{millis, now, until, wire};
use crate::{World, alone, question};
use rustls::version::TLS13;
use std::thread;
use std::time::Duration;
use tokio::time::timeout;

/// An OPT with edns-tcp-keepalive.
const KEEPALIVE: &[u8] = &[0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 4, 0, 11, 0, 0];

#[test]
fn what_is_no_query_ends_the_connection_and_says_why() {
    let world = World::new(Upstream::plain());
    let good = framed(&question(0));
    let mut response = question(0);
    response[2] |= 0x80;
    let mut keepalive = question(0);
    keepalive[11] = 1;
    keepalive.extend(KEEPALIVE);
    #[rustfmt::skip]
    let table = [
        ("an id",               framed(&question(1)),            "the message id of a query is not 0"),
        ("another one",         framed(&question(0x0100)),       "the message id of a query is not 0"),
        ("two queries",         good.repeat(2),                  "a stream carries more than one query"),
        ("an octet too many",   [&good[..], &[0]].concat(),      "a stream carries more than one query"),
        ("an octet too few",    good[..good.len() - 1].to_vec(), "a query ends before its length"),
        ("half a length",       vec![0],                         "a query ends before its length"),
        ("nothing",             vec![],                          "a query ends before its length"),
        ("length 0",            vec![0, 0],                      "a query is shorter than its header"),
        ("11 octets",           framed(&question(0)[..11]),      "a query is shorter than its header"),
        ("a response",          framed(&response),               "a response is no query"),
        ("edns-tcp-keepalive",  framed(&keepalive),              "edns-tcp-keepalive is not for QUIC"),
    ];
    let other = world.connect_quic();
    for (what, octets, why) in table {
        let client = world.connect_quic();
        client.ask(question(0));
        let _stream = client.say(&octets, true);
        assert_eq!(client.end(), (2, why.to_owned()), "{what}");
    }
    assert_eq!(wire::addresses(&other.ask(question(0))).len(), 1);
    assert_eq!(world.queries(), 12.0);
    until("their places are free", || {
        (world.metric("unsix_stream_connections") == 1.0).then_some(())
    });
}

#[test]
fn a_query_without_its_end_is_waited_for_five_seconds() {
    let _turn = alone();
    let world = World::new(Upstream::plain());
    let client = world.connect_quic();
    let start = now();
    let _whole = client.say(&framed(&question(0)), false);
    let _part = client.say(&[0], false);
    while start.elapsed() < millis(4000) {
        assert_eq!(wire::addresses(&client.ask(question(0))).len(), 1);
        thread::sleep(millis(50));
    }
    assert_eq!(client.end(), (2, "a query did not end in time".to_owned()));
    let took = start.elapsed();
    assert!((millis(4500)..millis(8000)).contains(&took), "{took:?}");
}

#[test]
fn one_way_streams_are_not_to_be_had() {
    let world = World::new(Upstream::plain());
    let client = world.connect_quic();
    wait(async {
        let none = timeout(millis(300), client.connection.open_uni()).await;
        assert!(none.is_err(), "no stream is given for it");
    });
    client.ask(question(0));
}

#[test]
fn who_does_not_speak_doq_or_trust_us_does_not_ask() {
    let world = World::new(Upstream::plain());
    for protocols in [&[][..], &[&b"h3"[..]], &[b"dot", b"h2"]] {
        let config = quic(&world.client, protocols);
        let refused = Client::with(endpoint("127.0.0.1", None), world.quic(), config);
        let refused = refused.err().unwrap().to_string();
        assert!(
            refused.contains("120"),
            "no_application_protocol: {refused}"
        );
    }
    let stranger = crate::daemon::authority::Authority::new().trusted_by(&[&TLS13]);
    let refused = Client::to(world.quic(), &stranger).err().unwrap();
    assert!(refused.to_string().contains("UnknownIssuer"), "{refused}");
    until("all are counted", || {
        (world.handshakes("failure") == 4.0).then_some(())
    });
    assert_eq!((world.queries(), world.handshakes("success")), (0.0, 0.0));
}

/// How long the slowest of some queries of others takes, while something goes on.
pub(crate) fn slowest_beside(world: &World, goes_on: impl Fn() -> bool) -> Duration {
    let kept = world.connect_quic();
    let (mut slowest, mut asked) = (Duration::ZERO, 0);
    while goes_on() || asked < 20 {
        let start = now();
        assert!(!wire::addresses(&kept.ask(question(0))).is_empty());
        assert!(!wire::addresses(&world.connect_quic().ask(question(0))).is_empty());
        slowest = slowest.max(start.elapsed());
        asked += 1;
    }
    println!("{asked} others were served meanwhile, the slowest in {slowest:?}");
    slowest
}

#[test]
fn ten_thousand_cancelled_queries_harm_nobody() {
    let _turn = alone();
    let upstream = Upstream::new(|asked| {
        let late = asked.name.starts_with("slow");
        after(if late { 50 } else { 0 }, usual(&asked.packet))
    });
    let world = World::new(upstream);
    let client = world.connect_quic();
    let rushing = driver().spawn({
        let connection = client.connection.clone();
        async move {
            for number in 0..10_000_u32 {
                let (mut send, mut recv) = connection.open_bi().await?;
                match number % 3 {
                    // Before it asks, while it asks, and once it has asked: for something that takes a while.
                    0 => {}
                    1 => send.write_all(&[0, 29, 0]).await.unwrap(),
                    _ => {
                        let name = format!("slow{number}.example");
                        let query = wire::query(0, &name, wire::A);
                        send.write_all(&framed(&query)).await.unwrap();
                        send.finish().unwrap();
                    }
                }
                // An error means that it has ended.
                let _ = send.reset(CANCELLED);
                let _ = recv.stop(CANCELLED);
            }
            Ok::<_, quinn::ConnectionError>(())
        }
    });
    let slowest = slowest_beside(&world, || !rushing.is_finished());
    wait(rushing).unwrap().unwrap();
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    let reply = wait(ask(client.connection.clone(), question(0)));
    assert_eq!(wire::addresses(&reply).len(), 1, "it may still ask");
}

#[test]
fn who_never_reads_is_given_up() {
    let _turn = alone();
    let upstream = Upstream::new(|asked| {
        let records: Vec<_> = (0..60)
            .map(|last| wire::record(wire::A, 300, &[192, 0, 2, last]))
            .collect();
        at_once(wire::answer(&asked.packet, &records))
    });
    let world = World::new(upstream);
    // 60 addresses are a kilobyte: of each reply it takes a part, and of all together 4 kB.
    let client = Client::taking(4096, world.quic(), &world.client);
    let asking = driver().spawn({
        let connection = client.connection.clone();
        async move {
            let mut open = Vec::new();
            while let Ok((mut send, recv)) = connection.open_bi().await {
                let asked = send.write_all(&framed(&question(0))).await;
                let _ = send.finish();
                open.push(recv);
                if asked.is_err() {
                    return;
                }
            }
        }
    });
    let slowest = slowest_beside(&world, || !asking.is_finished());
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert_eq!(client.end(), (4, "replies are not taken".to_owned()));
    until("nobody is left", || {
        (world.metric("unsix_stream_connections") == 0.0).then_some(())
    });
}
