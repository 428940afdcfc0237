//! One question on its way to the upstreams: a state machine without IO.
//!
//! It says what to send and when to wake it, and is told what came and what time it is. In order:
//! the servers that are up, as the file lists them; a failure moves on at once, silence after the time
//! of a try; TC is asked again over a stream; FORMERR without a question is asked again without EDNS.
//! A datagram that is not the answer never ends anything (answers.md 10): every try over datagrams stays open
//! until the flight ends, so a late answer still counts. A stream brings one message; if that is not
//! the answer, nothing more comes there.
//!
//! Never more than six packets for one question, and three tries that nobody answers.

use super::attempt::{Hope, Manner, Try};
use super::health::{State, Trouble, Upstream};
use super::settings::Servers;
use crate::config::Server;
use crate::message::{self, Answer, Ask, Flaw, Judgement, Meaning, Rcode, Transport};
use crate::time::Moment;
use std::sync::Arc;
use std::time::Duration;

/// A question in flight.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) ask: Arc<Ask>,
    servers: Servers,
    choice: Choice,
    /// None where there was no server, or no room, to ask at all.
    pub(super) tries: Vec<Try>,
    /// What the last upstream that answered at all said, where it was no help.
    failed: Option<Failed>,
    /// Somebody sent what was no answer.
    garbled: bool,
    limits: Limits,
    stage: Stage,
}

/// How servers are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// By health, with more tries where nobody answers.
    ByHealth,
    /// The one given, whatever its health, once: a probe.
    Once,
}

/// How far a flight is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Somebody may wait for it.
    Asking,
    /// Past the time after which stale answers go out.
    Slow,
    /// Past every client's deadline: only the cache still wants it.
    Behind,
    /// Ended.
    Landed,
}

/// What the driver of a flight has to do.
#[derive(Debug)]
pub(super) enum Step {
    /// Put the question like this; `attempt` names it when something comes back.
    Send {
        attempt: u8,
        upstream: Server,
        transport: Transport,
        id: u16,
        edns: bool,
    },
    /// Stale answers may go out.
    Slow,
    /// It is decided.
    Landed(Landing),
    /// No more is awaited.
    Release,
    /// An upstream is asked again.
    Up { upstream: Server },
    /// An upstream is not asked any more.
    Down { upstream: Server, trouble: Trouble },
}

/// How a flight ended.
#[derive(Clone, Debug)]
pub(super) enum Landing {
    /// With an answer: data, NODATA or NXDOMAIN.
    Answered(Arc<Answer>),
    /// With a failure.
    Failed(Failed),
}

/// A failure that is handed to clients.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    /// The last upstream's own RCODE; SERVFAIL for silence and garbage.
    pub(super) rcode: Rcode,
    /// The extended error that is ours (RFC 8914: 22 or 23); none where the upstream spoke itself.
    pub(super) ede: Option<u16>,
    /// What the last upstream said.
    pub(super) answer: Option<Arc<Answer>>,
}

/// The times of a flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Stale answers go out then.
    pub(super) slow: Moment,
    /// Nobody waits longer.
    pub(super) over: Moment,
}

/// One call from the driver: what it brings, and what comes of it.
pub(super) struct Turn<'a> {
    pub(super) now: Moment,
    /// Draws message ids: a CSPRNG's (RFC 5452 §4.3).
    pub(super) draw: &'a mut dyn FnMut() -> u16,
    /// What is to be done.
    pub(super) steps: Vec<Step>,
}

impl Flight {
    /// Ready for take-off: [`Self::advance`] sends the first packet.
    pub(super) fn new(ask: Arc<Ask>, (servers, choice): (Servers, Choice), limits: Limits) -> Self {
        Self {
            ask,
            servers,
            choice,
            tries: Vec::with_capacity(2),
            failed: None,
            garbled: false,
            limits,
            stage: Stage::Asking,
        }
    }

    /// Asks the next server, or ends where there is none. The first call is the take-off.
    pub(super) fn advance(&mut self, turn: &mut Turn<'_>) {
        if self.stage == Stage::Landed || self.tries.iter().any(|t| t.state == Hope::Waiting) {
            return;
        }
        if self.stage == Stage::Behind || self.tries.len() >= MOST_PACKETS {
            return self.give_up_if_hopeless(turn);
        }
        if let Some(server) =
            self.untried(|server| self.choice == Choice::Once || server.is_willing())
        {
            return self.send(&server, Manner::Usual, turn);
        }
        if self.failed.is_some() {
            return self.fail(turn);
        }
        match (self.choice == Choice::ByHealth)
            .then(|| self.again())
            .flatten()
        {
            Some(server) => self.send(&server, Manner::Usual, turn),
            None => self.give_up_if_hopeless(turn),
        }
    }

