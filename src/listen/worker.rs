//! One thread of the UDP side: hears clients, carries the fetches it leads, sends replies.
//!
//! A plain thread with its own sockets: it drains the client sockets by batches, looks at the upstream
//! sockets, does its errands, and sleeps in one `poll` only when all are empty. tokio is off this path;
//! only exchanges over streams run there, and come back as errands. Decides nothing: the pipeline does.

use super::clock::Clock;
use super::connections::Connections;
use super::counter::Counter;
use super::handover::Handover;
use super::inbox::{Errand, Inbox};
use super::sockets::Ear;
use crate::config::Server;
use crate::message::{Transport, is_reply_to};
use crate::metrics;
use crate::pipeline::{
    Action, Client, Event, Exchange, Fetches, Note, Origin, Outcome, Pipeline, Settings, Trouble,
    Via,
};
use crate::sys::{Inbound, Local, Outbound};
use crate::time::Moment;
use crate::upstream::secure::Secure;
use crate::upstream::stream::{self, ExchangeError};
use crate::upstream::{Datagrams, Heard, Sent};
use foldhash::HashMap;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::hash_map::Entry;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::runtime::Handle;

/// What a worker is made of.
pub struct Parts {
    /// One socket of each listener, in the listeners' order.
    pub ears: Vec<Ear>,
    /// Shared with all workers.
    pub pipeline: Arc<Pipeline>,
    /// This worker's fetches.
    pub fetches: Fetches,
    /// This worker's counts.
    pub counter: Counter,
    /// Where others leave work for it.
    pub inbox: Arc<Inbox>,
    /// Where replies to streams go.
    pub connections: Arc<Connections>,
    /// Runs exchanges over streams.
    pub streams: Handle,
    /// Asks upstreams over TLS.
    pub secure: Arc<Secure>,
    /// The daemon's clock.
    pub clock: Clock,
    /// When it last went round, in microseconds of that clock: the watchdog looks at it.
    pub pulse: Arc<AtomicU64>,
}

/// The running worker.
pub struct Worker {
    parts: Parts,
    settings: Arc<Settings>,
    datagrams: Datagrams<Exchange>,
    /// The open queries of each fetch: one, but where an upstream did not answer.
    sent: HashMap<u64, (Sent, Vec<Sent>)>,
    inbound: Inbound,
    /// What waits to be sent, for each listener.
    outbound: Vec<Outbound>,
    actions: Vec<Action>,
    handover: Handover,
}

impl Worker {
    /// Ready to run.
    ///
    /// # Errors
    /// No descriptor is to be had.
    pub fn new(parts: Parts) -> io::Result<Self> {
        Ok(Self {
            datagrams: Datagrams::new(parts.inbox.bell())?,
            settings: parts.pipeline.settings(),
            sent: HashMap::default(),
            inbound: Inbound::new(LONGEST),
            outbound: parts.ears.iter().map(|_| Outbound::new()).collect(),
            actions: Vec::new(),
            handover: Handover::start(&parts.ears, parts.clock.now()),
            parts,
        })
    }

    /// Serves until it is told to drain, and then until nothing is in flight or the grace is over.
    ///
    /// # Errors
    /// A socket that cannot be read any more, or epoll: the daemon ends then.
    pub fn run(mut self) -> io::Result<()> {
        loop {
            let now = self.parts.clock.now();
            self.parts.pulse.store(now.as_micros(), Relaxed);
            self.parts.pipeline.catch_up(&mut self.settings);
            let mut busy = false;
            for listener in 0..self.parts.ears.len() {
                busy |= self.serve_clients(listener, now)?;
            }
            busy |= self.hear_upstreams(now)?;
            if self
                .parts
                .fetches
                .next_wake()
                .is_some_and(|wake| wake <= now)
            {
                self.parts.fetches.expire(now, &mut self.actions);
                self.carry_out(now);
            }
            if let Some(end) = self.handover.end()
                && (end <= now || !busy && self.nothing_is_owed())
            {
                return Ok(());
            }
            self.handover.next_round(now);
            if !busy {
                self.sleep(now)?;
            }
        }
    }

    /// Whether a client still waits, whoever leads its fetch: a connection may yet bring what it has read.
    fn nothing_is_owed(&self) -> bool {
        self.parts.pipeline.in_flight() == 0 && self.parts.connections.open() == 0
    }

    /// How many datagrams may be read there at once.
    fn room(&self, ear: &Ear) -> usize {
        self.handover.room(ear, self.parts.pipeline.in_flight())
    }

