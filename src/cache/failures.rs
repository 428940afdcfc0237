//! Questions that just failed, so that the same failure is not asked for again at once (RFC 9520).
//!
//! A failure is kept for one second, then two, four and five while it lasts: "lasts" means that the question
//! fails again within ten seconds after its former failure ran out. A success ends the row.
//!
//! Bounded: a flood of failing names pushes out the oldest failures, nothing else. While nothing fails,
//! asking costs one relaxed load of a number that every thread may share.

use super::key::{Asked, Hashing, Key, Place, spread};
use crate::message::{Question, Rcode};
use crate::time::Moment;
use hashbrown::HashTable;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Failures kept with their RCODE for a short time. At most 16,384 questions.
pub struct Failures {
    hashing: Hashing,
    rings: Vec<Mutex<Ring>>,
    /// Nothing is active from this moment on, in microseconds.
    quiet_from: AtomicU64,
    /// Nothing has failed since the start.
    is_spotless: AtomicBool,
}

const RINGS: usize = 16;
/// Questions of one ring; 16,384 in all.
const RING_SEATS: usize = 1_024;

impl Failures {
    /// Knows no failure. The seed keys the hash.
    pub fn new(seed: u64) -> Self {
        Self {
            hashing: Hashing::new(seed),
            rings: (0..RINGS).map(|_| Mutex::default()).collect(),
            quiet_from: AtomicU64::new(0),
            is_spotless: AtomicBool::new(true),
        }
    }

    /// The question failed just now. While a former failure is active nothing changes: what fails
    /// beside it was asked before it was known.
    pub fn record(&self, question: &Question, failure: Rcode, now: Moment) {
        let (asked, place) = self.place(question);
        let Some(mut ring) = self.ring(place) else {
            return;
        };
        let until = match ring.find(place, asked) {
            Some(failing) => {
                failing.fail_again(failure, now);
                failing.until
            }
            None => {
                let first = Failing::new(place, asked, failure, now);
                let until = first.until;
                ring.insert(first);
                until
            }
        };
        self.quiet_from
            .fetch_max(until.as_micros(), Ordering::Relaxed);
        self.is_spotless.store(false, Ordering::Relaxed);
    }

    /// The failure that is to be given out instead of asking again.
    pub fn active(&self, question: &Question, now: Moment) -> Option<Rcode> {
        // Relaxed: a failure noticed a moment late costs one more query upstream.
        if now.as_micros() >= self.quiet_from.load(Ordering::Relaxed) {
            return None;
        }
        let (asked, place) = self.place(question);
        let mut ring = self.ring(place)?;
        let failing = ring.find(place, asked)?;
        (now < failing.until).then_some(failing.failure)
    }

    /// The question was answered: its next failure is a first one.
    pub fn clear(&self, question: &Question) {
        if self.is_spotless.load(Ordering::Relaxed) {
            return;
        }
        let (asked, place) = self.place(question);
        if let Some(mut ring) = self.ring(place) {
            ring.remove(place, asked);
        }
    }

    fn place<'a>(&self, question: &'a Question) -> (Asked<'a>, Place) {
        let asked = Asked::from(question);
        (asked, self.hashing.place(asked))
    }

    fn ring(&self, place: Place) -> Option<MutexGuard<'_, Ring>> {
        let ring = self.rings.get(place.shard(self.rings.len()))?;
        Some(ring.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One question's failure.
struct Failing {
    key: Key,
    fingerprint: u32,
    failure: Rcode,
    until: Moment,
    /// How often it failed in a row, the first time not counted.
    repeats: usize,
}

/// RFC 9520 §3.2: at least one second, at most five minutes, growing while it lasts; five seconds is enough for us.
const SPANS: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    LONGEST_SPAN,
];
const LONGEST_SPAN: Duration = Duration::from_secs(5);
/// A failure this long after the former one ran out is a new first one.
const MEMORY: Duration = Duration::from_secs(10);

impl Failing {
    fn new(place: Place, asked: Asked<'_>, failure: Rcode, now: Moment) -> Self {
        let fingerprint = place.fingerprint;
        Self {
            key: Key::new(asked),
            fingerprint,
            failure,
            until: now + span(0),
            repeats: 0,
        }
    }

    fn fail_again(&mut self, failure: Rcode, now: Moment) {
        if now >= self.until {
            let lasts = now.since(self.until) <= MEMORY;
            self.repeats = if lasts {
                self.repeats.saturating_add(1)
            } else {
                0
            };
            self.failure = failure;
            self.until = now + span(self.repeats);
        }
    }
}

fn span(repeats: usize) -> Duration {
    SPANS.get(repeats).copied().unwrap_or(LONGEST_SPAN)
}

/// Failures by question; a new one takes the seat of the oldest when all are taken.
#[derive(Default)]
struct Ring {
    /// Numbers of seats.
    index: HashTable<usize>,
    seats: Vec<Option<Failing>>,
    /// The seat that is given away next.
    next: usize,
}

