//! Who waits for which question: equal questions share one flight, whichever driver carries it.
//!
//! The driver whose client asked first leads; all others leave their waiter here and are answered by
//! the leader. Also the place where what is in flight is counted and bounded.

use super::Origin;
use super::pair::Pair;
use crate::message::Ask;
use foldhash::{HashMap, HashMapExt};
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The questions in flight and their waiters.
#[derive(Debug)]
pub(super) struct Flights {
    shards: Box<[Mutex<Shard>]>,
    hasher: foldhash::fast::FixedState,
    /// Flights that clients started.
    started: AtomicUsize,
    /// Waiters in all flights together.
    waiters: AtomicUsize,
    by_client: Mutex<HashMap<IpAddr, usize>>,
}

/// Some of the questions in flight.
type Shard = HashTable<Waiting>;

#[derive(Debug)]
struct Waiting {
    ask: Arc<Ask>,
    waiters: Waiters,
    /// Stale answers went out: whoever comes now need not wait for one.
    slow: bool,
}

/// Somebody who wants to hear how a flight ends.
#[derive(Debug)]
pub(super) enum Waiter {
    /// A client that asked this very question.
    Client(Asker),
    /// A client whose reply needs this answer and perhaps another.
    Pair(Arc<Mutex<Pair>>, Side),
}

/// Which answer a pair waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The A records.
    Ipv4,
    /// The question itself.
    Own,
}

/// A client with its query.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) query: Box<[u8]>,
    pub(super) origin: Origin,
}

/// Waiters of one flight. Nearly every question has a single one, which takes no allocation.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    first: Option<Waiter>,
    others: Vec<Waiter>,
}

impl Waiters {
    fn push(&mut self, waiter: Waiter) {
        match self.first {
            None => self.first = Some(waiter),
            Some(_) => self.others.push(waiter),
        }
    }

    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }
}

impl IntoIterator for Waiters {
    type Item = Waiter;
    type IntoIter = std::iter::Chain<std::option::IntoIter<Waiter>, std::vec::IntoIter<Waiter>>;

    /// In the order they came.
    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.others)
    }
}

/// What became of a waiter.
#[derive(Debug)]
pub(super) enum Joined {
    /// It waits; nobody carries this question yet: the caller does.
    Leads,
    /// It waits with others.
    Follows,
    /// The flight is slow already; the waiter is given back.
    Slow(Waiter),
    /// Too many wait; the waiter is given back.
    Full(Waiter),
}

