//! The real binary between real servers and real clients.
//!
//! Upstream stands Debian's knot with zones that hold what Docker Hub and quay.io publish, and unbound as the
//! provider's resolver before it; in front ask kdig, dig, glibc, musl, dnspython and unbound as a forwarder. All of
//! it is started here on loopback, below a folder of its own, and ends with the test. Where a machine lacks a
//! program or a right, the test is ignored and its name says why; where `CI` is set, a program that could be
//! installed is a failure instead, so that nothing is skipped in silence.

#[path = "../daemon/authority.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "clients here are programs; what cannot be made ends the test"
)]
mod authority;
mod balancers;
mod bytes;
mod clients;
mod discovery;
mod encrypted;
mod forwarders;
mod hour;
#[cfg(feature = "doh")]
mod https;
mod namespace;
mod needs;
mod packet;
mod process;
#[cfg(feature = "doq")]
mod quic;
mod servers;

use libtest_mimic::{Arguments, Failed, Trial};
use needs::Need;
use servers::World;
use std::process::ExitCode;
use std::sync::Arc;

/// What went wrong, in words.
pub(crate) type Fallible<T> = Result<T, String>;

/// One test: what it is called, what it cannot do without, and what it does.
struct Test {
    name: &'static str,
    /// Beside knot and unbound, which all need.
    needs: &'static [Need],
    run: fn(&World) -> Fallible<()>,
    /// glibc and musl know no port but 53: such a test runs in a network of its own.
    alone: bool,
}

#[rustfmt::skip]
const TESTS: &[Test] = &[
    Test { name: "odd_records_pass_byte_for_byte", needs: &[], run: bytes::odd_records, alone: false },
    Test { name: "all_of_quay_io_passes_byte_for_byte", needs: &[], run: bytes::quay, alone: false },
    Test { name: "what_no_datagram_takes_comes_whole_over_tcp", needs: &[], run: bytes::large, alone: false },
    Test { name: "kdig_gets_what_the_rule_leaves", needs: &[KDIG], run: clients::kdig_sees_the_rule, alone: false },
    Test { name: "kdig_speaks_every_transport_and_size", needs: &[KDIG], run: clients::kdig_varies, alone: false },
    Test { name: "kdig_asks_over_tls_whom_it_trusts", needs: &[KDIG], run: encrypted::kdig, alone: false },
    Test { name: "openssl_finds_tls_of_today", needs: &[OPENSSL], run: encrypted::openssl, alone: false },
    Test { name: "dnsperf_loses_nothing_over_tls", needs: &[DNSPERF], run: encrypted::dnsperf, alone: false },
    Test { name: "unbound_forwards_over_tls_whom_it_trusts", needs: &[KDIG], run: encrypted::unbound, alone: false },
    Test { name: "stubby_forwards_over_tls_whom_it_trusts", needs: &[KDIG, STUBBY], run: encrypted::stubby, alone: false },
    Test { name: "resolved_forwards_over_tls", needs: &[KDIG, IP, UNSHARE, Need::Resolved, Need::Namespaces], run: encrypted::resolved, alone: true },
    Test { name: "kdig_and_dig_read_where_we_are_encrypted", needs: &[KDIG, DIG], run: discovery::shown, alone: false },
    Test { name: "dnspython_finds_the_encrypted_ones_and_trusts_them", needs: &[Need::Dnspython], run: discovery::dnspython, alone: false },
    Test { name: "haproxy_says_whose_connections_it_brings", needs: &[KDIG, HAPROXY], run: balancers::haproxy, alone: false },
    Test { name: "haproxy_loses_nothing_under_load", needs: &[DNSPERF, HAPROXY], run: balancers::load, alone: false },
    Test { name: "dnsdist_says_whose_queries_it_brings", needs: &[KDIG, DNSDIST], run: balancers::dnsdist, alone: false },
    #[cfg(feature = "doh")]
    Test { name: "kdig_asks_over_https_by_get_and_post", needs: &[KDIG], run: https::kdig, alone: false },
    #[cfg(feature = "doh")]
    Test { name: "curl_asks_by_hand_and_resolves_over_https", needs: &[CURL], run: https::curl_asks, alone: false },
    #[cfg(feature = "doh")]
    Test { name: "dnsperf_loses_nothing_over_https", needs: &[DNSPERF], run: https::dnsperf, alone: false },
    #[cfg(feature = "doh")]
    Test { name: "dnsdist_forwards_over_https_whom_it_trusts", needs: &[KDIG, DNSDIST], run: https::dnsdist, alone: false },
    #[cfg(feature = "doq")]
    Test { name: "kdig_asks_over_quic_whom_it_trusts", needs: &[KDIG], run: quic::kdig, alone: false },
    #[cfg(feature = "doq")]
    Test { name: "dnspython_and_aioquic_ask_over_quic", needs: &[AIOQUIC], run: quic::aioquic, alone: false },
    Test { name: "dig_is_told_why", needs: &[DIG], run: clients::dig_is_told_why, alone: false },
    Test { name: "dnspython_finds_nothing_wrong", needs: &[Need::Dnspython], run: clients::dnspython, alone: false },
    Test { name: "getaddrinfo_of_glibc_gives_ipv4_only", needs: &[GETENT, IP, UNSHARE, Need::Namespaces], run: clients::glibc, alone: true },
    Test { name: "getaddrinfo_of_musl_gives_ipv4_only", needs: &[MUSL, IP, UNSHARE, Need::Namespaces], run: clients::musl, alone: true },
    Test { name: "unbound_keeps_the_stripped_nodata_for_its_ttl", needs: &[KDIG], run: forwarders::nodata_is_cached, alone: false },
    Test { name: "unbound_chases_a_chain_and_finds_no_ipv6", needs: &[KDIG], run: forwarders::chain_is_chased, alone: false },
    Test { name: "resolved_keeps_the_stripped_nodata_and_finds_no_ipv6", needs: &[KDIG, IP, UNSHARE, Need::Resolved, Need::Namespaces], run: forwarders::resolved, alone: true },
    Test { name: "an_hour_passes_under_faketime", needs: &[Need::Faketime], run: hour::jumps, alone: false },
    Test { name: "an_hour_runs_fast_under_faketime", needs: &[Need::Faketime], run: hour::runs_fast, alone: false },
];