    /// A batch of clients' datagrams; gives whether there were any.
    fn serve_clients(&mut self, listener: usize, now: Moment) -> io::Result<bool> {
        let room = self.parts.ears.get(listener);
        let room = room.map_or(0, |ear| self.room(ear));
        if room == 0 {
            self.handover.more_may_wait();
            return Ok(false);
        }
        let parts = &mut self.parts;
        let (Some(Ear { socket, .. }), Some(outbound)) =
            (parts.ears.get(listener), self.outbound.get_mut(listener))
        else {
            return Ok(false);
        };
        match self.inbound.receive(socket.as_fd(), room) {
            Ok(0) => return Ok(false),
            Ok(_) => self.handover.more_may_wait(),
            // Of an earlier reply, which a client was not there for: it says nothing about this socket.
            Err(error) if is_of_a_peer(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
        let way = u16::try_from(listener).unwrap_or(u16::MAX);
        for (packet, peer, local) in self.inbound.packets() {
            let address = peer.ip().to_canonical();
            let client = Client {
                address,
                transport: Transport::Datagram,
                is_encrypted: false,
            };
            parts.counter.query(metrics::Transport::Udp);
            let reply = outbound.next(socket.as_fd());
            match parts
                .pipeline
                .answer_now(&self.settings, packet, client, now, reply)
            {
                Outcome::Reply { tally, refresh } => {
                    parts.counter.reply(&self.settings, address, tally, reply);
                    outbound.commit(peer, local);
                    if refresh {
                        parts.counter.prefetch();
                        parts.fetches.refresh(packet, now, &mut self.actions);
                    }
                }
                Outcome::Drop => parts.counter.unanswered(),
                Outcome::Fetch => {
                    let via = Via::Socket {
                        listener: way,
                        local: local.address,
                        interface: local.interface,
                    };
                    let origin = Origin { client, peer, via };
                    parts.fetches.ask(packet, origin, now, &mut self.actions);
                }
            }
        }
        outbound.send(socket.as_fd());
        self.carry_out(now);
        Ok(true)
    }

    /// What upstreams sent, and errands; gives whether there was anything.
    fn hear_upstreams(&mut self, now: Moment) -> io::Result<bool> {
        let (fetches, actions) = (&mut self.parts.fetches, &mut self.actions);
        let mut woken = false;
        let heard = self.datagrams.hear(|heard| match heard {
            Heard::Packet(exchange, packet) => {
                fetches.on(Event::Packet { exchange, packet }, now, actions);
            }
            Heard::Unreachable(exchange) => {
                let trouble = Trouble::Unreachable;
                fetches.on(Event::Failed { exchange, trouble }, now, actions);
            }
            Heard::Woken => woken = true,
        })?;
        if woken {
            self.run_errands(now);
        }
        self.carry_out(now);
        Ok(heard)
    }

    fn run_errands(&mut self, now: Moment) {
        let (fetches, actions) = (&mut self.parts.fetches, &mut self.actions);
        for errand in self.parts.inbox.take() {
            match errand {
                Errand::Ask { query, origin } => fetches.ask(&query, origin, now, actions),
                Errand::Refresh { query } => fetches.refresh(&query, now, actions),
                Errand::Streamed { exchange, answer } => {
                    let event = match &answer {
                        Ok(packet) => Event::Packet { exchange, packet },
                        Err(error) => Event::Failed {
                            exchange,
                            trouble: trouble_of(*error),
                        },
                    };
                    fetches.on(event, now, actions);
                }
                Errand::ProbeForLoops => fetches.probe_for_loops(now, actions),
                Errand::Drain => self.handover.stop(now),
            }
        }
    }

    /// Carries out what the fetches ask for; that may bring new actions.
    fn carry_out(&mut self, now: Moment) {
        while !self.actions.is_empty() {
            let mut actions = std::mem::take(&mut self.actions);
            for action in actions.drain(..) {
                self.act(action, now);
            }
            // Its room is used again.
            actions.append(&mut self.actions);
            self.actions = actions;
            let (fetches, actions) = (&mut self.parts.fetches, &mut self.actions);
            self.datagrams.flush(|exchange, error| {
                let trouble = trouble_of_sending(&error);
                fetches.on(Event::Failed { exchange, trouble }, now, actions);
            });
        }
        for (ear, outbound) in self.parts.ears.iter().zip(&mut self.outbound) {
            outbound.send(ear.socket.as_fd());
        }
    }

    fn act(&mut self, action: Action, now: Moment) {
        match action {
            Action::Send {
                exchange,
                upstream: Server::Plain(upstream),
                transport: Transport::Datagram,
                packet,
            } => {
                self.send(exchange, upstream, &packet, now);
                self.parts.fetches.recycle(packet);
            }
            Action::Send {
                exchange,
                upstream: Server::Plain(upstream),
                transport: Transport::Stream,
                packet,
            } => self.send_by_stream(exchange, upstream, packet),
            Action::Send {
                exchange,
                upstream: Server::Encrypted(upstream),
                packet,
                ..
            } => {
                let inbox = Arc::clone(&self.parts.inbox);
                let done = Box::new(move |answer| {
                    inbox.leave(Errand::Streamed { exchange, answer });
                });
                self.parts.secure.ask(&upstream, packet, done);
            }
            Action::Reply {
                origin,
                reply,
                tally,
            } => {
                let client = origin.client.address;
                self.parts
                    .counter
                    .reply(&self.settings, client, tally, &reply);
                self.reply(origin, reply);
            }
            Action::Release { fetch } => {
                if let Some((first, others)) = self.sent.remove(&fetch) {
                    self.datagrams.close(first);
                    others
                        .into_iter()
                        .for_each(|sent| self.datagrams.close(sent));
                }
            }
            Action::Note(note) => log(&note, &self.parts.secure),
        }
    }

    fn send(&mut self, exchange: Exchange, upstream: SocketAddr, packet: &[u8], now: Moment) {
        match self.datagrams.send(exchange, upstream, packet) {
            Ok(sent) => match self.sent.entry(exchange.fetch) {
                Entry::Vacant(vacant) => {
                    vacant.insert((sent, Vec::new()));
                }
                Entry::Occupied(mut occupied) => occupied.get_mut().1.push(sent),
            },
            Err(error) => {
                let trouble = trouble_of_sending(&error);
                let event = Event::Failed { exchange, trouble };
                self.parts.fetches.on(event, now, &mut self.actions);
            }
        }
    }

    fn send_by_stream(&self, exchange: Exchange, upstream: SocketAddr, packet: Vec<u8>) {
        let inbox = Arc::clone(&self.parts.inbox);
        self.parts.streams.spawn(async move {
            let accept = |message: &[u8]| is_reply_to(&packet, message);
            let answer = stream::exchange(upstream, &packet, STREAM_LIMIT, accept).await;
            inbox.leave(Errand::Streamed { exchange, answer });
        });
    }

    /// Replies over UDP wait for the others of this round.
    fn reply(&mut self, origin: Origin, reply: Vec<u8>) {
        match origin.via {
            Via::Connection(connection) => self.parts.connections.finish(connection, Some(reply)),
            Via::Socket {
                listener,
                local,
                interface,
            } => {
                let listener = usize::from(listener);
                let ear = self.parts.ears.get(listener);
                if let (Some(Ear { socket, .. }), Some(outbound)) =
                    (ear, self.outbound.get_mut(listener))
                {
                    let former = std::mem::replace(outbound.next(socket.as_fd()), reply);
                    self.parts.fetches.recycle(former);
                    outbound.commit(
                        origin.peer,
                        Local {
                            address: local,
                            interface,
                        },
                    );
                }
            }
        }
    }

    /// Sleeps until a client, an upstream, an errand or a timer wants something.
    fn sleep(&self, now: Moment) -> io::Result<()> {
        let wake = self.parts.fetches.next_wake();
        let longest = self.handover.longest_sleep();
        let span = wake.map_or(longest, |wake| wake.since(now).min(longest));
        // Up to the next millisecond: a timer that fires early would only spin.
        let millis = span.as_micros().div_ceil(1000);
        let time = Timespec {
            tv_sec: i64::try_from(millis / 1000).unwrap_or(1),
            tv_nsec: i64::try_from(millis % 1000).unwrap_or(0) * 1_000_000,
        };
        let upstreams = self.datagrams.as_fd();
        let mut waits: Vec<PollFd<'_>> = vec![PollFd::from_borrowed_fd(upstreams, PollFlags::IN)];
        let clients = self.parts.ears.iter().filter(|ear| self.room(ear) > 0);
        waits.extend(clients.map(|ear| PollFd::new(&ear.socket, PollFlags::IN)));
        match poll(&mut waits, Some(&time)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// What ICMP told of a datagram that was sent.
fn is_of_a_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}

fn trouble_of_sending(error: &io::Error) -> Trouble {
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EAGAIN) => {
            Trouble::NoSocket
        }
        _ => Trouble::Unreachable,
    }
}

fn trouble_of(error: ExchangeError) -> Trouble {
    match error {
        ExchangeError::Timeout => Trouble::Timeout,
        ExchangeError::Unreachable | ExchangeError::Closed => Trouble::Unreachable,
        ExchangeError::Certificate => Trouble::Certificate,
        ExchangeError::Tls => Trouble::Tls,
        ExchangeError::Http => Trouble::Http,
        ExchangeError::Busy => Trouble::NoSocket,
        ExchangeError::Garbled => Trouble::Garbled,
    }
}

fn log(note: &Note, secure: &Secure) {
    match note {
        Note::UpstreamDown { upstream, reason } => {
            let problem = secure.problem(upstream);
            tracing::warn!(%upstream, reason, problem, "upstream is down");
        }
        Note::UpstreamUp { upstream } => tracing::info!(%upstream, "upstream is up"),
        Note::Loop { upstream, peer } => {
            tracing::error!(%upstream, from = %peer, "upstream leads back to us: it is not asked");
        }
    }
}

/// The longest query that is read whole; what is longer is no query anybody sends over UDP.
const LONGEST: usize = 4096;
/// One exchange over a stream (answers.md 10).
const STREAM_LIMIT: Duration = Duration::from_secs(1);
