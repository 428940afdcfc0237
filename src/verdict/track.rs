//! One address of one host: is its IPv6 broken?
//!
//! Observations and the time in, a verdict out; no clock, no socket. `fall` failures in a row break, `rise` successes in
//! a row heal, and what broke stays so for a while, the longer the more often it broke lately.

use crate::probe::Outcome;
use crate::time::Moment;
use std::time::Duration;

/// What is thought of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Not enough was seen.
    #[default]
    Unknown,
    /// It works.
    Healthy,
    /// It fails, and the host's IPv4 works.
    Broken,
}

impl Verdict {
    /// The word of logs, metrics and the state file.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Broken => "broken",
        }
    }
}

/// What one round of probes showed of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It answered.
    Works,
    /// It did not, and the host's IPv4 did.
    Fails(Outcome),
    /// Nothing that speaks for or against it: IPv4 failed as well, or could not be asked.
    Nothing,
}

/// How much must be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Failures in a row that break.
    pub fall: u8,
    /// Successes in a row that heal.
    pub rise: u8,
    /// The least time broken.
    pub min_broken: Duration,
}

/// What is known of one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Track {
    /// What is thought of it.
    pub verdict: Verdict,
    /// When that was decided, since 1970; zero while nothing is.
    pub since: Duration,
    /// How it failed last, if it ever did.
    pub cause: Option<Outcome>,
    /// Whether the last observations failed, and how many in a row agreed; no more than matter.
    failing: bool,
    row: u8,
    /// Until then it stays broken.
    pub(super) held_until: Moment,
    /// The breaks that still count for how long the next one lasts.
    breaks: Vec<Moment>,
}

impl Track {
    /// One that was decided before this process began; broken ones are held for `hold`.
    pub(super) fn recalled(
        verdict: Verdict,
        since: Duration,
        cause: Option<Outcome>,
        held_until: Moment,
    ) -> Self {
        Self {
            verdict,
            since,
            cause,
            held_until,
            ..Self::default()
        }
    }

    /// Takes in what was seen at `now` (`wall` since 1970); true where the verdict is another one.
    pub fn observe(
        &mut self,
        seen: Seen,
        (now, wall): (Moment, Duration),
        limits: &Limits,
    ) -> bool {
        let failing = match seen {
            Seen::Nothing => return false,
            Seen::Works => false,
            Seen::Fails(cause) => {
                self.cause = Some(cause);
                true
            }
        };
        self.row = if failing == self.failing {
            self.row.saturating_add(1)
        } else {
            1
        };
        self.failing = failing;
        let next = self.decided(now, limits);
        if next == self.verdict {
            return false;
        }
        if next == Verdict::Broken {
            self.breaks.retain(|at| now.since(*at) < MEMORY);
            let doublings = u32::try_from(self.breaks.len()).unwrap_or(u32::MAX);
            self.held_until = now + limits.min_broken * (1 << doublings.min(MOST_DOUBLINGS));
            if self.breaks.len() >= MOST_BREAKS {
                self.breaks.remove(0);
            }
            self.breaks.push(now);
        }
        self.verdict = next;
        self.since = wall;
        true
    }

    fn decided(&self, now: Moment, limits: &Limits) -> Verdict {
        match (self.verdict, self.failing) {
            (_, true) if self.row >= limits.fall => Verdict::Broken,
            (Verdict::Broken, false) if now < self.held_until => Verdict::Broken,
            (_, false) if self.row >= limits.rise => Verdict::Healthy,
            (verdict, _) => verdict,
        }
    }

    /// Whether what is seen of late speaks against the verdict: then it pays to look again sooner.
    pub fn is_in_doubt(&self) -> bool {
        self.failing && self.verdict != Verdict::Broken
    }

    /// When it may heal, where only time is missing.
    pub fn waits_until(&self, limits: &Limits) -> Option<Moment> {
        let ready = self.verdict == Verdict::Broken && !self.failing && self.row >= limits.rise;
        ready.then_some(self.held_until)
    }

