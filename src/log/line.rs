//! How a line of the log looks as text.
//!
//! `2026-11-22T05:20:00Z INFO upstream is down upstream=9.9.9.9:53 reason=timeout failures=3`: the
//! time in UTC, the level, a short sentence, then fields. A value that could be taken for more than
//! one, or that holds control characters, stands in quotes and escaped, so that what a stranger
//! sent can never look like a line of its own.

use std::fmt::{self, Debug, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes events as text.
pub(super) struct TextLine;

impl<S, N> FormatEvent<S, N> for TextLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        write_time(&mut writer, now())?;
        let Fields { message, rest } = fields;
        writeln!(writer, " {}{message}{rest}", event.metadata().level())
    }
}

/// An event's sentence and its fields, each with the space before it.
#[derive(Default)]
struct Fields {
    message: String,
    rest: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field.name(), &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value);
    }
}

impl Fields {
    fn add(&mut self, name: &str, value: &str) {
        if name == "message" {
            self.message.push(' ');
            for character in value.chars() {
                match character.is_control() {
                    true => self.message.extend(character.escape_default()),
                    false => self.message.push(character),
                }
            }
            return;
        }
        let ambiguous = |character: char| {
            character.is_whitespace() || character.is_control() || matches!(character, '"' | '=')
        };
        let quoted = value.is_empty() || value.contains(ambiguous);
        let written = if quoted {
            write!(self.rest, " {name}={value:?}")
        } else {
            write!(self.rest, " {name}={value}")
        };
        written.expect("writing to a string cannot fail");
    }
}

/// Times of JSON lines.
pub(super) struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write_time(writer, now())
    }
}

/// Time since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "a line of the log says when it was written"
)]
pub(super) fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Writes a time as RFC 3339 has it, in UTC, to the second.
pub(super) fn write_time(writer: &mut impl Write, since_1970: Duration) -> fmt::Result {
    const DAY: u64 = 86_400;
    let seconds = since_1970.as_secs();
    let (year, month, day) = date(seconds / DAY);
    let (hour, minute, second) = (seconds % DAY / 3600, seconds % 3600 / 60, seconds % 60);
    write!(
        writer,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
    )
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
            let mut text = String::new();
            write_time(&mut text, Duration::from_secs(seconds)).unwrap();
            assert_eq!(text, want);
        }
    }
}
