//! A connection that carries many queries at once, until it ends.
//!
//! There are two kinds: a [`Line`] has one message after the other in each direction (DNS over TLS), [`Streams`] a stream
//! for each query (HTTP and QUIC).

use super::asked::{Asked, Course, Waiting};
use super::line::Line;
use super::peer::State;
use super::streams::Streams;
use crate::upstream::stream::ExchangeError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, WeakSender};
use tokio::time::{Instant, interval};

/// One of either kind.
pub(super) enum Connection {
    Line(Box<Line>),
    #[cfg_attr(
        not(any(feature = "doh", feature = "doq")),
        expect(dead_code, reason = "TLS alone has none")
    )]
    Streams(Streams),
}

/// What happens to a connection. Queries are known by the numbers that they were sent under.
pub(super) enum Event {
    /// A message that may be the answer to this query.
    Message(u16, Vec<u8>),
    /// The one message that comes for this query.
    Only(u16, Vec<u8>),
    /// The server has none for this query, or none in time.
    Failed(u16, ExchangeError),
    /// No answer to this query will come here.
    Lost(u16),
    /// This query was not sent: the connection takes no more.
    Untaken(u16),
    /// It takes no more queries; what was asked may still be answered.
    Closing,
    /// It is over.
    Ended,
}

impl Connection {
    /// Sends a query under this number. Its id is what the protocol wants.
    pub(super) fn send(&mut self, number: u16, query: &[u8], until: Instant) {
        match self {
            Self::Line(line) => line.send(number, query),
            Self::Streams(streams) => streams.send(number, query, until),
        }
    }

    /// What happens next. This can be dropped anywhere and begun again.
    async fn next(&mut self) -> Event {
        match self {
            Self::Line(line) => line.next().await,
            Self::Streams(streams) => streams.next().await,
        }
    }

    /// Leaves politely. Streams do so when dropped.
    async fn close(self) {
        match self {
            Self::Line(line) => line.close().await,
            Self::Streams(_) => {}
        }
    }
}

/// Serves a connection until it ends, or takes no more; gives who is to be asked on another. Those for whom that turns out
/// later come `back` among the queries.
pub(super) async fn serve(
    mut connection: Connection,
    first: Vec<Waiting>,
    queries: &mut Receiver<Waiting>,
    back: &WeakSender<Waiting>,
    state: &Arc<State>,
) -> Vec<Waiting> {
    let mut asked = Asked::new(state);
    for waiting in first {
        asked.add(waiting, &mut connection);
    }
    let mut ticks = interval(TICK);
    let mut is_wanted = true;
    while is_wanted || !asked.is_empty() {
        asked.send_again(&mut connection);
        tokio::select! {
            // A server is silent only when there is nothing to read.
            biased;
            event = connection.next() => match asked.take(event) {
                Course::Open => {}
                Course::Closing => {
                    let again = asked.left_over();
                    if !asked.is_empty() {
                        tokio::spawn(drain(connection, asked, back.clone()));
                    }
                    return again;
                }
                Course::Ended(error) => return asked.end(error),
            },
            _ = ticks.tick() => {
                asked.expire();
                is_wanted &= !asked.is_idle();
            }
            query = queries.recv(), if is_wanted && asked.has_room() => match query {
                Some(waiting) if asked.is_dead() => {
                    let mut again = asked.end(ExchangeError::Timeout);
                    again.push(waiting);
                    return again;
                }
                Some(waiting) => asked.add(waiting, &mut connection),
                None => is_wanted = false,
            },
        }
    }
    connection.close().await;
    Vec::new()
}

/// Waits for what a connection still brings that takes no more.
async fn drain(mut connection: Connection, mut asked: Asked, back: WeakSender<Waiting>) {
    let mut ticks = interval(TICK);
    let mut ended = ExchangeError::Closed;
    while !asked.is_empty() {
        tokio::select! {
            event = connection.next() => if let Course::Ended(error) = asked.take(event) {
                ended = error;
                break;
            },
            _ = ticks.tick() => asked.expire(),
        }
        give_back(asked.left_over(), &back);
    }
    give_back(asked.end(ended), &back);
}

fn give_back(waiting: Vec<Waiting>, back: &WeakSender<Waiting>) {
    for waiting in waiting {
        let refused = match back.upgrade() {
            Some(back) => back.try_send(waiting).map_err(TrySendError::into_inner),
            // A reload has taken the server away.
            None => Err(waiting),
        };
        if let Err(waiting) = refused {
            (waiting.done)(Err(ExchangeError::Busy));
        }
    }
}

/// How often we look who has waited too long.
const TICK: Duration = Duration::from_secs(1);
