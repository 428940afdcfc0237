//! The Debian package of this program: lintian finds nothing, a running system is cured by it, and purge leaves nothing.

use crate::daemon::until;
use crate::install::{is_as_it_was, prepare, sixes, tree};
use crate::{property, systemctl};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where it lies on the system that it is installed on.
pub(crate) const PACKAGE: &str = "/run/unsix.deb";

/// Programs, and where they come from.
const TOOLS: &[(&str, &str)] = &[
    ("cargo-deb", "`cargo install cargo-deb --locked`"),
    ("lintian", "lintian"),
    ("dpkg", "dpkg"),
    ("deb-systemd-helper", "init-system-helpers"),
];

/// Why there can be none here, in one line.
pub(crate) fn missing() -> Option<String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    let is_missing = |tool: &&(&str, &str)| !folders.iter().any(|one| one.join(tool.0).is_file());
    let (program, from) = TOOLS.iter().find(is_missing)?;
    Some(format!("no {program}, install {from}"))
}

/// Builds it from the program that all tests run: optimized or not, it is packed the same way.
pub(crate) fn build() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("package");
    let built = folder.join("release");
    let program = env!("CARGO_BIN_EXE_unsix");
    fs::create_dir_all(&built)
        .and_then(|()| fs::copy(program, built.join("unsix")))
        .map_err(|error| format!("{}: {error}", built.display()))?;
    let package = folder.join("unsix.deb");
    let mut command = Command::new("cargo-deb");
    command
        .args(["--no-build", "--strip", "--fast", "--offline", "--locked"])
        .arg("--output")
        .arg(&package)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", &folder);
    done(&mut command).map(|_| package)
}

/// It says nothing but notes.
pub(crate) fn lintian() -> Result<(), String> {
    let package = build()?;
    let mut command = Command::new("lintian");
    command
        .args(["--no-cfg", "--allow-root", "--fail-on", "error,warning"])
        .arg(package);
    let said = done(&mut command)?;
    if said.is_empty() {
        return Ok(());
    }
    Err(said)
}

/// What a program says.
fn done(command: &mut Command) -> Result<String, String> {
    let output = command.output();
    let output = output.map_err(|error| format!("{command:?}: {error}"))?;
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    Err(format!("{command:?}: {}:\n{out}{err}", output.status))
}

fn sh(line: &str) {
    done(Command::new("sh").args(["-ec", line])).unwrap();
}

/// Everything that a package may touch, but for dpkg's own books.
fn system() -> std::collections::BTreeMap<String, u64> {
    let mut found = tree(&["/etc", "/usr", "/var/lib"]);
    found.retain(|path, _| !path.starts_with("/var/lib/dpkg/"));
    found
}

pub(crate) fn cured_and_back() {
    let _upstream = prepare();
    // A machine that builds may forbid its packages to start anything.
    sh("rm -f /usr/sbin/policy-rc.d");
    let before = system();
    assert_eq!(sixes(), 1);
    let install = format!("dpkg --force-unsafe-io --install {PACKAGE}");
    sh(&install);
    until("the cure", || (sixes() == 0).then_some(()));
    sh("unsix status");
    for unit in ["unsix.socket", "unsix.service", "unsix-attach.service"] {
        systemctl(&["is-enabled", unit]);
        systemctl(&["is-active", unit]);
    }
    // Who calls `install` is told that it is there, and who edited the configuration keeps it.
    let refused = done(Command::new("unsix").arg("install")).unwrap_err();
    assert!(refused.contains("a package has brought unsix"), "{refused}");
    sh("echo '# edited' >> /etc/unsix/unsix.yaml");
    let process = property("MainPID");
    sh(&install);
    assert_ne!(property("MainPID"), process, "an upgrade starts it anew");
    let config = fs::read_to_string("/etc/unsix/unsix.yaml").unwrap();
    assert!(config.ends_with("# edited\n"), "{config}");
    until("the cure again", || (sixes() == 0).then_some(()));
    sh("dpkg --purge unsix");
    assert_eq!(sixes(), 1);
    is_as_it_was(&before, &system());
    let units = systemctl(&["list-units", "--all", "--plain", "--no-legend", "unsix*"]);
    assert_eq!(units, "", "nothing of it is known any more");
}
