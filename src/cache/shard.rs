//! One shard: an index, slots, two queues and a ghost, within its share of the size.
//!
//! Knows which entry goes when room is needed. Never locks, never reads a clock.
//!
//! Invariants: every slot is in the index once and in the queue it names; what [`Shard::octets`] gives is
//! within the share whenever a method returns.

use super::ghost::Ghost;
use super::key::{Asked, Hashing, Key, spread};
use super::slab::{Fifo, Queue, Slab, Slot};
use super::weight::Weigh;
use hashbrown::HashTable;

/// A bounded table of `V` by question.
pub(super) struct Shard<V> {
    /// Octets it may take.
    share: usize,
    hashing: Hashing,
    index: HashTable<Cell>,
    slab: Slab<V>,
    small: Fifo,
    main: Fifo,
    ghost: Ghost,
    evictions: u64,
}

/// One cell of the index. It carries the fingerprint, so that growing the index reads no slot.
struct Cell {
    fingerprint: u32,
    at: u32,
}

/// An entry counts up to this many uses.
const MOST_USES: u8 = 3;
/// Uses from which a newcomer moves to the main queue when its probation ends.
const PROVEN: u8 = 2;
/// The small queue's part of the share is one in so many.
const SMALL_PART: usize = 10;
/// An entry larger than one in so many of the share is not kept.
const LARGEST_PART: usize = 8;
/// Entries that one eviction moves or spares for their uses before it takes the next whatever its uses: it
/// bounds the time under the lock (some 10 us) when all of a shard is popular.
const MOST_SPARED: usize = 128;

impl<V: Weigh> Shard<V> {
    /// Takes no memory until something is kept.
    pub(super) fn new(share: usize, hashing: Hashing) -> Self {
        Self {
            share,
            hashing,
            index: HashTable::new(),
            slab: Slab::new(),
            small: Fifo::new(),
            main: Fifo::new(),
            ghost: Ghost::default(),
            evictions: 0,
        }
    }

    /// Runs `look` on what is kept and counts the use.
    pub(super) fn look<R>(
        &mut self,
        fingerprint: u32,
        asked: Asked<'_>,
        look: impl FnOnce(&mut V) -> R,
    ) -> Option<R> {
        let at = self.find(fingerprint, asked)?;
        let slot = self.slab.get_mut(at)?;
        slot.uses = (slot.uses + 1).min(MOST_USES);
        let seen = look(&mut slot.held);
        if slot.held.octets() + slot.key.octets() != slot.weight as usize {
            self.weigh(at);
            self.make_room();
        }
        Some(seen)
    }

    /// Keeps `held`, in the place of what was there. What is too large for the share is not kept, nor is what it replaces.
    pub(super) fn keep(&mut self, fingerprint: u32, asked: Asked<'_>, held: V) {
        let key = Key::new(asked);
        let weight = held.octets() + key.octets();
        if weight + size_of::<Slot<V>>() > self.share / LARGEST_PART {
            self.forget(fingerprint, asked);
            return;
        }
        match self.find(fingerprint, asked) {
            Some(at) => self.replace(at, held),
            None => {
                let growth = self.growth();
                if growth > 0 && self.octets() + weight + growth > self.share {
                    // One that goes leaves its seat: growing would cost many their place at once.
                    self.evict();
                }
                self.insert(fingerprint, key, held);
            }
        }
        self.make_room();
    }

    /// Forgets what is kept.
    pub(super) fn forget(&mut self, fingerprint: u32, asked: Asked<'_>) {
        if let Some(at) = self.find(fingerprint, asked) {
            self.remove(at);
        }
    }

    /// Octets taken: the table's own, vacancies included, and the entries'.
    pub(super) fn octets(&self) -> usize {
        let own = self.slab.octets() + self.index.allocation_size() + self.ghost.octets();
        own + self.small.heap + self.main.heap
    }

    /// Entries kept.
    pub(super) fn entries(&self) -> usize {
        self.index.len()
    }

    /// Entries pushed out so far.
    pub(super) fn evictions(&self) -> u64 {
        self.evictions
    }

