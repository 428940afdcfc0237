//! What a connection owes and is owed, and when it is over for that.

use super::super::stream::now;
use super::Limits;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// The account of one connection.
#[derive(Debug)]
pub(super) struct Account {
    limits: Limits,
    books: Mutex<Books>,
}

#[derive(Debug)]
struct Books {
    /// Requests that are not answered.
    in_flight: usize,
    /// Octets of bodies that are not whole.
    bodies: usize,
    /// Octets of replies that the client did not take.
    unread: usize,
    /// When a reply was last taken, or there was first one to take.
    taken: Instant,
    /// When it is over if nothing is asked or answered before.
    quiet_until: Instant,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// Nothing is asked.
    Quiet,
    /// Nothing is read.
    Deaf,
}

impl Account {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        let now = now();
        Arc::new(Self {
            limits,
            books: Mutex::new(Books {
                in_flight: 0,
                bodies: 0,
                unread: 0,
                taken: now,
                quiet_until: now + limits.first,
            }),
        })
    }

    /// A request comes.
    pub(super) fn ask(self: &Arc<Self>) -> Asked {
        self.lock().in_flight += 1;
        Asked(Arc::clone(self))
    }

    /// A body comes, of which nothing is there yet.
    pub(super) fn body(self: &Arc<Self>) -> Bodily {
        Bodily {
            account: Arc::clone(self),
            octets: 0,
        }
    }

    /// A reply goes out, unless too much is held already.
    pub(super) fn reply(self: &Arc<Self>, octets: usize) -> Option<Unread> {
        let mut books = self.lock();
        if books.is_full(self.limits) {
            return None;
        }
        if books.unread == 0 {
            books.taken = now();
        }
        books.unread += octets;
        drop(books);
        Some(Unread {
            account: Arc::clone(self),
            octets,
        })
    }

    /// When to look whether it is over. Nobody wakes who looks when a reply begins to wait.
    pub(super) fn next_look(&self) -> Instant {
        let soon = now() + self.limits.write / 2;
        let books = self.lock();
        let end = if books.unread > 0 {
            books.taken + self.limits.write
        } else if books.in_flight > 0 {
            // Each of them knows its own end.
            soon
        } else {
            books.quiet_until
        };
        soon.min(end)
    }

    /// Whether it is.
    pub(super) fn is_over(&self) -> Option<Over> {
        let (books, now) = (self.lock(), now());
        if books.unread > 0 {
            (books.taken + self.limits.write <= now).then_some(Over::Deaf)
        } else {
            (books.in_flight == 0 && books.quiet_until <= now).then_some(Over::Quiet)
        }
    }

    /// Whether everything is answered and taken.
    pub(super) fn is_settled(&self) -> bool {
        let books = self.lock();
        books.in_flight == 0 && books.unread == 0
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request in flight: until it is dropped.
#[derive(Debug)]
pub(super) struct Asked(Arc<Account>);

impl Drop for Asked {
    fn drop(&mut self) {
        let mut books = self.0.lock();
        books.in_flight -= 1;
        books.quiet_until = now() + self.0.limits.idle;
    }
}

impl Books {
    fn is_full(&self, limits: Limits) -> bool {
        self.bodies + self.unread >= limits.held
    }
}

/// Octets of a body, held until this is dropped.
#[derive(Debug)]
pub(super) struct Bodily {
    account: Arc<Account>,
    octets: usize,
}

impl Bodily {
    /// More of them came; false: too much is held already.
    pub(super) fn add(&mut self, octets: usize) -> bool {
        let mut books = self.account.lock();
        books.bodies += octets;
        self.octets += octets;
        !books.is_full(self.account.limits)
    }
}

impl Drop for Bodily {
    fn drop(&mut self) {
        self.account.lock().bodies -= self.octets;
    }
}

/// Octets of a reply, held until they are written or this is dropped.
#[derive(Debug)]
pub(super) struct Unread {
    account: Arc<Account>,
    octets: usize,
}

impl Unread {
    /// That many have been written.
    pub(super) fn written(&mut self, octets: usize) {
        let octets = octets.min(self.octets);
        if octets > 0 {
            self.octets -= octets;
            let mut books = self.account.lock();
            books.unread -= octets;
            books.taken = now();
        }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.written(self.octets);
    }
}
