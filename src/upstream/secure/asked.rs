//! What one connection is asked: who waits for which answer, and who is asked once more.
//!
//! Whoever has no answer when the connection ends is asked once more on the next: a server may close an idle one just as
//! we write to it.
//!
//! Or it closes for one question that it does not like, and anybody may ask that. So those that are asked again go one
//! after the other, twice as many once they are answered: the bad one fails alone, and speaks not against a server that
//! has just answered others.

use super::Done;
use super::connection::{Connection, Event};
use super::peer::{State, now};
use crate::message::is_reply_to;
use crate::upstream::stream::ExchangeError;
use foldhash::{HashMap, HashMapExt};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A query without an answer.
pub(super) struct Waiting {
    /// As it was written, its id too.
    pub(super) query: Vec<u8>,
    /// As it is sent, but for its id.
    pub(super) padded: Vec<u8>,
    pub(super) done: Done,
    /// Nobody waits longer.
    pub(super) until: Instant,
    /// Connections that it was on.
    pub(super) sent: u8,
}

/// What is known of a connection.
pub(super) struct Asked {
    state: Arc<State>,
    /// By numbers of the connection's own, since ids of two queries may be the same.
    waiting: HashMap<u16, Waiting>,
    last_number: u16,
    /// Those that a connection has ended for, or with, and that are not asked again yet.
    again: VecDeque<Waiting>,
    /// How many of them are on their way, and may be.
    again_out: usize,
    again_most: usize,
    /// When it was last asked or answered something.
    used: Instant,
    /// Since when it has been asked, and has said nothing.
    silent_since: Option<Instant>,
    has_answered: bool,
    /// Messages that answered nothing.
    strays: usize,
}

/// How it is with a connection.
pub(super) enum Course {
    /// It goes on.
    Open,
    /// It takes no more queries.
    Closing,
    /// It is over, and this is why there is no answer.
    Ended(ExchangeError),
}

