//! A shard with plain values, whose octets are what the test says.

use super::key::{Asked, Hashing};
use super::shard::Shard;
use super::weight::Weigh;
use proptest::prelude::*;
use std::collections::HashMap;

/// A value of that weight.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Weight {
    number: u32,
    octets: usize,
}

impl Weigh for Weight {
    fn octets(&self) -> usize {
        self.octets
    }
}

/// A shard that is asked by numbers.
struct Numbered {
    shard: Shard<Weight>,
    hashing: Hashing,
}

const SHARE: usize = 64 * 1024;

impl Numbered {
    fn new() -> Self {
        let hashing = Hashing::new(3);
        Self {
            shard: Shard::new(SHARE, hashing.clone()),
            hashing,
        }
    }

    fn place(&self, name: &[u8; 4]) -> u32 {
        self.hashing.place(asked(name)).fingerprint
    }

    fn keep(&mut self, number: u32, octets: usize) {
        let name = number.to_be_bytes();
        self.shard
            .keep(self.place(&name), asked(&name), Weight { number, octets });
        assert!(
            self.shard.octets() <= SHARE,
            "{} octets",
            self.shard.octets()
        );
    }

    fn look<R>(&mut self, number: u32, look: impl FnOnce(&mut Weight) -> R) -> Option<R> {
        let name = number.to_be_bytes();
        let seen = self.shard.look(self.place(&name), asked(&name), look);
        assert!(
            self.shard.octets() <= SHARE,
            "{} octets",
            self.shard.octets()
        );
        seen
    }

    fn has(&mut self, number: u32) -> bool {
        self.look(number, |_| ()).is_some()
    }

    fn forget(&mut self, number: u32) {
        let name = number.to_be_bytes();
        self.shard.forget(self.place(&name), asked(&name));
    }
}

fn asked(name: &[u8; 4]) -> Asked<'_> {
    Asked {
        name,
        kind: 1,
        bits: 0,
    }
}

#[test]
fn an_empty_shard_takes_nothing() {
    let numbered = Numbered::new();
    assert_eq!((numbered.shard.octets(), numbered.shard.entries()), (0, 0));
}

#[test]
fn a_second_value_takes_the_place_of_the_first() {
    let mut numbered = Numbered::new();
    numbered.keep(1, 100);
    let one = numbered.shard.octets();
    numbered.keep(1, 300);
    assert_eq!(numbered.shard.octets(), one + 200);
    assert_eq!(numbered.look(1, |held| held.octets), Some(300));
    numbered.forget(1);
    assert_eq!(numbered.shard.octets(), one - 100, "its seat stays");
    assert_eq!(numbered.shard.entries(), 0);
}

#[test]
fn what_is_too_large_is_not_kept_nor_what_it_replaces() {
    let mut numbered = Numbered::new();
    numbered.keep(1, SHARE / 8 - 200);
    assert!(numbered.has(1));
    numbered.keep(1, SHARE / 8);
    assert!(!numbered.has(1));
    assert_eq!(numbered.shard.evictions(), 0);
}

#[test]
fn what_grows_under_a_look_is_counted() {
    let mut numbered = Numbered::new();
    numbered.keep(1, 100);
    let before = numbered.shard.octets();
    numbered.look(1, |held| held.octets = 5_000);
    assert_eq!(numbered.shard.octets(), before + 4_900);
    for number in 2..400 {
        numbered.keep(number, 100);
        numbered.look(number, |held| held.octets = 400);
    }
    assert!(numbered.shard.evictions() > 0);
}

#[test]
fn newcomers_pass_and_what_was_used_twice_stays() {
    let mut numbered = Numbered::new();
    for number in 0..20 {
        numbered.keep(number, 100);
        assert!(numbered.has(number) && numbered.has(number));
    }
    for number in 1_000..50_000 {
        numbered.keep(number, 100);
    }
    let left = (0..20).filter(|&number| numbered.has(number)).count();
    assert_eq!(left, 20);
}

#[test]
fn what_comes_back_soon_is_not_pushed_out_again() {
    let mut numbered = Numbered::new();
    for number in 0..1_000 {
        numbered.keep(number, 100);
    }
    let gone = numbered.shard.evictions();
    assert!(gone > 600 && !numbered.has(900 - 500), "{gone}");
    let early = u32::try_from(gone).unwrap() - 1;
    assert!(!numbered.has(early));
    numbered.keep(early, 100);
    for number in 2_000..3_000 {
        numbered.keep(number, 100);
    }
    assert!(numbered.has(early));
}

#[test]
fn one_eviction_ends_when_everything_is_popular() {
    let mut numbered = Numbered::new();
    for number in 0..2_000 {
        numbered.keep(number, 200);
        for _ in 0..3 {
            numbered.has(number);
        }
    }
    let entries = numbered.shard.entries();
    assert!(entries > 160, "{entries} entries");
}

/// What a sequence may do.
#[derive(Clone, Debug)]
enum Step {
    Keep(u32, usize),
    Grow(u32, usize),
    Look(u32),
    Forget(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0..600_u32;
    let octets = prop_oneof![8 => 0..300_usize, 1 => 0..SHARE / 4];
    prop_oneof![
        6 => (number.clone(), octets.clone()).prop_map(|(number, octets)| Step::Keep(number, octets)),
        1 => (number.clone(), octets).prop_map(|(number, octets)| Step::Grow(number, octets)),
        6 => number.clone().prop_map(Step::Look),
        1 => number.prop_map(Step::Forget),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_stays_true_and_within_its_share(steps in prop::collection::vec(step(), 0..3_000)) {
        let mut numbered = Numbered::new();
        let mut model = HashMap::new();
        for step in steps {
            match step {
                Step::Keep(number, octets) => {
                    numbered.keep(number, octets);
                    model.insert(number, octets);
                }
                Step::Grow(number, octets) => {
                    if numbered.look(number, |held| held.octets = octets).is_some() {
                        model.insert(number, octets);
                    }
                }
                Step::Look(number) => {
                    if let Some(held) = numbered.look(number, |held| *held) {
                        prop_assert_eq!(held.number, number);
                        prop_assert_eq!(Some(&held.octets), model.get(&number));
                    }
                }
                Step::Forget(number) => {
                    numbered.forget(number);
                    model.remove(&number);
                }
            }
        }
        let kept = (0..600).filter(|&number| numbered.has(number)).count();
        prop_assert_eq!(kept, numbered.shard.entries());
        (0..600).for_each(|number| numbered.forget(number));
        prop_assert_eq!(numbered.shard.entries(), 0);
    }
}
