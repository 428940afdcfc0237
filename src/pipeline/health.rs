//! What we think of each upstream: up or down, how fast, how busy.
//!
//! Shared by all drivers through atomics; nothing here waits or reads a clock. A server that let one
//! try pass without a word to anybody is down at once, so a dead first server costs one try and then none; the
//! driver on duty asks it again each second, and any answer lifts it up.

use crate::config::Server;
use crate::message::Transport;
use crate::time::Moment;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// One upstream server.
#[derive(Debug)]
pub struct Upstream {
    /// Where it listens, and how it is asked.
    pub server: Server,
    state: AtomicU8,
    /// Smoothed round-trip time in microseconds; 0 until the first answer.
    smoothed: AtomicU32,
    in_flight: AtomicU32,
    /// When it last gave a valid answer, in microseconds.
    heard: AtomicU64,
    queries: AtomicU64,
    failures: [AtomicU64; Trouble::ALL.len()],
}

/// Whether an upstream is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Asked.
    Up,
    /// Asked only while nobody is up.
    Down,
    /// Its answers come from ourselves: never asked but by the loop probe.
    Looping,
}

/// Why an exchange with an upstream did not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No valid answer in the time of the try.
    Timeout,
    /// Refused, no route, or a stream that broke.
    Unreachable,
    /// Its certificate or key does not prove that it is the server we mean.
    Certificate,
    /// The TLS handshake failed otherwise.
    Tls,
    /// It said by HTTP that it has no answer.
    Http,
    /// We had no socket to send from: it says nothing about the upstream.
    NoSocket,
    /// SERVFAIL, REFUSED, FORMERR, NOTIMP or another RCODE that is no answer.
    Rcode,
    /// A packet with another id or question.
    Mismatch,
    /// A packet that does not parse or answers nothing.
    Garbled,
    /// An alias chain that loops or has over 16 names.
    Chain,
}

impl Trouble {
    /// Every kind, in the order of [`Upstream::failures`].
    pub const ALL: [Self; 10] = [
        Self::Timeout,
        Self::Unreachable,
        Self::Certificate,
        Self::Tls,
        Self::Http,
        Self::NoSocket,
        Self::Rcode,
        Self::Mismatch,
        Self::Garbled,
        Self::Chain,
    ];

    /// The value of the metric's `reason` label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Certificate => "certificate",
            Self::Tls => "tls",
            Self::Http => "http",
            Self::NoSocket => "no_socket",
            Self::Rcode => "rcode",
            Self::Mismatch => "mismatch",
            Self::Garbled => "garbled",
            Self::Chain => "chain",
        }
    }
}

impl Upstream {
    /// One that nobody has asked yet: taken for up.
    pub fn new(server: Server) -> Self {
        Self {
            server,
            state: AtomicU8::new(0),
            smoothed: AtomicU32::new(0),
            in_flight: AtomicU32::new(0),
            heard: AtomicU64::new(0),
            queries: AtomicU64::new(0),
            failures: Default::default(),
        }
    }

    /// How its answers come, unless one fits no datagram.
    pub fn transport(&self) -> Transport {
        match self.server {
            Server::Plain(_) => Transport::Datagram,
            Server::Encrypted(_) => Transport::Stream,
        }
    }

    /// Whether it is asked.
    pub fn state(&self) -> State {
        match self.state.load(Relaxed) {
            0 => State::Up,
            1 => State::Down,
            _ => State::Looping,
        }
    }

    /// Sets the state; true if it was another.
    pub fn turn(&self, state: State) -> bool {
        let number = match state {
            State::Up => 0,
            State::Down => 1,
            State::Looping => 2,
        };
        self.state.swap(number, Relaxed) != number
    }

    /// Up, and not at its limit of questions in flight.
    pub fn is_willing(&self) -> bool {
        self.state() == State::Up && self.has_room()
    }