impl Asked {
    pub(super) fn new(state: &Arc<State>) -> Self {
        Self {
            state: Arc::clone(state),
            waiting: HashMap::new(),
            last_number: 0,
            again: VecDeque::new(),
            again_out: 0,
            again_most: 1,
            used: now(),
            silent_since: None,
            has_answered: false,
            strays: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.again.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < MOST_ASKED
    }

    /// Nobody waits, nor has anybody for a while.
    pub(super) fn is_idle(&self) -> bool {
        self.is_empty() && self.used.elapsed() > IDLE
    }

    /// It was asked, and not a word came: a router on the way may have forgotten it.
    pub(super) fn is_dead(&self) -> bool {
        self.silent_since
            .is_some_and(|since| since.elapsed() > SILENCE)
    }

    /// Sends a query, at once if it is new.
    pub(super) fn add(&mut self, waiting: Waiting, connection: &mut Connection) {
        match waiting.sent {
            0 => self.send(waiting, connection),
            _ => self.again.push_back(waiting),
        }
    }

    /// Sends as many as may be of those that are to be asked again.
    pub(super) fn send_again(&mut self, connection: &mut Connection) {
        while self.again_out < self.again_most
            && let Some(waiting) = self.again.pop_front()
        {
            self.again_out += usize::from(waiting.sent > 0);
            self.send(waiting, connection);
        }
    }

    fn send(&mut self, mut waiting: Waiting, connection: &mut Connection) {
        waiting.sent += 1;
        if waiting.padded.len() > usize::from(u16::MAX) {
            return (waiting.done)(Err(ExchangeError::Garbled));
        }
        self.last_number = self.last_number.wrapping_add(1);
        while self.waiting.contains_key(&self.last_number) {
            self.last_number = self.last_number.wrapping_add(1);
        }
        connection.send(self.last_number, &waiting.padded, waiting.until);
        self.used = now();
        self.silent_since.get_or_insert(self.used);
        self.waiting.insert(self.last_number, waiting);
    }

    /// Takes what has happened to a connection.
    pub(super) fn take(&mut self, event: Event) -> Course {
        match event {
            Event::Message(number, message) => _ = self.hear(number, message),
            Event::Only(number, message) => {
                if !self.hear(number, message)
                    && let Some(waiting) = self.remove(number)
                {
                    (waiting.done)(Err(ExchangeError::Garbled));
                }
            }
            Event::Failed(number, error) => {
                if error != ExchangeError::Timeout {
                    self.heard();
                }
                if let Some(waiting) = self.remove(number) {
                    (waiting.done)(Err(error));
                }
            }
            Event::Lost(number) => {
                // The server is there: it has only no answer to this.
                self.silent_since = None;
                self.keep_or_fail(number, 0, ExchangeError::Garbled);
            }
            Event::Untaken(number) => {
                // Of a connection that never worked this counts: else there would be no end of new ones.
                let unsent = u8::from(self.has_answered);
                self.keep_or_fail(number, unsent, self.state.closed());
                return Course::Closing;
            }
            Event::Closing => return Course::Closing,
            Event::Ended => return Course::Ended(self.state.closed()),
        }
        match self.strays < MOST_STRAYS {
            true => Course::Open,
            false => Course::Ended(ExchangeError::Garbled),
        }
    }

    fn heard(&mut self) {
        self.used = now();
        self.silent_since = None;
        self.has_answered = true;
    }

    /// Hands an answer out; false where it is none.
    fn hear(&mut self, number: u16, mut answer: Vec<u8>) -> bool {
        self.heard();
        if let Some(waiting) = self.waiting.get(&number) {
            for (octet, own) in answer.iter_mut().zip(waiting.query.iter().take(ID)) {
                *octet = *own;
            }
            // A header alone is how servers refuse what they do not understand.
            if (answer.len() == HEADER || is_reply_to(&waiting.query, &answer))
                && let Some(waiting) = self.remove(number)
            {
                self.again_most += usize::from(waiting.sent > 1);
                self.state.answer(self.used);
                (waiting.done)(Ok(answer));
                return true;
            }
        }
        self.strays += 1;
        false
    }

    fn remove(&mut self, number: u16) -> Option<Waiting> {
        let waiting = self.waiting.remove(&number)?;
        self.again_out -= usize::from(waiting.sent > 1);
        Some(waiting)
    }

    /// Has it asked again, where `unsent` of its sendings do not count, or ends it.
    fn keep_or_fail(&mut self, number: u16, unsent: u8, error: ExchangeError) {
        let Some(mut waiting) = self.remove(number) else {
            return;
        };
        waiting.sent -= unsent;
        match waiting.sent < MOST_SENT {
            true => self.again.push_back(waiting),
            false => (waiting.done)(Err(error)),
        }
    }

    /// Nobody waits any more for what has not come in time.
    pub(super) fn expire(&mut self) {
        let now = now();
        for (_, waiting) in self.waiting.extract_if(|_, waiting| waiting.until <= now) {
            self.again_out -= usize::from(waiting.sent > 1);
            (waiting.done)(Err(ExchangeError::Timeout));
        }
    }

    /// Those that are to be asked again, and are not on their way.
    pub(super) fn left_over(&mut self) -> Vec<Waiting> {
        self.again.drain(..).collect()
    }

    /// Gives those that are to be asked once more; the others have failed.
    pub(super) fn end(&mut self, error: ExchangeError) -> Vec<Waiting> {
        let mut again = self.left_over();
        self.again_out = 0;
        for (_, waiting) in self.waiting.drain() {
            if waiting.sent < MOST_SENT {
                again.push(waiting);
            } else {
                (waiting.done)(Err(error));
            }
        }
        again
    }
}

/// Octets of an id.
const ID: usize = 2;
/// Octets of a header (RFC 1035 §4.1.1).
const HEADER: usize = 12;
/// Connections that a query may be on.
const MOST_SENT: u8 = 2;
/// Queries on one connection without an answer.
const MOST_ASKED: usize = 2048;
/// Messages that answer nothing, after which a server counts as talking nonsense; an honest one is late now and then.
const MOST_STRAYS: usize = 1024;
/// An unused connection is closed then; most servers do so earlier.
pub(super) const IDLE: Duration = Duration::from_secs(30);
/// So long may a server say nothing while it is asked, before it is asked by another connection.
const SILENCE: Duration = Duration::from_secs(1);
