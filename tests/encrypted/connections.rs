//! What becomes of connections: kept, shared, lost and opened again.

use super::authority::Authority;
use super::daemon::client::{Client, ask};
use super::daemon::files::Folder;
use super::daemon::tls::tarpit;
use super::daemon::upstream::{Say, Upstream, usual};
use super::daemon::{millis, now, start, until, wire};
use super::moving::follows;
use super::server::{Dot, Line};
use super::{NAME, by, good, named, run};
use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("a_thousand_questions_share_one_connection", shared),
    ("closed_amid_an_answer_it_is_asked_once_more", amid),
    ("a_question_that_closes_connections_fails_alone", poison),
    (
        "closed_while_idle_nobody_notices_and_the_session_resumes",
        idle,
    ),
    (
        "a_server_that_always_closes_is_asked_twice_and_no_more",
        closes,
    ),
    ("an_answer_to_another_question_is_no_answer", other_question),
    ("a_connection_that_died_in_silence_is_replaced", silent),
    ("one_of_us_asks_another_over_each_transport", ourselves),
    ("a_slow_handshake_holds_up_nobody_else", slow),
    ("failover_to_plain_dns_and_back", failover),
    ("nobody_waits_long_for_ipv6_addresses_of_a_server", no_aaaa),
    (
        "names_are_resolved_by_bootstrap_and_again_on_failure",
        bootstrap,
    ),
];

fn shared() {
    const ALL: u16 = 1_000;
    let authority = Authority::new();
    let signed = authority.sign(NAME);
    let ready = Arc::new(AtomicBool::new(false));
    let is_ready = ready.clone();
    let server = Dot::on("127.0.0.1:0", &signed.config, move |mut line| {
        while !is_ready.load(Relaxed) {
            let Some(query) = line.read() else { return };
            line.write(&usual(&query));
        }
        // All of them first, then the last is answered first. Now and then one at once: on a busy machine they take their
        // time, and a server that says nothing for 1 s is asked by another connection.
        let mut queries = Vec::new();
        for number in 1..=ALL {
            let Some(query) = line.read() else { return };
            match number % 50 {
                0 => line.write(&usual(&query)),
                _ => queries.push(query),
            }
        }
        while let Some(query) = queries.pop() {
            line.write(&usual(&query));
        }
        line.serve();
    });
    let daemon = start(&format!(
        "threads: 2\nupstreams: [\"{}\"]\n",
        named(server.address, &authority)
    ));
    let first = daemon.addresses()[0];
    // While it is ready or not the self-query goes out; from then on the server waits for all.
    ask(first, "first.warm", wire::A);
    ready.store(true, Relaxed);
    ask(first, "second.warm", wire::A);
    // Of a single client only so many are taken at a time.
    let clients: Vec<Client> = (1..11)
        .map(|last| Client::from(&format!("127.0.9.{last}"), first))
        .collect();
    for number in 0..ALL {
        let client = &clients[usize::from(number % 10)];
        client.send(&wire::query(number, &format!("n{number}.example"), wire::A));
    }
    let mut answered = HashSet::new();
    for client in &clients {
        for _ in 0..ALL / 10 {
            let reply = client.receive().expect("a reply");
            assert_eq!(wire::rcode_of(&reply), wire::NOERROR);
            answered.insert(wire::id_of(&reply));
        }
    }
    assert_eq!(answered.len(), usize::from(ALL));
    assert_eq!(server.connections(), 1);
    let ids: HashSet<u16> = server
        .queries(".example.")
        .iter()
        .map(|query| wire::id_of(query))
        .collect();
    assert_eq!(ids.len(), usize::from(ALL), "ids of its own");
}

/// One whose first connections are served by a script, the others as usual.
fn first_ones(script: impl Fn(Line) + Send + Sync + 'static, count: usize) -> (Authority, Dot) {
    let authority = Authority::new();
    let signed = authority.sign(NAME);
    let server = Dot::on("127.0.0.1:0", &signed.config, move |line| {
        if line.number < count {
            script(line);
        } else {
            line.serve();
        }
    });
    (authority, server)
}

fn amid() {
    let (authority, server) = first_ones(
        |mut line| {
            let Some(query) = line.read() else { return };
            let answer = usual(&query);
            let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
            line.write_octets(&[&length, &answer[..answer.len() / 2]].concat());
        },
        1,
    );
    let daemon = start(&format!(
        "upstreams: [\"{}\"]\n",
        named(server.address, &authority)
    ));
    let reply = ask(daemon.addresses()[0], "a.example", wire::A);
    assert_eq!(wire::rcode_of(&reply), wire::NOERROR);
    assert_eq!(server.connections(), 2);
}

