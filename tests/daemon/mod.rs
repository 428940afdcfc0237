//! What tests of the real daemon share: a scripted upstream on loopback, clients, the program as a
//! child process, and HTTP. Real sockets and real time, so every wait here is bounded.
//!
//! Packets are built and taken apart by hand or by hickory-proto, never by the code under test.

#![allow(
    dead_code,
    reason = "each test file is a crate of its own and uses a part"
)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what cannot be had here ends the test"
)]

pub(crate) mod authority;
pub(crate) mod client;
pub(crate) mod files;
pub(crate) mod host;
pub(crate) mod http;
pub(crate) mod load;
pub(crate) mod namespace;
pub(crate) mod network;
pub(crate) mod ports;
pub(crate) mod program;
pub(crate) mod samples;
pub(crate) mod tls;
pub(crate) mod upstream;
pub(crate) mod wire;

use std::time::{Duration, Instant};
use unsix::config::Config;
use unsix::daemon::Daemon;

/// A daemon in this process, that hears on a port of the kernel's choice unless `config` says otherwise.
pub(crate) fn start(config: &str) -> Daemon {
    let config = if config.starts_with("listen:") {
        config.to_owned()
    } else {
        format!("listen: [\"127.0.0.1:0\"]\n{config}")
    };
    let config = if config.contains("admin:") {
        config
    } else {
        format!("{config}\nadmin: off\n")
    };
    let config = Config::read(&config).unwrap_or_else(|problems| panic!("{config}\n{problems:#?}"));
    Daemon::start(&config, None).unwrap()
}

/// Waits until something is so, 10 s at most.
#[track_caller]
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within_ten_seconds(look).unwrap_or_else(|| panic!("it never came: {what}"))
}

pub(crate) fn within_ten_seconds<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = now();
    loop {
        let found = look();
        if found.is_some() || start.elapsed() > Duration::from_secs(10) {
            return found;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[expect(clippy::disallowed_methods, reason = "these tests are about real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
