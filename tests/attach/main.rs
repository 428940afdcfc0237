//! `unsix attach` on a host of its own: real links, tables and connections of the kernel's, the real systemd-resolved
//! and getaddrinfo, the real daemon, and all the ways in which either may end.
//!
//! This program starts itself again inside, in network and mount namespaces, for the one test that needs them. It must
//! be root: who is root of a user namespace alone makes no TUN link. What is missing is said in the test's name. Figures are
//! printed with `--nocapture`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic fails the test"
)]

#[path = "../daemon/mod.rs"]
mod daemon;

mod doctor;
mod ends;
mod outage;
mod people;
mod refusals;
mod ways;
mod world;

use daemon::host::{Need, Suite, TUN, Test};
use std::process::ExitCode;

#[rustfmt::skip]
const TESTS: &[Test] = &[
    Test { name: "redirect_leads_every_question_to_the_daemon", needs: &[], run: ways::redirect },
    Test { name: "redirect_moves_sockets_that_asked_before", needs: &[], run: ways::flows },
    Test { name: "redirect_asks_for_both_families_to_be_served", needs: &[], run: ways::access },
    Test { name: "resolved_follows_the_rules", needs: &[Need::Resolved], run: ways::rules },
    Test { name: "redirect_follows_resolv_conf", needs: &[], run: ways::follows },
    Test { name: "redirect_follows_the_daemons_user", needs: &[], run: ways::another_user },
    Test { name: "a_loop_through_a_redirection_is_found", needs: &[], run: ways::redirected_loop },
    Test { name: "resolved_leads_only_the_zones_to_the_daemon", needs: &[Need::Resolved], run: ways::resolved },
    Test { name: "auto_takes_resolved_where_programs_ask_it", needs: &[Need::Resolved], run: ways::auto },
    Test { name: "redirect_lets_go_of_a_daemon_that_was_killed", needs: &[], run: ends::redirect_run_killed },
    Test { name: "redirect_lets_go_of_a_daemon_that_hangs", needs: &[], run: ends::redirect_run_stopped },
    Test { name: "redirect_goes_with_its_attach", needs: &[], run: ends::redirect_attach_killed },
    Test { name: "redirect_goes_when_both_are_killed", needs: &[], run: ends::redirect_both_killed },
    Test { name: "resolved_lets_go_of_a_daemon_that_was_killed", needs: &[Need::Resolved], run: ends::resolved_run_killed },
    Test { name: "resolved_lets_go_of_a_daemon_that_hangs", needs: &[Need::Resolved], run: ends::resolved_run_stopped },
    Test { name: "resolved_goes_with_its_attach", needs: &[Need::Resolved], run: ends::resolved_attach_killed },
    Test { name: "resolved_goes_when_both_are_killed", needs: &[Need::Resolved], run: ends::resolved_both_killed },
    Test { name: "what_is_in_the_way_is_named", needs: &[], run: refusals::named },
    Test { name: "a_resolv_conf_that_leads_nowhere_is_named", needs: &[], run: refusals::resolv_conf },
    Test { name: "what_stands_already_is_left_alone", needs: &[Need::Resolved], run: refusals::taken },
    Test { name: "people_are_told_what_a_redirection_does", needs: &[], run: people::redirected },
    Test { name: "people_are_told_what_a_link_does", needs: &[Need::Resolved], run: people::resolved },
    Test { name: "who_is_nobody_is_told_what_is_hidden", needs: &[], run: people::nobody },
    Test { name: "without_systemd_install_prints_the_steps", needs: &[], run: people::without_systemd },
    Test { name: "doctor_sees_what_a_redirection_takes_away", needs: &[], run: doctor::redirected },
    Test { name: "doctor_sees_behind_a_link", needs: &[Need::Resolved], run: doctor::linked },
    Test { name: "there_is_one_attach", needs: &[Need::Resolved], run: refusals::second },
];

static SUITE: Suite = Suite {
    setup: world::SETUP,
    needs: &[
        Need::Program("ip", "iproute2"),
        Need::Program("nft", "nftables"),
        Need::Program("knotd", "knot"),
        Need::Program("setpriv", "util-linux"),
        Need::Program("dbus-daemon", "dbus"),
        TUN,
    ],
    tests: TESTS,
    heading: "\nWhoever ends, and how long names failed:",
};

fn main() -> ExitCode {
    SUITE.run()
}
