//! A client that waits for one answer or two: its AAAA, and perhaps the A beside it.

use super::check::{Decision, Said, Slot, View};
use super::flight::Landing;
use super::flights::{Asker, Side};
use super::replies::{Audience, Given};
use super::{Pipeline, Tally};
use crate::message::{Kind, Query, Question, Rcode};
use crate::time::Moment;

/// What such a client has so far.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) asker: Asker,
    pub(super) ipv4: Slot,
    pub(super) own: Slot,
    /// It has its reply.
    pub(super) done: bool,
    /// Its deadline is over.
    pub(super) over: bool,
    /// The driver was asked to wake it for its patience and its deadline.
    pub(super) timed: bool,
    pub(super) since: Moment,
}

/// What is to be done for a pair.
#[derive(Debug)]
pub(super) enum Next {
    /// Have these asked.
    Ask { ipv4: bool, own: bool },
    /// Nothing, or wake it then.
    Wait(Option<Moment>),
    /// `reply` is written.
    Reply(Tally),
}

impl Pair {
    /// With what the cache knows.
    pub(super) fn new(asker: Asker, pipeline: &Pipeline, to: Audience<'_>) -> Self {
        let question = &to.query.question;
        Self {
            asker,
            ipv4: pipeline.slot(to, &question_for_ipv4(question)),
            own: pipeline.slot(to, question),
            done: false,
            over: false,
            timed: false,
            since: to.now,
        }
    }

    /// A flight that it waits for has ended. A stale answer is better than a failure.
    pub(super) fn land(&mut self, side: Side, landing: &Landing, stale: Option<Said>, now: Moment) {
        let slot = match landing {
            Landing::Answered(answer) => Slot::Said(Said {
                answer: answer.clone(),
                learned: now,
                stale: false,
                known: false,
            }),
            Landing::Failed(failed) => {
                stale.map_or_else(|| Slot::Failed(failed.clone()), Slot::Said)
            }
        };
        match side {
            Side::Ipv4 => self.ipv4 = slot,
            Side::Own => self.own = slot,
        }
    }

    /// Decides, and writes the reply where one is due.
    pub(super) fn consider(
        &mut self,
        pipeline: &Pipeline,
        to: Audience<'_>,
        reply: &mut Vec<u8>,
    ) -> Next {
        let tally = match pipeline.decide(to, &self.ipv4, &self.own, self.over) {
            Decision::Ask { ipv4, own } => {
                if ipv4 {
                    self.ipv4 = Slot::Flying;
                }
                if own {
                    self.own = Slot::Flying;
                }
                return Next::Ask { ipv4, own };
            }
            Decision::Wait(until) => return Next::Wait(until),
            decided => pipeline.carry_out(to, decided, (&self.ipv4, &self.own), reply),
        };
        self.done = true;
        Next::Reply(tally)
    }
}

impl Pipeline {
    /// Looks up what the table says.
    pub(super) fn decide(&self, to: Audience<'_>, ipv4: &Slot, own: &Slot, over: bool) -> Decision {
        let policy = &to.settings.policy;
        let question = &to.query.question;
        let serving = policy.serving(to.client.address);
        let inherited = self.inherited(to);
        let view = View {
            settings: to.settings,
            question,
            rules: policy.touching(&question.name, inherited, &[]) & serving,
            inherited,
            serving,
            ipv4,
            own,
            now: to.now,
            over,
        };
        view.decide()
    }

    /// Writes the reply of a decision that has one.
    pub(super) fn carry_out(
        &self,
        to: Audience<'_>,
        decision: Decision,
        (ipv4, own): (&Slot, &Slot),
        reply: &mut Vec<u8>,
    ) -> Tally {
        match (decision, own, ipv4) {
            (Decision::Strip(place), Slot::Said(own), ipv4) => {
                self.give_stripped(to, place, (own, ipv4.said()), reply)
            }
            (Decision::NoData(place), _, ipv4) => {
                self.give_nodata_by_ipv4(to, place, ipv4.said(), reply)
            }
            (Decision::NoName, _, Slot::Said(ipv4)) => self.give_no_name(to, ipv4, reply),
            (Decision::Pass { reported }, Slot::Said(own), _) => self.give(
                to,
                Given {
                    reported,
                    ..Given::of(own)
                },
                reply,
            ),
            (_, Slot::Failed(failed), _) => self.give_failure(to, failed, reply),
            _ => super::written::write_code(to, Rcode::SERV_FAIL, 22, reply),
        }
    }
}

impl Slot {
    /// The answer, if there is one.
    pub(super) fn said(&self) -> Option<&Said> {
        match self {
            Self::Said(said) => Some(said),
            _ => None,
        }
    }
}

/// The A question beside a question, asked the same way.
pub(super) fn question_for_ipv4(question: &Question) -> Question {
    Question {
        kind: Kind::A,
        ..*question
    }
}

/// Whether a question goes through the A check.
pub(super) fn is_checked(query: &Query<'_>) -> bool {
    matches!(query.question.kind, Kind::AAAA | Kind::ANY)
}
