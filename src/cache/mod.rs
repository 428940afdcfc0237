//! What we still know: answers as upstream said them, whole, under the question they were given to.
//!
//! Rules work on the way out, so what is kept is never shaped by a rule; the pipeline may leave the shaped reply
//! beside the original as a [`Memo`]. Pure: told the time by the callers, no socket, no task, no log.
//!
//! # What goes when room is needed
//!
//! S3-FIFO (Yang et al., SOSP 2023), weighed in octets. A newcomer stands in a small queue, a tenth of the
//! size. When its turn comes there, it moves to the main queue if it was used twice, else it goes and only its
//! fingerprint is remembered (the ghost). A question that comes back while it is remembered goes to the main
//! queue at once. In the main queue the oldest goes, unless it was used: then it is spared once for each
//! use, up to three. So a flood of names that nobody asks for twice passes through the small queue and
//! leaves the rest alone, and a use costs an increment where LRU relinks a list.
//!
//! # What counts
//!
//! [`Usage::octets`] is what the allocator gave: chunks of slots with their vacancies, the index, the ghost,
//! and for each entry the answer, its memo and a long key, with what the allocator adds. It grows with use and
//! nothing is taken ahead; slots, once taken, stay and are used again. After every call it is within the size.
//! Entries do not leave because they are old: a stale one is worth something until its room is wanted.
//!
//! # Locks
//!
//! Up to 64 shards, each behind a plain mutex: a look counts a use and may leave a memo, so it writes, and a
//! lock for readers would cost more than the few hundred nanoseconds that a look takes. The closure of
//! [`Cache::look`] runs under the lock, so that no `Arc` is counted up on a hit; it must be short and never wait.

mod failures;
mod ghost;
mod key;
mod shard;
mod slab;
mod ttl;
mod weight;

#[cfg(test)]
mod tests;

pub use failures::Failures;
pub use ttl::{Times, lifetime};

use crate::message::{Answer, Question};
use crate::time::Moment;
use key::{Asked, Hashing};
use shard::Shard;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One answer kept whole under the question it was given to.
pub struct Entry {
    /// What upstream said.
    pub answer: Arc<Answer>,
    /// When it said so.
    pub learned: Moment,
    /// From then on it is stale.
    pub fresh_until: Moment,
    /// The upstream was asked with AD or DO.
    pub asked_authentic: bool,
    /// Times it was looked at since it was kept, saturating; prefetch looks at it. The cache counts.
    pub hits: u8,
    /// A refresh is on its way.
    pub refreshing: bool,
    /// What the pipeline's rules made of it; the cache keeps it and forgets it with the entry.
    pub memo: Option<Box<Memo>>,
}

/// A reply of our own that is kept beside the answer it came of.
#[derive(Clone, Debug)]
pub struct Memo {
    /// It is good while this is the same.
    pub stamp: Stamp,
    /// The place of the rule that made it.
    pub rule: usize,
    /// The answer as that rule lets it out.
    pub shaped: Answer,
    /// That is a NODATA of our own, and not what is left of upstream's answer.
    pub is_nodata: bool,
}

/// What a memo was made under; what the numbers mean is the pipeline's.
pub type Stamp = (u64, u64, u128);

/// Answers by question, bounded in octets, for all threads.
pub struct Cache {
    hashing: Hashing,
    shards: Box<[Line]>,
}

/// A shard on cache lines of its own: threads at work in neighbors do not slow each other.
#[repr(align(64))]
struct Line(Mutex<Shard<Entry>>);

/// A shard for each of these; a smaller one would have no room for a large answer.
const SHARD_OCTETS: u64 = 256 * 1024;
const MOST_SHARDS: u64 = 64;
/// Below this, a page of slots and its index would be most of the cache.
const LEAST_OCTETS: u64 = 16 * 1024;

impl Cache {
    /// An empty cache of at most `size` octets, index included; under 16 KiB it keeps nothing.
    /// The seed keys the hash.
    pub fn new(size: u64, seed: u64) -> Self {
        let count = if size < LEAST_OCTETS {
            0
        } else {
            (size / SHARD_OCTETS).clamp(1, MOST_SHARDS)
        };
        let share = usize::try_from(size / count.max(1)).unwrap_or(usize::MAX);
        let hashing = Hashing::new(seed);
        let shards = (0..count)
            .map(|_| Line(Mutex::new(Shard::new(share, hashing.clone()))))
            .collect();
        Self { hashing, shards }
    }

    /// Runs `look` on what is kept for the question, fresh or stale, under the shard's lock. No allocation
    /// but for what `look` itself leaves in the entry; if that leaves no room, entries go.
    pub fn look<R>(&self, question: &Question, look: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        let asked = Asked::from(question);
        let place = self.hashing.place(asked);
        self.shard(place)?.look(place.fingerprint, asked, |entry| {
            entry.hits = entry.hits.saturating_add(1);
            look(entry)
        })
    }

    /// Keeps it, in the place of what was there. What is larger than an eighth of a shard is not kept, nor
    /// what it would have replaced: that is no longer what upstream says.
    pub fn keep(&self, question: &Question, entry: Entry) {
        let asked = Asked::from(question);
        let place = self.hashing.place(asked);
        if let Some(mut shard) = self.shard(place) {
            shard.keep(place.fingerprint, asked, Entry { hits: 0, ..entry });
        }
    }

    /// What it holds now; locks one shard after the other.
    pub fn usage(&self) -> Usage {
        self.shards
            .iter()
            .map(Line::lock)
            .fold(Usage::default(), |sum, shard| Usage {
                octets: sum.octets + shard.octets() as u64,
                entries: sum.entries + shard.entries() as u64,
                evictions: sum.evictions + shard.evictions(),
            })
    }

    fn shard(&self, place: key::Place) -> Option<MutexGuard<'_, Shard<Entry>>> {
        self.shards
            .get(place.shard(self.shards.len()))
            .map(Line::lock)
    }
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, Shard<Entry>> {
        // A panic under the lock leaves the shard whole: links and sums are changed by code that runs no closure.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a cache holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Octets taken, index included.
    pub octets: u64,
    /// Entries kept.
    pub entries: u64,
    /// Entries pushed out for others since the start.
    pub evictions: u64,
}
