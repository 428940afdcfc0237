//! How long a name could not be resolved, as a program sees it.

use crate::daemon::{millis, now};
use crate::world::lookup;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Looks a name up again and again.
pub(crate) struct Observer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Observer {
    pub(crate) fn of(name: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let (mut worst, mut since) = (Duration::ZERO, None::<Instant>);
            while !told.load(Relaxed) {
                let begun = now();
                match lookup(name) {
                    Ok(_) => {
                        let longest = since.take().map_or(Duration::ZERO, |since| since.elapsed());
                        worst = worst.max(longest);
                    }
                    Err(_) => since = since.or(Some(begun)),
                }
                thread::sleep(millis(20));
            }
            worst.max(since.map_or(Duration::ZERO, |since| since.elapsed()))
        });
        Self { stop, thread }
    }

    /// The longest time from the beginning of a lookup that failed to the end of the next that did not.
    pub(crate) fn worst(self) -> Duration {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap()
    }
}
