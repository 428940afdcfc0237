//! The fetches that one driver carries.
//!
//! A driver calls [`Fetches::ask`] for what `answer_now` could not answer, hands in packets and the
//! time, and carries out the [`Action`]s. Nothing here is shared between drivers but the pipeline;
//! whichever driver leads a flight answers everybody who waits for it.

use super::carry::{Carried, Keep};
use super::events::{Action, Event};
use super::flight::{Flight, Landing, Step};
use super::flights::{Asker, Waiter};
use super::health::{State, Upstream};
use super::pair::{Pair, is_checked, question_for_ipv4};
use super::replies::Audience;
use super::settings::Settings;
use super::timers::{Target, Timers};
use super::{Origin, Pipeline, probes};
use crate::cache::Entry;
use crate::message::{Ask, Kind, Name, Query, Question};
use crate::time::Moment;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One driver's fetches.
pub struct Fetches {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) settings: Arc<Settings>,
    pub(super) carried: Carried,
    pub(super) timers: Timers,
    pub(super) random: StdRng,
    duty: Duty,
    /// When upstreams that are down are asked next; none while all are up.
    next_round: Option<Moment>,
    /// Flights that ended and whose waiters have not heard of it.
    pub(super) landed: VecDeque<(Arc<Ask>, Landing, Keep)>,
    /// Empty, and kept for its room.
    pub(super) steps: Vec<Step>,
    /// Buffers to write in; fetches end in crowds, and an allocator keeps few of a size at hand.
    spare: Vec<Vec<u8>>,
    /// The time of the call that is under way.
    pub(super) now: Moment,
    /// What that call leads to.
    pub(super) actions: Vec<Action>,
}

/// Whether a driver also looks after the upstreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Clients' fetches only.
    Plain,
    /// Asks upstreams that are down, each second, whether they are back. One driver of all.
    Probing,
}

impl Fetches {
    /// No fetch yet. `seed` feeds the CSPRNG that draws message ids (RFC 5452 §4.3).
    pub fn new(pipeline: Arc<Pipeline>, seed: [u8; 32], duty: Duty) -> Self {
        Self {
            settings: pipeline.settings(),
            pipeline,
            carried: Carried::default(),
            timers: Timers::default(),
            random: StdRng::from_seed(seed),
            duty,
            next_round: None,
            landed: VecDeque::new(),
            steps: Vec::new(),
            spare: Vec::new(),
            now: Moment::ZERO,
            actions: Vec::new(),
        }
    }

    /// A client's query that `answer_now` could not answer.
    pub fn ask(&mut self, query: &[u8], origin: Origin, now: Moment, actions: &mut Vec<Action>) {
        self.begin(now, actions);
        if let Ok(peeked) = &Query::peek(query) {
            let asker = Asker {
                query: query.into(),
                origin,
            };
            if peeked.question.kind == Kind::HINFO {
                self.ask_alone(peeked, asker);
            } else if is_checked(peeked) {
                let to = Audience {
                    settings: &self.settings,
                    query: peeked,
                    client: origin.client,
                    now,
                };
                let pair = Pair::new(asker, &self.pipeline, to);
                self.consider(&Arc::new(Mutex::new(pair)));
            } else {
                let ask = ask_of(peeked, peeked.question);
                self.enlist(ask, Waiter::Client(asker), origin.client.address);
            }
        }
        self.end(actions);
    }

    /// Asks again in the background: what a popular answer needs, or a NODATA's SOA.
    pub fn refresh(&mut self, query: &[u8], now: Moment, actions: &mut Vec<Action>) {
        self.begin(now, actions);
        if let Ok(query) = Query::peek(query) {
            for question in [query.question, question_for_ipv4(&query.question)] {
                if let Some(ask) = self.refreshing(&question) {
                    self.enlist_nobody(ask);
                }
            }
        }
        self.fetch_zones();
        self.end(actions);
    }

    /// How to ask for an answer that is due, as it was asked for before.
    fn refreshing(&self, question: &Question) -> Option<Ask> {
        let asked = |entry: &mut Entry| entry.refreshing.then_some(entry.asked_authentic);
        let authentic_data = self.pipeline.cache.look(question, asked).flatten()?;
        Some(Ask {
            question: *question,
            recursion_desired: true,
            authentic_data,
        })
    }

