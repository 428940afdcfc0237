//! What shells and routers read.

use crate::tools::{NFT, SHELLCHECK, printed};
use crate::tree::{Folder, path};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) fn shellcheck() {
    let mut found = Vec::new();
    scripts(&path(""), &mut found);
    for name in ["deploy/gai/gai.sh", ".ci/run"] {
        assert!(found.contains(&path(name)), "{found:#?}");
    }
    printed(SHELLCHECK.command().args(&found));
}

/// Every file that begins as a shell's script.
fn scripts(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if entry.file_type().unwrap().is_dir() {
            if name != "target" && name != ".git" {
                scripts(&entry.path(), found);
            }
        } else if let Ok(content) = fs::read(entry.path()) {
            let first = content
                .split(|octet| *octet == b'\n')
                .next()
                .unwrap_or_default();
            if first.starts_with(b"#!") && (first.ends_with(b"sh")) {
                found.push(entry.path());
            }
        }
    }
}

/// The real script on a file of the test's own, with what the node may have had in it.
pub(crate) fn gai() {
    let folder = Folder::new("gai-conf");
    let cases: [Option<&str>; 3] = [
        None,
        Some("#label ::1/128 0\n\n#precedence ::1/128 50\n\n"),
        Some("reload no\n"),
    ];
    for before in cases {
        let file = folder.path().join("gai.conf");
        if let Some(before) = before {
            fs::write(&file, before).unwrap();
        }
        let mut script = Command::new("sh")
            .arg(path("deploy/gai/gai.sh"))
            .env("GAI_CONF", &file)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut out = BufReader::new(script.stdout.take().unwrap());
        out.read_line(&mut said).unwrap();
        let now = fs::read_to_string(&file).unwrap();
        let ours = "precedence ::ffff:0:0/96 100 # unsix-gai\n";
        assert_eq!(now, before.unwrap_or_default().to_owned() + ours);
        kill_process(Pid::from_child(&script), Signal::TERM).unwrap();
        assert!(script.wait().unwrap().success());
        assert_eq!(fs::read_to_string(&file).ok().as_deref(), before);
        let _ = fs::remove_file(&file);
    }
}

/// In a network of its own, where nobody is refused anything; only asked, not done.
pub(crate) fn router() {
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "--map-root-user"]);
    unshare.arg(NFT.command().get_program());
    printed(
        unshare
            .args(["--check", "--file"])
            .arg(path("deploy/router/docker-hub.nft")),
    );
    let network = "2600:1f18::/32";
    for file in [
        "deploy/router/docker-hub.nft",
        "deploy/router/docker-hub.rsc",
    ] {
        assert!(crate::tree::read(file).contains(network), "{file}");
    }
}
