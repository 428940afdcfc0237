//! Connections on which each query has a stream of its own, as of HTTP and QUIC.
//!
//! The stream says which query an answer is for, so the id on the wire is 0: HTTP's caches want it (RFC 8484 §4.1) and
//! QUIC's protocol demands it (RFC 9250 §4.2.1).

use super::connection::Event;
use crate::upstream::stream::ExchangeError;
use std::future::{Future, pending, ready};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// A connection that takes queries.
pub(super) struct Streams {
    ask: Box<dyn Fn(Vec<u8>) -> Boxed<Outcome> + Send>,
    /// How it will leave us; none once it has.
    leaving: Option<Boxed<Leave>>,
    has_ended: bool,
    tasks: JoinSet<(u16, Outcome)>,
}

/// A future on the heap.
pub(super) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What came of one query.
pub(super) enum Outcome {
    /// A message, whatever it says.
    Message(Vec<u8>),
    /// The server has none.
    Failed(ExchangeError),
    /// The stream broke, or the connection with it.
    Lost,
    /// The connection takes no more.
    Untaken,
}

/// How a connection leaves us.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// What it was asked it may still answer.
    Closing,
    /// At once.
    Ended,
}

impl Streams {
    /// `ask` puts a query on a stream, and `leaving` drives the connection and waits for its end.
    pub(super) fn new(
        ask: impl Fn(Vec<u8>) -> Boxed<Outcome> + Send + 'static,
        leaving: impl Future<Output = Leave> + Send + 'static,
    ) -> Self {
        Self {
            ask: Box::new(ask),
            leaving: Some(Box::pin(leaving)),
            has_ended: false,
            tasks: JoinSet::new(),
        }
    }

    pub(super) fn send(&mut self, number: u16, query: &[u8], until: Instant) {
        let mut query = query.to_vec();
        if let Some(id) = query.first_chunk_mut() {
            *id = [0; 2];
        }
        let answer = (self.ask)(query);
        self.tasks.spawn(async move {
            let outcome = timeout_at(until, answer).await;
            (
                number,
                outcome.unwrap_or(Outcome::Failed(ExchangeError::Timeout)),
            )
        });
    }

    pub(super) async fn next(&mut self) -> Event {
        loop {
            let is_here = self.leaving.is_some();
            let leaving = async {
                match &mut self.leaving {
                    Some(leaving) => leaving.await,
                    None => pending().await,
                }
            };
            let joined = tokio::select! {
                // What has come is taken first.
                biased;
                Some(joined) = self.tasks.join_next() => joined,
                leave = leaving, if is_here => {
                    self.leaving = None;
                    self.has_ended = leave == Leave::Ended;
                    match leave {
                        Leave::Closing => return Event::Closing,
                        Leave::Ended => continue,
                    }
                }
                else => return Event::Ended,
            };
            match joined {
                Ok((number, Outcome::Message(message))) => return Event::Only(number, message),
                Ok((number, Outcome::Failed(error))) => return Event::Failed(number, error),
                // With the connection goes all that is on it. That is told at once, when all has been taken.
                _ if self.has_ended() => {}
                Ok((number, Outcome::Lost)) => return Event::Lost(number),
                Ok((number, Outcome::Untaken)) => return Event::Untaken(number),
                Err(_) => return Event::Ended,
            }
        }
    }

    /// Whether it is over by now.
    fn has_ended(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        if let Some(leaving) = &mut self.leaving
            && let Poll::Ready(leave) = leaving.as_mut().poll(&mut context)
        {
            self.has_ended = leave == Leave::Ended;
            // Whoever asks what is next is still to be told.
            self.leaving = Some(Box::pin(ready(leave)));
        }
        self.has_ended
    }
}
