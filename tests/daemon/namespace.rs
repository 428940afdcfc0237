//! A network of a test's own, where port 53 and any address may be had.
//!
//! The test program starts itself again inside, for one test.

use libtest_mimic::{Failed, Trial};
use std::env;
use std::io::ErrorKind;
use std::process::Command;

/// One test: what it is called, what makes its network, and what it does there.
pub(crate) struct Test {
    pub(crate) name: &'static str,
    pub(crate) setup: &'static str,
    pub(crate) run: fn(),
}

impl Test {
    /// Runs it inside; where that cannot be, it is ignored and its name says why.
    pub(crate) fn trial(&'static self) -> Trial {
        if is_inside() {
            return self.here();
        }
        match possible(self.setup) {
            Ok(()) => Trial::test(self.name, || {
                run_inside(self.name, self.setup)?;
                Ok(())
            }),
            Err(reason) => {
                let reason = format!("no network of its own: {reason}");
                let name = format!("{} [ignored: {reason}]", self.name);
                Trial::test(name, || Err(Failed::from(reason))).with_ignored_flag(true)
            }
        }
    }

    /// Runs it where this process is.
    pub(crate) fn here(&'static self) -> Trial {
        Trial::test(self.name, || {
            (self.run)();
            Ok(())
        })
    }
}

/// Set for the copy inside.
const INSIDE: &str = "UNSIX_TEST_INSIDE";

/// Whether this process is the copy inside.
pub(crate) fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Whether this machine can make a network that `setup` prepares; if not, why, in one line.
pub(crate) fn possible(setup: &str) -> Result<(), String> {
    let output = unshare(setup)
        .arg("true")
        .output()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => "no unshare, install util-linux".to_owned(),
            _ => format!("unshare: {error}"),
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(match said.lines().next() {
        Some(line) => line.to_owned(),
        None => output.status.to_string(),
    })
}

/// Runs the test of this name once more, inside, and gives what it printed.
pub(crate) fn run_inside(test: &str, setup: &str) -> Result<String, String> {
    let output = unshare(setup)
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .map_err(|error| format!("unshare: {error}"))?;
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    match output.status.success() && out.contains("1 passed") {
        true => Ok(out.into_owned()),
        false => Err(format!("in a network of its own:\n{out}\n{err}")),
    }
}

/// Inside, prepares the network and becomes the program that is given as arguments.
fn unshare(setup: &str) -> Command {
    let script = format!("ip link set lo up && {setup} && exec \"$0\" \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount"]);
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["sh", "-c", &script]);
    command
}
