//! Where entries lie: slots in chunks, linked into queues.
//!
//! Chunks of one page are taken as they are needed and keep their place, so growing never copies an entry and
//! never takes more than a page ahead. A slot of an [`Entry`](super::Entry) is two cache lines: the value with
//! its key, and the links of its queue. A chunk is never given back; vacated slots are used again.

use super::key::Key;

/// The number of no slot.
const NOWHERE: u32 = u32::MAX;

/// Slots of a chunk: a page of 4 KiB for the cache's entries.
const CHUNK: usize = 32;

/// One entry with its key and its place in a queue. Aligned so that both its cache lines are fetched as a pair.
#[repr(align(128))]
pub(super) struct Slot<V> {
    /// What is kept.
    pub(super) held: V,
    /// The question it is kept under.
    pub(super) key: Key,
    /// Octets of both on the heap, as last counted.
    pub(super) weight: u32,
    newer: u32,
    older: u32,
    /// Times it was used since it came or was last spared, 3 at most.
    pub(super) uses: u8,
    /// The queue it stands in.
    pub(super) queue: Queue,
}

/// The two queues of an S3-FIFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// Newcomers on probation.
    Small,
    /// Those that were asked for again.
    Main,
}

impl<V> Slot<V> {
    /// Not in a queue yet.
    pub(super) const fn new(key: Key, held: V, weight: u32, queue: Queue) -> Self {
        Self {
            held,
            key,
            weight,
            newer: NOWHERE,
            older: NOWHERE,
            uses: 0,
            queue,
        }
    }
}

/// A slot, or what stands in its place.
enum Seat<V> {
    Taken(Slot<V>),
    Vacant { next: u32 },
}

/// All slots of a shard, by number.
pub(super) struct Slab<V> {
    chunks: Vec<Vec<Seat<V>>>,
    /// The first of the vacant ones.
    vacant: u32,
    /// Numbers given out so far, vacant ones included.
    length: u32,
}

impl<V> Slab<V> {
    /// Takes no memory yet.
    pub(super) const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            vacant: NOWHERE,
            length: 0,
        }
    }

    /// Octets taken, vacant slots included.
    pub(super) fn octets(&self) -> usize {
        self.chunks.len() * Self::CHUNK_OCTETS + self.chunks.capacity() * size_of::<Vec<Seat<V>>>()
    }

    /// Octets that the next slot takes beyond these.
    pub(super) fn growth(&self) -> usize {
        let has_seat = self.vacant != NOWHERE || (self.length as usize) < self.chunks.len() * CHUNK;
        if has_seat { 0 } else { Self::CHUNK_OCTETS }
    }

    const CHUNK_OCTETS: usize = CHUNK * size_of::<Seat<V>>();

    /// The slot of that number.
    pub(super) fn get(&self, at: u32) -> Option<&Slot<V>> {
        match self
            .chunks
            .get(at as usize / CHUNK)?
            .get(at as usize % CHUNK)?
        {
            Seat::Taken(slot) => Some(slot),
            Seat::Vacant { .. } => None,
        }
    }

    /// The slot of that number.
    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut Slot<V>> {
        match self.seat(at)? {
            Seat::Taken(slot) => Some(slot),
            Seat::Vacant { .. } => None,
        }
    }

    fn seat(&mut self, at: u32) -> Option<&mut Seat<V>> {
        self.chunks
            .get_mut(at as usize / CHUNK)?
            .get_mut(at as usize % CHUNK)
    }

    /// Puts a slot into a vacant seat, or a new one; gives its number. `None`: all numbers are given out.
    pub(super) fn put(&mut self, slot: Slot<V>) -> Option<u32> {
        let at = self.vacant;
        if let Some(seat) = self.seat(at) {
            if let Seat::Vacant { next } = std::mem::replace(seat, Seat::Taken(slot)) {
                self.vacant = next;
            }
            return Some(at);
        }
        if self.length == NOWHERE {
            return None;
        }
        if self.length as usize == self.chunks.len() * CHUNK {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        self.chunks.last_mut()?.push(Seat::Taken(slot));
        self.length += 1;
        Some(self.length - 1)
    }

    /// Takes a slot out; it must have left its queue.
    pub(super) fn take(&mut self, at: u32) -> Option<Slot<V>> {
        let next = self.vacant;
        let seat = self.seat(at)?;
        if let Seat::Vacant { .. } = seat {
            return None;
        }
        match std::mem::replace(seat, Seat::Vacant { next }) {
            Seat::Taken(slot) => {
                self.vacant = at;
                Some(slot)
            }
            Seat::Vacant { .. } => None,
        }
    }
}

