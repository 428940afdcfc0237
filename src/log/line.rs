//! How a line of the log looks as text.
//!
//! `2026-11-22T05:20:00Z INFO upstream is down upstream=9.9.9.9:53 reason=timeout failures=3`: the
//! time in UTC, the level, a short sentence, then fields. A value that could be taken for more than
//! one, or that holds control characters, stands in quotes and escaped, so that what a stranger
//! sent can never look like a line of its own.

use crate::time::Utc;
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
        write!(writer, "{}", Utc(now()))?;
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
        write!(writer, "{}", Utc(now()))
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
