//! What is left when nobody could tidy up: no file, link, address, route, rule, table or setting.

use crate::daemon::{millis, until};
use crate::ways::Way;
use crate::world::{provider, shell};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::thread::sleep;

/// The host's files with their content, and its network: all but what the test itself wrote, what only counts, and
/// the folder that systemd-resolved makes for files about links, which are looked at.
const EVERYTHING: &str = "ip -brief link; ip -brief address; ip rule; ip -6 rule; nft list ruleset; \
    ip route show table all; ip -6 route show table all; \
    find /etc /run -xdev -path /run/host -prune -o -path /run/knot -prune -o -print | grep -vx /run/systemd/resolve/netif; \
    find /etc /run -xdev -path /run/host -prune -o -path /run/knot -prune -o -type f -print0 | xargs -0 sha256sum; \
    grep -r . /proc/sys/net 2>/dev/null | grep -v -e count: -e uuid:";

pub(crate) fn none_of_both_killed(way: Way) {
    let _provider = provider();
    let mut host = way.without_us();
    until("every address is there for good", || {
        shell("ip -6 address show tentative")
            .is_empty()
            .then_some(())
    });
    let before = everything();
    let led = host.lead();
    assert_ne!(everything(), before, "it sees what attach makes");
    led.daemon.signal(Signal::KILL);
    led.attach.as_ref().unwrap().signal(Signal::KILL);
    drop(led);
    // The kernel takes a moment, and so does systemd-resolved until it has noticed.
    for _ in 0..50 {
        if everything() == before {
            return;
        }
        sleep(millis(100));
    }
    let now = everything();
    let differ: Vec<_> = before.symmetric_difference(&now).collect();
    panic!("{differ:#?}");
}

fn everything() -> BTreeSet<String> {
    shell(EVERYTHING).lines().map(str::to_owned).collect()
}
