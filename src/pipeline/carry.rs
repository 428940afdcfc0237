//! How fetches take off, fly and land.
//!
//! Landings are queued and told one after the other ([`Fetches::settle`]): telling one client may start
//! another flight, which may land at once, and no lock is ever held across that.

use super::events::{Action, Exchange, Note};
use super::fetches::Fetches;
use super::flight::{Choice, Failed, Flight, Landing, Limits, Step, Turn};
use super::flights::{Asker, Joined, Waiter};
use super::health::{State, Upstream};
use super::settings::Servers;
use super::timers::Target;
use crate::message::{self, Ask, Rcode};
use crate::time::Moment;
use rand::RngExt;
use std::net::IpAddr;
use std::sync::Arc;

/// The flights of one driver, by number.
#[derive(Debug, Default)]
pub(super) struct Carried {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug, Default)]
struct Slot {
    /// How often the slot was used: an old number finds nothing.
    turn: u32,
    running: Option<Running>,
}

#[derive(Debug)]
pub(super) struct Running {
    pub(super) flight: Flight,
    purpose: Purpose,
    /// The client that it counts against.
    client: Option<IpAddr>,
    /// The last timer set for it.
    timer: Option<Moment>,
}

/// What a flight is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// For everybody who waits for the question, and for the cache.
    Shared,
    /// For one client alone (HINFO).
    Alone(Asker),
    /// For us: an upstream's health.
    Probe(Arc<Upstream>),
    /// For nobody any more: who wanted it has been told.
    Done,
}

/// Whether the cache hears of a landing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// It does.
    Remember,
    /// It was our own refusal, or nobody could be asked: it does not.
    Forget,
}

impl Carried {
    fn insert(&mut self, running: Running) -> u64 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let Some(slot) = self.slots.get_mut(index as usize) else {
            return u64::MAX;
        };
        slot.running = Some(running);
        u64::from(slot.turn) << 32 | u64::from(index)
    }

    fn slot(&mut self, fetch: u64) -> Option<&mut Slot> {
        let (turn, index) = ((fetch >> 32) as u32, fetch as u32);
        self.slots
            .get_mut(index as usize)
            .filter(|slot| slot.turn == turn)
    }

    pub(super) fn get(&mut self, fetch: u64) -> Option<&mut Running> {
        self.slot(fetch)?.running.as_mut()
    }

    fn remove(&mut self, fetch: u64) {
        if let Some(slot) = self.slot(fetch)
            && slot.running.take().is_some()
        {
            slot.turn = slot.turn.wrapping_add(1);
            self.free.push(fetch as u32);
        }
    }
}

impl Fetches {
    /// Has a question asked for a waiter, alone or with others.
    pub(super) fn enlist(&mut self, ask: Ask, waiter: Waiter, client: IpAddr) {
        let ask = Arc::new(ask);
        match self.pipeline.flights.join(&ask, Some(waiter)) {
            Joined::Follows => {}
            Joined::Leads => match self.landed_meanwhile(&ask) {
                Some(landing) => self.landed.push_back((ask, landing, Keep::Forget)),
                None if self.pipeline.flights.admit(client) => {
                    self.launch(ask, Purpose::Shared, Some(client));
                }
                None => self.landed.push_back((ask, busy(), Keep::Forget)),
            },
            Joined::Slow(waiter) => self.wait_on(&ask, waiter),
            Joined::Full(waiter) => self.tell(waiter, &ask, &busy()),
        }
    }

    /// What another driver learned between our look into the cache and now: the cache hears of an answer
    /// before the question is free again, so this look finds it and nobody asks twice.
    fn landed_meanwhile(&self, ask: &Ask) -> Option<Landing> {
        let found = self.pipeline.cache.look(&ask.question, |entry| {
            let serves = entry.asked_authentic || !ask.authentic_data;
            (entry.fresh_until > self.now && serves).then(|| Arc::clone(&entry.answer))
        });
        found.flatten().map(Landing::Answered)
    }

    /// Has a question asked for the cache alone.
    pub(super) fn enlist_nobody(&mut self, ask: Ask) {
        let ask = Arc::new(ask);
        if let Joined::Leads = self.pipeline.flights.join(&ask, None) {
            self.launch(ask, Purpose::Shared, None);
        }
    }

    /// Asks one upstream something for ourselves.
    pub(super) fn probe(&mut self, ask: Ask, upstream: &Arc<Upstream>) {
        let servers: Servers = Arc::new([Arc::clone(upstream)]);
        let purpose = Purpose::Probe(Arc::clone(upstream));
        self.launch_to((servers, Choice::Once), Arc::new(ask), purpose, None);
    }

    /// Sends a flight to the servers of its name.
    pub(super) fn launch(&mut self, ask: Arc<Ask>, purpose: Purpose, client: Option<IpAddr>) {
        let servers = Arc::clone(self.settings.servers(&ask.question.name));
        self.launch_to((servers, Choice::ByHealth), ask, purpose, client);
    }

    fn launch_to(
        &mut self,
        whom: (Servers, Choice),
        ask: Arc<Ask>,
        purpose: Purpose,
        client: Option<IpAddr>,
    ) {
        let limits = Limits {
            slow: self.now + self.settings.patience(&ask.question),
            over: self.now + self.settings.deadline(&ask.question),
        };
        let flight = Flight::new(ask, whom, limits);
        let fetch = self.carried.insert(Running {
            flight,
            purpose,
            client,
            timer: None,
        });
        self.fly(fetch, Flight::advance);
    }

