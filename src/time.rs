//! A moment as a number.
//!
//! Pure rooms never read a clock: the shells read it once per batch and hand the moment in, and a
//! scenario counts it up by hand.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// Microseconds since a zero that the process chose at its start; monotonic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The zero itself.
    pub const ZERO: Self = Self(0);

    /// The moment that many microseconds after the zero.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the zero.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; nothing if it is not after it.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

/// A time of the calendar, as RFC 3339 writes it, in UTC, to the second: given as the time since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utc(pub Duration);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAY: u64 = 86_400;
        let seconds = self.0.as_secs();
        let (year, month, day) = date(seconds / DAY);
        let (hour, minute, second) = (seconds % DAY / 3600, seconds % 3600 / 60, seconds % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

/// The Gregorian date so many days after 1970-01-01.
const fn date(days: u64) -> (u64, u64, u64) {
    // Years are taken to begin in March, so that the leap day comes last; 1970-01-01 is day
    // 719,468 after the March of year 0, and the calendar repeats every 400 years.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leap_days = day_of_era / 1460 + day_of_era / 146_096 - day_of_era / 36_524;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Five months from March, and from August, have 153 days together.
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = 400 * era + year_of_era + (month <= 2) as u64;
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_has_them() {
        #[rustfmt::skip]
        let cases = [
            (0,                "1970-01-01T00:00:00Z"),
            (951_782_399,      "2000-02-28T23:59:59Z"),
            (951_782_400,      "2000-02-29T00:00:00Z"),
            (1_709_251_199,    "2024-02-29T23:59:59Z"),
            (1_795_324_800,    "2026-11-22T05:20:00Z"),
            (4_107_542_400,    "2100-03-01T00:00:00Z"),
            (253_402_300_799,  "9999-12-31T23:59:59Z"),
        ];
        for (seconds, want) in cases {
            assert_eq!(Utc(Duration::from_secs(seconds)).to_string(), want);
        }
    }
}
