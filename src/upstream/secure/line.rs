//! DNS over TLS (RFC 7858): many queries on their way at once, their answers in any order (RFC 7766 §6.2).
//!
//! Queries go under their numbers on this connection, since the ids of two may be the same.

use super::connection::Event;
use std::collections::VecDeque;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A connection, its handshake done.
pub(super) struct Line {
    reader: ReadHalf<TlsStream<TcpStream>>,
    writer: WriteHalf<TlsStream<TcpStream>>,
    /// What came, and how much of it was taken.
    inbox: Vec<u8>,
    taken: usize,
    /// What is to be sent.
    outbox: VecDeque<u8>,
    /// All of it has left.
    is_flushed: bool,
}

impl Line {
    pub(super) fn new(stream: TlsStream<TcpStream>) -> Self {
        let (reader, writer) = split(stream);
        Self {
            reader,
            writer,
            inbox: Vec::new(),
            taken: 0,
            outbox: VecDeque::new(),
            is_flushed: true,
        }
    }

    /// Sends a query of at most 65,535 octets, with its number for an id.
    pub(super) fn send(&mut self, number: u16, query: &[u8]) {
        let length = u16::try_from(query.len()).unwrap_or(u16::MAX);
        self.outbox.extend(length.to_be_bytes());
        self.outbox.extend(number.to_be_bytes());
        self.outbox.extend(query.iter().skip(ID));
        self.is_flushed = false;
    }

    pub(super) async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.message() {
                return event;
            }
            tokio::select! {
                read = self.reader.read_buf(&mut self.inbox) => if !matches!(read, Ok(1..)) {
                    return Event::Ended;
                },
                sent = push(&mut self.writer, &mut self.outbox), if !self.is_flushed => match sent {
                    Ok(()) => self.is_flushed = true,
                    Err(_) => return Event::Ended,
                },
            }
        }
    }

    /// The next whole message that has come.
    fn message(&mut self) -> Option<Event> {
        let rest = self.inbox.get(self.taken..).unwrap_or_default();
        let message = rest
            .split_first_chunk()
            .and_then(|(length, rest)| rest.get(..u16::from_be_bytes(*length).into()));
        let Some(message) = message else {
            self.inbox.drain(..self.taken);
            self.taken = 0;
            return None;
        };
        self.taken += LENGTH + message.len();
        let id = message.first_chunk().copied().unwrap_or_default();
        Some(Event::Message(u16::from_be_bytes(id), message.to_vec()))
    }

    pub(super) async fn close(mut self) {
        // The server may have left already.
        let _ = self.writer.shutdown().await;
    }
}

/// Writes all there is. What is written is gone from the box, so this can be dropped anywhere and begun again.
async fn push(
    writer: &mut WriteHalf<TlsStream<TcpStream>>,
    outbox: &mut VecDeque<u8>,
) -> io::Result<()> {
    while !outbox.is_empty() {
        if writer.write_buf(outbox).await? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    writer.flush().await
}

/// Octets of an id, and of a length.
const ID: usize = 2;
const LENGTH: usize = 2;
