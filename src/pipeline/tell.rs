//! What waiting clients are told, and what they still have to wait for.

use super::Tally;
use super::carry::{OTHER, Purpose};
use super::check::Slot;
use super::events::{Action, Note};
use super::fetches::{Fetches, ask_of};
use super::flight::Landing;
use super::flights::{Asker, Side, Waiter};
use super::health::State;
use super::pair::{Next, Pair, question_for_ipv4};
use super::replies::{Audience, Given};
use super::timers::Target;
use super::written::write_code;
use crate::message::{Ask, Kind, Query, Rcode};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

impl Fetches {
    /// Tells one waiter how a flight ended.
    pub(super) fn tell(&mut self, waiter: Waiter, ask: &Ask, landing: &Landing) {
        match waiter {
            Waiter::Client(asker) => self.reply(&asker, landing),
            Waiter::Pair(pair, side) => {
                let stale = match landing {
                    Landing::Answered(_) => None,
                    Landing::Failed(_) => {
                        self.pipeline
                            .memory(&self.settings, &ask.question, self.now)
                    }
                };
                lock(&pair).land(side, landing, stale, self.now);
                self.consider(&pair);
            }
        }
    }

    /// The reply to a client whose question needs no second answer.
    pub(super) fn reply(&mut self, asker: &Asker, landing: &Landing) {
        self.reply_with(asker, |fetches, to, reply| match landing {
            Landing::Answered(answer) => {
                fetches
                    .pipeline
                    .give(to, Given::fresh(answer, to.now), reply)
            }
            Landing::Failed(failed) => {
                match fetches
                    .pipeline
                    .stale(to.settings, &to.query.question, to.now)
                {
                    Some(stale) => fetches.pipeline.give(to, Given::of(&stale), reply),
                    None => fetches.pipeline.give_failure(to, failed, reply),
                }
            }
        });
    }

    /// A stale answer for a client, if there is one; else the waiter back. Pairs look after themselves.
    pub(super) fn tell_stale(&mut self, waiter: Waiter, ask: &Ask) -> Option<Waiter> {
        let Waiter::Client(asker) = waiter else {
            return Some(waiter);
        };
        let Some(stale) = self.pipeline.stale(&self.settings, &ask.question, self.now) else {
            return Some(Waiter::Client(asker));
        };
        self.reply_with(&asker, |fetches, to, reply| {
            fetches.pipeline.give(to, Given::of(&stale), reply)
        });
        None
    }

    fn reply_with(
        &mut self,
        asker: &Asker,
        write: impl FnOnce(&Self, Audience<'_>, &mut Vec<u8>) -> Tally,
    ) {
        let peeked = Query::peek(&asker.query);
        let Ok(query) = &peeked else {
            return;
        };
        let mut reply = self.buffer();
        let origin = asker.origin;
        let to = Audience {
            settings: &self.settings,
            query,
            client: origin.client,
            now: self.now,
        };
        let tally = write(self, to, &mut reply);
        self.actions.push(Action::Reply {
            origin,
            reply,
            tally,
        });
    }

    /// HINFO: for this client alone, unless it is our own loop probe that came back.
    pub(super) fn ask_alone(&mut self, query: &Query<'_>, asker: Asker) {
        let client = asker.origin.client.address;
        let fail = |_: &Self, to: Audience<'_>, reply: &mut Vec<u8>| {
            write_code(to, Rcode::SERV_FAIL, OTHER, reply)
        };
        if let Some(upstream) = self.pipeline.tokens.find(&query.question.name, self.now) {
            if upstream.turn(State::Looping) {
                let (upstream, peer) = (upstream.server.clone(), asker.origin.peer);
                self.actions
                    .push(Action::Note(Note::Loop { upstream, peer }));
            }
            self.reply_with(&asker, fail);
        } else if self.pipeline.flights.admit(client) {
            let ask = Arc::new(ask_of(query, query.question));
            self.launch(ask, Purpose::Alone(asker), Some(client));
        } else {
            self.reply_with(&asker, fail);
        }
    }

    /// Does what the A check says for a pair.
    pub(super) fn consider(&mut self, pair: &Arc<Mutex<Pair>>) {
        let mut inner = lock(pair);
        if inner.done {
            return;
        }
        let bytes = inner.asker.query.clone();
        let Ok(query) = Query::peek(&bytes) else {
            return;
        };
        let settings = Arc::clone(&self.settings);
        let origin = inner.asker.origin;
        let to = Audience {
            settings: &settings,
            query: &query,
            client: origin.client,
            now: self.now,
        };
        let mut reply = self.buffer();
        let next = inner.consider(&self.pipeline, to, &mut reply);
        let first_wait = !std::mem::replace(&mut inner.timed, true) && !inner.done;
        drop(inner);
        if first_wait {
            let deadline = settings.deadline(&query.question) + GRACE;
            for span in [settings.patience(&query.question), deadline] {
                self.timers
                    .set(self.now + span, Target::Pair(Arc::downgrade(pair)));
            }
        }
        match next {
            Next::Reply(tally) => self.actions.push(Action::Reply {
                origin,
                reply,
                tally,
            }),
            Next::Wait(until) => {
                self.recycle(reply);
                if let Some(until) = until {
                    self.timers.set(until, Target::Pair(Arc::downgrade(pair)));
                }
            }
            Next::Ask { ipv4, own } => {
                self.recycle(reply);
                let own = own.then_some((Side::Own, query.question));
                let ipv4 = ipv4.then(|| (Side::Ipv4, question_for_ipv4(&query.question)));
                for (side, question) in own.into_iter().chain(ipv4) {
                    let waiter = Waiter::Pair(Arc::clone(pair), side);
                    let mut ask = ask_of(&query, question);
                    // RD=0 would hear what the server happens to know; whether there is IPv4 is our question.
                    ask.recursion_desired |= side == Side::Ipv4;
                    self.enlist(ask, waiter, origin.client.address);
                }
            }
        }
        self.fetch_zones();
    }

    /// Fetches the SOAs that a NODATA had to do without.
    pub(super) fn fetch_zones(&mut self) {
        for zone in self.pipeline.zones.take_wanted() {
            self.enlist_nobody(Ask::plain(zone, Kind::SOA));
        }
    }

    /// A pair's patience or its time is over, or an AAAA has had its 50 ms.
    pub(super) fn wake_pair(&mut self, pair: &Arc<Mutex<Pair>>) {
        let mut inner = lock(pair);
        let bytes = inner.asker.query.clone();
        let Ok(query) = Query::peek(&bytes) else {
            return;
        };
        let waited = self.now.since(inner.since);
        inner.over |= waited >= self.settings.deadline(&query.question);
        if waited >= self.settings.patience(&query.question) && !inner.done {
            self.make_do(&query, &mut inner);
        }
        drop(inner);
        self.consider(pair);
    }

    /// What is still on its way is replaced by what the cache remembers of it.
    fn make_do(&self, query: &Query<'_>, pair: &mut Pair) {
        let ipv4 = question_for_ipv4(&query.question);
        for (slot, question) in [(&mut pair.own, query.question), (&mut pair.ipv4, ipv4)] {
            if matches!(slot, Slot::Flying)
                && let Some(stale) = self.pipeline.memory(&self.settings, &question, self.now)
            {
                *slot = Slot::Said(stale);
            }
        }
    }
}

fn lock(pair: &Mutex<Pair>) -> MutexGuard<'_, Pair> {
    pair.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A flight that ends at the deadline itself has the better reason: it goes first.
const GRACE: Duration = Duration::from_millis(1);
