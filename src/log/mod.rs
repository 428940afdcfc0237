//! The log: one line per event on standard error.
//!
//! Nobody who logs ever waits. Lines pass through a bounded queue to a thread of their own; when
//! whatever reads standard error has stopped reading, lines are dropped, counted, and their number
//! is said once it reads again. The level can be changed while the process runs; libraries are
//! heard from warnings up.
//!
//! Waits here are sleeps of a fixed length: timed waits for a lock or a queue hang when the
//! process runs under a faked clock.

mod line;

use crate::config::{Format, Level};
use crate::time::Utc;
use line::{Clock, TextLine, now};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;
use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry, fmt, reload};

/// The running log.
#[derive(Clone)]
pub struct Log {
    targets: reload::Handle<Targets, Registry>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    queued: AtomicU64,
    written: AtomicU64,
    dropped: AtomicU64,
}

/// Starts the log of this process; once.
pub fn start(level: Level, format: Format) -> io::Result<Log> {
    let (subscriber, log) = subscriber(level, format, io::stderr())?;
    tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)?;
    Ok(log)
}

impl Log {
    /// From now on, lines below this level are not written.
    pub fn set_level(&self, level: Level) {
        // It fails when the log is gone, and nobody can be told then.
        let _ = self.targets.reload(targets(level));
    }

    /// Lines lost so far because nobody took them fast enough.
    pub fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }

    /// Waits until every line so far is written, or for 200 ms. For the end of the process.
    pub fn flush(&self) {
        const NAP: Duration = Duration::from_millis(5);
        const NAPS: u32 = 40;
        let queued = self.counts.queued.load(Ordering::Acquire);
        for _ in 0..NAPS {
            if self.counts.written.load(Ordering::Acquire) >= queued {
                break;
            }
            thread::sleep(NAP);
        }
    }
}

/// Lines that wait for the writer, at most.
const QUEUE: usize = 1024;

fn subscriber(
    level: Level,
    format: Format,
    output: impl Write + Send + 'static,
) -> io::Result<(impl Subscriber + Send + Sync, Log)> {
    let counts = Arc::new(Counts::default());
    let (sender, receiver) = sync_channel(QUEUE);
    let queue = Queue {
        sender,
        counts: counts.clone(),
    };
    let counted = counts.clone();
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || write_lines(&receiver, &counted, format, output))?;
    let (targets, handle) = reload::Layer::new(targets(level));
    let subscriber = Registry::default().with(targets).with(layer(format, queue));
    Ok((
        subscriber,
        Log {
            targets: handle,
            counts,
        },
    ))
}

fn targets(level: Level) -> Targets {
    let level = match level {
        Level::Off => LevelFilter::OFF,
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    };
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        // It would warn of an odd line in resolv.conf each time that file is looked at.
        .with_target(
            "hickory_resolver::system_conf",
            level.min(LevelFilter::ERROR),
        )
        // It would warn of each client that floods it.
        .with_target("h2", level.min(LevelFilter::ERROR))
        // The same, of packets that anyone can send.
        .with_target("quinn_proto", level.min(LevelFilter::ERROR))
        .with_target(env!("CARGO_CRATE_NAME"), level)
}

fn layer<S>(format: Format, queue: Queue) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = fmt::layer()
        .with_ansi(false)
        .with_target(false)
        .with_writer(queue);
    match format {
        Format::Text => layer.event_format(TextLine).boxed(),
        Format::Json => layer.json().flatten_event(true).with_timer(Clock).boxed(),
    }
}

/// The near end of the queue: takes one whole line at a time.
#[derive(Clone)]
struct Queue {
    sender: SyncSender<Vec<u8>>,
    counts: Arc<Counts>,
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Counted before it is sent, lest the writer be ahead of the count.
        self.counts.queued.fetch_add(1, Ordering::Release);
        if self.sender.try_send(line.to_vec()).is_err() {
            self.counts.queued.fetch_sub(1, Ordering::Release);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The far end: ends when the log is gone.
fn write_lines(lines: &Receiver<Vec<u8>>, counts: &Counts, format: Format, mut output: impl Write) {
    let mut told = 0;
    loop {
        let line = match lines.try_recv() {
            Ok(line) => line,
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) => {
                let dropped = counts.dropped.load(Ordering::Relaxed);
                if dropped > told {
                    // There is nowhere to report that the log itself cannot be written.
                    let _ = output.write_all(loss(format, dropped - told).as_bytes());
                    told = dropped;
                }
                match lines.recv() {
                    Ok(line) => line,
                    Err(_) => return,
                }
            }
        };
        let _ = output.write_all(&line);
        counts.written.fetch_add(1, Ordering::Release);
    }
}

/// The line that says how many were lost. It cannot take the queue's way.
fn loss(format: Format, count: u64) -> String {
    let time = Utc(now());
    match format {
        Format::Text => format!("{time} WARN log lines were dropped count={count}\n"),
        Format::Json => format!(
            "{{\"timestamp\":\"{time}\",\"level\":\"WARN\",\"message\":\"log lines were dropped\",\"count\":{count}}}\n"
        ),
    }
}

#[cfg(test)]
mod tests;
