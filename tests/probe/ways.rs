//! What lies between this host and the server, and what a probe makes of it.

use crate::daemon::network::{FAR, FAR6, PORT, narrow, on_the_way, server, shell};
use crate::world::{LIMITS, Openssl, probed, probed_at, probed_without_descriptors};
use std::time::Duration;
use unsix::probe::Outcome;

#[rustfmt::skip]
const fn stall(mss_1220: bool, small_hello: bool) -> Outcome {
    Outcome::TlsStall { mss_1220, small_hello }
}

pub(crate) fn reachable() {
    server();
    is_reachable();
}

pub(crate) fn openssl() {
    let _server = Openssl::start();
    is_reachable();
}

fn is_reachable() {
    for address in [FAR, FAR6] {
        let finding = probed(address);
        assert_eq!(finding.outcome, Outcome::Reachable, "{address}");
        assert!(finding.connected.unwrap() < Duration::from_millis(500));
        assert!(finding.answered.unwrap() < LIMITS.beside);
    }
}

/// Too large packets vanish both ways, and the router says nothing: the usual cause of "TCP connects, TLS hangs".
pub(crate) fn black_hole() {
    server();
    narrow(false);
    let Outcome::TlsStall { mss_1220, .. } = probed(FAR6).outcome else {
        panic!("{:?}", probed(FAR6));
    };
    assert!(mss_1220);
    // Here fragments and messages about them are another protocol's: IPv4 finds its way.
    assert_eq!(probed(FAR).outcome, Outcome::Reachable);
}

pub(crate) fn honest_narrow_path() {
    server();
    narrow(true);
    assert_eq!(probed(FAR6).outcome, Outcome::Reachable);
}

/// A hello of more than one segment makes one full segment at least.
const LARGE: &str = "meta nfproto ipv6 meta length > 700";

pub(crate) fn big_hello_dropped() {
    server();
    on_the_way(&format!("{LARGE} drop"));
    assert_eq!(probed(FAR6).outcome, stall(false, true));
}

pub(crate) fn big_hello_reset() {
    server();
    on_the_way(&format!("{LARGE} reject with tcp reset"));
    let cut = Outcome::TlsCut {
        mss_1220: false,
        small_hello: true,
    };
    assert_eq!(probed(FAR6).outcome, cut);
}

/// Whatever carries data is lost, as with servers that accept and then hang.
pub(crate) fn dies() {
    server();
    on_the_way("meta nfproto ipv6 tcp flags & psh == psh drop");
    let finding = probed(FAR6);
    assert_eq!(finding.outcome, stall(false, false));
    assert!(finding.connected.is_some() && finding.answered.is_none());
}

pub(crate) fn syn_dropped() {
    server();
    on_the_way("meta nfproto ipv6 tcp flags syn drop");
    let finding = probed(FAR6);
    assert_eq!(finding.outcome, Outcome::ConnectTimeout);
    assert_eq!((finding.connected, finding.answered), (None, None));
    assert_eq!(probed(FAR).outcome, Outcome::Reachable);
}

pub(crate) fn refused() {
    for address in [FAR, FAR6] {
        assert_eq!(probed(address).outcome, Outcome::Refused);
    }
    on_the_way("meta nfproto ipv6 tcp dport 444 reject with tcp reset");
    assert_eq!(probed_at(FAR6, PORT + 1).outcome, Outcome::Refused);
}

pub(crate) fn unreachable() {
    // The router says so.
    assert_eq!(probed("2001:db8:c::1").outcome, Outcome::Unreachable);
    on_the_way("meta nfproto ipv6 reject with icmpv6 admin-prohibited");
    assert_eq!(probed(FAR6).outcome, Outcome::Unreachable);
    // Nobody answers for the address on its own link.
    assert_eq!(probed("2001:db8:a::99").outcome, Outcome::ConnectTimeout);
    // This host says so.
    shell("ip -6 route add prohibit 2001:db8:d::/64 && ip -6 route add blackhole 2001:db8:e::/64");
    assert_eq!(probed("2001:db8:d::1").outcome, Outcome::Unreachable);
    assert_eq!(probed("2001:db8:e::1").outcome, Outcome::Unreachable);
    assert_eq!(probed("fe80::1").outcome, Outcome::Unreachable);
}

pub(crate) fn no_ipv6() {
    shell("ip -6 route del default");
    assert_eq!(probed(FAR6).outcome, Outcome::Unreachable);
    shell("sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
    assert_eq!(probed(FAR6).outcome, Outcome::Unreachable);
}

pub(crate) fn no_descriptors() {
    let error = probed_without_descriptors().unwrap_err();
    let code = error.raw_os_error();
    assert_eq!(code, Some(rustix::io::Errno::MFILE.raw_os_error()));
}