impl Ring {
    fn find(&mut self, place: Place, asked: Asked<'_>) -> Option<&mut Failing> {
        let seats = &self.seats;
        let same = |seat: &usize| is_seated(seats, *seat, asked);
        let seat = *self.index.find(spread(place.fingerprint), same)?;
        self.seats.get_mut(seat)?.as_mut()
    }

    fn insert(&mut self, failing: Failing) {
        let seat = self.next;
        self.next = (self.next + 1) % RING_SEATS;
        let hash = spread(failing.fingerprint);
        if let Some(Some(oldest)) = self.seats.get_mut(seat).map(Option::take) {
            self.unlist(oldest.fingerprint, seat);
        }
        match self.seats.get_mut(seat) {
            Some(vacant) => *vacant = Some(failing),
            None => self.seats.push(Some(failing)),
        }
        let seats = &self.seats;
        let rehash =
            |seat: &usize| seated(seats, *seat).map_or(0, |failing| spread(failing.fingerprint));
        self.index.insert_unique(hash, seat, rehash);
    }

    fn remove(&mut self, place: Place, asked: Asked<'_>) {
        let seats = &self.seats;
        let same = |seat: &usize| is_seated(seats, *seat, asked);
        if let Ok(entry) = self.index.find_entry(spread(place.fingerprint), same) {
            let (seat, _) = entry.remove();
            if let Some(vacated) = self.seats.get_mut(seat) {
                *vacated = None;
            }
        }
    }

    fn unlist(&mut self, fingerprint: u32, seat: usize) {
        if let Ok(entry) = self
            .index
            .find_entry(spread(fingerprint), |&listed| listed == seat)
        {
            entry.remove();
        }
    }
}

fn is_seated(seats: &[Option<Failing>], seat: usize, asked: Asked<'_>) -> bool {
    seated(seats, seat).is_some_and(|failing| failing.key.asked() == asked)
}

fn seated(seats: &[Option<Failing>], seat: usize) -> Option<&Failing> {
    seats.get(seat)?.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Kind, Name};

    fn question(number: u32) -> Question {
        let name = Name::parse(&format!("host-{number}.example")).unwrap();
        Question {
            name,
            kind: Kind::A,
            dnssec_ok: false,
            checking_disabled: false,
        }
    }

    fn at(millis: u64) -> Moment {
        Moment::from_micros(millis * 1_000)
    }

    #[test]
    fn a_lasting_failure_is_kept_longer_each_time() {
        let failures = Failures::new(1);
        let question = question(1);
        // (it fails at, it is kept until), in milliseconds
        let row = [
            (1_000, 2_000, "the first"),
            (1_500, 2_000, "beside the first: nothing changes"),
            (2_000, 4_000, "it lasts"),
            (
                14_000,
                18_000,
                "ten seconds after the former ran out: it still lasts",
            ),
            (18_500, 23_500, "five seconds"),
            (24_000, 29_000, "never more"),
            (39_001, 40_001, "over ten seconds later: a first one again"),
        ];
        for (now, until, why) in row {
            failures.record(&question, Rcode::SERV_FAIL, at(now));
            assert_eq!(
                failures.active(&question, at(until - 1)),
                Some(Rcode::SERV_FAIL),
                "{why}"
            );
            assert_eq!(failures.active(&question, at(until)), None, "{why}");
        }
    }

    #[test]
    fn a_success_ends_the_row() {
        let failures = Failures::new(1);
        failures.clear(&question(1));
        failures.record(&question(1), Rcode::SERV_FAIL, at(0));
        failures.record(&question(1), Rcode::REFUSED, at(1_000));
        assert_eq!(
            failures.active(&question(1), at(2_500)),
            Some(Rcode::REFUSED)
        );
        failures.clear(&question(1));
        assert_eq!(failures.active(&question(1), at(2_500)), None);
        failures.record(&question(1), Rcode::SERV_FAIL, at(2_600));
        assert_eq!(
            failures.active(&question(1), at(3_600)),
            None,
            "one second again"
        );
    }

    #[test]
    fn questions_fail_apart() {
        let failures = Failures::new(1);
        failures.record(&question(1), Rcode::SERV_FAIL, at(0));
        let others = [
            ("name", question(2)),
            (
                "type",
                Question {
                    kind: Kind::AAAA,
                    ..question(1)
                },
            ),
            (
                "DO",
                Question {
                    dnssec_ok: true,
                    ..question(1)
                },
            ),
            (
                "CD",
                Question {
                    checking_disabled: true,
                    ..question(1)
                },
            ),
        ];
        for (why, other) in others {
            assert_eq!(failures.active(&other, at(1)), None, "{why}");
        }
        assert_eq!(failures.active(&question(1), at(1)), Some(Rcode::SERV_FAIL));
    }

    #[test]
    fn a_flood_pushes_out_the_oldest() {
        let failures = Failures::new(1);
        for number in 0..40_000 {
            failures.record(&question(number), Rcode::SERV_FAIL, at(0));
        }
        let active = |numbers: std::ops::Range<u32>| {
            numbers
                .filter(|&number| failures.active(&question(number), at(1)).is_some())
                .count()
        };
        assert_eq!(active(0..40_000), 16_384);
        assert_eq!((active(0..20_000), active(30_000..40_000)), (0, 10_000));
    }
}