    fn find(&self, fingerprint: u32, asked: Asked<'_>) -> Option<u32> {
        let same = |cell: &Cell| {
            cell.fingerprint == fingerprint
                && self
                    .slab
                    .get(cell.at)
                    .is_some_and(|slot| slot.key.asked() == asked)
        };
        self.index
            .find(spread(fingerprint), same)
            .map(|cell| cell.at)
    }

    fn replace(&mut self, at: u32, held: V) {
        if let Some(slot) = self.slab.get_mut(at) {
            slot.held = held;
        }
        self.weigh(at);
    }

    fn insert(&mut self, fingerprint: u32, key: Key, held: V) {
        let queue = if self.ghost.recall(fingerprint) {
            Queue::Main
        } else {
            Queue::Small
        };
        let Some(at) = self.slab.put(Slot::new(key, held, 0, queue)) else {
            return;
        };
        self.index
            .insert_unique(spread(fingerprint), Cell { fingerprint, at }, |cell| {
                spread(cell.fingerprint)
            });
        self.enter(at, queue);
        self.weigh(at);
    }

    /// Counts an entry's octets anew.
    fn weigh(&mut self, at: u32) {
        let Some(slot) = self.slab.get_mut(at) else {
            return;
        };
        let former = slot.weight;
        slot.weight = u32::try_from(slot.held.octets() + slot.key.octets()).unwrap_or(u32::MAX);
        let queue = match slot.queue {
            Queue::Small => &mut self.small,
            Queue::Main => &mut self.main,
        };
        queue.heap = queue.heap.saturating_sub(former as usize) + slot.weight as usize;
    }

    fn make_room(&mut self) {
        while self.octets() > self.share && self.evict() {}
    }

    /// Octets that the table itself grows by with the next entry.
    fn growth(&self) -> usize {
        let has_cell = self.index.len() < self.index.capacity();
        let index = if has_cell {
            0
        } else {
            self.index.allocation_size()
        };
        self.slab.growth() + index
    }

    /// Pushes out one entry, if there is one.
    fn evict(&mut self) -> bool {
        let Some(at) = self.choose() else {
            return false;
        };
        self.remove(at);
        self.evictions += 1;
        true
    }

    /// The entry that goes next. On the way, popular ones move or are spared.
    fn choose(&mut self) -> Option<u32> {
        let mut spared = 0;
        loop {
            let from = if self.is_small_over() {
                Queue::Small
            } else {
                Queue::Main
            };
            let at = match from {
                Queue::Small => self.small.oldest(),
                Queue::Main => self.main.oldest(),
            }?;
            let slot = self.slab.get_mut(at)?;
            match from {
                Queue::Small if slot.uses >= PROVEN && spared < MOST_SPARED => slot.uses = 0,
                Queue::Small => {
                    let fingerprint = self.hashing.place(slot.key.asked()).fingerprint;
                    self.ghost.grow(self.index.len());
                    self.ghost.remember(fingerprint);
                    return Some(at);
                }
                Queue::Main if slot.uses > 0 && spared < MOST_SPARED => slot.uses -= 1,
                Queue::Main => return Some(at),
            }
            spared += 1;
            self.leave(at);
            self.enter(at, Queue::Main);
        }
    }

    /// The small queue is over its part, or is all there is.
    fn is_small_over(&self) -> bool {
        let small = self.small.heap + self.small.length * size_of::<Slot<V>>();
        small > self.share / SMALL_PART || self.main.length == 0
    }

    fn remove(&mut self, at: u32) {
        self.leave(at);
        let Some(slot) = self.slab.take(at) else {
            return;
        };
        let fingerprint = self.hashing.place(slot.key.asked()).fingerprint;
        if let Ok(cell) = self
            .index
            .find_entry(spread(fingerprint), |cell| cell.at == at)
        {
            cell.remove();
        }
    }

    fn leave(&mut self, at: u32) {
        match self.slab.get(at).map(|slot| slot.queue) {
            Some(Queue::Small) => self.small.unlink(&mut self.slab, at),
            Some(Queue::Main) => self.main.unlink(&mut self.slab, at),
            None => {}
        }
    }

    fn enter(&mut self, at: u32, queue: Queue) {
        if let Some(slot) = self.slab.get_mut(at) {
            slot.queue = queue;
        }
        match queue {
            Queue::Small => self.small.push(&mut self.slab, at),
            Queue::Main => self.main.push(&mut self.slab, at),
        }
    }
}