const KDIG: Need = Need::Program("kdig", "knot-dnsutils");
#[cfg(feature = "doq")]
const AIOQUIC: Need = Need::Program(
    "aioquic-python",
    "aioquic and dnspython of PyPI as .ci/run does",
);
const DIG: Need = Need::Program("dig", "bind9-dnsutils");
const GETENT: Need = Need::Program("getent", "libc-bin");
const IP: Need = Need::Program("ip", "iproute2");
#[cfg(feature = "doh")]
const CURL: Need = Need::Program("curl", "curl");
const DNSPERF: Need = Need::Program("dnsperf", "dnsperf");
const STUBBY: Need = Need::Program("stubby", "stubby");
const HAPROXY: Need = Need::Program("haproxy", "haproxy");
const DNSDIST: Need = Need::Program("dnsdist", "dnsdist");
const OPENSSL: Need = Need::Program("openssl", "openssl");
const MUSL: Need = Need::Program("musl-gcc", "musl-tools");
const UNSHARE: Need = Need::Program("unshare", "util-linux");

/// What every test needs.
const SERVERS: [Need; 2] = [
    Need::Program("knotd", "knot"),
    Need::Program("unbound", "unbound"),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let world = Arc::new(World::default());
    let trials = TESTS.iter().map(|test| trial(test, &world)).collect();
    // The trials held the other handles: the servers end here, whatever the tests did.
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(world);
    conclusion.exit_code()
}

fn trial(test: &'static Test, world: &Arc<World>) -> Trial {
    let missing = SERVERS
        .iter()
        .chain(test.needs)
        .find_map(|need| need.missing());
    if let Some(missing) = missing {
        let must = missing.could_be_installed && std::env::var_os("CI").is_some();
        let name = match must {
            true => test.name.to_owned(),
            false => format!("{} [ignored: {}]", test.name, missing.reason),
        };
        return Trial::test(name, move || Err(Failed::from(missing.reason)))
            .with_ignored_flag(!must);
    }
    let world = Arc::clone(world);
    Trial::test(test.name, move || {
        if test.alone && !namespace::is_inside() {
            return namespace::run_inside(test.name).map_err(Failed::from);
        }
        (test.run)(&world).map_err(Failed::from)
    })
}
