//! Work that other threads hand to a UDP worker.

use crate::pipeline::{Exchange, Origin};
use crate::upstream::stream::ExchangeError;
use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// What a worker is asked to do.
#[derive(Debug)]
pub enum Errand {
    /// Answer a query that came over a stream and that nobody here knows.
    Ask {
        /// The query.
        query: Vec<u8>,
        /// Where its reply goes.
        origin: Origin,
    },
    /// Ask again in the background what this query's reply needs.
    Refresh {
        /// The query.
        query: Vec<u8>,
    },
    /// What came of an exchange over a stream.
    Streamed {
        /// Which.
        exchange: Exchange,
        /// The message, or why there is none.
        answer: Result<Vec<u8>, ExchangeError>,
    },
    /// The settings have changed, or were just made: look for loops.
    ProbeForLoops,
    /// Serve until nothing is in flight, and end.
    Drain,
}

/// Errands of one worker, and the bell that wakes it.
#[derive(Debug)]
pub struct Inbox {
    errands: Mutex<Vec<Errand>>,
    bell: OwnedFd,
}

impl Inbox {
    /// Empty.
    ///
    /// # Errors
    /// No descriptor is to be had.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            errands: Mutex::default(),
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    /// Leaves an errand and wakes the worker. From any thread, never waits.
    pub fn leave(&self, errand: Errand) {
        let mut errands = self.errands.lock().unwrap_or_else(PoisonError::into_inner);
        let first = errands.is_empty();
        errands.push(errand);
        drop(errands);
        if first {
            // It fails only when the bell has rung 2^64 times and nobody came.
            let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        }
    }

    /// Readable while there are errands.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// All errands, and silence again.
    pub(super) fn take(&self) -> Vec<Errand> {
        let mut rung = [0; 8];
        // It fails when somebody else took the errands; then there are none.
        let _ = rustix::io::read(&self.bell, &mut rung);
        std::mem::take(&mut *self.errands.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
