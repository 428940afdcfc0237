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

use daemon::network;
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

fn main() -> ExitCode {
    network::run(TESTS, &[("openssl", "openssl")])
}
