//! The daemon in process, with real sockets: UDP, TCP, upstreams, and who may talk to it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "functions beside the tests are not exempt"
)]

mod daemon;

use daemon::client::{Client, Connection, ask};
use daemon::ports::guess_ports_and_ids;
use daemon::upstream::{Over, Upstream, after, at_once, usual};
use daemon::{http, millis, now, start, until, wire};
use std::collections::{HashMap, HashSet};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

fn asking(upstream: &Upstream) -> String {
    format!("upstreams: [\"{}\"]\n", upstream.address)
}

/// `big.example` has sixty addresses; everything else is as usual.
fn big(query: &[u8]) -> Vec<u8> {
    let records: Vec<_> = (0..60)
        .map(|last| wire::record(wire::A, 300, &[192, 0, 2, last]))
        .collect();
    wire::answer(query, &records)
}

#[test]
fn udp_and_tcp_say_the_same() {
    let upstream = Upstream::plain();
    let daemon = start(&(asking(&upstream) + "rules: [{hosts: [hub.example]}]"));
    let server = daemon.addresses()[0];
    let (client, mut connection) = (Client::of(server), Connection::to(server));
    for (name, kind) in [
        ("www.example", wire::A),
        ("www.example", wire::AAAA),
        ("hub.example", wire::A),
        ("hub.example", wire::AAAA),
        ("www.example", wire::TXT),
        ("localhost", wire::A),
        ("a.invalid", wire::A),
        ("www.example", 252),
    ] {
        let query = wire::with_edns(wire::query(77, name, kind), 1232);
        // The SOA of a filtered reply is made up until the zone's own has come in the background; TTLs
        // age: headers and lengths octet by octet, records apart from their TTLs.
        let (udp, tcp) = until(&format!("the same for {name} {kind}"), || {
            let (udp, tcp) = (client.ask(&query), connection.ask(query.clone()));
            ((udp.len(), &udp[..12]) == (tcp.len(), &tcp[..12])).then_some((udp, tcp))
        });
        let (udp, tcp) = (wire::read(&udp), wire::read(&tcp));
        assert_eq!(udp.answers.len(), tcp.answers.len());
        for (one, other) in udp.answers.iter().zip(&tcp.answers) {
            assert_eq!((&one.name, &one.data), (&other.name, &other.data));
        }
    }
}

#[test]
fn what_fits_no_datagram_is_cut_and_comes_whole_over_tcp() {
    let upstream = Upstream::new(|asked| at_once(big(&asked.packet)));
    let daemon = start(&asking(&upstream));
    let server = daemon.addresses()[0];
    let (client, mut connection) = (Client::of(server), Connection::to(server));
    let plain = wire::query(1, "big.example", wire::A);
    for (query, limit) in [
        (plain.clone(), 512),
        (wire::with_edns(plain.clone(), 700), 700),
    ] {
        let cut = client.ask(&query);
        assert!(
            wire::is_truncated(&cut) && cut.len() <= limit,
            "{}",
            cut.len()
        );
        assert!(cut.len() + 16 > limit, "as many as fit: {}", cut.len());
        assert!(!wire::addresses(&cut).is_empty());
    }
    let whole = client.ask(&wire::with_edns(plain.clone(), 4096));
    assert_eq!(wire::addresses(&whole).len(), 60, "under max_udp");
    assert_eq!(wire::addresses(&connection.ask(plain)).len(), 60);
}

#[test]
fn a_truncated_answer_is_fetched_over_tcp() {
    let upstream = Upstream::new(|asked| match asked.over {
        Over::Udp => {
            let mut cut = wire::failure(&asked.packet, wire::NOERROR);
            cut[2] |= 0x02;
            at_once(cut)
        }
        Over::Tcp => at_once(big(&asked.packet)),
    });
    let daemon = start(&asking(&upstream));
    let mut connection = Connection::to(daemon.addresses()[0]);
    let reply = connection.ask(wire::query(1, "big.example", wire::A));
    assert_eq!(wire::addresses(&reply).len(), 60);
    let ways: Vec<Over> = upstream
        .asked("big.example.")
        .iter()
        .map(|asked| asked.over)
        .collect();
    assert_eq!(ways, [Over::Udp, Over::Tcp]);
}