fn poison() {
    let authority = Authority::new();
    let signed = authority.sign(NAME);
    // As dnsdist does, which drops what a rule says together with the connection.
    let server = Dot::on("127.0.0.1:0", &signed.config, |mut line| {
        while let Some(query) = line.read() {
            if wire::name_of(&query).starts_with("poison") {
                return line.close();
            }
            line.write(&usual(&query));
        }
    });
    let folder = Folder::new();
    let program = run(&folder, &[named(server.address, &authority)], "");
    let client = Client::of(program.address());
    // It is known for a good one.
    client.ask(&wire::query(1, "first.example", wire::A));
    for number in 0..20 {
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

fn idle() {
    // Each connection answers three questions or so, then leaves as servers do that want no idle ones.
    let authority = Authority::new();
    let signed = authority.sign(NAME);
    let server = Dot::on("127.0.0.1:0", &signed.config, |mut line| {
        for _ in 0..3 {
            let Some(query) = line.read() else { return };
            line.write(&usual(&query));
        }
        line.close();
    });
    let daemon = start(&format!(
        "upstreams: [\"{}\"]\n",
        named(server.address, &authority)
    ));
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
    assert!(server.connections() >= 20, "{}", server.connections());
    assert!(
        server.resumed() + 2 >= server.connections(),
        "{} of {} resumed",
        server.resumed(),
        server.connections()
    );
}

fn closes() {
    let (authority, server) = first_ones(
        |mut line| {
            line.read();
        },
        usize::MAX,
    );
    let daemon = start(&format!(
        "upstreams: [\"{}\"]\n",
        named(server.address, &authority)
    ));
    let begun = now();
    let reply = ask(daemon.addresses()[0], "a.example", wire::A);
    assert_eq!(wire::rcode_of(&reply), wire::SERVFAIL);
    assert!(begun.elapsed() < Duration::from_secs(4));
    // Six packets for one question, each on two connections; and as much for the self-query and each probe.
    let asked = server.queries("a.example.").len();
    assert!(asked <= 12, "{asked}");
    assert!(server.connections() <= 60, "{}", server.connections());
}

fn other_question() {
    let (authority, server) = first_ones(
        |mut line| {
            while let Some(query) = line.read() {
                let mut other = wire::query(wire::id_of(&query), "evil.example", wire::A);
                other = wire::ipv4(&other, [203, 0, 113, 66]);
                line.write(&other);
                line.write(&usual(&query));
            }
        },
        usize::MAX,
    );
    let daemon = start(&format!(
        "upstreams: [\"{}\"]\n",
        named(server.address, &authority)
    ));
    for number in 0..20 {
        let reply = ask(
            daemon.addresses()[0],
            &format!("n{number}.example"),
            wire::A,
        );
        assert_eq!(wire::addresses(&reply), [Ipv4Addr::new(192, 0, 2, 1)]);
    }
    assert_eq!(server.connections(), 1);
}

fn silent() {
    // As behind a router that has forgotten the connection: what is sent is taken, and nothing comes.
    let (authority, server) = first_ones(
        |mut line| {
            while let Some(query) = line.read() {
                if !wire::name_of(&query).ends_with(".example.") {
                    line.write(&usual(&query));
                } else {
                    while line.read().is_some() {}
                }
            }
        },
        1,
    );
    let daemon = start(&format!(
        "upstreams: [\"{}\"]\n",
        named(server.address, &authority)
    ));
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

fn ourselves() {
    const EACH: u16 = 200;
    let (authority, plain) = (Authority::new(), Upstream::plain());
    let signed = authority.sign(NAME);
    let inner = start(&format!(
        "listen: [\"127.0.0.1:0\", \"tls://127.0.0.1:0\", \"https://127.0.0.1:0\", \"quic://127.0.0.1:0\"]\n\
         upstreams: [{}]\ntls: {{certificate: {}, key: {}}}\n",
        plain.address,
        signed.chain.display(),
        signed.key.display()
    ));
    let schemes = ["tls", "https", "quic"];
    for (scheme, listener) in schemes.iter().zip(inner.encrypted()) {
        let upstream = by(scheme, listener.address, &authority);
        let outer = start(&format!("upstreams: [\"{upstream}\"]\n"));
        let clients: Vec<Client> = (1..6)
            .map(|last| Client::from(&format!("127.0.8.{last}"), outer.addresses()[0]))
            .collect();
        for number in 0..EACH {
            let name = format!("n{number}.{scheme}.example");
            clients[usize::from(number % 5)].send(&wire::query(number, &name, wire::A));
        }
        for client in &clients {
            for _ in 0..EACH / 5 {
                let reply = client.receive().expect("a reply");
                assert_eq!(wire::rcode_of(&reply), wire::NOERROR, "{scheme}");
            }
        }
        assert_eq!(outer.troubles(), "");
    }
}

fn slow() {
    let (authority, _, server) = good();
    let hangs = tarpit("127.0.0.1:0");
    let hangs = hangs.local_addr().unwrap();
    let daemon = start(&format!(
        "upstreams: [\"{}\"]\nroutes: [{{zones: [slow.example], upstreams: [\"{}\"]}}]\n",
        named(server.address, &authority),
        named(hangs, &authority)
    ));
    ask(daemon.addresses()[0], "first.example", wire::A);
    let waits: Vec<Client> = (0..50).map(|_| Client::of(daemon.addresses()[0])).collect();
    for (number, client) in (0..).zip(&waits) {
        client.send(&wire::query(
            number,
            &format!("n{number}.slow.example"),
            wire::A,
        ));
    }
    let begun = now();
    for number in 0..100 {
        let reply = ask(
            daemon.addresses()[0],
            &format!("n{number}.example"),
            wire::A,
        );
        assert_eq!(wire::rcode_of(&reply), wire::NOERROR);
    }
    assert!(begun.elapsed() < millis(1_500), "{:?}", begun.elapsed());
    for client in &waits {
        let reply = client.receive().expect("an end, in time");
        assert_eq!(wire::rcode_of(&reply), wire::SERVFAIL);
    }
}

fn failover() {
    let authority = Authority::new();
    let signed = authority.sign(NAME);
    let down = Arc::new(AtomicBool::new(false));
    let is_down = down.clone();
    let server = Dot::on("127.0.0.1:0", &signed.config, move |mut line| {
        while let Some(query) = line.read() {
            if is_down.load(Relaxed) {
                return;
            }
            line.write(&usual(&query));
        }
    });
    let plain = Upstream::new(|asked| {
        vec![(
            Duration::ZERO,
            Say::Here(wire::ipv4(&asked.packet, [192, 0, 2, 99])),
        )]
    });
    let folder = Folder::new();
    let upstreams = [named(server.address, &authority), plain.address.to_string()];
    let program = run(&folder, &upstreams, "");
    let from = |name: &str| {
        let reply = ask(program.address(), name, wire::A);
        assert_eq!(wire::rcode_of(&reply), wire::NOERROR, "{name}");
        wire::addresses(&reply)
    };
    assert_eq!(from("a.example"), [Ipv4Addr::new(192, 0, 2, 1)]);
    down.store(true, Relaxed);
    // From the first question on; and once it has answered nobody for a while, it is asked no more.
    let mut number = 0;
    until("the end of patience", || {
        number += 1;
        let name = format!("n{number}.example");
        assert_eq!(from(&name), [Ipv4Addr::new(192, 0, 2, 99)]);
        (program.count("upstream is down") > 0).then_some(())
    });
    let line = program.says("upstream is down");
    // On a busy machine a try may be over before its end is seen.
    let reasons = ["reason=unreachable", "reason=timeout"];
    assert!(reasons.iter().any(|one| line.contains(one)), "{line}");
    down.store(false, Relaxed);
    program.says("upstream is up");
    assert_eq!(from("z.example"), [Ipv4Addr::new(192, 0, 2, 1)]);
}

fn no_aaaa() {
    let (authority, _, server) = good();
    let names = Upstream::new(|asked| match asked.kind {
        wire::A => vec![(
            Duration::ZERO,
            Say::Here(wire::ipv4(&asked.packet, [127, 0, 0, 1])),
        )],
        _ => Vec::new(),
    });
    let begun = now();
    let daemon = start(&format!(
        "bootstrap: [\"{}\"]\nupstreams: [\"tls://{NAME}:{}?ca={}\"]\n",
        names.address,
        server.address.port(),
        authority.file.display()
    ));
    let reply = ask(daemon.addresses()[0], "a.example", wire::A);
    assert_eq!(wire::rcode_of(&reply), wire::NOERROR);
    assert!(begun.elapsed() < millis(1_500), "{:?}", begun.elapsed());
}

fn bootstrap() {
    let authority = Authority::new();
    let signed = authority.sign(NAME);
    let alive = Arc::new(AtomicBool::new(true));
    let is_alive = alive.clone();
    let first = Dot::on("127.0.0.1:0", &signed.config, move |mut line| {
        while let Some(query) = line.read().filter(|_| is_alive.load(Relaxed)) {
            line.write(&usual(&query));
        }
    });
    let second = Dot::on(
        &format!("127.0.0.7:{}", first.address.port()),
        &signed.config,
        Line::serve,
    );
    let place = format!("tls://{NAME}:{}", first.address.port());
    let told = || first.names();
    follows(&place, &authority, &alive, told, || {
        !second.queries("b.example.").is_empty()
    });
}
