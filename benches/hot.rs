//! The steps of a hit, and the whole of it, in nanoseconds: `cargo bench --bench hot`.
//!
//! What a step costs here is not what it costs a server: there the kernel takes most of the time
//! (`benches/README.md`). It tells which step has changed. Under `cargo test` each runs once.

mod warm;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use unsix::cache::{Cache, Entry};
use unsix::config::Config;
use unsix::message::{
    Answer, Body, Fate, Hints, Judgement, Kind, Query, Room, Transport, Ttl, edit, judge,
    without_ipv6hint, write_reply,
};
use unsix::pipeline::Outcome;
use unsix::policy::{Policy, RuleSet};
use warm::{ID, Misses, NOW, Warm, answer, query, question};

criterion_group!(hot, peek, policy, look, reply, strip, whole, miss);
criterion_main!(hot);

fn peek(criterion: &mut Criterion) {
    let query = query("www.quay.io", Kind::A);
    criterion.bench_function("peek", |bencher| {
        bencher.iter(|| Query::peek(black_box(&query)));
    });
}

fn policy(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("policy");
    for count in [10, 10_000] {
        let policy = Policy::new(&rules(count).rules);
        for (what, name) in [
            ("untouched", "www.quay.io"),
            ("touched", "h7.listed.example"),
        ] {
            let name = question(name, Kind::AAAA).name;
            group.bench_function(BenchmarkId::new(what, count), |bencher| {
                bencher.iter(|| policy.touching(black_box(&name), RuleSet::NONE, &[]));
            });
        }
    }
    group.finish();
}

/// One rule with so many hosts.
fn rules(count: usize) -> Config {
    let hosts: String = (0..count)
        .map(|host| format!("  - h{host}.listed.example\n"))
        .collect();
    Config::read(&format!("rules:\n- hosts:\n{hosts}")).expect("a configuration of ours is valid")
}

fn look(criterion: &mut Criterion) {
    let cache = Cache::new(64 << 20, 1);
    for number in 0..1000 {
        let name = format!("n{number}.quay.io");
        let entry = Entry {
            answer: Arc::new(learned(&name, Kind::A, &[])),
            learned: NOW,
            fresh_until: NOW + Duration::from_secs(3600),
            asked_authentic: false,
            hits: 0,
            refreshing: false,
            memo: None,
        };
        cache.keep(&question(&name, Kind::A), entry);
    }
    let asked = question("n500.quay.io", Kind::A);
    criterion.bench_function("cache look", |bencher| {
        bencher.iter(|| cache.look(black_box(&asked), |entry| entry.fresh_until));
    });
}

/// What the upstream said, judged.
fn learned(name: &str, kind: Kind, data: &[u8]) -> Answer {
    let packet = answer(&query(name, kind), data);
    match judge(&packet, ID, &question(name, kind), Transport::Datagram) {
        Judgement::Answer(answer) => Arc::unwrap_or_clone(answer),
        other => panic!("an answer of ours is none: {other:?}"),
    }
}

fn reply(criterion: &mut Criterion) {
    let query = query("www.quay.io", Kind::A);
    let query = Query::peek(&query).expect("a query of ours is one");
    let answer = learned("www.quay.io", Kind::A, &[]);
    let body = Body::Answer {
        answer: &answer,
        ttl: Ttl::aged(30),
    };
    let mut reply = Vec::new();
    criterion.bench_function("write_reply", |bencher| {
        bencher.iter(|| {
            write_reply(
                black_box(&query),
                &body,
                None,
                Room::Datagram { max_udp: 1232 },
                &mut reply,
            );
        });
    });
}

/// An HTTPS record loses its `ipv6hint` and keeps the rest; done once per answer and rule, then copied.
fn strip(criterion: &mut Criterion) {
    // Priority 1, target ".", alpn h2, one ipv4hint, one ipv6hint.
    let mut data = b"\0\x01\0\0\x01\0\x03\x02h2\0\x04\0\x04\xc0\0\x02\x01\0\x06\0\x10".to_vec();
    data.extend([0x20; 16]);
    let answer = learned("www.quay.io", Kind::HTTPS, &data);
    let stripped = |answer: &Answer| {
        edit(
            answer,
            &mut |record| match without_ipv6hint(record, &|_| true) {
                Hints::None => Fate::Keep,
                Hints::Stripped(rdata) => Fate::Rdata(rdata),
                Hints::Unreadable => Fate::Remove,
            },
        )
    };
    assert!(stripped(&answer).is_some_and(|answer| !answer.mentions_ipv6()));
    criterion.bench_function("strip HTTPS", |bencher| {
        bencher.iter(|| stripped(black_box(&answer)));
    });
}

fn whole(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("answer_now");
    for case in warm::CASES {
        let query = case.query();
        let warm = Warm::new(case.rules, std::slice::from_ref(&query));
        let mut reply = Vec::new();
        assert!(matches!(
            warm.ask(&query, &mut reply),
            Outcome::Reply { .. }
        ));
        group.bench_function(case.what, |bencher| {
            bencher.iter(|| warm.ask(black_box(&query), &mut reply));
        });
    }
    group.finish();
}

/// All of a miss but the kernel's part, and the making of the upstream's answer.
fn miss(criterion: &mut Criterion) {
    let mut misses = Misses::new();
    criterion.bench_function("miss", |bencher| bencher.iter(|| misses.next()));
}
