//! A network of a test's own, where port 53 and any address may be had.

use std::env;
use std::process::Command;

/// Runs the test of this name once more, alone in a network of its own that `setup` has prepared.
///
/// True in there. False outside, when that run has gone well, or where this machine cannot do it:
/// then it says why.
#[track_caller]
pub(crate) fn alone(test: &str, setup: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let prepare = format!("ip link set lo up && {setup}");
    let possible = unshare(&prepare).output();
    match possible {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            eprintln!("{test}: not run, for no network of its own can be had: {why}");
            return false;
        }
        Err(error) => {
            eprintln!("{test}: not run, for there is no unshare(1): {error}");
            return false;
        }
    }
    let output = unshare(&format!("{prepare} && exec \"$0\" \"$@\""))
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && out.contains("1 passed"),
        "in a network of its own:\n{out}\n{err}"
    );
    false
}

/// Set in there.
const INSIDE: &str = "UNSIX_TEST_INSIDE";

fn unshare(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount"]);
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["sh", "-c", script]);
    command
}
