//! Attacks on HTTP/2: each is ended or bounded, and others do not notice.

use super::client::{PATH, Web, offering};
use super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frames, HEADERS, PING,
    REFUSED_STREAM, SETTINGS, field, frame, get, reset,
};
use crate::daemon::authority::Authority;
use crate::daemon::files::Folder;
use crate::daemon::program::Program;
use crate::daemon::upstream::{Upstream, after, usual};
use crate::daemon::{http, now, wire};
use crate::{NAME, RULES, alone, config, question, write_pair};
use rustls::ClientConfig;
use rustls::version::TLS13;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// The program, so that its memory can be told from ours, and another client that asks all the while.
struct Victim {
    program: Program,
    server: SocketAddr,
    client: Arc<ClientConfig>,
    upstream: Upstream,
    stop: Arc<AtomicBool>,
    other: thread::JoinHandle<(u32, Duration)>,
    memory: u64,
    _folder: Folder,
}

impl Victim {
    fn new() -> Self {
        // What begins with `x` is never answered.
        let upstream = Upstream::new(|asked| match asked.name.starts_with('x') {
            true => Vec::new(),
            false => after(0, usual(&asked.packet)),
        });
        let (authority, folder) = (Authority::new(), Folder::new());
        write_pair(&folder, authority.issue(&[NAME]));
        let program = Program::serve(&folder.write("unsix.yaml", config(&upstream, RULES)));
        let line = program.says("address=https://");
        let server = line.split("https://").nth(1).unwrap();
        let server = server.split('/').next().unwrap().parse().unwrap();
        let client = Arc::new(authority.trusted_by(&[&TLS13]));
        let mut web = Web::from(Ipv4Addr::LOCALHOST, server, &offering(&client, "h2")).unwrap();
        web.ask(&question(1));
        let stop = Arc::new(AtomicBool::new(false));
        let over = stop.clone();
        let other = thread::spawn(move || {
            let (mut asked, mut slowest) = (0, Duration::ZERO);
            while !over.load(Relaxed) || asked < 20 {
                let start = now();
                assert_eq!(web.ask(&question(1)).status, 200);
                slowest = slowest.max(start.elapsed());
                asked += 1;
            }
            (asked, slowest)
        });
        Self {
            memory: program.peak_memory(),
            program,
            server,
            client,
            upstream,
            stop,
            other,
            _folder: folder,
        }
    }

    fn attacker(&self) -> Frames {
        Frames::to(self.server, &self.client, &[])
    }

    fn metric(&self, name: &str) -> f64 {
        let page = http::get(self.program.admin(), "/metrics").1;
        http::samples(&page).unwrap()[name]
    }

    fn was_not_harmed_by(self, what: &str) {
        self.stop.store(true, Relaxed);
        let (asked, slowest) = self.other.join().unwrap();
        let grown = self.program.peak_memory().saturating_sub(self.memory) / 1024;
        println!(
            "{what}: {grown} KiB more; another client asked {asked} times, the slowest took {slowest:?}"
        );
        assert!(slowest < Duration::from_secs(1), "{slowest:?}");
        assert!(grown < 32 * 1024, "{grown} KiB");
    }
}

#[test]
fn rapid_reset() {
    let _turn = alone();
    let victim = Victim::new();
    let pairs = |number: u32| -> Vec<u8> {
        let each = (0..100).map(|place| 2 * (100 * number + place) + 1);
        each.flat_map(|stream| [get(stream, &question(1)), reset(stream)].concat())
            .collect()
    };
    let (batches, error) = victim.attacker().flood(1000, pairs);
    println!("a hundred at once: it ended after {batches} hundreds by {error:?}");
    assert_eq!(error, Some(ENHANCE_YOUR_CALM), "after {batches} hundreds");
    assert!(batches < 100, "{batches}");
    // Whoever waits for us between any two is served as one who asks in earnest; each question is open upstream.
    let mut patient = victim.attacker();
    for number in 0..5000_u32 {
        let query = wire::query(1, &format!("x{number}.example"), wire::A);
        let stream = 2 * number + 1;
        let asking = [get(stream, &query), frame(PING, 0, 0, &[0; 8])];
        patient.send(&asking.concat()).unwrap();
        patient.until(|frame| frame.kind == PING);
        patient.send(&reset(stream)).unwrap();
    }
    let asked = victim.upstream.asked_below("example.").len();
    println!("one by one: {asked} reached the upstream");
    victim.was_not_harmed_by("rapid reset");
}

