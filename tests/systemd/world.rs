//! A systemd of the test's own: the first process of its own namespaces, with files and a network of its own.
//!
//! Its units are the shipped ones, word for word, and so is the place of the binary. The test program is started
//! once more inside, for one test; when that is over, everything in there is killed with the first process.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Set for the copy inside.
const INSIDE: &str = "UNSIX_TEST_INSIDE";
const SYSTEMD: &str = "/lib/systemd/systemd";
const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/systemd");

/// Everything a small system needs; what it writes there is gone with it, in `/etc`, `/usr`, `/var`, `/run` and `/tmp`.
const SETUP: &str = r#"set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mkdir -p /run/lock
for folder in etc usr var; do
    over=/run/over/$folder
    mkdir -p $over/upper $over/work
    mount -t overlay overlay -o lowerdir=/$folder,upperdir=$over/upper,workdir=$over/work /$folder
done
rm -rf /var/lib/unsix /var/lib/private/unsix
mount -t tmpfs tmpfs /etc/systemd/system
mount -t tmpfs tmpfs /usr/local/bin
mount -t tmpfs tmpfs /var/log
cp "$UNITS"/unsix* /etc/systemd/system
[ -e /proc/net/if_inet6 ] || sed -i '/=\[::1\]/d' /etc/systemd/system/unsix.socket
mkdir -p /etc/unsix
touch /usr/local/bin/unsix /usr/local/bin/inside
mount --bind "$UNSIX" /usr/local/bin/unsix
mount --bind "$INSIDE" /usr/local/bin/inside
[ -z "$PACKAGE" ] || cp "$PACKAGE" /run/unsix.deb
mount -t tmpfs tmpfs /tmp
if mountpoint -q /sys/fs/cgroup; then umount -R /sys/fs/cgroup; fi
mount -t tmpfs tmpfs /sys/fs/cgroup
mkdir /sys/fs/cgroup/systemd
ip link set lo up
exec env -i container=unshare PATH="$PATH" "$@"
"#;

/// Whether this is the copy inside.
pub(crate) fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Why there can be none here, in one line.
pub(crate) fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("root alone may start a systemd".to_owned());
    }
    if !Path::new(SYSTEMD).exists() {
        return Some("no systemd, install systemd".to_owned());
    }
    let output = enter(&["true"]).output();
    let output = match output {
        Ok(output) if output.status.success() => return None,
        Ok(output) => output,
        Err(error) => return Some(format!("unshare: {error}")),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().next().map(str::to_owned);
    Some(first.unwrap_or_else(|| output.status.to_string()))
}

/// Runs the test of this name once more, under a systemd of its own.
pub(crate) fn run_inside(test: &str, package: Option<&Path>) -> Result<(), String> {
    let system = System::start(package)?;
    let output = system
        .command("/usr/local/bin/inside")
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .map_err(|error| format!("nsenter: {error}"))?;
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    if output.status.success() && out.contains("1 passed") {
        return Ok(());
    }
    let journal = system
        .command("journalctl")
        .args(["--no-pager", "-u", "unsix*"])
        .output();
    let journal = journal.map(|journal| journal.stdout).unwrap_or_default();
    let journal = String::from_utf8_lossy(&journal);
    Err(format!("under systemd:\n{out}\n{err}\n{journal}"))
}

/// A running one.
struct System {
    unshare: Child,
    first: String,
}

impl System {
    fn start(package: Option<&Path>) -> Result<Self, String> {
        let mut command = enter(&[SYSTEMD, "--system", "--unit=basic.target"]);
        let unshare = command
            .env("PACKAGE", package.unwrap_or_else(|| Path::new("")))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("unshare: {error}"))?;
        let mut system = Self {
            unshare,
            first: String::new(),
        };
        let mut last = "nothing".to_owned();
        for _ in 0..200 {
            std::thread::sleep(Duration::from_millis(50));
            let id = system.unshare.id();
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
            let Some(first) = children.ok().filter(|children| !children.is_empty()) else {
                continue;
            };
            system.first = first.trim().to_owned();
            let state = system
                .command("systemctl")
                .arg("is-system-running")
                .output();
            match state {
                Ok(state) if state.stdout.starts_with(b"running") => return Ok(system),
                Ok(state) => last = format!("{state:?}"),
                Err(error) => last = error.to_string(),
            }
        }
        Err(format!("systemd is not up after 10 s: {last}"))
    }

    /// A program inside.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args([
                "--mount",
                "--net",
                "--pid",
                "--ipc",
                "--uts",
                "--target",
                &self.first,
            ])
            .arg(program);
        command
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // The first process goes with it, and with that one all others.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

/// Prepares the namespaces and becomes this program there.
fn enter(program: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command
        .args([
            "--mount",
            "--net",
            "--pid",
            "--ipc",
            "--uts",
            "--fork",
            "--kill-child",
        ])
        .args(["sh", "-c", SETUP, "setup"])
        .args(program)
        .env("UNITS", UNITS)
        .env("UNSIX", env!("CARGO_BIN_EXE_unsix"))
        .env("INSIDE", env::current_exe().unwrap_or_default());
    command
}
