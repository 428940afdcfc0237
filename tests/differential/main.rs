//! What the cache says is what a fetch would say: 100,000 queries of all kinds go to two pipelines, and the replies are the
//! same, octet by octet.
//!
//! Both sides have the same history: the same rules and reloads, the same queries at the same moments, the same
//! upstreams. One keeps answers and replies with [`unsix::pipeline::Pipeline::answer_now`]; the other has no room for any,
//! so that each query becomes a fetch. The upstreams are a function from question and age to a packet: they count
//! their TTLs down as caches do, so a reply that was aged here must equal one that came aged. Nothing in the test reads or
//! writes a packet with the code under test.
//!
//! What a hit and a miss may tell differently stands in [`compare::Same`], each with its reason and its bounds.
//!
//! `SEED=$RANDOM cargo test --test differential` plays another world; `QUERIES=1000000` asks more of it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic, and all of this is one"
)]

mod answers;
mod clients;
mod compare;
mod coverage;
mod hosts;
mod lane;
mod packet;
mod sides;
mod upstream;
mod world;

use coverage::Coverage;
use lane::Lane;
use unsix::config::Config;

#[test]
fn what_the_cache_says_is_what_a_fetch_would_say() {
    let number = |name| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().expect(name))
    };
    let seed = number("SEED").unwrap_or(1);
    let queries = number("QUERIES").unwrap_or(100_000);
    let lanes: Vec<_> = (0..LANES)
        .map(|lane| {
            let seed = seed * LANES + lane;
            std::thread::spawn(move || Lane::new(seed, configs()).run(queries / LANES))
        })
        .collect();
    let mut coverage = Coverage::default();
    for lane in lanes {
        let Ok(covered) = lane.join() else {
            panic!("see above; SEED={seed} plays it again");
        };
        coverage.add(&covered);
    }
    println!("{coverage}");
    let faults = coverage.faults();
    assert!(faults.is_empty(), "SEED={seed} is too narrow: {faults:#?}");
}

/// Worlds of their own, so that they take the machine's cores.
const LANES: u64 = 4;

fn configs() -> Vec<Config> {
    let texts = [
        include_str!("rules.yaml"),
        include_str!("others.yaml"),
        include_str!("none.yaml"),
    ];
    texts.map(|text| Config::read(text).unwrap()).to_vec()
}
