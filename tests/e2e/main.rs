//! The founding failure and its cure: containerd and dockerd pull an image from a registry whose IPv6 connects and then
//! hangs, without us and by every way in.
//!
//! Real are the kernel's networks, containerd, dockerd, the registry behind TLS, knot, unbound, dnsmasq, systemd-resolved
//! and the clients. Simulated is the path: what is larger than 1280 octets gets lost on Docker's IPv6 prefix, as behind a
//! narrow hop whose ICMPv6 messages are dropped. Each test runs in namespaces of its own, on the host that `tests/attach`
//! made. With `--nocapture` it prints how long the pulls took.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

#[path = "../daemon/mod.rs"]
mod daemon;
#[expect(dead_code, reason = "the tests of attach use all of it")]
#[path = "../attach/world.rs"]
mod world;

mod clients;
mod ends;
mod engines;
mod image;
mod internet;
mod pulls;
mod resolvers;
mod ways;

use daemon::host::{Need, Suite, TUN, Test};
use engines::Kind::{Containerd, Dockerd};
use std::process::ExitCode;
use ways::Way::{Dnsmasq, Redirect, ResolvConf, Resolved, Unbound};

const BUILDAH: Need = Need::Program("buildah", "buildah");
const CONTAINERD: Need = Need::Program("containerd", "containerd");
const DOCKERD: Need = Need::Program("dockerd", "docker.io");
/// Without them dockerd does not start.
const CGROUPS: Need = Need::Kernel(
    "cgroups",
    &[
        "/sys/fs/cgroup/cgroup.controllers",
        "/sys/fs/cgroup/devices",
    ],
);
const DNSMASQ: Need = Need::Program("dnsmasq", "dnsmasq-base");
const MUSL: Need = Need::Program("musl-gcc", "musl-tools");
const NODE: Need = Need::Program("node", "nodejs");
const SETCAP: Need = Need::Program("setcap", "libcap2-bin");
const STRIP: Need = Need::Program("strip", "binutils");
const STATIC: Need = Need::Named("static unsix", image::PROGRAM);
const UNBOUND: Need = Need::Program("unbound", "unbound");
/// Runs Go programs from their source: the resolver and the TLS of Go without its compiler.
const GO: Need = Need::Program("yaegi", "yaegi");

#[rustfmt::skip]
const TESTS: &[Test] = &[
    Test { name: "containerd_pulls_by_resolv_conf", needs: &[CONTAINERD], run: || pulls::fails_then_works(Containerd, ResolvConf) },
    Test { name: "containerd_pulls_by_resolved", needs: &[CONTAINERD, Need::Resolved], run: || pulls::fails_then_works(Containerd, Resolved) },
    Test { name: "containerd_pulls_by_redirect", needs: &[CONTAINERD], run: || pulls::fails_then_works(Containerd, Redirect) },
    Test { name: "containerd_pulls_behind_unbound", needs: &[CONTAINERD, UNBOUND], run: || pulls::fails_then_works(Containerd, Unbound) },
    Test { name: "containerd_pulls_behind_dnsmasq", needs: &[CONTAINERD, DNSMASQ], run: || pulls::fails_then_works(Containerd, Dnsmasq) },
    Test { name: "dockerd_pulls_by_resolv_conf", needs: &[CONTAINERD, DOCKERD, CGROUPS], run: || pulls::fails_then_works(Dockerd, ResolvConf) },
    Test { name: "dockerd_pulls_by_resolved", needs: &[CONTAINERD, DOCKERD, CGROUPS, Need::Resolved], run: || pulls::fails_then_works(Dockerd, Resolved) },
    Test { name: "dockerd_pulls_by_redirect", needs: &[CONTAINERD, DOCKERD, CGROUPS], run: || pulls::fails_then_works(Dockerd, Redirect) },
    Test { name: "dockerd_pulls_behind_unbound", needs: &[CONTAINERD, DOCKERD, CGROUPS, UNBOUND], run: || pulls::fails_then_works(Dockerd, Unbound) },
    Test { name: "dockerd_pulls_behind_dnsmasq", needs: &[CONTAINERD, DOCKERD, CGROUPS, DNSMASQ], run: || pulls::fails_then_works(Dockerd, Dnsmasq) },
    Test { name: "curl_hangs_then_works", needs: &[], run: || clients::hangs_then_works(clients::CURL) },
    Test { name: "python_hangs_then_works", needs: &[], run: || clients::hangs_then_works(clients::PYTHON) },
    Test { name: "node_hangs_then_works", needs: &[NODE], run: || clients::hangs_then_works(clients::NODE) },
    Test { name: "go_hangs_then_works", needs: &[GO], run: || clients::hangs_then_works(clients::GO) },
    Test { name: "resolvers_by_resolv_conf", needs: &[MUSL, GO], run: || resolvers::lose_nothing_else(ResolvConf) },
    Test { name: "resolvers_by_resolved", needs: &[MUSL, GO, Need::Resolved], run: || resolvers::lose_nothing_else(Resolved) },
    Test { name: "resolvers_by_redirect", needs: &[MUSL, GO], run: || resolvers::lose_nothing_else(Redirect) },
    Test { name: "resolvers_behind_unbound", needs: &[MUSL, GO, UNBOUND], run: || resolvers::lose_nothing_else(Unbound) },
    Test { name: "resolvers_behind_dnsmasq", needs: &[MUSL, GO, DNSMASQ], run: || resolvers::lose_nothing_else(Dnsmasq) },
    Test { name: "containerd_outlives_us_by_resolved", needs: &[CONTAINERD, Need::Resolved], run: || ends::an_engine_goes_on(Resolved) },
    Test { name: "containerd_outlives_us_by_redirect", needs: &[CONTAINERD], run: || ends::an_engine_goes_on(Redirect) },
    Test { name: "the_image_cures_its_engine", needs: &[CONTAINERD, CGROUPS, BUILDAH, SETCAP, STRIP, STATIC], run: image::containerd_runs_it },
    Test { name: "the_image_tells_dockerd_how_it_is", needs: &[CONTAINERD, DOCKERD, CGROUPS, BUILDAH, SETCAP, STRIP, STATIC], run: image::dockerd_watches_it },
    Test { name: "the_static_program_needs_no_file", needs: &[STATIC], run: image::needs_no_file },
    Test { name: "nothing_is_left_of_resolved", needs: &[Need::Resolved], run: || ends::nothing_is_left(Resolved) },
    Test { name: "nothing_is_left_of_redirect", needs: &[], run: || ends::nothing_is_left(Redirect) },
];

static SUITE: Suite = Suite {
    setup: world::SETUP,
    needs: &[
        Need::Program("ip", "iproute2"),
        Need::Program("nft", "nftables"),
        Need::Program("knotd", "knot"),
        Need::Program("setpriv", "util-linux"),
        Need::Program("dbus-daemon", "dbus"),
        Need::Program("docker-registry", "docker-registry"),
        Need::Program("openssl", "openssl"),
        Need::Program("python3", "python3"),
        Need::Program("curl", "curl"),
        TUN,
    ],
    tests: TESTS,
    heading: pulls::HEADING,
};

fn main() -> ExitCode {
    SUITE.run()
}
