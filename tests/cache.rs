//! The cache under load, from outside: true to what was kept, within its size, and deaf to floods.

#![expect(
    clippy::unwrap_used,
    reason = "functions beside the tests are not exempt"
)]

use proptest::prelude::*;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use unsix::cache::{Cache, Entry, Memo};
use unsix::message::{Answer, Kind, Name, Question, addresses};
use unsix::time::Moment;

const SEED: u64 = 0x5EED;
const MEBIBYTE: u64 = 1024 * 1024;

/// The question of that number.
fn question(number: u32) -> Question {
    let name = Name::parse(&format!("host-{number}.example")).unwrap();
    Question {
        name,
        kind: Kind::A,
        dnssec_ok: false,
        checking_disabled: false,
    }
}

/// An answer to it with so many addresses; the first of them is the number.
fn answer(number: u32, count: usize) -> Arc<Answer> {
    let first = number.to_be_bytes();
    let rdata = vec![&first[..]; count];
    Arc::new(addresses(&question(number), 60, &rdata))
}

fn entry(answer: Arc<Answer>, learned: u64) -> Entry {
    let learned = Moment::from_micros(learned);
    Entry {
        answer,
        learned,
        fresh_until: learned + Duration::from_secs(60),
        asked_authentic: false,
        hits: 9,
        refreshing: false,
        memo: None,
    }
}

/// Asks as a resolver does: what is not there is kept.
fn is_hit(cache: &Cache, number: u32, answers: &HashMap<u32, Arc<Answer>>) -> bool {
    let asked = question(number);
    let hit = cache.look(&asked, |_| ()).is_some();
    if !hit {
        let learned = answers
            .get(&number)
            .map_or_else(|| answer(number, 1), Arc::clone);
        cache.keep(&asked, entry(learned, 0));
    }
    hit
}

#[test]
fn a_cache_of_nothing_keeps_nothing() {
    let cache = Cache::new(0, SEED);
    cache.keep(&question(1), entry(answer(1, 1), 0));
    assert!(cache.look(&question(1), |_| ()).is_none());
    assert_eq!(cache.usage(), unsix::cache::Usage::default());
}

#[test]
fn each_look_is_counted_until_the_answer_is_replaced() {
    let cache = Cache::new(MEBIBYTE, SEED);
    cache.keep(&question(1), entry(answer(1, 1), 0));
    let hits: Vec<_> = (0..300)
        .filter_map(|_| cache.look(&question(1), |entry| entry.hits))
        .collect();
    assert_eq!((hits[0], hits[1], hits[299]), (1, 2, 255));
    cache.keep(&question(1), entry(answer(1, 1), 0));
    assert_eq!(cache.look(&question(1), |entry| entry.hits), Some(1));
}

#[test]
fn do_and_cd_and_type_are_other_questions() {
    let cache = Cache::new(MEBIBYTE, SEED);
    cache.keep(&question(1), entry(answer(1, 1), 0));
    let others = [
        Question {
            dnssec_ok: true,
            ..question(1)
        },
        Question {
            checking_disabled: true,
            ..question(1)
        },
        Question {
            kind: Kind::AAAA,
            ..question(1)
        },
    ];
    for other in others {
        assert!(cache.look(&other, |_| ()).is_none(), "{other:?}");
    }
}

#[test]
fn memos_count_and_never_break_the_bound() {
    let cache = Cache::new(64 * 1024, SEED);
    for number in 0..100 {
        cache.keep(&question(number), entry(answer(number, 1), 0));
    }
    let before = cache.usage();
    cache.look(&question(99), |entry| {
        entry.memo = Some(memo(&answer(99, 10)));
    });
    assert!(cache.usage().octets > before.octets + 160);
    for number in 0..100 {
        cache.look(&question(number), |entry| {
            entry.memo = Some(memo(&answer(number, 60)));
        });
        assert!(cache.usage().octets <= 64 * 1024);
    }
}

fn memo(shaped: &Answer) -> Box<Memo> {
    Box::new(Memo {
        stamp: (1, 1, 1),
        rule: 0,
        shaped: shaped.clone(),
        is_nodata: true,
    })
}

#[test]
fn a_flood_leaves_what_is_popular() {
    let cache = Cache::new(MEBIBYTE, SEED);
    let answers = HashMap::new();
    // Some 400 octets an entry: the popular ones fill about half of it.
    let popular = 0..1_200;
    for _ in 0..3 {
        popular.clone().for_each(|number| {
            is_hit(&cache, number, &answers);
        });
    }
    for number in 0..120_000 {
        is_hit(&cache, 1_000_000 + number, &answers);
    }
    let hits = popular
        .clone()
        .filter(|&number| is_hit(&cache, number, &answers))
        .count();
    assert!(
        hits * 100 >= popular.len() * 95,
        "{hits} of {}",
        popular.len()
    );
    assert!(cache.usage().evictions > 110_000);
}

