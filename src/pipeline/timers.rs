//! When a driver's fetches want to be woken.

use super::pair::Pair;
use crate::time::Moment;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::{Mutex, Weak};

/// A heap of moments; what is no longer of interest is left in it and found asleep when its time comes.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Timer>,
    count: u64,
}

/// Who is woken.
#[derive(Debug)]
pub(super) enum Target {
    /// A flight of this driver.
    Flight(u64),
    /// A client that waits for two answers; once it has its reply, nothing is kept of it here.
    Pair(Weak<Mutex<Pair>>),
}

#[derive(Debug)]
struct Timer {
    at: Moment,
    /// Equal moments keep their order.
    number: u64,
    target: Target,
}

impl Timers {
    /// Wakes the target at that moment.
    pub(super) fn set(&mut self, at: Moment, target: Target) {
        self.count += 1;
        self.heap.push(Timer {
            at,
            number: self.count,
            target,
        });
    }

    /// The next moment of interest.
    pub(super) fn next(&self) -> Option<Moment> {
        self.heap.peek().map(|timer| timer.at)
    }

    /// Somebody whose moment has come.
    pub(super) fn pop(&mut self, now: Moment) -> Option<Target> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|timer| timer.target)
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap gives the greatest first; the earliest is wanted.
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Timer {}
