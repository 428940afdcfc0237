//! What holds of each transport whose queries have streams of their own.

use super::authority::Authority;
use super::daemon::client::{Client, ask};
use super::daemon::files::Folder;
use super::daemon::program::Program;
use super::daemon::upstream::{Upstream, at_once, usual};
use super::daemon::{millis, now, start, until, wire};
use super::moving::follows;
use super::proofs::refused_over;
use super::server::{Dot, Line};
use super::streams::{Asked, Over, Say, Server};
use super::{NAME, by, named, run};
use hyper::http::HeaderName;
use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;
use unsix::daemon::Daemon;

/// A test, by each of them.
type Test = (&'static str, fn(Over));

pub(crate) const TESTS: &[Test] = &[
    ("a_good_server_is_asked_by_its_name_and_padded", asked),
    ("what_cannot_prove_who_it_is_gets_no_question", refused),
    ("a_pinned_key_needs_no_authority", pinned),
    ("nothing_goes_out_in_clear_text", clear_text),
    ("a_server_is_asked_over_ipv6", ipv6),
    ("questions_that_wait_share_one_connection", shared),
    ("closed_amid_an_answer_it_is_asked_once_more", amid),
    ("a_stream_that_is_reset_is_asked_once_more", reset),
    ("a_question_whose_stream_is_reset_fails_alone", reset_always),
    ("a_question_that_closes_connections_fails_alone", poison),
    ("connections_that_end_lose_no_query_and_resume", retired),
    (
        "what_is_on_its_way_is_answered_by_a_server_that_leaves",
        leaving,
    ),
    ("a_server_that_always_closes_is_asked_twice", closes),
    ("an_answer_to_another_question_is_no_answer", other_question),
    ("an_answer_with_an_id_is_taken_by_http_alone", with_id),
    ("a_connection_that_died_in_silence_is_replaced", silent),
    ("failover_goes_by_health_across_transports", failover),
    ("names_are_resolved_by_bootstrap", bootstrap),
];

/// One with a good certificate, and a daemon before it.
fn before(over: Over, script: impl Fn(&Asked) -> Say + Send + Sync + 'static) -> (Server, Daemon) {
    let authority = Authority::new();
    let server = Server::on("127.0.0.1:0", over, &authority.sign(NAME), script);
    let daemon = start(&format!(
        "upstreams: [\"{}\"]\n",
        by(over.scheme(), server.address, &authority)
    ));
    (server, daemon)
}

fn answer(asked: &Asked) -> Say {
    Say::Answer(usual(&asked.query))
}

fn asked(over: Over) {
    let (server, daemon) = before(over, answer);
    for name in ["a.example", "much.longer.than.the.other.one.example"] {
        let reply = ask(daemon.addresses()[0], name, wire::A);
        assert_eq!(wire::addresses(&reply), [Ipv4Addr::new(192, 0, 2, 1)]);
    }
    let queries = server.queries(".example.");
    assert_eq!(queries.len(), 2);
    for query in queries {
        assert_eq!(query.len(), 128, "RFC 8467: {query:?}");
        assert_eq!(wire::id_of(&query), 0, "RFC 8484 §4.1, RFC 9250 §4.2.1");
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(server.names(), [Some(NAME.to_owned())], "SNI");
    for request in server.requests() {
        assert_eq!(request.method, "POST");
        let uri = format!("https://{NAME}:{}/dns-query", server.address.port());
        assert_eq!(request.uri.to_string(), uri);
        let mut headers: Vec<&str> = request.headers.keys().map(HeaderName::as_str).collect();
        headers.sort_unstable();
        assert_eq!(headers, ["accept", "content-length", "content-type"]);
        assert_eq!(request.headers["accept"], "application/dns-message");
        assert_eq!(request.headers["content-type"], "application/dns-message");
    }
}

fn refused(over: Over) {
    refused_over(over.scheme(), |signed| {
        let server = Server::plain(over, signed);
        (server.address, server.seen)
    });
}

fn pinned(over: Over) {
    let authority = Authority::new();
    let signed = authority.self_signed("whatever.test");
    let server = Server::plain(over, &signed);
    let upstream = format!("{}://{}?pin={}", over.scheme(), server.address, signed.pin);
    let daemon = start(&format!("upstreams: [\"{upstream}\"]\n"));
    let reply = ask(daemon.addresses()[0], "a.example", wire::A);
    assert_eq!(wire::rcode_of(&reply), wire::NOERROR);
    assert_eq!(server.names(), [None], "an address is no SNI");
}

fn clear_text(over: Over) {
    // At that port something answers, over UDP and TCP both, in clear text.
    let clear = Upstream::plain();
    let (folder, authority) = (Folder::new(), Authority::new());
    let upstream = by(over.scheme(), clear.address, &authority);
    let program = run(&folder, &[upstream], "");
    let reply = ask(program.address(), "a.example", wire::A);
    assert_eq!(wire::rcode_of(&reply), wire::SERVFAIL);
    program.says("upstream is down");
    assert!(clear.asked("a.example.").is_empty());
}

fn ipv6(over: Over) {
    let authority = Authority::new();
    let server = Server::on("[::1]:0", over, &authority.sign(NAME), answer);
    let upstream = by(over.scheme(), server.address, &authority);
    let daemon = start(&format!("upstreams: [\"{upstream}\"]\n"));
    let reply = ask(daemon.addresses()[0], "a.example", wire::A);
    assert_eq!(wire::rcode_of(&reply), wire::NOERROR);
}

fn shared(over: Over) {
    const ALL: u16 = 100;
    let (server, daemon) = before(over, answer);
    let client = Client::of(daemon.addresses()[0]);
    for number in 0..ALL {
        client.send(&wire::query(number, &format!("n{number}.example"), wire::A));
    }
    let mut answered = HashSet::new();
    for _ in 0..ALL {
        let reply = client.receive().expect("a reply");
        assert_eq!(wire::rcode_of(&reply), wire::NOERROR);
        answered.insert(wire::id_of(&reply));
    }
    assert_eq!(answered.len(), usize::from(ALL));
    assert_eq!(server.connections(), 1);
    assert_eq!(server.queries(".example.").len(), usize::from(ALL));
}

fn amid(over: Over) {
    let (server, daemon) = before(over, |asked| match asked.connection {
        0 => Say::Leave,
        _ => answer(asked),
    });
    let reply = ask(daemon.addresses()[0], "a.example", wire::A);
    assert_eq!(wire::rcode_of(&reply), wire::NOERROR);
    assert_eq!(server.connections(), 2);
}

fn reset(over: Over) {
    let first = AtomicBool::new(true);
    let (server, daemon) = before(over, move |asked| {
        let ours = wire::name_of(&asked.query) == "a.example.";
        match ours && first.swap(false, Relaxed) {
            true => Say::Reset,
            false => answer(asked),
        }
    });
    let reply = ask(daemon.addresses()[0], "a.example", wire::A);
    assert_eq!(wire::rcode_of(&reply), wire::NOERROR);
    assert_eq!(server.queries("a.example.").len(), 2);
    assert_eq!(server.connections(), 1);
    if over == Over::Https {
        let requests = server.requests();
        let last = requests.last().unwrap();
        let (method, path) = (last.method.as_str(), last.uri.path());
        assert_eq!((method, path), ("GET", "/dns-query"), "in one frame");
    }
}

/// unsix before a server that says this to some questions, and answers all others.
fn poisoned(over: Over, say: fn() -> Say) -> ((Authority, Folder), Server, Program) {
    let (authority, folder) = (Authority::new(), Folder::new());
    let signed = authority.sign(NAME);
    let server = Server::on(
        "127.0.0.1:0",
        over,
        &signed,
        move |asked| match wire::name_of(&asked.query).starts_with("poison") {
            true => say(),
            false => answer(asked),
        },
    );
    let upstream = by(over.scheme(), server.address, &authority);
    let program = run(&folder, &[upstream], "");
    ((authority, folder), server, program)
}

fn reset_always(over: Over) {
    let (_files, server, program) = poisoned(over, || Say::Reset);
    let client = Client::of(program.address());
    for number in 0..5 {
        let name = format!("poison{number}.example");
        let reply = client.ask(&wire::query(number, &name, wire::A));
        assert_eq!(wire::rcode_of(&reply), wire::SERVFAIL);
    }
    let reply = client.ask(&wire::query(9, "good.example", wire::A));
    assert_eq!(wire::rcode_of(&reply), wire::NOERROR);
    assert_eq!(program.count("upstream is down"), 0);
    assert_eq!(server.connections(), 1);
}

fn poison(over: Over) {
    let (_files, _server, program) = poisoned(over, || Say::Leave);
    let client = Client::of(program.address());
    // It is known for a good one.
    client.ask(&wire::query(1, "first.example", wire::A));
    for number in 0..10 {
        client.send(&wire::query(
            1000 + number,
            &format!("poison{number}.example"),
            wire::A,
        ));
        for other in 0..5 {
            let name = format!("n{other}.of{number}.example");
            let reply = client.ask(&wire::query(number, &name, wire::A));
            assert_eq!(wire::rcode_of(&reply), wire::NOERROR, "{name}");
        }
    }
    assert_eq!(program.count("upstream is down"), 0);
}

fn retired(over: Over) {
    // Each connection takes three questions or so, as of servers that count.
    let count = AtomicUsize::new(0);
    let (server, daemon) = before(over, move |asked| match count.fetch_add(1, Relaxed) % 3 {
        2 => Say::Last(usual(&asked.query)),
        _ => answer(asked),
    });
    for number in 0..60 {
        let reply = ask(
            daemon.addresses()[0],
            &format!("n{number}.example"),
            wire::A,
        );
        assert_eq!(wire::rcode_of(&reply), wire::NOERROR, "{number}");
        if number % 7 == 0 {
            thread::sleep(millis(20));
        }
    }
    assert!(server.connections() >= 15, "{}", server.connections());
    assert!(
        server.resumed() + 2 >= server.connections(),
        "{} of {} resumed",
        server.resumed(),
        server.connections()
    );
}

fn leaving(over: Over) {
    if over == Over::Quic {
        // It has no such word: a connection that is closed is closed.
        return;
    }
    let (server, daemon) = before(over, |asked| {
        let name = wire::name_of(&asked.query);
        match name.as_str() {
            "slow.example." => Say::Later(millis(600), usual(&asked.query)),
            "last.example." => Say::Last(usual(&asked.query)),
            _ => answer(asked),
        }
    });
    let client = Client::of(daemon.addresses()[0]);
    client.ask(&wire::query(1, "first.example", wire::A));
    let begun = server.connections();
    client.send(&wire::query(2, "slow.example", wire::A));
    until("the slow question", || {
        (server.queries("slow.example.").len() == 1).then_some(())
    });
    let at = now();
    let last = client.ask(&wire::query(3, "last.example", wire::A));
    assert_eq!(wire::id_of(&last), 3);
    for number in 10..20 {
        let name = format!("n{number}.example");
        let reply = client.ask(&wire::query(number, &name, wire::A));
        assert_eq!(wire::rcode_of(&reply), wire::NOERROR, "{name}");
        if wire::id_of(&reply) == 2 {
            assert!(at.elapsed() > millis(500), "answered before its time");
        }
    }
    assert_eq!(server.connections(), begun + 1);
    let slow = client.ask(&wire::query(4, "slow.example", wire::A));
    assert_eq!(wire::rcode_of(&slow), wire::NOERROR);
    assert_eq!(server.queries("slow.example.").len(), 1, "asked twice");
}

fn closes(over: Over) {
    let (server, daemon) = before(over, |_| Say::Leave);
    let begun = now();
    let reply = ask(daemon.addresses()[0], "a.example", wire::A);
    assert_eq!(wire::rcode_of(&reply), wire::SERVFAIL);
    assert!(begun.elapsed() < Duration::from_secs(4));
    // Six packets for one question, each on two connections.
    let asked = server.queries("a.example.").len();
    assert!(asked <= 12, "{asked}");
    assert!(server.connections() <= 60, "{}", server.connections());
}

fn other_question(over: Over) {
    let (_, daemon) = before(over, |asked| {
        let evil = wire::query(0, "evil.example", wire::A);
        match wire::name_of(&asked.query).starts_with("good") {
            true => answer(asked),
            false => Say::Answer(wire::ipv4(&evil, [203, 0, 113, 66])),
        }
    });
    for number in 0..5 {
        let name = format!("good{number}.example");
        let reply = ask(daemon.addresses()[0], &name, wire::A);
        assert_eq!(wire::addresses(&reply), [Ipv4Addr::new(192, 0, 2, 1)]);
        let name = format!("n{number}.example");
        let reply = ask(daemon.addresses()[0], &name, wire::A);
        assert_eq!(wire::rcode_of(&reply), wire::SERVFAIL);
    }
}

fn with_id(over: Over) {
    let (server, daemon) = before(over, |asked| {
        let mut octets = usual(&asked.query);
        if wire::name_of(&asked.query).ends_with(".example.") {
            octets[..2].copy_from_slice(&[4, 7]);
        }
        Say::Answer(octets)
    });
    let reply = ask(daemon.addresses()[0], "a.example", wire::A);
    if over != Over::Quic {
        // A cache may have it from somebody else.
        return assert_eq!(wire::rcode_of(&reply), wire::NOERROR);
    }
    assert_eq!(wire::rcode_of(&reply), wire::SERVFAIL);
    // RFC 9250 §4.3.3, §8.4: DOQ_PROTOCOL_ERROR.
    until("the end of a connection", || {
        let ends = server.ends();
        ends.contains(&"closed by peer: 2".to_owned()).then_some(())
    });
}

fn silent(over: Over) {
    // As behind a router that has forgotten the connection: what is sent is taken, and nothing comes.
    let (server, daemon) = before(over, |asked| {
        match asked.connection == 0 && wire::name_of(&asked.query).ends_with(".example.") {
            true => Say::Nothing,
            false => answer(asked),
        }
    });
    ask(daemon.addresses()[0], "a.warm", wire::A);
    let client = Client::of(daemon.addresses()[0]);
    let begun = now();
    let reply = client.ask(&wire::query(1, "a.example", wire::A));
    assert_eq!(
        wire::rcode_of(&reply),
        wire::NOERROR,
        "by another connection"
    );
    assert!(begun.elapsed() < millis(2_400), "{:?}", begun.elapsed());
    assert_eq!(server.connections(), 2);
}

fn failover(over: Over) {
    let authority = Authority::new();
    let signed = authority.sign(NAME);
    let down = Arc::new(AtomicU8::new(0));
    let (first_down, second_down) = (down.clone(), down.clone());
    let first = Server::on("127.0.0.1:0", over, &signed, move |asked| {
        match first_down.load(Relaxed) > 0 {
            true => Say::Leave,
            false => answer(asked),
        }
    });
    let second = Dot::on("127.0.0.1:0", &signed.config, move |mut line: Line| {
        while let Some(query) = line.read() {
            if second_down.load(Relaxed) > 1 {
                return;
            }
            line.write(&wire::ipv4(&query, [192, 0, 2, 98]));
        }
    });
    let third = Upstream::new(|asked| at_once(wire::ipv4(&asked.packet, [192, 0, 2, 99])));
    let folder = Folder::new();
    let upstreams = [
        by(over.scheme(), first.address, &authority),
        named(second.address, &authority),
        third.address.to_string(),
    ];
    let program = run(&folder, &upstreams, "");
    let mut number = 0;
    let mut from = |last: u8| {
        until("an answer of the next", || {
            number += 1;
            let reply = ask(program.address(), &format!("n{number}.example"), wire::A);
            assert_eq!(wire::rcode_of(&reply), wire::NOERROR, "{number}");
            (wire::addresses(&reply) == [Ipv4Addr::new(192, 0, 2, last)]).then_some(())
        });
    };
    from(1);
    down.store(1, Relaxed);
    from(98);
    down.store(2, Relaxed);
    from(99);
    down.store(0, Relaxed);
    from(1);
}

fn bootstrap(over: Over) {
    let authority = Authority::new();
    let signed = authority.sign(NAME);
    let alive = Arc::new(AtomicBool::new(true));
    let is_alive = alive.clone();
    let first = Server::on("127.0.0.1:0", over, &signed, move |asked| {
        match is_alive.load(Relaxed) {
            true => answer(asked),
            false => Say::Leave,
        }
    });
    let place = format!("127.0.0.7:{}", first.address.port());
    let second = Server::on(&place, over, &signed, answer);
    let place = format!("{}://{NAME}:{}", over.scheme(), first.address.port());
    let told = || first.names();
    follows(&place, &authority, &alive, told, || {
        !second.queries("b.example.").is_empty()
    });
}
