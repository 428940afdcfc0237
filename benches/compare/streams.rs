//! The generator over connections: several of them, on each a window of queries written ahead (RFC 7766 §6.2.1.1).
//!
//! A connection that the server closes is opened anew, and what was outstanding on it counts as lost.

use crate::clock::now;
use crate::http2::Http2;
use crate::questions::{Questions, write_id};
use crate::tally::{Expect, Tally};
use crate::wire::{Carrier, Wire};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How many connections, and how many queries outstanding on each.
#[derive(Clone, Copy)]
pub(crate) struct Pipelines {
    /// Connections.
    pub(crate) connections: usize,
    /// Queries outstanding on each.
    pub(crate) window: usize,
    /// What they are.
    pub(crate) carrier: Carrier,
}

/// Asks for so long; on a machine that answers nothing in that time, until the first reply.
pub(crate) fn run(
    server: SocketAddr,
    questions: &mut Questions,
    pipelines: Pipelines,
    span: Duration,
) -> io::Result<Tally> {
    let connect = |_| Connection::open(server, pipelines);
    let mut connections = (0..pipelines.connections)
        .map(connect)
        .collect::<io::Result<Vec<_>>>()?;
    let mut tally = Tally::new();
    let started = now();
    while !tally.is_over(started.elapsed(), span) {
        let mut moved = 0;
        for connection in &mut connections {
            match connection.turn(questions, &mut tally) {
                Ok(octets) => moved += octets,
                Err(_) => {
                    tally.lost += connection.outstanding as u64;
                    *connection = Connection::open(server, pipelines)?;
                }
            }
        }
        if moved == 0 {
            wait(&connections)?;
        }
    }
    tally.span = started.elapsed();
    Ok(tally)
}

fn wait(connections: &[Connection]) -> io::Result<()> {
    let streams = connections
        .iter()
        .map(|connection| connection.wire.socket());
    let mut waits: Vec<_> = streams
        .map(|stream| PollFd::new(stream, PollFlags::IN))
        .collect();
    let millisecond = Timespec {
        tv_sec: 0,
        tv_nsec: 1_000_000,
    };
    match poll(&mut waits, Some(&millisecond)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

struct Connection {
    wire: Wire,
    framing: Framing,
    window: usize,
    outstanding: usize,
    next_id: u16,
    /// When the query with each id was sent, by the id's lower bits.
    sent_at: Vec<Instant>,
    unsent: Vec<u8>,
    unread: Vec<u8>,
}

/// More than are ever outstanding on one connection.
const IDS: usize = 1024;

impl Connection {
    fn open(server: SocketAddr, pipelines: Pipelines) -> io::Result<Self> {
        let mut unsent = Vec::new();
        let framing = match pipelines.carrier {
            Carrier::Tcp | Carrier::Tls => Framing::Length,
            Carrier::Https => Framing::Http2(Http2::start(&mut unsent)),
        };
        Ok(Self {
            wire: Wire::open(server, pipelines.carrier)?,
            framing,
            window: pipelines.window,
            outstanding: 0,
            next_id: 0,
            sent_at: vec![now(); IDS],
            unsent,
            unread: Vec::new(),
        })
    }

    /// Writes and reads what can be, and gives how many octets moved. An error: the connection is over.
    fn turn(&mut self, questions: &mut Questions, tally: &mut Tally) -> io::Result<usize> {
        let sent_at = now();
        while self.outstanding < self.window {
            self.ask(questions.next(), sent_at);
            tally.queries += 1;
        }
        let written = or_nothing(self.wire.write(&self.unsent))?;
        self.unsent.drain(..written);
        let mut buffer = [0; 16_384];
        let read = match self.wire.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => or_nothing(read)?,
        };
        self.unread.extend(buffer.iter().take(read));
        self.count_replies(tally)?;
        Ok(written + read)
    }

    fn ask(&mut self, query: &[u8], sent_at: Instant) {
        let start = self.framing.begin(query.len(), &mut self.unsent);
        self.unsent.extend(query);
        write_id(
            self.next_id,
            self.unsent.get_mut(start..).unwrap_or_default(),
        );
        if let Some(place) = self.sent_at.get_mut(usize::from(self.next_id) % IDS) {
            *place = sent_at;
        }
        self.next_id = self.next_id.wrapping_add(1);
        self.outstanding += 1;
    }

    fn count_replies(&mut self, tally: &mut Tally) -> io::Result<()> {
        let (time, sent_at, outstanding) = (now(), &self.sent_at, &mut self.outstanding);
        let count = |reply: &[u8]| {
            let id = reply.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
            let sent_at = sent_at.get(usize::from(id) % IDS);
            let took = sent_at.map_or(Duration::ZERO, |sent_at| {
                time.saturating_duration_since(*sent_at)
            });
            tally.count(reply, Expect::Records, took);
            *outstanding = outstanding.saturating_sub(1);
        };
        let read = match &mut self.framing {
            Framing::Length => read_lengths(&self.unread, count),
            Framing::Http2(http2) => http2.read(&self.unread, &mut self.unsent, count)?,
        };
        self.unread.drain(..read);
        Ok(())
    }
}

/// How messages lie on a connection.
enum Framing {
    /// Behind two octets of their length (RFC 1035 §4.2.2).
    Length,
    /// As bodies of HTTP (RFC 8484).
    Http2(Http2),
}

impl Framing {
    /// Writes what comes before a query; gives where that begins.
    fn begin(&mut self, length: usize, unsent: &mut Vec<u8>) -> usize {
        match self {
            Self::Length => {
                let length = u16::try_from(length).expect("a query of ours is short");
                unsent.extend(length.to_be_bytes());
            }
            Self::Http2(http2) => http2.begin(length, unsent),
        }
        unsent.len()
    }
}

/// Hands over each whole message; gives how many octets they took.
fn read_lengths(unread: &[u8], mut count: impl FnMut(&[u8])) -> usize {
    let mut rest = unread;
    while let Some((length, behind)) = rest.split_first_chunk()
        && let Some((reply, behind)) = behind.split_at_checked(u16::from_be_bytes(*length).into())
    {
        count(reply);
        rest = behind;
    }
    unread.len() - rest.len()
}

fn or_nothing(moved: io::Result<usize>) -> io::Result<usize> {
    match moved {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        moved => moved,
    }
}
