//! When to attach and when to let go. No IO, no clock: it hears what happened and says what to do next.

/// Where things stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not attached, until so many more canaries in a row are right.
    Waiting { more: u8 },
    /// On the way in: it was told to attach.
    Attaching,
    /// In the path of questions; so many canaries in a row went wrong.
    Attached { wrong: u8 },
    /// On the way out, and what then.
    LettingGo { then: Then },
    /// Nothing more will come.
    Ended,
}

/// What follows on letting go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Waiting for so many right canaries.
    Wait { more: u8 },
    /// The end.
    End,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The canary was answered right.
    Right,
    /// It was answered wrong, or not in time.
    Wrong,
    /// What the attachment was made for is no more: other rules, other name servers, another user.
    Changed,
    /// The attachment stands, and the canary was right through it.
    Held,
    /// It does not stand.
    Refused,
    /// It is gone.
    Released,
    /// We are told to end.
    Stop,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask the canary at its time.
    Ask,
    /// Attach.
    Attach,
    /// Let go.
    LetGo,
    /// End.
    End,
}

impl State {
    /// At the start one right canary is enough.
    pub(super) const START: Self = Self::Waiting { more: 1 };

    /// What happened, and so: where things stand now, and what to do.
    pub(super) fn on(self, event: Event) -> (Self, Step) {
        match (self, event) {
            (Self::Waiting { more: 0 | 1 }, Event::Right) => (Self::Attaching, Step::Attach),
            (Self::Waiting { more }, Event::Right) => (Self::Waiting { more: more - 1 }, Step::Ask),
            (Self::Waiting { more }, Event::Wrong) => {
                let more = more.max(1);
                (Self::Waiting { more }, Step::Ask)
            }
            (Self::Attaching, Event::Held) => (Self::Attached { wrong: 0 }, Step::Ask),
            (Self::Attaching, Event::Refused) => {
                let more = AFTER_REFUSAL;
                (Self::Waiting { more }, Step::Ask)
            }
            (Self::Attached { .. }, Event::Right) => (Self::Attached { wrong: 0 }, Step::Ask),
            (Self::Attached { wrong }, Event::Wrong) if wrong + 1 < FAILURES => {
                (Self::Attached { wrong: wrong + 1 }, Step::Ask)
            }
            (Self::Attached { .. }, Event::Wrong) => Self::let_go(AFTER_FAILURE),
            (Self::Attached { .. }, Event::Changed) => Self::let_go(1),
            (Self::Attached { .. } | Self::Attaching, Event::Stop) => {
                let then = Then::End;
                (Self::LettingGo { then }, Step::LetGo)
            }
            (Self::LettingGo { then }, Event::Released) => match then {
                Then::Wait { more } => (Self::Waiting { more }, Step::Ask),
                Then::End => (Self::Ended, Step::End),
            },
            (Self::Waiting { .. }, Event::Stop) | (Self::Ended, _) => (Self::Ended, Step::End),
            // A word that has no meaning here changes nothing.
            (Self::Waiting { .. } | Self::Attached { .. }, _) => (self, Step::Ask),
            (Self::Attaching, _) => (self, Step::Attach),
            (Self::LettingGo { .. }, _) => (self, Step::LetGo),
        }
    }

    fn let_go(more: u8) -> (Self, Step) {
        let then = Then::Wait { more };
        (Self::LettingGo { then }, Step::LetGo)
    }
}

/// Failures in a row that end an attachment.
const FAILURES: u8 = 3;
/// Right canaries in a row that begin one again after failures.
const AFTER_FAILURE: u8 = 2;
/// The same after an attempt that did not hold: five seconds of peace.
const AFTER_REFUSAL: u8 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// `r` right, `w` wrong, `c` changed, `h` held, `n` refused, `f` released, `s` stop.
    fn play(events: &str) -> String {
        let mut state = State::START;
        let mut steps = String::new();
        for letter in events.chars() {
            let event = match letter {
                'r' => Event::Right,
                'w' => Event::Wrong,
                'c' => Event::Changed,
                'h' => Event::Held,
                'n' => Event::Refused,
                'f' => Event::Released,
                _ => Event::Stop,
            };
            let (next, step) = state.on(event);
            state = next;
            steps.push(match step {
                Step::Ask => '.',
                Step::Attach => 'A',
                Step::LetGo => 'L',
                Step::End => 'E',
            });
        }
        steps
    }

    #[test]
    fn it_attaches_and_lets_go_as_the_canary_says() {
        #[rustfmt::skip]
        let cases = [
            ("one right canary attaches",           "r",               "A"),
            ("not before it is right",              "wwwr",            "...A"),
            ("two failures are none",               "rhwwr",           "A...."),
            ("three in a row let go",               "rhwww",           "A...L"),
            ("only in a row",                       "rhwwrwwrww",      "A........."),
            ("after failures two in a row",         "rhwwwfrr",        "A...L..A"),
            ("a failure between does not count back", "rhwwwfrwr",     "A...L...A"),
            ("what does not hold is left for 5 s",  "rnrrrrrrrrrr",    "A..........A"),
            ("a change attaches anew at once",      "rhcfr",           "A.L.A"),
            ("the end lets go first",               "rhsf",            "A.LE"),
            ("and in the middle of attaching",      "rsf",             "ALE"),
            ("waiting it just ends",                "s",               "E"),
            ("nothing comes after the end",         "srwh",            "EEEE"),
            ("failures while letting go are late",  "rhwwwwf",         "A...LL."),
            ("a change while waiting means nothing", "cr",             ".A"),
        ];
        for (why, events, steps) in cases {
            assert_eq!(play(events), steps, "{why}");
        }
    }
}
