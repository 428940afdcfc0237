//! `unsix attach` on a host of its own: real links, tables and connections of the kernel's, the real systemd-resolved
//! and getaddrinfo, the real daemon, and all the ways in which either may end.
//!
//! This program starts itself again inside, in network and mount namespaces, for the one test that needs them. It must
//! be root: who is root of a user namespace alone makes no TUN link. What is missing is said in the test's name. Figures are
//! printed with `--nocapture`.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

#[path = "../daemon/mod.rs"]
mod daemon;

mod ends;
mod outage;
mod people;
mod refusals;
mod ways;
mod world;

use daemon::namespace;
use libtest_mimic::{Arguments, Failed, Trial};
use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// One test: what it is called, whether it needs systemd-resolved, and what it does there.
struct Test {
    name: &'static str,
    resolved: bool,
    run: fn(),
}

#[rustfmt::skip]
const TESTS: &[Test] = &[
    Test { name: "redirect_leads_every_question_to_the_daemon", resolved: false, run: ways::redirect },
    Test { name: "redirect_moves_sockets_that_asked_before", resolved: false, run: ways::flows },
    Test { name: "redirect_asks_for_both_families_to_be_served", resolved: false, run: ways::access },
    Test { name: "resolved_follows_the_rules", resolved: true, run: ways::rules },
    Test { name: "redirect_follows_resolv_conf", resolved: false, run: ways::follows },
    Test { name: "redirect_follows_the_daemons_user", resolved: false, run: ways::another_user },
    Test { name: "a_loop_through_a_redirection_is_found", resolved: false, run: ways::redirected_loop },
    Test { name: "resolved_leads_only_the_zones_to_the_daemon", resolved: true, run: ways::resolved },
    Test { name: "auto_takes_resolved_where_programs_ask_it", resolved: true, run: ways::auto },
    Test { name: "redirect_lets_go_of_a_daemon_that_was_killed", resolved: false, run: ends::redirect_run_killed },
    Test { name: "redirect_lets_go_of_a_daemon_that_hangs", resolved: false, run: ends::redirect_run_stopped },
    Test { name: "redirect_goes_with_its_attach", resolved: false, run: ends::redirect_attach_killed },
    Test { name: "redirect_goes_when_both_are_killed", resolved: false, run: ends::redirect_both_killed },
    Test { name: "resolved_lets_go_of_a_daemon_that_was_killed", resolved: true, run: ends::resolved_run_killed },
    Test { name: "resolved_lets_go_of_a_daemon_that_hangs", resolved: true, run: ends::resolved_run_stopped },
    Test { name: "resolved_goes_with_its_attach", resolved: true, run: ends::resolved_attach_killed },
    Test { name: "resolved_goes_when_both_are_killed", resolved: true, run: ends::resolved_both_killed },
    Test { name: "what_is_in_the_way_is_named", resolved: false, run: refusals::named },
    Test { name: "a_resolv_conf_that_leads_nowhere_is_named", resolved: false, run: refusals::resolv_conf },
    Test { name: "what_stands_already_is_left_alone", resolved: true, run: refusals::taken },
    Test { name: "people_are_told_what_a_redirection_does", resolved: false, run: people::redirected },
    Test { name: "people_are_told_what_a_link_does", resolved: true, run: people::resolved },
    Test { name: "who_is_nobody_is_told_what_is_hidden", resolved: false, run: people::nobody },
    Test { name: "there_is_one_attach", resolved: true, run: refusals::second },
];

/// Programs, and the Debian packages that they come with.
const NEEDS: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("knotd", "knot"),
    ("setpriv", "util-linux"),
    ("dbus-daemon", "dbus"),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = TESTS.iter().map(trial).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(test: &'static Test) -> Trial {
    if namespace::is_inside() {
        return Trial::test(test.name, || {
            (test.run)();
            Ok(())
        });
    }
    let Some((reason, could_be_installed)) = missing(test) else {
        return Trial::test(test.name, || {
            let said = namespace::run_inside(test.name, world::SETUP)?;
            // The harness begins the line that the first one stands in.
            for line in said.lines() {
                if let Some((_, figure)) = line.split_once(ends::FIGURE) {
                    println!("{figure}");
                }
            }
            Ok(())
        });
    };
    let must = could_be_installed && env::var_os("CI").is_some();
    let name = match must {
        true => test.name.to_owned(),
        false => format!("{} [ignored: {reason}]", test.name),
    };
    Trial::test(name, || Err(Failed::from(reason))).with_ignored_flag(!must)
}

/// What the test lacks here, and whether `.ci/run` could bring it.
fn missing(test: &Test) -> Option<(String, bool)> {
    if !rustix::process::geteuid().is_root() {
        return Some(("it must be root".to_owned(), false));
    }
    if let Some((program, package)) = NEEDS.iter().find(|(program, _)| !is_here(program)) {
        return Some((format!("no {program}, install {package}"), true));
    }
    if !Path::new("/dev/net/tun").exists() {
        return Some(("no /dev/net/tun".to_owned(), false));
    }
    if test.resolved && resolved().is_none() {
        return Some((
            "no systemd-resolved, name one in SYSTEMD_RESOLVED".to_owned(),
            false,
        ));
    }
    let reason = namespace::possible(world::SETUP).err()?;
    Some((format!("no network of its own: {reason}"), false))
}

fn is_here(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let servers = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut folders = env::split_paths(&path).chain(servers);
    folders.any(|folder| folder.join(program).is_file())
}

/// Where systemd-resolved is: installed, or unpacked where the environment says.
pub(crate) fn resolved() -> Option<PathBuf> {
    let named = env::var_os("SYSTEMD_RESOLVED").map(PathBuf::from);
    let installed = PathBuf::from("/lib/systemd/systemd-resolved");
    named
        .into_iter()
        .chain([installed])
        .find(|file| file.is_file())
}
