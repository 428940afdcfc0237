//! The image of `deploy/container/`, run by the very engine that it cures.

use crate::daemon::client::ask;
use crate::daemon::program::Program;
use crate::daemon::{millis, wire};
use crate::engines::{CONTAINERD, Engine, Kind};
use crate::internet::{IMAGE, Internet, OTHER_IMAGE};
use crate::pulls::PROMPT;
use crate::ways::{UNSIX, Way, by_hand};
use crate::world::{LISTED, OTHER, ask_servers, is_cured, shell, write};
use std::net::SocketAddr;
use std::process::Command;
use std::thread::sleep;

/// Which environment variable names the program that is in the image: one with the C library inside.
pub(crate) const PROGRAM: &str = "UNSIX_STATIC";

/// What the image is called here, and the archive that it is handed on in.
const NAME: &str = "unsix.test/unsix:e2e";
const ARCHIVE: &str = "/run/image/archive.tar";

/// Where the image keeps its configuration.
const CONFIG: &str = "/etc/unsix/unsix.yaml";

/// buildah makes the image in /run/image, and keeps what it needs there.
const BUILD: &str = "cd /run/image && exec 2>&1; \
    strip -o unsix \"$UNSIX_STATIC\" && setcap cap_net_bind_service=p unsix \
    && buildah() { command buildah --root /run/image/root --runroot /run/image/run --storage-driver vfs \"$@\"; } \
    && buildah build --isolation chroot --format docker --tag \"$NAME\" . \
    && buildah push \"$NAME\" \"docker-archive:$ARCHIVE:$NAME\" && echo made";

/// Builds the image as its Dockerfile says, with a program that is built already.
fn build() {
    let dockerfile = include_str!("../../deploy/container/Dockerfile");
    let (_, stage) = dockerfile.split_once("\nFROM scratch\n").unwrap();
    let source = env!("CARGO_MANIFEST_DIR");
    shell(&format!(
        "mkdir -p /run/image && cp -r {source}/config /run/image"
    ));
    write(
        "/run/image/Dockerfile",
        &format!("FROM scratch AS build\nCOPY unsix /unsix\nFROM scratch\n{stage}"),
    );
    let built = Command::new("sh")
        .args(["-c", BUILD])
        .envs([("NAME", NAME), ("ARCHIVE", ARCHIVE)])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&built.stdout);
    assert!(said.ends_with("made\n"), "{said}");
}

/// A container of the image, on the host's network, its files read-only. It ends with the test.
struct Container {
    id: &'static str,
    program: Program,
}

impl Container {
    fn run(id: &'static str, options: &[&str]) -> Self {
        let mut command = ctr();
        command.args(["run", "--rm", "--net-host", "--read-only"]);
        // A group of its own goes with it, that of ctr's choice would leave its parent.
        let group = format!("/unsix-test-{id}");
        command.args(["--snapshotter", "native", "--cgroup", &group]);
        command.args(options).args([NAME, id]);
        let program = Program::of(command);
        program.says("ready");
        Self { id, program }
    }

    fn signal(&self, signal: &str) {
        // It may have ended already.
        let _ = ctr()
            .args(["task", "kill", "--signal", signal, self.id])
            .output();
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // What watches over the container ends once `ctr run` has taken that away, and not with containerd.
        self.signal("SIGKILL");
        for _ in 0..50 {
            if !self.program.lives() {
                return;
            }
            sleep(millis(100));
        }
    }
}

fn ctr() -> Command {
    let mut command = Command::new("ctr");
    command.args(["--address", CONTAINERD]);
    command
}

/// As it comes it asks the name servers of the node and listens on port 5300. With the sample for a host in its place it
/// listens on port 53, which its user may not but the file may, and leads the engine that runs it to the image that it lacks.
pub(crate) fn containerd_runs_it() {
    let _internet = Internet::start();
    let _host = Way::ResolvConf.without_us();
    let engine = Engine::start(Kind::Containerd);
    build();
    let import = ctr()
        .args(["images", "import", "--snapshotter", "native", ARCHIVE])
        .output();
    let import = import.unwrap();
    assert!(import.status.success(), "{import:?}");

    let mut as_it_comes = Container::run("as-it-comes", &[]);
    let server: SocketAddr = "127.0.0.1:5300".parse().unwrap();
    let count = |name, kind| wire::addresses(&ask(server, name, kind)).len();
    assert_eq!(count(LISTED, wire::AAAA), 0);
    assert_ne!(count(LISTED, wire::A), 0);
    assert_ne!(count(OTHER, wire::AAAA), 0);
    // Its first process has no default action for signals.
    as_it_comes.signal("SIGTERM");
    assert_eq!(as_it_comes.program.ends(), Some(0));

    let mount = format!(
        "type=bind,src={},dst={CONFIG},options=rbind:ro",
        by_hand().display()
    );
    let _for_a_host = Container::run("for-a-host", &["--mount", &mount]);
    ask_servers(&[UNSIX]);
    assert!(is_cured());
    for image in [
        format!("docker.io/{IMAGE}"),
        format!("{OTHER}/{OTHER_IMAGE}"),
    ] {
        let pull = engine.pull(&image);
        pull.result.unwrap();
        assert!(pull.took < PROMPT, "{:?}", pull.took);
    }
}
