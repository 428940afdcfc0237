//! The generator over UDP: keeps a window of queries outstanding over several sockets, or sends them at a fixed rate.
//!
//! One thread, batches both ways: fast enough to saturate one core of any server it met so far. Where it is
//! not, the row says so (`generator_bound`).

use crate::clock::now;
use crate::mmsg::{BATCH, Batch, Datagram};
use crate::questions::{Questions, write_id};
use crate::tally::{Expect, SILENCE, Tally};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// How it sends.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// As many as are answered, this many outstanding in all.
    Window(usize),
    /// So many in a second.
    Rate(f64),
}

/// A generator and its sockets.
pub(crate) struct Blast {
    lanes: Vec<Lane>,
    batch: Batch,
    expect: Expect,
    tally: Tally,
    started: Instant,
    heard: Instant,
}

/// One socket and what it waits for.
struct Lane {
    socket: UdpSocket,
    outstanding: usize,
    next_id: u16,
    /// When the query with each id was sent, by the id's lower bits.
    sent_at: Vec<Instant>,
    heard: Instant,
}

/// Sockets: a server with SO_REUSEPORT and a kernel that hashes flows see several clients.
const LANES: usize = 4;
/// More than are ever outstanding on one socket.
const IDS: usize = 4096;
/// When so long nothing came, what is outstanding is lost.
const PATIENCE: Duration = Duration::from_millis(500);
/// Outstanding while a cache is filled; no server drops any at this.
const WARMING_WINDOW: usize = 64;

impl Blast {
    /// Asks the server at this address.
    pub(crate) fn new(server: SocketAddr, expect: Expect) -> io::Result<Self> {
        let started = now();
        let lanes = (0..LANES).map(|_| Lane::new(server, started));
        Ok(Self {
            lanes: lanes.collect::<io::Result<_>>()?,
            batch: Batch::connected(),
            expect,
            tally: Tally::new(),
            started,
            heard: started,
        })
    }

    /// Asks every known question twice, so that the second time even a question that shared a lost datagram is known.
    pub(crate) fn warm(mut self, questions: &Questions) -> io::Result<()> {
        let mut number = 0;
        let mut next = |id, datagram: &mut Datagram| {
            datagram.write(questions.warming(number));
            write_id(id, datagram.octets_mut());
            number += 1;
        };
        self.ask(2 * questions.known() as u64, WARMING_WINDOW, &mut next)
    }

    /// Asks so many questions, so many of them outstanding.
    pub(crate) fn run_counted(
        mut self,
        questions: &mut Questions,
        count: u64,
        window: usize,
    ) -> io::Result<Tally> {
        self.started = now();
        let mut next = |id, datagram: &mut _| questions.write_next(id, datagram);
        self.ask(count, window, &mut next)?;
        Ok(self.end())
    }

    fn ask(
        &mut self,
        count: u64,
        window: usize,
        next: &mut impl FnMut(u16, &mut Datagram),
    ) -> io::Result<()> {
        while self.tally.answers + self.tally.lost < count {
            let left = usize::try_from(count - self.tally.queries).unwrap_or(usize::MAX);
            self.turn(next, |lane, sent| {
                let room = (window / LANES).saturating_sub(lane.outstanding);
                room.min(left.saturating_sub(sent))
            })?;
            if self.heard.elapsed() > SILENCE {
                return Err(io::Error::other(
                    "it fell silent before it had answered all",
                ));
            }
        }
        Ok(())
    }

    /// Asks for so long; on a machine that answers nothing in that time, until the first reply.
    pub(crate) fn run(
        mut self,
        questions: &mut Questions,
        pace: Pace,
        span: Duration,
    ) -> io::Result<Tally> {
        let mut next = |id, datagram: &mut _| questions.write_next(id, datagram);
        self.started = now();
        loop {
            let elapsed = self.started.elapsed();
            if self.tally.is_over(elapsed, span) {
                return Ok(self.end());
            }
            let asked = usize::try_from(self.tally.queries).unwrap_or(usize::MAX);
            self.turn(&mut next, |lane, sent| match pace {
                Pace::Window(window) => (window / LANES).saturating_sub(lane.outstanding),
                Pace::Rate(rate) => {
                    let due = (elapsed.as_secs_f64() * rate) as usize;
                    due.saturating_sub(asked + sent)
                }
            })?;
        }
    }

    /// Sends on each socket what `room` allows and takes what came; where nothing did either, waits a moment.
    fn turn(
        &mut self,
        next: &mut impl FnMut(u16, &mut Datagram),
        room: impl Fn(&Lane, usize) -> usize,
    ) -> io::Result<()> {
        let (mut sent, mut received) = (0, 0);
        for lane in &mut self.lanes {
            let count = room(lane, sent).min(BATCH);
            sent += lane.send(&mut self.batch, count, next)?;
            received += lane.receive(&mut self.batch, self.expect, &mut self.tally)?;
        }
        self.tally.queries += sent as u64;
        // At a low rate, too, every socket has its turn.
        self.lanes.rotate_left(1);
        if received > 0 {
            self.heard = now();
        }
        if sent + received == 0 {
            self.wait()
        } else {
            Ok(())
        }
    }

    fn wait(&self) -> io::Result<()> {
        let sockets = self.lanes.iter().map(|lane| &lane.socket);
        let mut waits: Vec<_> = sockets
            .map(|socket| PollFd::new(socket, PollFlags::IN))
            .collect();
        match poll(&mut waits, Some(&MOMENT)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn end(mut self) -> Tally {
        self.tally.span = self.started.elapsed();
        self.tally
    }
}

/// Short enough not to be late for a rate of 10,000 in a second.
const MOMENT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000,
};

impl Lane {
    fn new(server: SocketAddr, started: Instant) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        SockRef::from(&socket).set_recv_buffer_size(BUFFER)?;
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            outstanding: 0,
            next_id: 0,
            sent_at: vec![started; IDS],
            heard: started,
        })
    }

    fn send(
        &mut self,
        batch: &mut Batch,
        count: usize,
        next: &mut impl FnMut(u16, &mut Datagram),
    ) -> io::Result<usize> {
        if count == 0 {
            return Ok(0);
        }
        let sent_at = now();
        for datagram in batch.datagrams().iter_mut().take(count) {
            next(self.next_id, datagram);
            if let Some(place) = self.sent_at.get_mut(usize::from(self.next_id) % IDS) {
                *place = sent_at;
            }
            self.next_id = self.next_id.wrapping_add(1);
        }
        let sent = batch.send(&self.socket, count)?;
        self.outstanding += sent;
        Ok(sent)
    }

    fn receive(
        &mut self,
        batch: &mut Batch,
        expect: Expect,
        tally: &mut Tally,
    ) -> io::Result<usize> {
        let count = batch.receive(&self.socket)?;
        let time = now();
        for datagram in batch.datagrams().iter().take(count) {
            let reply = datagram.octets();
            let id = reply.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
            let sent_at = self.sent_at.get(usize::from(id) % IDS);
            let took = sent_at.map_or(Duration::ZERO, |sent_at| {
                time.saturating_duration_since(*sent_at)
            });
            tally.count(reply, expect, took);
        }
        self.outstanding = self.outstanding.saturating_sub(count);
        if count > 0 || self.outstanding == 0 {
            self.heard = time;
        } else if time - self.heard > PATIENCE {
            tally.lost += self.outstanding as u64;
            self.outstanding = 0;
        }
        Ok(count)
    }
}

/// Octets of a socket's receive buffer.
const BUFFER: usize = 4 << 20;
