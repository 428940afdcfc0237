//! What a generator counted: queries, replies, and how long each took.

use std::time::Duration;

/// What should come back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// NOERROR with a record.
    Records,
    /// NOERROR without one: what was there has been filtered.
    NoRecords,
}

/// The count of one run.
pub(crate) struct Tally {
    /// Sent.
    pub(crate) queries: u64,
    /// Replies to them, right or wrong.
    pub(crate) answers: u64,
    /// Replies with another code than NOERROR, cut ones, or with records where none are expected, or without.
    pub(crate) wrong: u64,
    /// Never answered.
    pub(crate) lost: u64,
    /// From the first query to the end of the last wait.
    pub(crate) span: Duration,
    latencies: Latencies,
}

impl Tally {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            queries: 0,
            answers: 0,
            wrong: 0,
            lost: 0,
            span: Duration::ZERO,
            latencies: Latencies(vec![0; MOST_MICROS + 1]),
        }
    }

    /// Counts a reply that took so long.
    pub(crate) fn count(&mut self, reply: &[u8], expect: Expect, took: Duration) {
        self.answers += 1;
        self.wrong += u64::from(!is_expected(reply, expect));
        self.latencies.count(took);
    }

    /// Whether a run of this length is over: a slow machine gets more time for its first reply.
    pub(crate) fn is_over(&self, elapsed: Duration, span: Duration) -> bool {
        elapsed >= span && (self.answers > 0 || elapsed > SILENCE)
    }

    /// The time that this share of the replies did not exceed, in microseconds; 65,536 and more are told as that.
    pub(crate) fn quantile(&self, share: f64) -> u64 {
        self.latencies.quantile(share)
    }
}

/// Who says nothing for so long will not.
pub(crate) const SILENCE: Duration = Duration::from_secs(5);

fn is_expected(reply: &[u8], expect: Expect) -> bool {
    let Some(&[_, _, flags, code, _, _, high, low]) = reply.first_chunk() else {
        return false;
    };
    // QR set, TC not, RCODE 0.
    let is_good = flags & 0x82 == 0x80 && code & 0x0f == 0;
    is_good && ((high | low) != 0) == (expect == Expect::Records)
}

/// Replies by the microseconds they took: exact, and as cheap for a million as for one.
struct Latencies(Vec<u32>);

const MOST_MICROS: usize = 65_536;

impl Latencies {
    fn count(&mut self, took: Duration) {
        let micros = usize::try_from(took.as_micros()).unwrap_or(MOST_MICROS);
        if let Some(bin) = self.0.get_mut(micros.min(MOST_MICROS)) {
            *bin += 1;
        }
    }

    fn quantile(&self, share: f64) -> u64 {
        let all: u64 = self.0.iter().map(|count| u64::from(*count)).sum();
        let wanted = (all as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (count, micros) in self.0.iter().zip(0..) {
            seen += u64::from(*count);
            if seen >= wanted {
                return micros;
            }
        }
        0
    }
}