    /// Not at its limit of questions in flight.
    pub fn has_room(&self) -> bool {
        self.in_flight.load(Relaxed) < MOST_IN_FLIGHT
    }

    /// How long one datagram try lasts: three round trips, between 300 and 800 ms.
    pub fn patience(&self) -> Duration {
        match self.smoothed.load(Relaxed) {
            0 => UNKNOWN,
            micros => Duration::from_micros(u64::from(micros) * 3).clamp(SHORTEST_TRY, LONGEST_TRY),
        }
    }

    /// Smoothed round-trip time; none before the first answer.
    pub fn round_trip(&self) -> Option<Duration> {
        match self.smoothed.load(Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros.into())),
        }
    }

    /// A query goes out.
    pub(super) fn asked(&self) {
        self.queries.fetch_add(1, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// That query is no longer waited for.
    pub(super) fn settled(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// An answer came after this time.
    pub(super) fn heard_after(&self, round_trip: Duration) {
        let sample = u32::try_from(round_trip.as_micros())
            .unwrap_or(u32::MAX)
            .max(1);
        let old = self.smoothed.load(Relaxed);
        // RFC 6298 §2: SRTT with alpha = 1/8.
        let new = if old == 0 {
            sample
        } else {
            old - old / 8 + sample / 8
        };
        self.smoothed.store(new.max(1), Relaxed);
    }

    /// A valid answer came.
    pub(super) fn heard(&self, now: Moment) {
        self.heard.fetch_max(now.as_micros(), Relaxed);
    }

    /// Whether anybody has had a valid answer since then: one slow name does not make a dead server.
    pub(super) fn was_heard_since(&self, sent: Moment) -> bool {
        self.heard.load(Relaxed) > sent.as_micros()
    }

    /// Counts trouble.
    pub(super) fn troubled(&self, trouble: Trouble) {
        if let Some(counter) = self.failures.get(trouble as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// Queries sent to it since it was first configured.
    pub fn queries(&self) -> u64 {
        self.queries.load(Relaxed)
    }

    /// Failed exchanges with it, in the order of [`Trouble::ALL`].
    pub fn failures(&self) -> [u64; Trouble::ALL.len()] {
        std::array::from_fn(|index| self.failures.get(index).map_or(0, |c| c.load(Relaxed)))
    }
}

/// Bounds of one try (answers.md 10).
const SHORTEST_TRY: Duration = Duration::from_millis(300);
pub(super) const LONGEST_TRY: Duration = Duration::from_millis(800);
/// A try at a server whose round trip nobody has measured.
const UNKNOWN: Duration = Duration::from_millis(400);
/// Questions in flight at one upstream.
const MOST_IN_FLIGHT: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::{State, Upstream};
    use crate::config::Server;
    use std::time::Duration;

    #[test]
    fn a_try_lasts_three_round_trips_within_bounds() {
        #[rustfmt::skip]
        let cases = [
            ("nobody knows",      &[][..],    400),
            ("a near one",        &[1],       300),
            ("a middling one",    &[150],     450),
            ("a far one",         &[2_000],   800),
            ("smoothed",          &[100, 200, 200], 351),
        ];
        for (why, samples, want) in cases {
            let upstream = Upstream::new(Server::Plain("192.0.2.1:53".parse().unwrap()));
            for sample in samples {
                upstream.heard_after(Duration::from_millis(*sample));
            }
            assert!(
                upstream.patience().as_millis().abs_diff(want) <= 20,
                "{why}"
            );
        }
    }

    #[test]
    fn a_turn_tells_whether_it_changed_anything() {
        let upstream = Upstream::new(Server::Plain("192.0.2.1:53".parse().unwrap()));
        assert!(!upstream.turn(State::Up));
        assert!(upstream.turn(State::Down));
        assert!(!upstream.is_willing());
        assert!(upstream.turn(State::Looping));
        assert_eq!(upstream.state(), State::Looping);
    }
}
