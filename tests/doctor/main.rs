//! `unsix doctor` in a network of its own: each verdict by what really causes it, real TLS servers, routes, filters and
//! resolv.conf; and what it prints as a cure is done, and heals.
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

mod cures;
mod inputs;
mod pages;
mod verdicts;
mod world;

use daemon::network;
use std::process::ExitCode;

#[rustfmt::skip]
const TESTS: &[(&str, fn())] = &[
    ("a_host_that_works_over_both_families_is_healthy", verdicts::healthy),
    ("a_host_without_ipv6_has_nothing_to_strip", verdicts::nothing_to_strip),
    ("a_host_with_ipv6_alone_is_never_stripped", verdicts::ipv6_only),
    ("no_way_over_ipv6_is_told_from_broken_ipv6", verdicts::no_ipv6_route),
    ("a_host_that_refuses_ipv6_is_told_from_a_network_that_does", verdicts::refused),
    ("a_syn_that_nobody_answers_is_dropped_ipv6", verdicts::ipv6_dropped),
    ("a_path_mtu_black_hole_is_found", verdicts::black_hole),
    ("a_middlebox_that_drops_large_hellos_is_found", verdicts::big_hello),
    ("a_host_that_connects_and_hangs_stalls", verdicts::tls_stall),
    ("a_host_that_cuts_connections_off_stalls_too", verdicts::tls_cut),
    ("ipv6_that_hangs_everywhere_is_broken", verdicts::ipv6_broken),
    ("a_host_whose_ipv4_fails_keeps_its_ipv6", verdicts::ipv4_broken),
    ("a_host_that_answers_nowhere_is_down", verdicts::down),
    ("another_healthy_host_of_the_run_is_a_control", verdicts::other_control),
    ("a_control_that_fails_over_ipv4_too_says_nothing", verdicts::control_is_down),
    ("one_of_several_addresses_that_hangs_breaks_its_family", verdicts::mixture),
    ("several_hosts_have_one_exit_code", verdicts::exit_codes),
    ("one_family_alone_is_understood", inputs::one_family),
    ("without_a_network_nothing_can_be_told", inputs::no_network),
    ("without_a_name_server_nothing_can_be_told", inputs::no_name_server),
    ("name_servers_that_fail_are_named", inputs::failing_servers),
    ("name_servers_that_differ_are_told", inputs::differing_servers),
    ("name_servers_of_every_kind_are_understood", inputs::odd_servers),
    ("an_encrypted_upstream_is_asked_too", inputs::encrypted_upstream),
    ("the_rules_say_which_hosts_are_looked_at", inputs::default_hosts),
    ("it_needs_no_rights", inputs::no_rights),
    ("more_hosts_than_sockets_take_turns", inputs::many_hosts),
    ("ports_that_speak_no_tls_are_probed_as_their_clients_do", inputs::other_ports),
    ("what_a_route_heals_is_healed_and_undone", cures::route),
    ("what_a_clamp_of_nftables_heals_is_healed_and_undone", cures::nftables),
    ("what_a_clamp_of_ip6tables_heals_is_healed_and_undone", cures::ip6tables),
    ("a_route_for_all_of_ipv6_heals_controls_too", cures::everywhere),
    ("the_rule_acts_and_doctor_sees_it", cures::rule),
    ("json_is_as_its_golden_file", pages::json),
    ("the_page_is_as_its_golden_file", pages::page),
    ("a_terminal_sees_progress_and_colors", pages::terminal),
    ("pullers_and_gai_conf_are_understood", pages::pullers),
];

fn main() -> ExitCode {
    network::run(
        TESTS,
        &[
            ("ip6tables", "iptables"),
            ("script", "bsdutils"),
            ("setpriv", "util-linux"),
        ],
    )
}
