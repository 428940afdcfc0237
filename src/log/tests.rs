//! Lines as they come out at the other end, and what happens when nobody takes them.

use super::{Format, Level, Log, QUEUE, io, subscriber, thread};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing::subscriber::with_default;
use tracing::{debug, info, warn};

/// Keeps what is written; whoever holds the lock keeps the writer waiting.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines without the time each begins with.
    fn lines(&self) -> Vec<String> {
        let text = self.text();
        text.lines()
            .map(|line| line.split_once(' ').unwrap().1.to_owned())
            .collect()
    }
}

fn logged(level: Level, format: Format, events: impl FnOnce(&Log)) -> Paper {
    let paper = Paper::default();
    let (subscriber, log) = subscriber(level, format, paper.clone()).unwrap();
    with_default(subscriber, || events(&log));
    log.flush();
    paper
}

#[test]
fn a_text_line_has_time_level_sentence_and_fields() {
    let paper = logged(Level::Info, Format::Text, |_| {
        let upstream: std::net::SocketAddr = "9.9.9.9:53".parse().unwrap();
        info!(%upstream, reason = "timeout", failures = 3, "upstream is down");
        warn!(
            empty = "",
            text = "two words",
            forged = "x\n2026",
            "a message\nof two lines"
        );
    });
    let lines = [
        "INFO upstream is down upstream=9.9.9.9:53 reason=timeout failures=3",
        "WARN a message\\nof two lines empty=\"\" text=\"two words\" forged=\"x\\n2026\"",
    ];
    assert_eq!(paper.lines(), lines);
    let time = paper.text().split(' ').next().unwrap().to_owned();
    assert_eq!(
        (time.len(), time.ends_with('Z')),
        ("2026-11-22T05:20:00Z".len(), true),
        "{time}"
    );
}

#[test]
fn a_json_line_is_one_flat_object() {
    let paper = logged(Level::Info, Format::Json, |_| {
        info!(reason = "timeout", failures = 3, "upstream is \"down\"");
    });
    let line: serde_json::Value = serde_json::from_str(&paper.text()).unwrap();
    for (field, want) in [
        ("level", serde_json::json!("INFO")),
        ("message", serde_json::json!("upstream is \"down\"")),
        ("reason", serde_json::json!("timeout")),
        ("failures", serde_json::json!(3)),
    ] {
        assert_eq!(line[field], want, "{line}");
    }
    assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn the_level_can_change_and_libraries_are_kept_short() {
    let paper = logged(Level::Info, Format::Text, |log| {
        debug!("unheard");
        info!(target: "hickory_proto", "unheard");
        warn!(target: "hickory_proto", "heard");
        warn!(target: "hickory_resolver::system_conf", "unheard");
        warn!(target: "h2::proto::streams", "unheard");
        log.set_level(Level::Debug);
        debug!("heard");
        debug!(target: "hyper", "unheard");
        log.set_level(Level::Off);
        warn!("unheard");
        tracing::error!(target: "hyper", "unheard");
    });
    assert_eq!(paper.lines(), ["WARN heard", "DEBUG heard"]);
}

#[test]
fn a_reader_that_stops_costs_lines_but_nobody_waits() {
    let paper = Paper::default();
    for format in [Format::Text, Format::Json] {
        let (subscriber, log) = subscriber(Level::Info, format, paper.clone()).unwrap();
        with_default(subscriber, || {
            let reader = paper.0.lock().unwrap();
            // One more than the queue holds may be in the writer's hands.
            for number in 0..QUEUE + 8 {
                info!(number, "line");
            }
            let dropped = log.dropped();
            assert!((7..=8).contains(&dropped), "{dropped}");
            log.flush();
            drop(reader);
            log.flush();
            let loss = match format {
                Format::Text => format!(" WARN log lines were dropped count={dropped}\n"),
                Format::Json => format!("\"log lines were dropped\",\"count\":{dropped}}}\n"),
            };
            // The loss is said after the last line, which is all that flush waits for.
            let said = (0..200).any(|_| {
                thread::sleep(Duration::from_millis(5));
                paper.text().ends_with(&loss)
            });
            assert!(said, "no line says {loss}");
        });
    }
}
