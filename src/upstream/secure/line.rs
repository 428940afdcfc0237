//! One connection: many queries on their way at once, their answers in any order (RFC 7766 §6.2).
//!
//! Queries go under ids of the connection's own, since those of two questions may be the same. Whoever has no answer
//! when the connection ends is asked once more on the next: a server may close an idle one just as we write to it.
//!
//! Or it closes for one question that it does not like, and anybody may ask that. So those that are asked again go one
//! after the other, twice as many once they are answered: the bad one fails alone, and speaks not against a server that
//! has just answered others.

use super::Done;
use super::peer::now;
use crate::message::is_reply_to;
use crate::upstream::stream::ExchangeError;
use foldhash::{HashMap, HashMapExt};
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, interval};

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
struct Line {
    waiting: HashMap<u16, Waiting>,
    /// Those that a connection has ended for, or with, and that are not asked again yet.
    again: VecDeque<Waiting>,
    /// How many of them are on their way, and may be.
    again_out: usize,
    again_most: usize,
    last_id: u16,
    /// What came, up to a part of a message.
    inbox: Vec<u8>,
    /// What is to be sent.
    outbox: VecDeque<u8>,
    /// All of it has left.
    is_flushed: bool,
    /// When it was last asked or answered something.
    used: Instant,
    /// Since when it has been asked, and has said nothing.
    silent_since: Option<Instant>,
    /// Messages that answered nothing.
    strays: usize,
}

/// Serves a connection until it ends; gives who is to be asked again. `answered` is when the server last answered.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    first: Vec<Waiting>,
    queries: &mut Receiver<Waiting>,
    answered: &mut Option<Instant>,
) -> Vec<Waiting> {
    let (mut reader, mut writer) = split(stream);
    let mut line = Line::new();
    for waiting in first {
        match waiting.sent {
            0 => line.send(waiting),
            _ => line.again.push_back(waiting),
        }
    }
    let mut ticks = interval(TICK);
    let mut is_wanted = true;
    while is_wanted || !line.waiting.is_empty() {
        line.send_again();
        tokio::select! {
            query = queries.recv(), if is_wanted && line.has_room() => match query {
                Some(waiting) if line.is_dead() => {
                    let mut again = line.end(ExchangeError::Timeout);
                    again.push(waiting);
                    return again;
                }
                Some(waiting) => line.send(waiting),
                None => is_wanted = false,
            },
            read = reader.read_buf(&mut line.inbox) => match read {
                Ok(1..) if line.take(answered) => {}
                Ok(1..) => return line.end(ExchangeError::Garbled),
                _ => return line.end(closed(*answered)),
            },
            sent = push(&mut writer, &mut line.outbox), if !line.is_flushed => match sent {
                Ok(()) => line.is_flushed = true,
                Err(_) => return line.end(closed(*answered)),
            },
            _ = ticks.tick() => {
                line.expire();
                is_wanted &= !line.is_idle();
            }
        }
    }
    // The server may have left already.
    let _ = writer.shutdown().await;
    Vec::new()
}

/// What it says of a server that it has closed: of one that answers others, only that it has no answer to these.
fn closed(answered: Option<Instant>) -> ExchangeError {
    match answered {
        Some(answered) if answered.elapsed() < LATELY => ExchangeError::Garbled,
        _ => ExchangeError::Closed,
    }
}