#[test]
fn pipelined_queries_are_answered_as_answers_come() {
    let upstream = Upstream::new(|asked| {
        let number: u64 = asked
            .name
            .trim_start_matches('n')
            .split('.')
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(128);
        after(1 + (128 - number) * 2, usual(&asked.packet))
    });
    let daemon = start(&asking(&upstream));
    let mut connection = Connection::to(daemon.addresses()[0]);
    let queries: Vec<_> = (0..128)
        .map(|n| wire::query(n, &format!("n{n}.example"), wire::A))
        .collect();
    connection.send(&queries);
    let replies: Vec<_> = (0..128)
        .map(|_| connection.receive().expect("a reply"))
        .collect();
    let ids: Vec<u16> = replies.iter().map(|reply| wire::id_of(reply)).collect();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 128);
    assert!(
        ids[0] > 64 && ids[127] < 64,
        "the quick ones first: {ids:?}"
    );
    for reply in &replies {
        assert_eq!(
            wire::name_of(reply),
            format!("n{}.example.", wire::id_of(reply))
        );
        assert_eq!(wire::addresses(reply).len(), 1);
    }
}

#[test]
fn who_has_stopped_sending_still_gets_answers() {
    let upstream = Upstream::new(|asked| after(100, usual(&asked.packet)));
    let daemon = start(&asking(&upstream));
    let mut connection = Connection::to(daemon.addresses()[0]);
    let queries: Vec<_> = (0..5)
        .map(|n| wire::query(n, &format!("n{n}.example"), wire::A))
        .collect();
    connection.send(&queries);
    connection.end_sending();
    for _ in 0..5 {
        assert_eq!(
            wire::addresses(&connection.receive().expect("a reply")).len(),
            1
        );
    }
    let start = now();
    assert_eq!(connection.receive(), None);
    assert!(start.elapsed() < millis(500), "then it is closed at once");
}

#[test]
fn a_client_has_64_connections_and_no_more() {
    let upstream = Upstream::plain();
    let daemon = start(&(asking(&upstream) + "admin: {listen: \"127.0.0.2:0\"}"));
    let server = daemon.addresses()[0];
    let query = wire::query(1, "www.example", wire::A);
    let mut open: Vec<_> = (0..64).map(|_| Connection::to(server)).collect();
    for connection in &mut open {
        connection.ask(query.clone());
    }
    let mut more = Connection::to(server);
    assert_eq!(more.receive(), None, "closed without a word");
    let page = http::get(daemon.admin_address().unwrap(), "/metrics").1;
    let samples = http::samples(&page).unwrap();
    assert_eq!(samples["unsix_stream_connections"], 64.0);
    assert_eq!(samples["unsix_stream_refused_total"], 1.0);
    Client::of(server).ask(&query);
    open.truncate(63);
    until("a place", || {
        let mut next = Connection::to(server);
        next.send(std::slice::from_ref(&query));
        next.receive()
    });
}

#[test]
fn a_reply_leaves_from_the_address_that_was_asked() {
    let upstream = Upstream::plain();
    let daemon = start(&format!("listen: [\"0.0.0.0:0\"]\n{}", asking(&upstream)));
    let port = daemon.addresses()[0].port();
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(4)))
        .unwrap();
    // Asked of upstream first, of the cache next.
    for (server, name) in [
        ("127.0.0.7", "a"),
        ("127.0.0.7", "a"),
        ("127.0.0.9", "b"),
        ("127.0.0.1", "b"),
    ] {
        let server: SocketAddr = format!("{server}:{port}").parse().unwrap();
        socket
            .send_to(&wire::query(1, name, wire::A), server)
            .unwrap();
        assert_eq!(socket.recv_from(&mut [0; 512]).unwrap().1, server);
    }
}

