//! A pipeline with its driver: one of them keeps answers, the other none.

use crate::clients::Query;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use unsix::config::{Config, Server};
use unsix::message::Transport;
use unsix::pipeline::{
    Action, Duty, Event, Exchange, Fetches, Origin, Outcome, Pipeline, Tally, Via,
};
use unsix::time::Moment;

/// What a client is told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) reply: Vec<u8>,
    pub(crate) tally: Tally,
}

/// What is known at once of a query.
pub(crate) enum Ended {
    /// The reply, and whether it should be refreshed.
    Told(Told, bool),
    Dropped,
    /// It must be fetched.
    Unknown,
}

/// What comes back from an upstream.
pub(crate) enum Said {
    AtOnce(Vec<u8>),
    /// After [`LATE`], be the client still waiting or not.
    Late(Vec<u8>),
}

/// Later than a good A waits for an AAAA.
pub(crate) const LATE: Duration = Duration::from_millis(60);

/// The upstreams.
pub(crate) trait Wire {
    /// A packet goes to one of them.
    fn hear(&mut self, packet: &[u8], from: (SocketAddr, Transport), now: Moment) -> Said;
}

/// One side.
pub(crate) struct Side {
    pub(crate) pipeline: Arc<Pipeline>,
    fetches: Fetches,
    pub(crate) now: Moment,
    /// Packets to upstreams are answered last one first.
    pub(crate) backward: bool,
    port: u16,
    late: Vec<(Exchange, Vec<u8>)>,
}

impl Side {
    /// With a cache of so many octets.
    pub(crate) fn new(config: &Config, size: u64) -> Self {
        let mut config = config.clone();
        config.cache.size = size;
        let upstreams = config.upstreams.clone().unwrap_or_default();
        let pipeline = Arc::new(Pipeline::new(&config, &upstreams, 1));
        Self {
            fetches: Fetches::new(Arc::clone(&pipeline), [1; 32], Duty::Plain),
            pipeline,
            now: Moment::ZERO,
            backward: false,
            port: 0,
            late: Vec::new(),
        }
    }

    pub(crate) fn reload(&self, config: &Config) {
        let upstreams = config.upstreams.clone().unwrap_or_default();
        self.pipeline.apply(config, &upstreams);
    }

    /// What it knows.
    pub(crate) fn answer_now(&self, query: &Query) -> Ended {
        // What stands in the buffer before must not matter.
        let mut reply = vec![0xee; 3];
        let settings = self.pipeline.settings();
        let (packet, client) = (&query.packet, query.client);
        let outcome = self
            .pipeline
            .answer_now(&settings, packet, client, self.now, &mut reply);
        match outcome {
            Outcome::Reply { tally, refresh } => Ended::Told(Told { reply, tally }, refresh),
            Outcome::Drop => Ended::Dropped,
            Outcome::Fetch => Ended::Unknown,
        }
    }

    /// Asks again for what is known not much longer.
    pub(crate) fn refresh(&mut self, query: &Query, wire: &mut dyn Wire) {
        let mut actions = Vec::new();
        self.fetches.refresh(&query.packet, self.now, &mut actions);
        assert!(self.carry(actions, wire).is_none());
    }

    /// Has it fetched; time goes on until there is a reply, and nothing is left on its way.
    pub(crate) fn fetch(&mut self, query: &Query, wire: &mut dyn Wire) -> Told {
        self.port = self.port.wrapping_add(1);
        let origin = Origin {
            client: query.client,
            peer: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.port),
            via: Via::Connection(0),
        };
        let (late, mut actions) = (self.now + LATE, Vec::new());
        self.fetches
            .ask(&query.packet, origin, self.now, &mut actions);
        let mut told = self.carry(actions, wire);
        while told.is_none() {
            let next = self.fetches.next_wake().expect("somebody waits");
            told = if next > late && !self.late.is_empty() {
                self.deliver(late, wire)
            } else {
                assert!(
                    next < late + Duration::from_secs(5),
                    "no reply: {:02x?}",
                    query.packet
                );
                self.wake(next, wire)
            };
        }
        while !self.late.is_empty() {
            assert!(self.deliver(late, wire).is_none(), "a second reply");
        }
        told.unwrap()
    }

    fn deliver(&mut self, late: Moment, wire: &mut dyn Wire) -> Option<Told> {
        self.now = self.now.max(late);
        let mut actions = Vec::new();
        for (exchange, packet) in std::mem::take(&mut self.late) {
            let packet = &packet;
            self.fetches
                .on(Event::Packet { exchange, packet }, self.now, &mut actions);
        }
        self.carry(actions, wire)
    }

    /// Time goes on.
    pub(crate) fn live(&mut self, until: Moment, wire: &mut dyn Wire) {
        while let Some(next) = self.fetches.next_wake().filter(|next| *next <= until) {
            assert!(self.wake(next, wire).is_none(), "a late reply");
        }
        self.now = self.now.max(until);
    }

    fn wake(&mut self, next: Moment, wire: &mut dyn Wire) -> Option<Told> {
        self.now = self.now.max(next);
        let mut actions = Vec::new();
        self.fetches.expire(self.now, &mut actions);
        self.carry(actions, wire)
    }

    /// Does what the driver is told to do.
    fn carry(&mut self, actions: Vec<Action>, wire: &mut dyn Wire) -> Option<Told> {
        let mut queue = VecDeque::from(actions);
        let mut told = None;
        loop {
            let next = if self.backward {
                queue.pop_back()
            } else {
                queue.pop_front()
            };
            match next {
                Some(Action::Send {
                    exchange,
                    upstream: Server::Plain(upstream),
                    transport,
                    packet,
                }) => match wire.hear(&packet, (upstream, transport), self.now) {
                    Said::Late(packet) => self.late.push((exchange, packet)),
                    Said::AtOnce(packet) => {
                        let (mut more, packet) = (Vec::new(), &packet);
                        self.fetches
                            .on(Event::Packet { exchange, packet }, self.now, &mut more);
                        queue.extend(more);
                    }
                },
                Some(Action::Send { upstream, .. }) => panic!("nobody named {upstream}"),
                Some(Action::Reply {
                    origin,
                    reply,
                    tally,
                }) => {
                    assert_eq!(origin.peer.port(), self.port, "a reply to somebody else");
                    assert!(
                        told.replace(Told { reply, tally }).is_none(),
                        "a second reply"
                    );
                }
                Some(Action::Release { .. } | Action::Note(_)) => {}
                None => return told,
            }
        }
    }
}
