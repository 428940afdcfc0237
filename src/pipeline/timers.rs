//! When a driver's fetches want to be woken.

use super::pair::Pair;
use crate::time::Moment;
use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::sync::{Mutex, Weak};

/// Moments in order; what is no longer of interest is left and found asleep when its time comes.
///
/// Timers are set for a few spans: a try at a near server, a client's patience, its deadline. Of one span they
/// come due in the order they were set, so they stand in lines; only what fits none takes a heap's logarithm.
#[derive(Debug, Default)]
pub(super) struct Timers {
    lines: [VecDeque<Timer>; LINES],
    heap: BinaryHeap<Reverse<Timer>>,
    count: u64,
}

/// One more than there are common spans.
const LINES: usize = 4;

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
        let timer = Timer {
            at,
            number: self.count,
            target,
        };
        // None, the end of an empty line, is less than any timer.
        let fitting = self.lines.iter_mut();
        let fitting = fitting.filter(|line| line.back() <= Some(&timer));
        // The line that ends last of those: so each span finds back to its own.
        match fitting.max_by(|one, other| one.back().cmp(&other.back())) {
            Some(line) => line.push_back(timer),
            None => self.heap.push(Reverse(timer)),
        }
    }

    /// The next moment of interest.
    pub(super) fn next(&self) -> Option<Moment> {
        let fronts = self.lines.iter().filter_map(VecDeque::front);
        let first = fronts.chain(self.heap.peek().map(|Reverse(timer)| timer));
        first.map(|timer| timer.at).min()
    }

    /// Somebody whose moment has come.
    pub(super) fn pop(&mut self, now: Moment) -> Option<Target> {
        let next = self.next().filter(|next| *next <= now)?;
        let lines = self.lines.iter_mut();
        let lines = lines.filter(|line| line.front().is_some_and(|timer| timer.at == next));
        let line = lines.min_by(|one, other| one.front().cmp(&other.front()));
        let heaped = self.heap.peek().map(|Reverse(timer)| timer);
        let timer = match line {
            Some(line) if heaped.is_none_or(|heaped| line.front() < Some(heaped)) => {
                line.pop_front()
            }
            _ => self.heap.pop().map(|Reverse(timer)| timer),
        };
        timer.map(|timer| timer.target)
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
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

#[cfg(test)]
mod tests {
    use super::{Target, Timers};
    use crate::time::Moment;

    #[test]
    fn they_come_in_order_whatever_order_they_were_set_in() {
        let mut timers = Timers::default();
        let set = [50, 9, 8, 9, 7, 1, 3, 40, 11, 12];
        for (number, at) in (0..).zip(set) {
            timers.set(Moment::from_micros(at), Target::Flight(number));
        }
        let mut heard = Vec::new();
        assert!(!timers.heap.is_empty(), "some fit into no line");
        for now in [2, 10, 39] {
            while let Some(Target::Flight(number)) = timers.pop(Moment::from_micros(now)) {
                heard.push((now, number));
            }
        }
        let due = [
            (2, 5),
            (10, 6),
            (10, 4),
            (10, 2),
            (10, 1),
            (10, 3),
            (39, 8),
            (39, 9),
        ];
        assert_eq!(heard, due);
        assert_eq!(timers.next(), Some(Moment::from_micros(40)));
    }
}
