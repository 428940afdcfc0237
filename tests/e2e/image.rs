//! The image of `deploy/container/`, run by the very engine that it cures.

use crate::daemon::client::ask;
use crate::daemon::program::Program;
use crate::daemon::{millis, until, wire};
use crate::engines::{CONTAINERD, Engine, Kind, docker};
use crate::internet::{IMAGE, Internet, OTHER_IMAGE};
use crate::pulls::PROMPT;
use crate::ways::{UNSIX, Way, by_hand};
use crate::world::{LISTED, OTHER, ask_servers, is_cured, provider, shell, write};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::thread::sleep;

/// Which environment variable names the program that is in the image: one with the C library inside.
pub(crate) const PROGRAM: &str = "UNSIX_STATIC";

/// What the image is called here, and the archive that it is handed on in.
const NAME: &str = "unsix.test/unsix:e2e";
const ARCHIVE: &str = "/run/image/archive.tar";

/// Where the image keeps its configuration.
const CONFIG: &str = "/etc/unsix/unsix.yaml";

/// What containerd does not run by itself, and dockerd does: the HEALTHCHECK of the image.
const HEALTHCHECK: &[&str] = &["/unsix", "healthcheck", "--config", CONFIG];

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

    /// The exit code of its own healthcheck.
    fn health(&self) -> Option<i32> {
        static COUNT: AtomicU16 = AtomicU16::new(0);
        let exec = format!("healthcheck-{}", COUNT.fetch_add(1, Relaxed));
        let mut command = ctr();
        command.args(["task", "exec", "--exec-id", &exec, self.id]);
        let status = command.args(HEALTHCHECK).status().unwrap();
        status.code()
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

    assert_eq!(as_it_comes.health(), Some(0));
    as_it_comes.signal("SIGSTOP");
    assert_eq!(as_it_comes.health(), Some(1));
    as_it_comes.signal("SIGCONT");
    assert_eq!(as_it_comes.health(), Some(0));
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

/// A container of dockerd's. It ends with the test.
struct Watched;

/// The image's own check, sooner. Nothing is said of what is run, so that is the image's.
const CONTAINER: &str = r#"{"Image": "unsix.test/unsix:e2e", "Healthcheck": {"Interval": 1000000000},
    "HostConfig": {"NetworkMode": "host", "ReadonlyRootfs": true, "CgroupParent": "/"}}"#;

impl Watched {
    fn run() -> Self {
        let json = ["--header", "Content-Type: application/json", "--data"];
        docker(
            "POST",
            "containers/create?name=watched",
            &[&json[..], &[CONTAINER]].concat(),
        )
        .unwrap();
        let watched = Self;
        docker("POST", "containers/watched/start", &[]).unwrap();
        watched
    }

    fn signal(&self, signal: &str) {
        docker(
            "POST",
            &format!("containers/watched/kill?signal={signal}"),
            &[],
        )
        .unwrap();
    }

    /// Waits until dockerd finds it so.
    fn becomes(&self, status: &str) {
        until(status, || {
            let said = docker("GET", "containers/watched/json", &[]).unwrap();
            said.contains(&format!("\"Health\":{{\"Status\":\"{status}\""))
                .then_some(())
        });
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // dockerd may have ended already, and its containers with it.
        let _ = docker("DELETE", "containers/watched?force=true", &[]);
    }
}

/// dockerd runs the healthcheck that the archive carries, and goes by it.
pub(crate) fn dockerd_watches_it() {
    let _provider = provider();
    let _host = Way::ResolvConf.without_us();
    let _engine = Engine::start(Kind::Dockerd);
    build();
    let archive = format!("@{ARCHIVE}");
    let tar = [
        "--header",
        "Content-Type: application/x-tar",
        "--data-binary",
        &archive,
    ];
    docker("POST", "images/load", &tar).unwrap();
    let image = docker("GET", &format!("images/{NAME}/json"), &[]).unwrap();
    let check = serde_json::to_string(HEALTHCHECK).unwrap();
    let check = check.replace('[', "[\"CMD\",");
    assert!(
        image.contains(&format!("\"Healthcheck\":{{\"Test\":{check},")),
        "{image}"
    );

    let watched = Watched::run();
    watched.becomes("healthy");
    watched.signal("SIGSTOP");
    watched.becomes("unhealthy");
    watched.signal("SIGCONT");
    watched.becomes("healthy");
}

/// In a root that holds nothing else, /dev/urandom included: its random numbers are the kernel's.
pub(crate) fn needs_no_file() {
    shell("mkdir -p /run/empty && cp \"$UNSIX_STATIC\" /run/empty/unsix");
    let config = "listen: [\"127.0.0.1:5399\"]\nupstreams: [192.0.2.53]\nrules: []\nadmin: off\n";
    write("/run/empty/unsix.yaml", config);
    let inside = |command| {
        let mut inside = Command::new("chroot");
        inside.args(["/run/empty", "/unsix", command, "--config", "/unsix.yaml"]);
        inside
    };
    let program = Program::of(inside("run"));
    program.says("ready");
    let health = inside("healthcheck").output().unwrap();
    assert!(health.status.success(), "{health:?}");
}
