//! One query and its reply: the whole of a stream (RFC 9250 §4.2).
//!
//! What a client does that the RFC calls a protocol error ends its connection, and it is told what it did. A query
//! that it cancels keeps its stream until the answer is there, for it is on its way to upstreams: so whoever opens
//! streams and cancels them gets no more of them at once than whoever waits.

use super::super::Incoming;
use super::{Code, End, LOST, QUERY, Talk, WRITE};
use crate::message::Query;
use quinn::{ReadError, ReadExactError, RecvStream, SendStream};
use std::sync::Arc;
use tokio::time::timeout;

/// Octets of a message's header, and the bit of its third that makes it a response (RFC 1035 §4.1.1).
const HEADER: usize = 12;
const RESPONSE: u8 = 0x80;

/// Why there is no query on a stream.
enum Unread {
    /// The client did what it must not.
    Wrong(&'static str),
    /// It wants no answer any more, or is gone.
    Cancelled,
}

impl From<ReadExactError> for Unread {
    fn from(error: ReadExactError) -> Self {
        match error {
            ReadExactError::FinishedEarly(_) => Self::Wrong("a query ends before its length"),
            ReadExactError::ReadError(error) => error.into(),
        }
    }
}

impl From<ReadError> for Unread {
    fn from(_: ReadError) -> Self {
        Self::Cancelled
    }
}

impl Talk {
    /// Answers what a stream asks. An error ends the connection.
    pub(super) async fn answer(
        self: Arc<Self>,
        mut send: SendStream,
        mut recv: RecvStream,
    ) -> Result<(), End> {
        let wrong = |why| Err(End(Code::Protocol, why));
        let query = match timeout(QUERY, self.read(&mut recv)).await {
            Ok(Ok(query)) => query,
            Ok(Err(Unread::Wrong(why))) => return wrong(why),
            Ok(Err(Unread::Cancelled)) => {
                // An error means that it is reset already.
                let _ = send.reset(Code::Cancelled.into());
                return Ok(());
            }
            Err(_) => return wrong("a query did not end in time"),
        };
        if let Some(why) = fault(&query) {
            return wrong(why);
        }
        // Whoever answers is far quicker: a query that was lost must not keep its stream.
        let answered = timeout(LOST, async {
            match self.reply(&query).await {
                Some(reply) => self.send(&mut send, &reply).await,
                None => {
                    let _ = send.reset(Code::Internal.into());
                    Ok(())
                }
            }
        });
        let late = End(Code::Load, "a reply was not taken in time");
        answered.await.unwrap_or(Err(late))
    }

    /// The query, once the client has ended its side.
    async fn read(&self, recv: &mut RecvStream) -> Result<Vec<u8>, Unread> {
        let mut length = [0; 2];
        recv.read_exact(&mut length).await?;
        let length = u16::from_be_bytes(length);
        // It is never closed.
        let room = self.unread.acquire_many(length.into()).await;
        let _room = room.map_err(|_| Unread::Cancelled)?;
        let mut query = vec![0; length.into()];
        recv.read_exact(&mut query).await?;
        match recv.read(&mut [0]).await? {
            None => Ok(query),
            Some(_) => Err(Unread::Wrong("a stream carries more than one query")),
        }
    }

    /// What we say to it, at once or as soon as somebody knows.
    async fn reply(&self, query: &[u8]) -> Option<Vec<u8>> {
        let mut slot = self.place.slot_of_its_own();
        let at_once = (self.service)(Incoming {
            query,
            peer: self.peer,
            local: self.local,
            connection: slot.id,
        });
        match at_once {
            Some(reply) => Some(reply),
            None => slot.finished.recv().await.flatten(),
        }
    }

    /// Sends a reply, and waits until the client has it.
    async fn send(&self, send: &mut SendStream, reply: &[u8]) -> Result<(), End> {
        let length = u16::try_from(reply.len()).unwrap_or(u16::MAX);
        let untaken = Err(End(Code::Load, "replies are not taken"));
        let Ok(_unsent) = self.unsent.try_acquire_many(length.into()) else {
            return untaken;
        };
        let framed = [&length.to_be_bytes(), reply].concat();
        let mut rest = &*framed;
        while !rest.is_empty() {
            match timeout(WRITE, send.write(rest)).await {
                Ok(Ok(count)) => rest = rest.get(count..).unwrap_or_default(),
                // Cancelled, or gone.
                Ok(Err(_)) => return Ok(()),
                Err(_) => return untaken,
            }
        }
        // Errors mean the same.
        let _ = send.finish();
        let _ = send.stopped().await;
        Ok(())
    }
}

/// What is wrong with a message that no reply could say.
fn fault(query: &[u8]) -> Option<&'static str> {
    match query {
        query if query.len() < HEADER => Some("a query is shorter than its header"),
        [0, 0, flags, ..] if flags & RESPONSE != 0 => Some("a response is no query"),
        [0, 0, ..] => {
            let edns = Query::peek(query).ok().and_then(|query| query.edns);
            let keepalive = "edns-tcp-keepalive is not for QUIC";
            edns.filter(|edns| edns.keepalive).map(|_| keepalive)
        }
        _ => Some("the message id of a query is not 0"),
    }
}
