//! The clocks of the harness: one that only goes forward for spans, and the calendar for file names.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A moment to measure spans from.
#[expect(clippy::disallowed_methods, reason = "a harness takes the time itself")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The time of day, UTC, as `2025-01-31T12:00:00Z`.
#[expect(clippy::disallowed_methods, reason = "a harness takes the time itself")]
pub(crate) fn time() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = since.map_or(0, |since| since.as_secs());
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let (year, month, day) = civil(seconds / 86_400);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a day counted from 1970-01-01: years begin in March, so that the leap day ends one.
fn civil(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year + u64::from(month <= 2);
    (year, month, day - (153 * shifted + 2) / 5 + 1)
}
