//! What is asked of systemd.

use std::path::Path;
use std::process::Command;

/// The units.
pub(super) const SOCKET: &str = "unsix.socket";
pub(super) const SERVICE: &str = "unsix.service";
pub(super) const ATTACH: &str = "unsix-attach.service";

/// All of them, in the order in which they stop: attach leads the host away before the daemon ends.
pub(super) const UNITS: [&str; 3] = [ATTACH, SERVICE, SOCKET];

/// Whether it runs this system (`sd_booted(3)`).
pub(super) fn is_here() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Has it do something; the error is what it complains of.
pub(super) fn call(arguments: &[&str]) -> Result<String, String> {
    let failed = |why: &str| format!("systemctl {}: {why}", arguments.join(" "));
    let output = Command::new("systemctl").args(arguments).output();
    let output = output.map_err(|error| failed(&error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(said.lines().next().unwrap_or("it fails")))
}

/// Those of the units that are `active`, or `enabled`.
pub(super) fn those_that_are(word: &str) -> Vec<&'static str> {
    let question = format!("is-{word}");
    let is_so = |unit: &&str| call(&[&question, "--quiet", unit]).is_ok();
    UNITS.into_iter().filter(is_so).collect()
}

/// Stops a unit, also at the next start of the system, and removes what it kept. What is not there need not be stopped.
pub(super) fn stop(unit: &str) {
    let _ = call(&["disable", "--quiet", "--now", unit]);
    let _ = call(&["clean", "--what=state", unit]);
    let _ = call(&["reset-failed", unit]);
}

/// The last thing that a unit said.
pub(super) fn last_line(unit: &str) -> String {
    let said = Command::new("journalctl")
        .args(["--no-pager", "--output=cat", "--lines=1", "_COMM=unsix"])
        .args(["--unit", unit])
        .output();
    let said = said.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&said).trim().to_owned()
}