#[test]
fn it_hits_no_less_than_lru_at_equal_octets() {
    let names = 20_000_u32;
    let answers: HashMap<_, _> = (0..names)
        .map(|number| (number, answer(number, 1)))
        .collect();
    for exponent in [0.8, 1.0, 1.2] {
        let asked = zipf(names, exponent, 100_000);
        let cache = Cache::new(MEBIBYTE, SEED);
        let ours = asked
            .iter()
            .filter(|&&number| is_hit(&cache, number, &answers))
            .count();
        // All entries are about equal in octets, so as many of them are an LRU of equal size.
        let lru = lru_hits(&asked, usize::try_from(cache.usage().entries).unwrap());
        assert!(
            ours >= lru,
            "exponent {exponent}: {ours} hits, LRU has {lru}"
        );
    }
}

/// Numbers under `names`, the first ones often: the weight of number `n` is `1 / (n + 1)^exponent`.
fn zipf(names: u32, exponent: f64, count: usize) -> Vec<u32> {
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=names)
        .map(|rank| {
            sum += f64::from(rank).powf(-exponent);
            sum
        })
        .collect();
    let mut state = SEED;
    let draw = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let fraction = f64::from(u32::try_from(state >> 32).unwrap()) / f64::from(u32::MAX);
        u32::try_from(sums.partition_point(|&upto| upto < fraction * sum))
            .unwrap()
            .min(names - 1)
    };
    std::iter::repeat_with(draw).take(count).collect()
}

/// Hits of a plain LRU of so many entries. The queue holds every use; only the last of each number counts.
fn lru_hits(asked: &[u32], capacity: usize) -> usize {
    let mut last_use: HashMap<u32, usize> = HashMap::new();
    let mut uses = VecDeque::new();
    let mut hits = 0;
    for (time, &number) in asked.iter().enumerate() {
        uses.push_back((number, time));
        if last_use.insert(number, time).is_some() {
            hits += 1;
        }
        while last_use.len() > capacity {
            let (oldest, used) = uses.pop_front().unwrap();
            if last_use.get(&oldest) == Some(&used) {
                last_use.remove(&oldest);
            }
        }
        while let Some(&(oldest, used)) = uses.front()
            && last_use.get(&oldest) != Some(&used)
        {
            uses.pop_front();
        }
    }
    hits
}

#[test]
fn four_threads_get_nothing_but_what_was_kept() {
    let cache = Cache::new(MEBIBYTE, SEED);
    thread::scope(|scope| {
        for thread in 0..4_u32 {
            let cache = &cache;
            scope.spawn(move || {
                for round in 0..10_000_u32 {
                    let number = round.wrapping_mul(2_654_435_761).wrapping_add(thread) % 6_000;
                    match round % 16 {
                        0..8 => cache.keep(
                            &question(number),
                            entry(answer(number, 1), u64::from(number)),
                        ),
                        _ => {
                            let learned = cache.look(&question(number), |entry| entry.learned);
                            assert!(
                                learned
                                    .is_none_or(|learned| learned.as_micros() == u64::from(number))
                            );
                        }
                    }
                }
            });
        }
    });
    let usage = cache.usage();
    assert!(
        usage.octets <= MEBIBYTE && usage.entries > 1_000,
        "{usage:?}"
    );
}

/// What a sequence may do.
#[derive(Clone, Debug)]
enum Step {
    Keep { number: u32, count: usize },
    Look { number: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0..400_u32;
    prop_oneof![
        5 => (number.clone(), prop_oneof![9 => 1..8_usize, 1 => 8..700_usize])
            .prop_map(|(number, count)| Step::Keep { number, count }),
        5 => number.clone().prop_map(|number| Step::Look { number }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_was_kept_last_and_not_forgotten(
        size in prop_oneof![Just(0_u64), Just(16 * 1024), Just(64 * 1024), Just(MEBIBYTE)],
        steps in prop::collection::vec(step(), 0..1_500),
    ) {
        let cache = Cache::new(size, SEED);
        let mut model: HashMap<u32, Arc<Answer>> = HashMap::new();
        for step in steps {
            match step {
                Step::Keep { number, count } => {
                    let kept = answer(number, count);
                    cache.keep(&question(number), entry(Arc::clone(&kept), 0));
                    model.insert(number, kept);
                }
                Step::Look { number } => {
                    let found = cache.look(&question(number), |entry| Arc::clone(&entry.answer));
                    if let Some(found) = found {
                        prop_assert!(model.get(&number).is_some_and(|kept| Arc::ptr_eq(kept, &found)));
                    }
                }
            }
            prop_assert!(cache.usage().octets <= size);
        }
        if size == MEBIBYTE && model.len() < 100 {
            prop_assert_eq!(cache.usage().evictions, 0);
        }
    }
}
