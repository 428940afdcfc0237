//! What is on its way from upstreams to drivers, in the order of its arrival.

use std::collections::BTreeMap;
use unsix::pipeline::Exchange;
use unsix::time::Moment;

/// Something on its way from an upstream.
pub(crate) struct Delivery {
    pub(crate) driver: usize,
    pub(crate) exchange: Exchange,
    /// None: the upstream cannot be reached.
    pub(crate) packet: Option<Vec<u8>>,
}

/// By time of arrival; those of one moment keep the order in which they were sent.
#[derive(Default)]
pub(crate) struct Deliveries {
    queue: BTreeMap<(Moment, u64), Delivery>,
    count: u64,
}

impl Deliveries {
    pub(crate) fn push(&mut self, at: Moment, delivery: Delivery) {
        self.count += 1;
        self.queue.insert((at, self.count), delivery);
    }

    pub(crate) fn next(&self) -> Option<Moment> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    /// The first of those that have arrived by `now`.
    pub(crate) fn pop(&mut self, now: Moment) -> Option<Delivery> {
        let first = self
            .queue
            .first_entry()
            .filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }
}
