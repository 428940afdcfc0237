//! Who is connected by a stream, and how a reply finds its way there from any thread.
//!
//! Holds the caps on connections, in all and for each client, and knows which load balancers may say whose
//! theirs are. Every query that a connection hands out comes back exactly once, as a reply or as the word that
//! none will come; a connection that has gone meanwhile is no concern of whoever answers.

use super::proxy::Balancers;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A reply, or the word that none will come.
pub(super) type Finished = Option<Vec<u8>>;

/// Every stream connection of the process.
#[derive(Debug)]
pub struct Connections {
    in_all: usize,
    per_client: usize,
    open: Mutex<Open>,
    refused: AtomicU64,
    /// Load balancers whose connections are their clients'.
    pub balancers: Balancers,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    replies: HashMap<u64, UnboundedSender<Finished>>,
    clients: HashMap<IpAddr, usize>,
    in_all: usize,
}

impl Default for Connections {
    fn default() -> Self {
        Self::new()
    }
}

impl Connections {
    /// None yet; at most 512 in all, and 64 of one client address.
    pub fn new() -> Self {
        Self::with_caps(512, 64)
    }

    /// The same for a process with few descriptors: a quarter of them, for each question in flight needs
    /// one too, and UDP must not suffer from who connects.
    pub fn within(descriptors: usize) -> Self {
        let most = (descriptors / 4).max(1);
        Self::with_caps(most.min(512), most.min(64))
    }

    pub(super) fn with_caps(in_all: usize, per_client: usize) -> Self {
        Self {
            in_all,
            per_client,
            open: Mutex::default(),
            refused: AtomicU64::new(0),
            balancers: Balancers::default(),
        }
    }

    /// Ends one query of a connection: with its reply, or with none. From any thread, never waits.
    pub fn finish(&self, connection: u64, reply: Option<Vec<u8>>) {
        // Sent after the lock is let go, for it may wake a thread.
        let replies = self.lock().replies.get(&connection).cloned();
        if let Some(replies) = replies {
            // It fails when the connection ends this moment.
            let _ = replies.send(reply);
        }
    }

    /// How many there may be in all.
    pub(super) fn most(&self) -> usize {
        self.in_all
    }

    /// Connections open now.
    pub fn open(&self) -> u64 {
        u64::try_from(self.lock().in_all).unwrap_or(u64::MAX)
    }

    /// Connections refused so far because of a cap.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Lets a connection of that client in, unless a cap is reached.
    pub(super) fn admit(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
        let mut place = self.admit_anyone()?;
        place.belong_to(client).then_some(place)
    }

    /// The same before it is known whose it is: only the cap on all counts.
    pub(super) fn admit_anyone(self: &Arc<Self>) -> Option<Place> {
        let mut open = self.lock();
        if open.in_all >= self.in_all {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        open.in_all += 1;
        drop(open);
        Some(Place {
            slot: self.slot(),
            client: None,
        })
    }

    /// Where replies can be sent to.
    fn slot(self: &Arc<Self>) -> Slot {
        // In-flight queries are capped, and each brings one item: so is the queue.
        let (sender, finished) = unbounded_channel();
        let mut open = self.lock();
        let id = open.next;
        open.next += 1;
        open.replies.insert(id, sender);
        Slot {
            connections: Arc::clone(self),
            id,
            finished,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // A panic under the lock may leave a count too high by one; that is better than none served.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where replies come in; what comes once it is dropped is lost.
#[derive(Debug)]
pub(super) struct Slot {
    connections: Arc<Connections>,
    /// The number that replies are sent to; never given twice.
    pub(super) id: u64,
    /// What became of the queries that were handed out under it.
    pub(super) finished: UnboundedReceiver<Finished>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.lock().replies.remove(&self.id);
    }
}

/// One connection's place among them, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    /// For a connection whose replies may come in any order.
    pub(super) slot: Slot,
    /// Whose it is, where that is known.
    client: Option<IpAddr>,
}

impl Place {
    /// Whether it is known whose it is.
    pub(super) fn is_known(&self) -> bool {
        self.client.is_some()
    }

    /// The load balancers, one of which has it where that is not known.
    pub(super) fn balancers(&self) -> &Balancers {
        &self.slot.connections.balancers
    }

    /// Counts it as that client's, unless the client's cap is reached.
    pub(super) fn belong_to(&mut self, client: IpAddr) -> bool {
        // An IPv4 client is the same one behind a socket of either family.
        let client = client.to_canonical();
        let connections = &self.slot.connections;
        let mut open = connections.lock();
        let theirs = open.clients.entry(client).or_default();
        if *theirs >= connections.per_client {
            connections.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        *theirs += 1;
        self.client = Some(client);
        true
    }

    /// For one query, where each has a stream of its own.
    #[cfg(any(feature = "doh", feature = "doq"))]
    pub(super) fn slot_of_its_own(&self) -> Slot {
        self.slot.connections.slot()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.slot.connections.lock();
        open.in_all -= 1;
        if let Some(client) = self.client
            && let Some(theirs) = open.clients.get_mut(&client)
        {
            *theirs -= 1;
            if *theirs == 0 {
                open.clients.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_hold_in_all_and_for_each_client() {
        let connections = Arc::new(Connections::with_caps(3, 2));
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = connections.admit(ip("192.0.2.1")).unwrap();
        let second = connections.admit(ip("::ffff:192.0.2.1")).unwrap();
        assert!(
            connections.admit(ip("192.0.2.1")).is_none(),
            "two of one client"
        );
        let third = connections.admit(ip("2001:db8::1")).unwrap();
        assert!(
            connections.admit(ip("2001:db8::2")).is_none(),
            "three in all"
        );
        assert_eq!((connections.open(), connections.refused()), (3, 2));
        drop((first, second));
        let again = connections.admit(ip("192.0.2.1")).unwrap();
        assert_ne!(again.slot.id, third.slot.id);
        drop((third, again));
        assert_eq!(connections.open(), 0);
        assert!(connections.lock().clients.is_empty());
    }

    #[test]
    fn a_load_balancers_connections_are_its_clients() {
        let connections = Arc::new(Connections::with_caps(4, 1));
        let mut places = [(); 3].map(|()| connections.admit_anyone().unwrap());
        let [one, other, own] = &mut places;
        assert!(one.belong_to(IpAddr::from([192, 0, 2, 1])));
        assert!(!other.belong_to(IpAddr::from([192, 0, 2, 1])), "its second");
        assert!(other.belong_to(IpAddr::from([192, 0, 2, 2])));
        assert!(!own.is_known());
        let _direct = connections.admit(IpAddr::from([192, 0, 2, 3])).unwrap();
        assert!(connections.admit_anyone().is_none(), "four in all");
        assert_eq!((connections.open(), connections.refused()), (4, 2));
        drop(places);
        assert_eq!(connections.open(), 1);
    }

    #[test]
    fn replies_to_a_connection_that_has_gone_are_lost_in_silence() {
        let connections = Arc::new(Connections::new());
        let mut place = connections.admit(IpAddr::from([192, 0, 2, 1])).unwrap();
        let id = place.slot.id;
        connections.finish(id, Some(b"reply".to_vec()));
        connections.finish(id, None);
        assert_eq!(place.slot.finished.try_recv(), Ok(Some(b"reply".to_vec())));
        assert_eq!(place.slot.finished.try_recv(), Ok(None));
        drop(place);
        connections.finish(id, Some(b"late".to_vec()));
    }
}