    /// The first server of the list that this flight has not asked and that `wanted` likes.
    fn untried(&self, wanted: impl Fn(&Upstream) -> bool) -> Option<Arc<Upstream>> {
        let asked =
            |server: &Arc<Upstream>| self.tries.iter().any(|t| Arc::ptr_eq(&t.server, server));
        self.servers
            .iter()
            .find(|server| !asked(server) && wanted(server))
            .cloned()
    }

    /// Nobody who is up is left and nobody said anything: a server that is down, else one that was
    /// silent before.
    fn again(&self) -> Option<Arc<Upstream>> {
        let silent = self.tries.iter().filter(|t| t.state == Hope::Late);
        if silent.clone().count() >= MOST_SILENT {
            return None;
        }
        let last_hope = self.untried(|server| server.state() == State::Down && server.has_room());
        last_hope.or_else(|| {
            let quiet =
                |server: &Arc<Upstream>| silent.clone().any(|t| Arc::ptr_eq(&t.server, server));
            let tries_of = |server: &&Arc<Upstream>| {
                self.tries
                    .iter()
                    .filter(|t| Arc::ptr_eq(&t.server, server))
                    .count()
            };
            let candidates = self
                .servers
                .iter()
                .filter(|server| quiet(server) && server.has_room());
            candidates.min_by_key(tries_of).cloned()
        })
    }

    fn send(&mut self, server: &Arc<Upstream>, manner: Manner, turn: &mut Turn<'_>) {
        let before = self.tries.iter().filter(|t| Arc::ptr_eq(&t.server, server));
        let new = Try::new(server, manner, before.count(), turn);
        turn.steps.push(Step::Send {
            attempt: u8::try_from(self.tries.len()).unwrap_or(u8::MAX),
            upstream: server.server.clone(),
            transport: new.transport,
            id: new.id,
            edns: new.edns,
        });
        self.tries.push(new);
    }

    /// A packet came for a try, from the peer it was sent to.
    pub(super) fn on_packet(&mut self, attempt: u8, packet: &[u8], turn: &mut Turn<'_>) {
        let Some(hit) = self.tries.get_mut(usize::from(attempt)) else {
            return;
        };
        if self.stage == Stage::Landed || hit.state == Hope::Closed {
            return;
        }
        let server = Arc::clone(&hit.server);
        let judgement = message::judge(packet, hit.id, &self.ask.question, hit.transport);
        match judgement {
            Judgement::Ignored(flaw) => return self.ignore(flaw, attempt, turn),
            Judgement::WithoutEdns => return self.ask_without_edns(attempt, &server, turn),
            Judgement::Answer(_) | Judgement::EndlessChain | Judgement::Truncated => {}
        }
        hit.close();
        let edns = hit.edns;
        if !hit.is_detour {
            server.heard_after(turn.now.since(hit.sent));
        }
        lift(&server, turn);
        match judgement {
            Judgement::Answer(answer) if answer.meaning() != Meaning::Failure => {
                return self.land(Landing::Answered(answer), turn);
            }
            Judgement::Answer(answer) => {
                server.troubled(Trouble::Rcode);
                self.failed = Some(Failed {
                    rcode: answer.rcode(),
                    ede: None,
                    answer: Some(answer),
                });
            }
            Judgement::Truncated
                if self.tries.len() < MOST_PACKETS && self.stage != Stage::Behind =>
            {
                return self.send(&server, Manner::Stream { edns }, turn);
            }
            Judgement::EndlessChain => {
                server.troubled(Trouble::Chain);
                self.failed = Some(Failed {
                    rcode: Rcode::SERV_FAIL,
                    ede: None,
                    answer: None,
                });
            }
            _ => {}
        }
        self.advance(turn);
    }

    /// It is not the answer: the wait goes on, but for a stream, which brings nothing more.
    fn ignore(&mut self, flaw: Flaw, attempt: u8, turn: &mut Turn<'_>) {
        self.garbled = true;
        let Some(hit) = self.tries.get_mut(usize::from(attempt)) else {
            return;
        };
        hit.server.troubled(match flaw {
            Flaw::Mismatch => Trouble::Mismatch,
            Flaw::Garbled => Trouble::Garbled,
        });
        if hit.transport == Transport::Stream {
            hit.close();
            self.advance(turn);
        }
    }

    /// The server may not know EDNS: the wait goes on, and the question is asked once more without.
    fn ask_without_edns(&mut self, attempt: u8, server: &Arc<Upstream>, turn: &mut Turn<'_>) {
        let with_edns = self.tries.get(usize::from(attempt)).is_some_and(|t| t.edns);
        let asked = self.tries.iter().any(|t| !t.edns);
        if with_edns && !asked && self.tries.len() < MOST_PACKETS {
            self.send(server, Manner::WithoutEdns, turn);
        }
    }

