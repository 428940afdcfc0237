//! What `deploy/` holds is what a cluster, helm, a router and a shell take, and it says the same everywhere.
//!
//! Only tools that are here are used, none is downloaded; what is missing is said in the test's name.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic fails the test"
)]

mod built;
mod containers;
mod coredns;
mod helm;
mod scripts;
mod tools;
mod tree;

use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;
use tools::{HELM, KUBECTL, NFT, SHELLCHECK, Tool, VALIDATE};

/// One test: what it is called, what it cannot do without, and what it does.
struct Test {
    name: &'static str,
    needs: &'static [Tool],
    run: fn(),
}

#[rustfmt::skip]
const TESTS: &[Test] = &[
    Test { name: "what_kustomize_builds_is_valid", needs: &[KUBECTL, VALIDATE], run: built::kustomize_is_valid },
    Test { name: "what_helm_renders_is_valid", needs: &[HELM, VALIDATE], run: built::helm_is_valid },
    Test { name: "helm_lint_has_no_complaint", needs: &[HELM], run: helm::lint },
    Test { name: "helm_and_kustomize_make_the_same_objects", needs: &[HELM, KUBECTL], run: helm::same_objects },
    Test { name: "helm_and_kustomize_make_the_same_sidecar", needs: &[HELM], run: helm::same_sidecar },
    Test { name: "helm_refuses_wrong_values_and_says_why", needs: &[HELM], run: helm::refusals },
    Test { name: "helm_values_reach_the_configuration", needs: &[HELM], run: helm::configuration },
    Test { name: "the_charts_schema_holds_that_of_the_configuration", needs: &[], run: helm::schema },
    Test { name: "configmaps_are_config_and_good", needs: &[HELM, KUBECTL], run: containers::configmaps },
    Test { name: "ports_agree_everywhere", needs: &[KUBECTL], run: containers::ports },
    Test { name: "containers_have_no_right_that_they_do_not_need", needs: &[KUBECTL], run: containers::rights },
    Test { name: "containers_start_commands_that_there_are", needs: &[KUBECTL], run: containers::commands },
    Test { name: "images_are_not_on_docker_hub", needs: &[KUBECTL], run: containers::images },
    Test { name: "selectors_meet_their_pods", needs: &[KUBECTL], run: containers::selectors },
    Test { name: "the_coredns_blocks_are_one", needs: &[], run: coredns::blocks },
    Test { name: "shell_scripts_pass_shellcheck", needs: &[SHELLCHECK], run: scripts::shellcheck },
    Test { name: "gai_conf_is_as_before_once_its_script_has_ended", needs: &[], run: scripts::gai },
    Test { name: "the_routers_rules_are_taken_by_nft", needs: &[NFT], run: scripts::router },
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = TESTS.iter().map(trial).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// With `CI` set a missing tool is a failure, for `.ci/run` brings them all.
fn trial(test: &'static Test) -> Trial {
    let Some(tool) = test.needs.iter().find(|tool| !tool.is_here()) else {
        return Trial::test(test.name, || {
            (test.run)();
            Ok(())
        });
    };
    let must = std::env::var_os("CI").is_some();
    let reason = format!("no {}, install {}", tool.program, tool.package);
    let name = match must {
        true => test.name.to_owned(),
        false => format!("{} [ignored: {reason}]", test.name),
    };
    Trial::test(name, || Err(reason.into())).with_ignored_flag(!must)
}
