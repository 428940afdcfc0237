//! A server that is known by its name, and moves.

use super::NAME;
use super::authority::Authority;
use super::daemon::client::ask;
use super::daemon::upstream::{Say, Upstream};
use super::daemon::{start, until, wire};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::time::Duration;

/// unsix before `place`, which is at 127.0.0.1 while it is `alive` and then at 127.0.0.7, as a bootstrap server tells.
/// `told` are the names by which it was asked first; `is_followed`: the other place was asked for `b.example`.
pub(crate) fn follows(
    place: &str,
    authority: &Authority,
    alive: &AtomicBool,
    told: impl Fn() -> Vec<Option<String>>,
    is_followed: impl Fn() -> bool,
) {
    let host = Arc::new(AtomicU8::new(1));
    let now_at = host.clone();
    let names = Upstream::new(move |asked| {
        let packet = match asked.kind {
            wire::A => wire::ipv4(&asked.packet, [127, 0, 0, now_at.load(Relaxed)]),
            _ => wire::no_data(&asked.packet),
        };
        vec![(Duration::ZERO, Say::Here(packet))]
    });
    let daemon = start(&format!(
        "bootstrap: [\"{}\"]\nupstreams: [\"{place}?ca={}\"]\n",
        names.address,
        authority.file.display()
    ));
    let reply = ask(daemon.addresses()[0], "a.example", wire::A);
    assert_eq!(wire::rcode_of(&reply), wire::NOERROR);
    assert_eq!(told(), [Some(NAME.to_owned())]);
    assert_eq!(names.asked("dns.test.").len(), 2, "A and AAAA");
    assert!(
        names.asked("a.example.").is_empty(),
        "asked for nothing else"
    );
    // Long before its TTL is over, and its former place has another server.
    host.store(7, Relaxed);
    alive.store(false, Relaxed);
    until("an answer of the new place", || {
        let reply = ask(daemon.addresses()[0], "b.example", wire::A);
        (wire::rcode_of(&reply) == wire::NOERROR).then_some(())
    });
    assert!(is_followed());
}
