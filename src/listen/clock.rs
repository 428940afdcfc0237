//! The clock of the serving path: monotonic, by std alone, so that a faked clock moves it too.

use crate::time::Moment;
use std::time::Instant;

/// Tells the time since the daemon's start.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Zero is now.
    #[expect(
        clippy::disallowed_methods,
        reason = "listen is where the time of a query is taken"
    )]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since then.
    pub fn now(self) -> Moment {
        let micros = u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX);
        Moment::from_micros(micros)
    }
}