/// Writes all there is. What is written is gone from the box, so this can be dropped anywhere and begun again.
async fn push(writer: &mut (impl AsyncWrite + Unpin), outbox: &mut VecDeque<u8>) -> io::Result<()> {
    while !outbox.is_empty() {
        if writer.write_buf(outbox).await? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    writer.flush().await
}

impl Line {
    fn new() -> Self {
        Self {
            waiting: HashMap::new(),
            again: VecDeque::new(),
            again_out: 0,
            again_most: 1,
            last_id: 0,
            inbox: Vec::new(),
            outbox: VecDeque::new(),
            is_flushed: true,
            used: now(),
            silent_since: None,
            strays: 0,
        }
    }

    fn has_room(&self) -> bool {
        self.waiting.len() < MOST_ASKED
    }

    /// Nobody waits, nor has anybody for a while.
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.used.elapsed() > IDLE
    }

    /// It was asked, and not a word came: a router on the way may have forgotten it.
    fn is_dead(&self) -> bool {
        self.silent_since
            .is_some_and(|since| since.elapsed() > SILENCE)
    }

    fn send(&mut self, mut waiting: Waiting) {
        waiting.sent += 1;
        let Ok(length) = u16::try_from(waiting.padded.len()) else {
            return (waiting.done)(Err(ExchangeError::Garbled));
        };
        self.last_id = self.last_id.wrapping_add(1);
        while self.waiting.contains_key(&self.last_id) {
            self.last_id = self.last_id.wrapping_add(1);
        }
        self.outbox.extend(length.to_be_bytes());
        self.outbox.extend(self.last_id.to_be_bytes());
        self.outbox.extend(waiting.padded.iter().skip(ID));
        self.is_flushed = false;
        self.used = now();
        self.silent_since.get_or_insert(self.used);
        self.waiting.insert(self.last_id, waiting);
    }

    /// As many as may be of those that are to be asked again.
    fn send_again(&mut self) {
        while self.again_out < self.again_most
            && let Some(waiting) = self.again.pop_front()
        {
            self.again_out += 1;
            self.send(waiting);
        }
    }

    /// Hands out the answers that have come; false where the server talks nonsense.
    fn take(&mut self, answered: &mut Option<Instant>) -> bool {
        let inbox = std::mem::take(&mut self.inbox);
        let mut rest = inbox.as_slice();
        while let Some((length, behind)) = rest.split_first_chunk()
            && let Some((message, behind)) =
                behind.split_at_checked(u16::from_be_bytes(*length).into())
        {
            if self.hear(message) {
                *answered = Some(self.used);
            }
            rest = behind;
        }
        self.inbox = rest.to_vec();
        self.strays < MOST_STRAYS
    }

    /// Gives whether it is an answer.
    fn hear(&mut self, message: &[u8]) -> bool {
        self.used = now();
        self.silent_since = None;
        let id = message.first_chunk().map(|id| u16::from_be_bytes(*id));
        let Some(id) = id.filter(|id| self.waiting.contains_key(id)) else {
            self.strays += 1;
            return false;
        };
        let Some(waiting) = self.waiting.remove(&id) else {
            return false;
        };
        let mut answer = message.to_vec();
        for (octet, own) in answer.iter_mut().zip(waiting.query.iter().take(ID)) {
            *octet = *own;
        }
        // A header alone is how servers refuse what they do not understand.
        let is_answer = answer.len() == HEADER || is_reply_to(&waiting.query, &answer);
        if is_answer {
            if waiting.sent > 1 {
                self.again_out -= 1;
                self.again_most += 1;
            }
            (waiting.done)(Ok(answer));
        } else {
            self.strays += 1;
            self.waiting.insert(id, waiting);
        }
        is_answer
    }

    /// Nobody waits any more for what has not come in time.
    fn expire(&mut self) {
        let now = now();
        for (_, waiting) in self.waiting.extract_if(|_, waiting| waiting.until <= now) {
            self.again_out -= usize::from(waiting.sent > 1);
            (waiting.done)(Err(ExchangeError::Timeout));
        }
    }

    /// Gives those that are to be asked once more; the others have failed.
    fn end(&mut self, error: ExchangeError) -> Vec<Waiting> {
        let mut again: Vec<Waiting> = self.again.drain(..).collect();
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
/// A server that has answered so short a time ago is there.
const LATELY: Duration = Duration::from_secs(5);
/// Queries on one connection without an answer.
const MOST_ASKED: usize = 2048;
/// Messages that answer nothing, after which a server counts as talking nonsense; an honest one is late now and then.
const MOST_STRAYS: usize = 1024;
/// An unused connection is closed then; most servers do so earlier.
const IDLE: Duration = Duration::from_secs(30);
/// So long may a server say nothing while it is asked, before it is asked by another connection.
const SILENCE: Duration = Duration::from_secs(1);
/// How often we look who has waited too long.
const TICK: Duration = Duration::from_secs(1);