    /// Breaks within the last hour: more than one is flapping.
    pub fn breaks(&self, now: Moment) -> usize {
        self.breaks
            .iter()
            .filter(|at| now.since(**at) < MEMORY)
            .count()
    }
}

/// Breaks older than this are forgiven.
const MEMORY: Duration = Duration::from_secs(3600);
/// The least time broken doubles so often.
const MOST_DOUBLINGS: u32 = 3;
/// So many are remembered; fewer than that count.
const MOST_BREAKS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        fall: 3,
        rise: 5,
        min_broken: Duration::from_secs(300),
    };
    const STALL: Outcome = Outcome::TlsStall {
        mss_1220: false,
        small_hello: false,
    };

    /// Plays observations, one each 15 s: `w` works, `f` fails, `-` shows nothing, a number lets so many seconds pass;
    /// gives the verdicts that were reached, each with the second.
    fn play(script: &str) -> String {
        let mut track = Track::default();
        let mut second = 0;
        let mut told = Vec::new();
        for word in script.split(' ') {
            if let Ok(pause) = word.parse::<u64>() {
                second += pause;
                continue;
            }
            for letter in word.chars() {
                let seen = match letter {
                    'w' => Seen::Works,
                    'f' => Seen::Fails(STALL),
                    _ => Seen::Nothing,
                };
                let wall = Duration::from_secs(second);
                let now = Moment::ZERO + wall;
                if track.observe(seen, (now, wall), &LIMITS) {
                    assert_eq!(track.since, wall);
                    told.push(format!("{} at {second}", track.verdict.label()));
                }
                second += 15;
            }
        }
        told.join(", ")
    }

    #[test]
    fn observations_become_verdicts() {
        #[rustfmt::skip]
        let table = [
            ("nothing is known at first",                "",                              ""),
            ("two failures are not enough",              "ff",                            ""),
            ("three are",                                "fff",                           "broken at 30"),
            ("in a row",                                 "ffwffwff",                      ""),
            ("four successes are not enough",            "wwww",                          ""),
            ("five are",                                 "wwwww",                         "healthy at 60"),
            ("what shows nothing neither breaks nor mends a row", "ff-f ww--www",         "broken at 45"),
            ("IPv4 is dead as well: nothing is ever broken", "----------------",          ""),
            ("it breaks",                                "wwwwwfff",                      "healthy at 60, broken at 105"),
            ("it heals no sooner than after 5 minutes",  "fff wwwwwwwwwwwwwwwwwwwwwwww",  "broken at 30, healthy at 330"),
            ("and no sooner than after five successes",  "fff 400 wwwww",                 "broken at 30, healthy at 505"),
            ("a failure in between begins the row anew", "fff 400 wwwwfwwwww",            "broken at 30, healthy at 580"),
            ("a second break within an hour lasts twice as long", "fff 400 wwwww fff wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww", "broken at 30, healthy at 505, broken at 550, healthy at 1150"),
            ("breaks of long ago are forgiven",          "fff 400 wwwww 3600 fff wwwwwwwwwwwwwwwwwwwwwwwwwwwwwww", "broken at 30, healthy at 505, broken at 4150, healthy at 4450"),
        ];
        for (why, script, want) in table {
            assert_eq!(play(script), want, "{why}");
        }
    }

    #[test]
    fn the_least_time_broken_doubles_up_to_eight_times() {
        let mut track = Track::default();
        let mut now = Moment::ZERO;
        let limits = Limits {
            fall: 1,
            rise: 1,
            min_broken: Duration::from_secs(10),
        };
        let mut held = Vec::new();
        for _ in 0..6 {
            assert!(track.observe(Seen::Fails(STALL), (now, Duration::ZERO), &limits));
            assert!(!track.observe(Seen::Works, (now, Duration::ZERO), &limits));
            let until = track.waits_until(&limits).unwrap();
            held.push(until.since(now).as_secs());
            now = until;
            assert!(track.observe(Seen::Works, (now, Duration::ZERO), &limits));
        }
        assert_eq!(held, [10, 20, 40, 80, 80, 80]);
        assert_eq!(track.breaks(now), 6);
    }
}