#[test]
fn five_thousand_equal_questions_are_asked_once() {
    let upstream = Upstream::new(|asked| after(200, usual(&asked.packet)));
    let daemon = start(&asking(&upstream));
    let server = daemon.addresses()[0];
    let one = |client: u16| {
        let client = (Client::of(server), client);
        client
            .0
            .socket
            .set_read_timeout(Some(millis(1000)))
            .unwrap();
        let mut left: HashSet<u16> = (0..100).map(|n| client.1 * 100 + n).collect();
        // What the kernel dropped for want of room is asked again, as clients do.
        for _ in 0..3 {
            for (sent, id) in left.iter().enumerate() {
                let name = if id % 2 == 0 {
                    "www.example"
                } else {
                    "wWw.ExamPle"
                };
                client.0.send(&wire::query(*id, name, wire::A));
                if sent % 20 == 19 {
                    thread::sleep(millis(1));
                }
            }
            while !left.is_empty() {
                let Some(reply) = client.0.receive() else {
                    break;
                };
                assert_eq!(wire::addresses(&reply).len(), 1);
                assert!(left.remove(&wire::id_of(&reply)), "an id of its own, once");
            }
        }
        left.len()
    };
    let lost: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..50)
            .map(|client| scope.spawn(move || one(client)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(lost, 0);
    assert_eq!(upstream.asked("www.example.").len(), 1);
}

#[test]
fn ports_and_ids_of_queries_to_upstreams_are_not_to_be_guessed() {
    // To a server on loopback, where no stranger can answer in its place, ports may come again. For others see `alone.rs`.
    guess_ports_and_ids(&Upstream::plain(), 32);
}

#[test]
fn only_allowed_clients_are_answered() {
    let upstream = Upstream::plain();
    let daemon = start(&(asking(&upstream) + "access: {allow: [127.0.0.2]}"));
    let server = daemon.addresses()[0];
    let query = wire::query(1, "www.example", wire::A);
    let refused = [
        Client::of(server).ask(&query),
        Connection::to(server).ask(query.clone()),
        Client::from("127.0.0.3", server).ask(&wire::query(1, "localhost", wire::A)),
    ];
    for reply in refused {
        assert_eq!(wire::rcode_of(&reply), wire::REFUSED);
        wire::read(&reply);
    }
    assert!(upstream.asked("www.example.").is_empty());
    let reply = Client::from("127.0.0.2", server).ask(&query);
    assert_eq!(wire::addresses(&reply).len(), 1);
}

/// Passes on whatever comes, back to us, until it is told to answer itself.
struct Relay {
    address: SocketAddr,
    target: Arc<OnceLock<SocketAddr>>,
    passed: Arc<AtomicUsize>,
    rewired: Arc<AtomicBool>,
}

impl Relay {
    fn new() -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").unwrap();
        let relay = Self {
            address: front.local_addr().unwrap(),
            target: Arc::default(),
            passed: Arc::default(),
            rewired: Arc::default(),
        };
        let back = UdpSocket::bind("127.0.0.1:0").unwrap();
        let waiting: Arc<Mutex<HashMap<u16, SocketAddr>>> = Arc::default();
        let (answers, askers, replies) = (
            back.try_clone().unwrap(),
            waiting.clone(),
            front.try_clone().unwrap(),
        );
        // These threads end with the test program.
        thread::spawn(move || {
            let mut packet = [0; 2048];
            while let Ok(length) = answers.recv(&mut packet) {
                let asker = askers.lock().unwrap().remove(&wire::id_of(&packet));
                if let Some(asker) = asker {
                    let _ = replies.send_to(&packet[..length], asker);
                }
            }
        });
        let (target, passed, rewired) = (
            relay.target.clone(),
            relay.passed.clone(),
            relay.rewired.clone(),
        );
        thread::spawn(move || {
            let mut packet = [0; 2048];
            while let Ok((length, asker)) = front.recv_from(&mut packet) {
                let query = &packet[..length];
                if rewired.load(Relaxed) {
                    let _ = front.send_to(&usual(query), asker);
                    continue;
                }
                passed.fetch_add(1, Relaxed);
                waiting.lock().unwrap().insert(wire::id_of(query), asker);
                let _ = back.send_to(query, target.wait());
            }
        });
        relay
    }
}

#[test]
fn an_upstream_that_leads_back_to_us_is_found_and_left_alone() {
    let relay = Relay::new();
    let daemon = start(&format!(
        "admin: {{listen: \"127.0.0.2:0\"}}\nupstreams: [\"{}\"]\n",
        relay.address
    ));
    let (server, admin) = (daemon.addresses()[0], daemon.admin_address().unwrap());
    relay.target.set(server).unwrap();
    let told = format!("upstream {} leads back to us", relay.address);
    until("the loop", || {
        http::get(admin, "/ready").1.contains(&told).then_some(())
    });
    let before = relay.passed.load(Relaxed);
    let client = Client::of(server);
    for number in 0..50 {
        let reply = client.ask(&wire::query(number, &format!("n{number}.example"), wire::A));
        assert_eq!(wire::rcode_of(&reply), wire::SERVFAIL);
    }
    let passed = relay.passed.load(Relaxed) - before;
    assert!(passed < 100, "{passed} packets went round for 50 questions");
    assert_eq!(http::get(admin, "/live").0, 200);
    assert!(!daemon.is_broken());
    relay.rewired.store(true, Relaxed);
    until("its return", || {
        let reply = ask(server, "www.example", wire::A);
        (wire::rcode_of(&reply) == wire::NOERROR).then_some(())
    });
    assert_eq!(http::get(admin, "/ready").1, "ready\n");
}