impl Flights {
    /// Nobody in flight.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: foldhash::fast::FixedState::with_seed(seed),
            started: AtomicUsize::new(0),
            waiters: AtomicUsize::new(0),
            by_client: Mutex::new(HashMap::new()),
        }
    }

    /// Waits for a question, or is told to carry it. Without a waiter it is for the cache alone.
    pub(super) fn join(&self, ask: &Arc<Ask>, waiter: Option<Waiter>) -> Joined {
        let hash = self.hash(ask);
        let mut shard = self.shard(hash);
        if let Some(waiting) = shard.find_mut(hash, |waiting| waiting.ask == *ask) {
            let Some(waiter) = waiter else {
                return Joined::Follows;
            };
            if waiting.slow {
                return Joined::Slow(waiter);
            }
            if self.waiters.load(Relaxed) >= MOST_WAITERS {
                return Joined::Full(waiter);
            }
            self.waiters.fetch_add(1, Relaxed);
            waiting.waiters.push(waiter);
            return Joined::Follows;
        }
        let waiters = Waiters {
            first: waiter,
            others: Vec::new(),
        };
        self.waiters.fetch_add(waiters.len(), Relaxed);
        let waiting = Waiting {
            ask: Arc::clone(ask),
            waiters,
            slow: false,
        };
        shard.insert_unique(hash, waiting, |waiting| self.hash(&waiting.ask));
        Joined::Leads
    }

    /// Waits although the flight is slow: nothing stale was at hand. The waiter is given back where the
    /// flight has ended or too many wait.
    pub(super) fn wait_on(&self, ask: &Ask, waiter: Waiter) -> Result<(), Waiter> {
        let room = self.waiters.load(Relaxed) < MOST_WAITERS;
        let hash = self.hash(ask);
        let mut shard = self.shard(hash);
        match shard.find_mut(hash, |waiting| *waiting.ask == *ask) {
            Some(waiting) if room => {
                self.waiters.fetch_add(1, Relaxed);
                waiting.waiters.push(waiter);
                Ok(())
            }
            _ => Err(waiter),
        }
    }

    /// The flight ended: its waiters, and the question is free again.
    pub(super) fn take(&self, ask: &Ask) -> Waiters {
        let hash = self.hash(ask);
        let mut shard = self.shard(hash);
        let Ok(entry) = shard.find_entry(hash, |waiting| *waiting.ask == *ask) else {
            return Waiters::default();
        };
        let (Waiting { waiters, .. }, _) = entry.remove();
        self.waiters.fetch_sub(waiters.len(), Relaxed);
        waiters
    }

    /// The flight is slow: its waiters so far; those who get nothing stale come back by [`Self::wait_on`].
    pub(super) fn slow_down(&self, ask: &Ask) -> Waiters {
        let hash = self.hash(ask);
        let mut shard = self.shard(hash);
        let Some(waiting) = shard.find_mut(hash, |waiting| *waiting.ask == *ask) else {
            return Waiters::default();
        };
        waiting.slow = true;
        self.waiters.fetch_sub(waiting.waiters.len(), Relaxed);
        std::mem::take(&mut waiting.waiters)
    }

    /// Counts a flight for this client; false where it, or all clients together, have too many.
    pub(super) fn admit(&self, client: IpAddr) -> bool {
        let mut by_client = self
            .by_client
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.started.load(Relaxed) >= MOST_STARTED {
            return false;
        }
        // Who is refused leaves no trace: strangers' addresses are many.
        let own = by_client.entry(prefix(client)).or_insert(0);
        if *own >= MOST_OF_A_CLIENT {
            return false;
        }
        *own += 1;
        self.started.fetch_add(1, Relaxed);
        true
    }

    /// A counted flight ended.
    pub(super) fn dismiss(&self, client: IpAddr) {
        let mut by_client = self
            .by_client
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = by_client.get_mut(&prefix(client)) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                by_client.remove(&prefix(client));
            }
        }
        self.started.fetch_sub(1, Relaxed);
    }

    /// Flights that clients started and that have not ended.
    pub(super) fn in_flight(&self) -> usize {
        self.started.load(Relaxed)
    }

    fn hash(&self, ask: &Ask) -> u64 {
        self.hasher.hash_one(ask)
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        // The table takes the lowest and the highest bits.
        let number = usize::try_from(hash >> 32).unwrap_or_default() % SHARDS;
        let shard = self.shards.get(number).or_else(|| self.shards.first());
        shard
            .expect("there are SHARDS of them")
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One client: an IPv4 address, or the /64 that one IPv6 host may pick addresses from.
fn prefix(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
    }
}

const SHARDS: usize = 16;
/// Flights started by clients, all together.
const MOST_STARTED: usize = 4_096;
/// Flights started by one client.
const MOST_OF_A_CLIENT: usize = 256;
/// Waiters in all flights; one costs about 200 octets.
const MOST_WAITERS: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::Flights;
    use std::net::IpAddr;

    #[test]
    fn one_client_starts_so_many_flights_and_no_more() {
        let flights = Flights::new(7);
        let greedy: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbor: IpAddr = "2001:db8::ffff".parse().unwrap();
        let other: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..256 {
            assert!(flights.admit(greedy));
        }
        assert!(!flights.admit(greedy));
        assert!(!flights.admit(neighbor), "the same /64 is the same client");
        assert!(flights.admit(other));
        flights.dismiss(greedy);
        assert!(flights.admit(neighbor));
    }

    #[test]
    fn who_is_refused_takes_no_memory() {
        let flights = Flights::new(7);
        let client = |number: u32| IpAddr::from(number.to_be_bytes());
        assert!((0..4_096).all(|number| flights.admit(client(number))));
        assert!((4_096..9_000).all(|number| !flights.admit(client(number))));
        assert_eq!(flights.by_client.lock().unwrap().len(), 4_096);
        (0..4_096).for_each(|number| flights.dismiss(client(number)));
        assert!(flights.by_client.lock().unwrap().is_empty());
        assert_eq!(flights.in_flight(), 0);
    }
}