    /// Lets something happen to a flight and carries out what follows.
    pub(super) fn fly(&mut self, fetch: u64, act: impl FnOnce(&mut Flight, &mut Turn<'_>)) {
        let Some(running) = self.carried.get(fetch) else {
            return;
        };
        let random = &mut self.random;
        let mut turn = Turn {
            now: self.now,
            draw: &mut || random.random(),
            steps: std::mem::take(&mut self.steps),
        };
        act(&mut running.flight, &mut turn);
        let mut steps = turn.steps;
        if let Some(wake) = running.flight.wake()
            && running
                .timer
                .is_none_or(|timer| timer <= self.now || wake < timer)
        {
            running.timer = Some(wake);
            self.timers.set(wake, Target::Flight(fetch));
        }
        for step in steps.drain(..) {
            self.step(fetch, step);
        }
        self.steps = steps;
    }

    fn step(&mut self, fetch: u64, step: Step) {
        match step {
            Step::Send {
                attempt,
                upstream,
                transport,
                id,
                edns,
            } => {
                let Some(ask) = self.carried.get(fetch).map(|r| Arc::clone(&r.flight.ask)) else {
                    return;
                };
                let mut packet = self.buffer();
                message::write_query(&ask, id, edns, &mut packet);
                let exchange = Exchange { fetch, attempt };
                self.actions.push(Action::Send {
                    exchange,
                    upstream,
                    transport,
                    packet,
                });
            }
            Step::Slow => self.slow_down(fetch),
            Step::Landed(landing) => self.land(fetch, landing),
            Step::Release => {
                self.carried.remove(fetch);
                self.actions.push(Action::Release { fetch });
            }
            Step::Up { upstream } => self
                .actions
                .push(Action::Note(Note::UpstreamUp { upstream })),
            Step::Down { upstream, trouble } => {
                let reason = trouble.label();
                self.actions
                    .push(Action::Note(Note::UpstreamDown { upstream, reason }));
            }
        }
    }

    fn land(&mut self, fetch: u64, landing: Landing) {
        let Some(running) = self.carried.get(fetch) else {
            return;
        };
        if let Some(client) = running.client.take() {
            self.pipeline.flights.dismiss(client);
        }
        if let Purpose::Shared = running.purpose {
            let keep = if running.flight.tries.is_empty() {
                Keep::Forget
            } else {
                Keep::Remember
            };
            let ask = Arc::clone(&running.flight.ask);
            self.landed.push_back((ask, landing, keep));
            return;
        }
        match std::mem::replace(&mut running.purpose, Purpose::Done) {
            Purpose::Shared | Purpose::Done => {}
            Purpose::Alone(asker) => self.reply(&asker, &landing),
            Purpose::Probe(upstream) => {
                // A loop probe that was answered out in the world: it does not lead here any more.
                let answered = matches!(landing, Landing::Answered(_));
                if answered && upstream.state() == State::Looping && upstream.turn(State::Up) {
                    let upstream = upstream.server.clone();
                    self.actions
                        .push(Action::Note(Note::UpstreamUp { upstream }));
                }
            }
        }
    }

    /// Tells everybody whose flight has landed.
    pub(super) fn settle(&mut self) {
        while let Some((ask, landing, keep)) = self.landed.pop_front() {
            // RD=0 asks what a server knows by itself: not kept (answers.md 8).
            if keep == Keep::Remember && ask.recursion_desired {
                match &landing {
                    Landing::Answered(answer) => {
                        self.pipeline.keep(&self.settings, &ask, answer, self.now);
                    }
                    Landing::Failed(failed) => {
                        self.pipeline.keep_failure(&ask.question, failed, self.now);
                    }
                }
            }
            for waiter in self.pipeline.flights.take(&ask) {
                self.tell(waiter, &ask, &landing);
            }
        }
    }

    /// A flight is slow: whoever can have a stale answer gets it, the others wait on.
    fn slow_down(&mut self, fetch: u64) {
        let Some(running) = self.carried.get(fetch) else {
            return;
        };
        let ask = Arc::clone(&running.flight.ask);
        for waiter in self.pipeline.flights.slow_down(&ask) {
            self.wait_on(&ask, waiter);
        }
    }

    /// The flight is slow: something stale at once, or in line with the others.
    fn wait_on(&mut self, ask: &Ask, waiter: Waiter) {
        let Some(waiter) = self.tell_stale(waiter, ask) else {
            return;
        };
        if let Err(waiter) = self.pipeline.flights.wait_on(ask, waiter) {
            let landing = self.landed_meanwhile(ask).unwrap_or_else(busy);
            self.tell(waiter, ask, &landing);
        }
    }
}

/// Too much is in flight already: stale, else SERVFAIL, and nobody remembers it.
fn busy() -> Landing {
    Landing::Failed(Failed {
        rcode: Rcode::SERV_FAIL,
        ede: Some(OTHER),
        answer: None,
    })
}

/// RFC 8914 §4.1: a reason without a number of its own.
pub(super) const OTHER: u16 = 0;