/// A queue through the slots of a slab.
pub(super) struct Fifo {
    newest: u32,
    oldest: u32,
    /// Slots in it.
    pub(super) length: usize,
    /// Octets its entries have on the heap.
    pub(super) heap: usize,
}

impl Fifo {
    /// Holds nothing.
    pub(super) const fn new() -> Self {
        Self {
            newest: NOWHERE,
            oldest: NOWHERE,
            length: 0,
            heap: 0,
        }
    }

    /// The one that waits longest.
    pub(super) fn oldest(&self) -> Option<u32> {
        (self.oldest != NOWHERE).then_some(self.oldest)
    }

    /// Takes a slot in, as its newest.
    pub(super) fn push<V>(&mut self, slab: &mut Slab<V>, at: u32) {
        let Some(slot) = slab.get_mut(at) else { return };
        slot.newer = NOWHERE;
        slot.older = self.newest;
        self.heap += slot.weight as usize;
        self.length += 1;
        match slab.get_mut(self.newest) {
            Some(former) => former.newer = at,
            None => self.oldest = at,
        }
        self.newest = at;
    }

    /// Lets a slot go, wherever in the queue it stands.
    pub(super) fn unlink<V>(&mut self, slab: &mut Slab<V>, at: u32) {
        let Some(slot) = slab.get_mut(at) else { return };
        let (newer, older) = (slot.newer, slot.older);
        self.heap = self.heap.saturating_sub(slot.weight as usize);
        self.length = self.length.saturating_sub(1);
        match slab.get_mut(newer) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
        match slab.get_mut(older) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Entry;
    use super::super::key::Asked;
    use super::*;

    fn slot(held: u32) -> Slot<u32> {
        Slot::new(
            Key::new(Asked {
                name: b"\x00",
                kind: 1,
                bits: 0,
            }),
            held,
            10,
            Queue::Small,
        )
    }

    #[test]
    fn a_slot_is_two_cache_lines_and_a_chunk_is_a_page() {
        assert_eq!(size_of::<Seat<Entry>>(), 128);
        assert_eq!(size_of::<Seat<Entry>>() * CHUNK, 4_096);
    }

    #[test]
    fn vacated_seats_are_used_again() {
        let mut slab = Slab::new();
        let numbers: Vec<_> = (0..100).map(|held| slab.put(slot(held)).unwrap()).collect();
        assert_eq!(numbers, (0..100).collect::<Vec<_>>());
        let octets = slab.octets();
        assert_eq!(slab.take(7).unwrap().held, 7);
        assert!(slab.take(7).is_none() && slab.get(7).is_none());
        assert_eq!(slab.take(90).unwrap().held, 90);
        assert_eq!(slab.put(slot(190)), Some(90));
        assert_eq!(slab.put(slot(107)), Some(7));
        assert_eq!(slab.put(slot(100)), Some(100));
        assert_eq!(slab.get(7).unwrap().held, 107);
        assert_eq!(slab.octets(), octets);
    }

    #[test]
    fn a_queue_lets_go_from_anywhere() {
        let mut slab = Slab::new();
        let mut queue = Fifo::new();
        for held in 0..5 {
            let at = slab.put(slot(held)).unwrap();
            queue.push(&mut slab, at);
        }
        for (gone, oldest, length) in [
            (2, Some(0), 4),
            (0, Some(1), 3),
            (4, Some(1), 2),
            (1, Some(3), 1),
            (3, None, 0),
        ] {
            queue.unlink(&mut slab, gone);
            assert_eq!(
                (queue.oldest(), queue.length, queue.heap),
                (oldest, length, length * 10),
                "without {gone}"
            );
        }
    }
}
