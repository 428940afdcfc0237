//! Whoever ends, and however: names that are none of ours go on resolving, and nothing is left.

use crate::daemon::host::{FIGURE, resolved as program};
use crate::daemon::program::Program;
use crate::daemon::{millis, now, until};
use crate::outage::Observer;
use crate::world::{
    LISTED, OTHER, PROVIDER, Server, ask_servers, attach, is_as_before, is_cured, nothing_is_left,
    provider, run, systemd_resolved, usual,
};
use rustix::process::Signal;
use std::time::Duration;

/// Longer than this no other name may fail.
const PROMISED: Duration = Duration::from_secs(3);

/// A host that is attached.
struct Attached {
    daemon: Program,
    attach: Program,
    _servers: Vec<Server>,
}

fn by_redirect() -> Attached {
    let servers = vec![provider()];
    ask_servers(&[PROVIDER]);
    attached("redirect", servers)
}

fn by_resolved() -> Attached {
    let mut servers = vec![provider()];
    servers.extend(systemd_resolved(&program().unwrap()));
    attached("resolved", servers)
}

fn attached(mode: &str, servers: Vec<Server>) -> Attached {
    let daemon = run(&usual());
    let attach = attach(mode, &usual());
    attach.says("attached way=");
    assert!(is_cured());
    Attached {
        daemon,
        attach,
        _servers: servers,
    }
}

/// Does something to it while both kinds of names are being looked up, and waits until all is as it was before.
fn observe(what: &str, act: impl FnOnce()) -> (Duration, Duration) {
    let (listed, other) = (Observer::of(LISTED), Observer::of(OTHER));
    std::thread::sleep(millis(300));
    let begun = now();
    act();
    until("all is as before", || is_as_before().then_some(()));
    let back = begun.elapsed();
    std::thread::sleep(millis(1200));
    let (listed, other) = (listed.worst(), other.worst());
    println!(
        "{FIGURE}{what}: all as before after {back:?}; longest failure of {LISTED} {listed:?}, of {OTHER} {other:?}"
    );
    assert!(other < PROMISED, "{what}: {other:?}");
    assert!(listed < PROMISED, "{what}: {listed:?}");
    (listed, other)
}

pub(crate) fn redirect_run_killed() {
    let host = by_redirect();
    run_killed("redirect", host);
}

pub(crate) fn resolved_run_killed() {
    let host = by_resolved();
    let (_, other) = run_killed("resolved", host);
    assert_eq!(other, Duration::ZERO, "other names never come to us");
}

fn run_killed(way: &str, host: Attached) -> (Duration, Duration) {
    let Attached {
        daemon,
        mut attach,
        _servers,
    } = host;
    let found = observe(&format!("{way}, kill -9 of run"), || {
        daemon.signal(Signal::KILL);
    });
    attach.says("let go");
    nothing_is_left();
    // And in again once it is well.
    let begun = now();
    let _daemon = run(&usual());
    until("attached again", || {
        (attach.count("attached way=") == 2).then_some(())
    });
    println!("{FIGURE}{way}: attached again after {:?}", begun.elapsed());
    until("cured again", || is_cured().then_some(()));
    attach.signal(Signal::TERM);
    assert_eq!(attach.ends(), Some(0));
    nothing_is_left();
    found
}

pub(crate) fn redirect_run_stopped() {
    let host = by_redirect();
    run_stopped("redirect", &host);
}

pub(crate) fn resolved_run_stopped() {
    let host = by_resolved();
    let (_, other) = run_stopped("resolved", &host);
    assert_eq!(other, Duration::ZERO, "other names never come to us");
}

fn run_stopped(way: &str, host: &Attached) -> (Duration, Duration) {
    let found = observe(&format!("{way}, SIGSTOP of run"), || {
        host.daemon.signal(Signal::STOP);
    });
    host.attach.says("did not answer within 500 ms");
    host.attach.says("let go");
    nothing_is_left();
    host.daemon.signal(Signal::CONT);
    until("attached again", || {
        (host.attach.count("attached way=") == 2).then_some(())
    });
    until("cured again", || is_cured().then_some(()));
    found
}

pub(crate) fn redirect_attach_killed() {
    attach_killed("redirect", &by_redirect());
}

pub(crate) fn resolved_attach_killed() {
    attach_killed("resolved", &by_resolved());
}

fn attach_killed(way: &str, host: &Attached) {
    observe(&format!("{way}, kill -9 of attach"), || {
        host.attach.signal(Signal::KILL);
    });
    nothing_is_left();
}

pub(crate) fn redirect_both_killed() {
    both_killed("redirect", &by_redirect());
}

pub(crate) fn resolved_both_killed() {
    both_killed("resolved", &by_resolved());
}

fn both_killed(way: &str, host: &Attached) {
    observe(&format!("{way}, kill -9 of both"), || {
        host.daemon.signal(Signal::KILL);
        host.attach.signal(Signal::KILL);
    });
    nothing_is_left();
}
