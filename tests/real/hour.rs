//! An hour under Debian's faketime, the monotonic clock faked too.
//!
//! Waits that read a clock of their own would hang here, and TTLs that count anything but the
//! clock would stand still.

use crate::Fallible;
use crate::needs::faketime;
use crate::packet::Query;
use crate::process::{Folder, command, wait_for};
use crate::servers::{Unsix, World};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

const LONG: Query<'static> = query("long.odd.example");
const SHORT: Query<'static> = query("short.odd.example");
const BRIEF: Query<'static> = query("brief.odd.example");

const fn query(name: &'static str) -> Query<'static> {
    Query {
        name,
        kind: 1,
        edns: Some(1232),
    }
}

/// The clock is moved by a minute sixty times; every question in between is answered.
pub(crate) fn jumps(world: &World) -> Fallible<()> {
    let folder = Folder::new()?;
    let clock = folder.path().join("clock");
    set(&folder, 0)?;
    let mut program = faked()?;
    program.env("FAKETIME_TIMESTAMP_FILE", &clock);
    program.env("FAKETIME_NO_CACHE", "1");
    let mut unsix = Unsix::start_as(program, "127.0.0.1:0", world.knot()?, "")?;
    let ttl = |query: Query<'_>| ttl_of(&unsix, query);

    assert_eq!((ttl(LONG)?, ttl(SHORT)?, ttl(BRIEF)?), (7200, 1800, 300));
    for minute in 1..=60 {
        set(&folder, minute * 60)?;
        near(ttl(LONG)?, 7200 - minute * 60, "a TTL ages");
        near(
            ttl(BRIEF)?,
            300 - minute % 5 * 60,
            "what expires every five minutes is asked anew",
        );
    }
    near(
        ttl(SHORT)?,
        1800,
        "what expired while nobody looked is asked anew",
    );
    let asked = unsix.metric("unsix_upstream_queries_total")?;
    near(
        ttl(LONG)?,
        3600,
        "what has not expired comes from the cache",
    );
    assert_eq!(unsix.metric("unsix_upstream_queries_total")?, asked);
    ends_well(&mut unsix)
}

/// The clock runs six hundred times as fast: waits end when they should, not an hour later.
pub(crate) fn runs_fast(world: &World) -> Fallible<()> {
    let mut program = faked()?;
    program.env("FAKETIME", "+0 x600");
    let mut unsix = Unsix::start_as(program, "127.0.0.1:0", world.knot()?, "")?;
    // All that an upstream has is 4 ms of ours: a busy machine may need a few goes.
    let first = wait_for(20, || Ok(ttl_of(&unsix, LONG).ok()))?;
    // Six seconds of ours are 3,600 of its own.
    for _ in 0..60 {
        sleep(Duration::from_millis(100));
        // Any reply will do: fresh, stale, or that there is none in time.
        SHORT.over_udp(unsix.address)?;
    }
    let last = ttl_of(&unsix, LONG)?;
    let passed = first.saturating_sub(last);
    assert!(passed >= 3600, "from {first} to {last}");
    ends_well(&mut unsix)
}

fn ends_well(unsix: &mut Unsix) -> Fallible<()> {
    let status = unsix.terminate()?;
    assert_eq!(status.code(), Some(0), "{}", unsix.said());
    assert!(!unsix.said().contains("panicked"), "{}", unsix.said());
    Ok(())
}

fn faked() -> Fallible<Command> {
    let mut program = command(Path::new(env!("CARGO_BIN_EXE_unsix")));
    program.env("LD_PRELOAD", faketime().ok_or("no libfaketime")?);
    program.env("FAKETIME_DONT_FAKE_MONOTONIC", "0");
    Ok(program)
}

/// Moves the clock. By a rename, so that nobody reads half a number.
fn set(folder: &Folder, seconds: u32) -> Fallible<()> {
    let new = folder.write("clock.new", &format!("+{seconds}s\n"))?;
    fs::rename(&new, new.with_extension("")).map_err(|error| error.to_string())
}

fn ttl_of(unsix: &Unsix, query: Query<'_>) -> Fallible<u32> {
    let reply = query
        .over_udp(unsix.address)
        .map_err(|error| format!("{error}\n{}", unsix.said()))?;
    let ttl = reply.ttls.first().filter(|_| reply.rcode == 0);
    ttl.copied()
        .ok_or_else(|| format!("{}: {reply:?}", query.name))
}

/// The clock runs on between two looks at it.
#[track_caller]
fn near(ttl: u32, want: u32, why: &str) {
    let late = want.checked_sub(ttl).is_some_and(|late| late <= 15);
    assert!(late, "{why}: {want} s should be left, not {ttl}");
}
