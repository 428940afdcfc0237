//! Probes in a network of their own: real links, routes and filters of the kernel's, and real TLS servers, rustls and openssl, behind them.
//!
//! This program starts itself again inside, in network and mount namespaces, for the one test that needs them. What is
//! missing is said in the test's name.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic fails the test"
)]

#[path = "../daemon/mod.rs"]
mod daemon;

mod watched;
mod ways;
mod world;

use daemon::namespace;
use libtest_mimic::{Arguments, Failed, Trial};
use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

#[rustfmt::skip]
const TESTS: &[(&str, fn())] = &[
    ("a_tls_server_is_reachable_over_both_families", ways::reachable),
    ("openssl_is_reachable_too", ways::openssl),
    ("a_path_mtu_black_hole_lets_small_segments_through", ways::black_hole),
    ("a_narrow_path_that_tells_so_is_none", ways::honest_narrow_path),
    ("a_middlebox_that_drops_large_hellos_lets_small_ones_through", ways::big_hello_dropped),
    ("a_middlebox_that_resets_large_hellos_lets_small_ones_through", ways::big_hello_reset),
    ("a_path_that_dies_after_the_connection_is_a_stall", ways::dies),
    ("a_syn_that_nobody_answers_is_a_timeout", ways::syn_dropped),
    ("a_closed_port_is_refused", ways::refused),
    ("where_no_way_leads_is_unreachable", ways::unreachable),
    ("a_host_without_ipv6_has_no_way", ways::no_ipv6),
    ("one_dead_address_of_four_is_removed_alone", watched::one_of_four),
    ("a_black_hole_that_opens_is_noticed_and_named", watched::black_hole),
    ("without_a_route_nothing_is_judged", watched::no_route),
    ("a_fault_of_this_host_says_nothing_of_the_address", ways::no_descriptors),
];

/// Programs, and the Debian packages that they come with.
const NEEDS: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("openssl", "openssl"),
    ("sysctl", "procps"),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = if namespace::is_inside() {
        None
    } else {
        missing()
    };
    let trials = TESTS
        .iter()
        .map(|(name, run)| trial(name, *run, missing.as_ref()));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn trial(name: &'static str, run: fn(), missing: Option<&(String, bool)>) -> Trial {
    let Some((reason, could_be_installed)) = missing.cloned() else {
        return Trial::test(name, move || {
            if namespace::is_inside() {
                world::settle();
                run();
                return Ok(());
            }
            namespace::run_inside(name, world::SETUP)
                .map(|_| ())
                .map_err(Failed::from)
        });
    };
    let must = could_be_installed && env::var_os("CI").is_some();
    let name = match must {
        true => name.to_owned(),
        false => format!("{name} [ignored: {reason}]"),
    };
    Trial::test(name, || Err(Failed::from(reason))).with_ignored_flag(!must)
}

/// What these tests lack here, and whether `.ci/run` could bring it.
fn missing() -> Option<(String, bool)> {
    let is_here = |program: &str| {
        let path = env::var_os("PATH").unwrap_or_default();
        let servers = ["/usr/sbin", "/sbin"].map(PathBuf::from);
        env::split_paths(&path)
            .chain(servers)
            .any(|folder| folder.join(program).is_file())
    };
    if let Some((program, package)) = NEEDS.iter().find(|(program, _)| !is_here(program)) {
        return Some((format!("no {program}, install {package}"), true));
    }
    let reason = namespace::possible(world::SETUP).err()?;
    Some((format!("no network of its own: {reason}"), false))
}
