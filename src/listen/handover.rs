//! How a worker reads sockets that one process had before it and another will have after it.
//!
//! What waits in them belongs to whoever reads it: when we stop we read no more, and the next process answers it.
//! When we start, with nothing in the cache, a long queue may hold more new questions than a client may
//! have in flight: they would be refused, though nobody asked too fast. So they are read as upstreams answer.

use super::sockets::Ear;
use crate::sys::BATCH;
use crate::time::Moment;
use std::time::Duration;

/// Where a worker stands between the process before and the one after.
#[derive(Debug)]
pub(super) struct Handover {
    /// Until when what waited for us is read with care, unless a round finds nothing more before.
    catching_up: Option<Moment>,
    /// In this round something waited, or there was no room to look.
    waiting: bool,
    /// When we must be gone, once we stop.
    end: Option<Moment>,
}

impl Handover {
    /// A worker starts now.
    pub(super) fn start(ears: &[Ear], now: Moment) -> Self {
        let kept = ears.iter().any(|ear| ear.kept);
        Self {
            catching_up: kept.then(|| now + CATCH_UP),
            waiting: false,
            end: None,
        }
    }

    /// It is told to stop.
    pub(super) fn stop(&mut self, now: Moment) {
        self.end = Some(now + GRACE);
    }

    /// When it must be gone; none while it is not told to stop.
    pub(super) fn end(&self) -> Option<Moment> {
        self.end
    }

    /// How many datagrams may be read at once while so many questions are in flight.
    pub(super) fn room(&self, ear: &Ear, in_flight: usize) -> usize {
        match (ear.kept, self.end, self.catching_up) {
            (true, Some(_), _) => 0,
            (true, None, Some(_)) if in_flight >= FEW => 0,
            (true, None, Some(_)) => SIP,
            _ => BATCH,
        }
    }

    /// Something was read, or there was no room for it.
    pub(super) fn more_may_wait(&mut self) {
        self.waiting = true;
    }

    /// A round is over.
    pub(super) fn next_round(&mut self, now: Moment) {
        let waiting = std::mem::take(&mut self.waiting);
        if self.catching_up.is_some_and(|end| end <= now || !waiting) {
            self.catching_up = None;
        }
    }

    /// The longest sleep: nobody rings when another worker has answered what this one waits for.
    pub(super) fn longest_sleep(&self) -> Duration {
        match self.end.or(self.catching_up) {
            Some(_) => SHORT_SLEEP,
            None => LONGEST_SLEEP,
        }
    }
}

/// How long fetches may take to end when the daemon stops.
const GRACE: Duration = Duration::from_secs(3);
/// The longest time for what waited before we started; what comes after has waited for nobody.
const CATCH_UP: Duration = Duration::from_secs(1);
/// Questions in flight at which no more of that is read: well below what one client may have.
const FEW: usize = 128;
/// Datagrams read at once meanwhile.
const SIP: usize = 16;
/// How often a worker looks whether it may end, or read on.
const SHORT_SLEEP: Duration = Duration::from_millis(5);
/// So that the watchdog sees a pulse.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
