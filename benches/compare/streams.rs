//! The generator over TCP: several connections, on each of them a window of queries written ahead (RFC 7766 §6.2.1.1).
//!
//! A connection that the server closes is opened anew, and what was outstanding on it counts as lost.

use crate::clock::now;
use crate::questions::{Questions, write_id};
use crate::tally::{Expect, Tally};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How many connections, and how many queries outstanding on each.
#[derive(Clone, Copy)]
pub(crate) struct Pipelines {
    /// Connections.
    pub(crate) connections: usize,
    /// Queries outstanding on each.
    pub(crate) window: usize,
}

/// Asks for so long; on a machine that answers nothing in that time, until the first reply.
pub(crate) fn run(
    server: SocketAddr,
    questions: &mut Questions,
    pipelines: Pipelines,
    span: Duration,
) -> io::Result<Tally> {
    let connect = |_| Connection::open(server, pipelines.window);
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
                    *connection = Connection::open(server, pipelines.window)?;
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
    let streams = connections.iter().map(|connection| &connection.stream);
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
    stream: TcpStream,
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
    fn open(server: SocketAddr, window: usize) -> io::Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            window,
            outstanding: 0,
            next_id: 0,
            sent_at: vec![now(); IDS],
            unsent: Vec::new(),
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
        let written = or_nothing(self.stream.write(&self.unsent))?;
        self.unsent.drain(..written);
        let mut buffer = [0; 16_384];
        let read = match self.stream.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => or_nothing(read)?,
        };
        self.unread.extend(buffer.iter().take(read));
        self.count_replies(tally);
        Ok(written + read)
    }

    fn ask(&mut self, query: &[u8], sent_at: Instant) {
        let length = u16::try_from(query.len()).expect("a query of ours is short");
        self.unsent.extend(length.to_be_bytes());
        let start = self.unsent.len();
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

    fn count_replies(&mut self, tally: &mut Tally) {
        let (mut rest, time) = (self.unread.as_slice(), now());
        while let Some((length, behind)) = rest.split_first_chunk()
            && let Some((reply, behind)) =
                behind.split_at_checked(u16::from_be_bytes(*length).into())
        {
            let id = reply.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
            let sent_at = self.sent_at.get(usize::from(id) % IDS);
            let took = sent_at.map_or(Duration::ZERO, |sent_at| {
                time.saturating_duration_since(*sent_at)
            });
            tally.count(reply, Expect::Records, took);
            self.outstanding = self.outstanding.saturating_sub(1);
            rest = behind;
        }
        let read = self.unread.len() - rest.len();
        self.unread.drain(..read);
    }
}

fn or_nothing(moved: io::Result<usize>) -> io::Result<usize> {
    match moved {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        moved => moved,
    }
}