    /// A packet came, or an upstream cannot be reached.
    pub fn on(&mut self, event: Event<'_>, now: Moment, actions: &mut Vec<Action>) {
        self.begin(now, actions);
        match event {
            Event::Packet { exchange, packet } => self.fly(exchange.fetch, |flight, turn| {
                flight.on_packet(exchange.attempt, packet, turn);
            }),
            Event::Failed { exchange, trouble } => self.fly(exchange.fetch, |flight, turn| {
                flight.on_failed(exchange.attempt, trouble, turn);
            }),
        }
        self.end(actions);
    }

    /// The next moment at which [`Self::expire`] has something to do.
    pub fn next_wake(&self) -> Option<Moment> {
        // Nobody has set a round yet for an upstream that just went down: at once, to set it.
        let round = self
            .has_to_look_after()
            .then(|| self.next_round.unwrap_or(Moment::ZERO));
        match (self.timers.next(), round) {
            (Some(timer), Some(round)) => Some(timer.min(round)),
            (timer, round) => timer.or(round),
        }
    }

    /// Time has passed.
    pub fn expire(&mut self, now: Moment, actions: &mut Vec<Action>) {
        self.begin(now, actions);
        while let Some(target) = self.timers.pop(now) {
            match target {
                Target::Flight(fetch) => self.fly(fetch, Flight::on_time),
                Target::Pair(pair) => {
                    if let Some(pair) = pair.upgrade() {
                        self.wake_pair(&pair);
                    }
                }
            }
            self.settle();
        }
        self.look_after_upstreams();
        self.end(actions);
    }

    /// Asks every upstream for a name that would come back to us if it led here: at start and on reload.
    pub fn probe_for_loops(&mut self, now: Moment, actions: &mut Vec<Action>) {
        self.begin(now, actions);
        let settings = Arc::clone(&self.settings);
        let zones = probes::zones_to_probe(&settings.policy);
        for upstream in settings.upstreams().iter() {
            self.probe_for_loop(upstream, &zones);
        }
        self.end(actions);
    }

    /// Takes back the buffer of an [`Action`] that is carried out: the next one is written there.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < MOST_SPARE && buffer.capacity() <= LARGEST_SPARE {
            self.spare.push(buffer);
        }
    }

    /// An empty buffer with room for what is usual.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.reserve(USUAL);
        buffer
    }

    /// Actions are collected in the caller's own vector.
    fn begin(&mut self, now: Moment, actions: &mut Vec<Action>) {
        self.now = now;
        self.pipeline.catch_up(&mut self.settings);
        std::mem::swap(&mut self.actions, actions);
    }

    fn end(&mut self, actions: &mut Vec<Action>) {
        self.settle();
        std::mem::swap(&mut self.actions, actions);
    }

    fn has_to_look_after(&self) -> bool {
        let mut upstreams = self.settings.upstreams().iter();
        self.duty == Duty::Probing && upstreams.any(|upstream| upstream.state() != State::Up)
    }

    /// Asks those that are down whether they are back, and those that loop whether they still do.
    fn look_after_upstreams(&mut self) {
        let due = self.next_round.is_some_and(|round| round <= self.now);
        if !self.has_to_look_after() {
            self.next_round = None;
            return;
        }
        if due || self.next_round.is_none() {
            self.next_round = Some(self.now + ROUND);
        }
        if !due {
            return;
        }
        let settings = Arc::clone(&self.settings);
        for upstream in settings.upstreams().iter() {
            match upstream.state() {
                State::Up => {}
                State::Down => self.probe(probes::sign_of_life(), upstream),
                State::Looping if self.pipeline.tokens.is_out(upstream, self.now) => {}
                State::Looping => self.probe_for_loop(upstream, &[Name::ROOT]),
            }
        }
    }

    fn probe_for_loop(&mut self, upstream: &Arc<Upstream>, zones: &[Name]) {
        let random = self.random.random();
        for name in self
            .pipeline
            .tokens
            .issue(upstream, zones, random, self.now)
        {
            self.probe(probes::loop_question(name), upstream);
        }
    }
}

/// How the query of a client is put to an upstream.
pub(super) fn ask_of(query: &Query<'_>, question: Question) -> Ask {
    Ask {
        question,
        recursion_desired: query.recursion_desired,
        authentic_data: query.authentic_data,
    }
}

/// Buffers that are kept, and the largest of them: 128 KiB for a driver at most.
const MOST_SPARE: usize = 128;
const LARGEST_SPARE: usize = 1024;
/// Room for a query, and for most replies.
const USUAL: usize = 512;
/// Upstreams that are down are asked this often.
const ROUND: Duration = Duration::from_secs(1);
