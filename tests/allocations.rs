//! A hit takes no memory: the promise of `answer_now`, held by a counting allocator.
//!
//! Warms the cache through the pipeline itself with a scripted upstream, then asks again and counts what
//! this thread allocates while it is answered.
#![expect(unsafe_code, reason = "a global allocator cannot be written without")]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what a test wrote itself"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use unsix::config::Config;
use unsix::message::{Ask, Kind, Name, Transport, write_query};
use unsix::pipeline::{
    Action, Client, Duty, Event, Fetches, Origin, Outcome, Pipeline, Source, Via,
};
use unsix::time::Moment;

struct Counting;

thread_local! {
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.set(TAKEN.get() + 1);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CLIENT: Client = Client {
    address: IpAddr::V4(Ipv4Addr::LOCALHOST),
    transport: Transport::Datagram,
    is_encrypted: false,
};

fn query(name: &str, kind: Kind) -> Vec<u8> {
    let ask = Ask::plain(Name::parse(name).unwrap(), kind);
    let mut query = Vec::new();
    write_query(&ask, 7, true, &mut query);
    query
}

/// The query turned into an answer with an A record, or two AAAA records.
fn answer(query: &[u8]) -> Vec<u8> {
    let question_end = query.len() - 11;
    let mut answer = query[..question_end].to_vec();
    let kind = &query[question_end - 4..question_end - 2];
    let records: &[&[u8]] = if kind == [0, 28] {
        &[&[0x20; 16], &[0x26; 16]]
    } else {
        &[&[192, 0, 2, 1]]
    };
    answer[2..4].copy_from_slice(&[0x81, 0x80]);
    answer[6..8].copy_from_slice(&[0, u8::try_from(records.len()).unwrap()]);
    answer[10..12].copy_from_slice(&[0, 0]);
    for rdata in records {
        answer.extend([0xc0, 12]);
        answer.extend(kind);
        answer.extend([0, 1, 0, 0, 1, 0x2c, 0, u8::try_from(rdata.len()).unwrap()]);
        answer.extend(*rdata);
    }
    answer
}

/// Has every query of the fetch answered.
fn learn(fetches: &mut Fetches, query: &[u8], now: Moment) {
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 5353));
    let origin = Origin {
        client: CLIENT,
        peer,
        via: Via::Connection(1),
    };
    let mut actions = Vec::new();
    fetches.ask(query, origin, now, &mut actions);
    while let Some(action) = actions.pop() {
        if let Action::Send {
            exchange, packet, ..
        } = action
        {
            let packet = answer(&packet);
            let event = Event::Packet {
                exchange,
                packet: &packet,
            };
            fetches.on(event, now, &mut actions);
        }
    }
}

#[test]
fn a_hit_takes_no_memory() {
    let upstream: SocketAddr = "192.0.2.53:53".parse().unwrap();
    let now = Moment::from_micros(1_000_000);
    // The AAAA records are 2020:2020:... and 2626:2626:...
    let all = "rules: [{ addresses: ['2000::/3'], clients: [127.0.0.0/8] }]";
    let some = "rules: [{ addresses: ['2020::/16'], clients: [127.0.0.0/8] }]";
    let none = "rules: [{ addresses: ['2001:db8::/32'], clients: [127.0.0.0/8] }]";
    let others = "rules: [{ addresses: ['2000::/3'], clients: [10.0.0.0/8] }]";
    let hub = "registry-1.docker.io";
    #[rustfmt::skip]
    let cases = [
        ("plain",                                "{}",   "quay.io", Kind::A,    Source::Cache),
        ("an AAAA that no rule touches",         "{}",   "quay.io", Kind::AAAA, Source::Cache),
        ("the A of a touched host",              "{}",   hub,       Kind::A,    Source::Cache),
        ("its AAAA",                             "{}",   hub,       Kind::AAAA, Source::Filtered),
        ("AAAA records, all in a rule's ranges", all,    "quay.io", Kind::AAAA, Source::Filtered),
        ("some of them",                         some,   "quay.io", Kind::AAAA, Source::Cache),
        ("none of them",                         none,   "quay.io", Kind::AAAA, Source::Cache),
        ("all of them, for another client",      others, "quay.io", Kind::AAAA, Source::Cache),
    ];
    for (why, rules, name, kind, source) in cases {
        let config = Config::read(rules).unwrap();
        let pipeline = Arc::new(Pipeline::new(&config, &[upstream.into()], 1));
        let mut fetches = Fetches::new(Arc::clone(&pipeline), [1; 32], Duty::Plain);
        let settings = pipeline.settings();
        let query = query(name, kind);
        let mut reply = Vec::with_capacity(1232);
        learn(&mut fetches, &query, now);
        // The first reply after a reload makes what the next ones copy.
        pipeline.answer_now(&settings, &query, CLIENT, now, &mut reply);
        let before = TAKEN.get();
        let outcome = pipeline.answer_now(&settings, &query, CLIENT, now, &mut reply);
        assert_eq!(TAKEN.get() - before, 0, "{why}: allocations");
        match outcome {
            Outcome::Reply { tally, .. } => assert_eq!(tally.source, source, "{why}"),
            other => panic!("{why}: {other:?}"),
        }
    }
}