#[test]
fn continuation_flood() {
    let _turn = alone();
    let victim = Victim::new();
    let name_and_value = [&[0, 1, b'x', 100][..], &[b'y'; 100]].concat();
    let fields = name_and_value.repeat(100);
    for (what, part) in [("full ones", &fields[..]), ("empty ones", &[])] {
        let mut attacker = victim.attacker();
        attacker
            .send(&frame(HEADERS, END_STREAM, 1, &[0x82, 0x87]))
            .unwrap();
        let (sent, error) = attacker.flood(100_000, |_| frame(CONTINUATION, 0, 1, part));
        println!("{what}: it ended after {sent} by {error:?}");
        assert!(sent < 10_000, "{what}: {sent}");
        assert_eq!(error, Some(ENHANCE_YOUR_CALM), "{what}");
    }
    victim.was_not_harmed_by("CONTINUATION flood");
}

#[test]
fn a_head_that_is_large_once_it_is_read() {
    let _turn = alone();
    let victim = Victim::new();
    let mut attacker = victim.attacker();
    // One field that is put into the table, and named 3,000 times more: 9 MB in 6 KB (RFC 7541 §6.1).
    let mut fields = [&[0x82, 0x87][..], &field(1, NAME), &field(4, PATH)].concat();
    let value = "x".repeat(200);
    fields.extend([&[0x40 | 15, 127, 73][..], value.as_bytes()].concat());
    fields.extend([0x80 | 62; 10_000]);
    for stream in 0..50 {
        let _ = attacker.send(&frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            2 * stream + 1,
            &fields,
        ));
    }
    let (_, error) = attacker.flood(1, |_| frame(PING, 0, 0, &[0; 8]));
    println!("it ended by {error:?}");
    victim.was_not_harmed_by("heads of 2 MB in 10 KB");
}

#[test]
fn more_streams_than_there_are() {
    let _turn = alone();
    let victim = Victim::new();
    let mut attacker = victim.attacker();
    let all: Vec<u8> = (0..1000_u32)
        .flat_map(|number| {
            let query = wire::query(1, &format!("x{number}.example"), wire::A);
            get(2 * number + 1, &query)
        })
        .collect();
    attacker.send(&all).unwrap();
    let ends = attacker.ends(1000);
    let refused = ends
        .values()
        .filter(|end| **end == Err(REFUSED_STREAM))
        .count();
    let failed = ends.values().filter(|end| {
        end.as_ref()
            .is_ok_and(|reply| wire::rcode_of(reply) == wire::SERVFAIL)
    });
    assert_eq!((refused, failed.count()), (872, 128));
    // It may go on.
    attacker.send(&get(2001, &question(9))).unwrap();
    let reply = attacker.ends(1).remove(&2001).unwrap().unwrap();
    assert_eq!(wire::id_of(&reply), 9);
    assert_eq!(victim.metric("unsix_stream_connections"), 2.0);
    victim.was_not_harmed_by("1,000 streams at once");
}

#[test]
fn frames_that_ask_nothing() {
    let _turn = alone();
    let victim = Victim::new();
    let post = [
        &[0x83, 0x87][..],
        &field(1, NAME),
        &field(4, PATH),
        &[0x0f],
        &field(16, "application/dns-message"),
    ]
    .concat();
    let opening = frame(HEADERS, END_HEADERS, 1, &post);
    let kinds: [(&str, Vec<u8>, Vec<u8>); 4] = [
        ("PING", Vec::new(), frame(PING, 0, 0, &[0; 8])),
        (
            "SETTINGS",
            Vec::new(),
            frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]),
        ),
        ("empty DATA", opening.clone(), frame(DATA, 0, 1, &[])),
        ("small DATA", opening, frame(DATA, 0, 1, &[0])),
    ];
    thread::scope(|scope| {
        for (what, opening, one) in kinds {
            let mut attacker = victim.attacker();
            scope.spawn(move || {
                let start = now();
                attacker.send(&opening).unwrap();
                let many = one.repeat(100);
                let (sent, error) = attacker.flood(1_000_000, |_| many.clone());
                let took = start.elapsed();
                println!("{what}: it ended after {sent} hundreds, in {took:?}, by {error:?}");
                assert!(took < Duration::from_secs(18), "{what}: {took:?}");
            });
        }
    });
    victim.was_not_harmed_by("frames that ask nothing");
}