    /// Nothing comes of a try.
    pub(super) fn on_failed(&mut self, attempt: u8, trouble: Trouble, turn: &mut Turn<'_>) {
        let Some(hit) = self.tries.get_mut(usize::from(attempt)) else {
            return;
        };
        if self.stage == Stage::Landed || hit.state == Hope::Closed {
            return;
        }
        hit.close();
        hit.server.troubled(trouble);
        // A detour that failed says little, and a socket that we lack nothing about the server.
        let is_gone = match trouble {
            Trouble::Unreachable | Trouble::Certificate | Trouble::Tls => true,
            // To others it may have an answer.
            Trouble::Http => !hit.server.was_heard_since(hit.sent),
            _ => false,
        };
        if !hit.is_detour && is_gone {
            sink(&hit.server, trouble, turn);
        }
        self.advance(turn);
    }

    /// The moment at which [`Self::on_time`] has something to do.
    pub(super) fn wake(&self) -> Option<Moment> {
        let tries = self
            .tries
            .iter()
            .filter(|t| t.state == Hope::Waiting)
            .map(|t| t.until)
            .min();
        let own = match self.stage {
            Stage::Asking => self.limits.slow.min(self.limits.over),
            Stage::Slow => self.limits.over,
            Stage::Behind => return Some(self.limits.over + LINGER),
            Stage::Landed => return None,
        };
        Some(tries.map_or(own, |tries| tries.min(own)))
    }

    /// Time has passed.
    pub(super) fn on_time(&mut self, turn: &mut Turn<'_>) {
        for attempt in &mut self.tries {
            if attempt.state != Hope::Waiting || attempt.until > turn.now {
                continue;
            }
            attempt.server.troubled(Trouble::Timeout);
            if attempt.is_detour {
                attempt.close();
                continue;
            }
            if !attempt.server.was_heard_since(attempt.sent) {
                sink(&attempt.server, Trouble::Timeout, turn);
            }
            attempt.state = Hope::Late;
        }
        if self.stage == Stage::Asking && self.limits.slow <= turn.now {
            self.stage = Stage::Slow;
            if self.limits.slow < self.limits.over {
                turn.steps.push(Step::Slow);
            }
        }
        if self.stage == Stage::Slow && self.limits.over <= turn.now {
            let failed = self.verdict();
            if self.choice == Choice::Once {
                return self.fail(turn);
            }
            self.stage = Stage::Behind;
            turn.steps.push(Step::Landed(Landing::Failed(failed)));
        }
        if self.stage == Stage::Behind && self.limits.over + LINGER <= turn.now {
            self.end(turn);
        } else {
            self.advance(turn);
        }
    }

    /// Ends where nothing can come any more; else waits on.
    fn give_up_if_hopeless(&mut self, turn: &mut Turn<'_>) {
        if self.tries.iter().all(|t| t.state == Hope::Closed) {
            self.fail(turn);
        }
    }

    fn fail(&mut self, turn: &mut Turn<'_>) {
        let failed = self.verdict();
        self.land(Landing::Failed(failed), turn);
    }

    /// The last upstream's own words, else a SERVFAIL that says what was missing.
    fn verdict(&self) -> Failed {
        // RFC 8914 §4.23, §4.24: nobody was there, or somebody was, and nothing came of it.
        let broke = self.tries.iter().any(|t| t.is_detour);
        let ede = if self.garbled || broke {
            NETWORK_ERROR
        } else {
            NO_REACHABLE_AUTHORITY
        };
        self.failed.clone().unwrap_or(Failed {
            rcode: Rcode::SERV_FAIL,
            ede: Some(ede),
            answer: None,
        })
    }

    fn land(&mut self, landing: Landing, turn: &mut Turn<'_>) {
        // Past the deadline clients have their failure already; only an answer is still news.
        if self.stage != Stage::Behind || matches!(landing, Landing::Answered(_)) {
            turn.steps.push(Step::Landed(landing));
        }
        self.end(turn);
    }

    fn end(&mut self, turn: &mut Turn<'_>) {
        self.stage = Stage::Landed;
        turn.steps.push(Step::Release);
    }
}

/// An upstream spoke: it is up.
fn lift(server: &Upstream, turn: &mut Turn<'_>) {
    server.heard(turn.now);
    if server.state() == State::Down && server.turn(State::Up) {
        turn.steps.push(Step::Up {
            upstream: server.server.clone(),
        });
    }
}

/// An upstream was silent to all or gone: it is down.
fn sink(server: &Upstream, trouble: Trouble, turn: &mut Turn<'_>) {
    if server.state() == State::Up && server.turn(State::Down) {
        turn.steps.push(Step::Down {
            upstream: server.server.clone(),
            trouble,
        });
    }
}

/// Packets for one question, all servers and transports together.
const MOST_PACKETS: usize = 6;
/// Tries for one question that nobody answers.
const MOST_SILENT: usize = 3;
/// How long past its clients a flight still listens, for the cache.
const LINGER: Duration = Duration::from_millis(2500);
/// RFC 8914 §4.23.
const NO_REACHABLE_AUTHORITY: u16 = 22;
/// RFC 8914 §4.24.
const NETWORK_ERROR: u16 = 23;
