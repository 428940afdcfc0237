//! `unsix install` and `uninstall` in a root of the test's own. What they do with a running systemd: `tests/systemd`.

#![expect(
    clippy::unwrap_used,
    reason = "functions beside the tests are not exempt"
)]

mod daemon;

use daemon::files::Folder;
use daemon::program::{Ended, run};
use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use unsix::config::Config;

/// A system that has some of the folders that every system has.
fn system() -> Folder {
    let folder = Folder::new();
    for path in [
        "root/etc/systemd/system",
        "root/usr/local/bin",
        "root/var/lib",
    ] {
        fs::create_dir_all(folder.path(path)).unwrap();
    }
    folder.write("root/etc/hostname", "here\n");
    folder
}

fn root(folder: &Folder) -> String {
    folder.path("root").to_str().unwrap().to_owned()
}

#[track_caller]
fn good(arguments: &[&str]) -> String {
    let ended = run(arguments);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{arguments:?}");
    ended.out
}

/// Every file and folder below, with its mode and what stands in it; of the program only how long it is.
fn tree(folder: &Path) -> BTreeMap<String, (u32, String)> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let about = fs::symlink_metadata(&path).unwrap();
            let content = match about.is_dir() {
                true => String::new(),
                false if about.size() > 1 << 20 => about.size().to_string(),
                false => fs::read_to_string(&path).unwrap(),
            };
            let name = path
                .strip_prefix(folder)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            found.insert(name, (about.permissions().mode(), content));
            if about.is_dir() {
                open.push(path);
            }
        }
    }
    found
}

#[test]
fn after_uninstall_the_tree_is_what_it_was() {
    let folder = system();
    let root = root(&folder);
    let before = tree(Path::new(&root));
    for mode in ["auto", "resolved", "redirect", "print"] {
        let told = good(&["install", "--root", &root, "--mode", mode]);
        for words in [
            "wrote      ",
            "/etc/unsix/unsix.yaml\n",
            "started    nothing: ",
            &format!("undo       sudo unsix uninstall --root {root}\n"),
        ] {
            assert!(told.contains(words), "{mode}: no {words:?} in\n{told}");
        }
        let during = tree(Path::new(&root));
        assert!(during.len() > before.len());
        let told = good(&["uninstall", "--root", &root]);
        assert!(told.starts_with("removed    "), "{told}");
        assert!(!told.contains("kept"), "{told}");
        assert_eq!(tree(Path::new(&root)), before, "{mode}");
    }
}

#[test]
fn what_is_installed_fits_together() {
    let folder = system();
    let root = root(&folder);
    good(&["install", "--root", &root, "--mode", "redirect"]);
    let found = tree(Path::new(&root));
    let text = |path: &str| {
        found
            .get(path)
            .unwrap_or_else(|| panic!("no {path}: {:#?}", found.keys()))
            .1
            .as_str()
    };
    let config = Config::read(text("etc/unsix/unsix.yaml")).unwrap();
    assert_eq!(config.zones().len(), 2, "the preset acts");
    assert_eq!(config.upstreams, None, "the system's own");
    let ipv6 = UdpSocket::bind("[::1]:0").is_ok();
    for unit in ["unsix.service", "unsix.socket", "unsix-attach.service"] {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("deploy/systemd")
            .join(unit);
        let mut shipped = fs::read_to_string(shipped).unwrap();
        if unit == "unsix.socket" && !ipv6 {
            shipped = shipped
                .lines()
                .filter(|line| !line.contains("=[::1]"))
                .map(|line| format!("{line}\n"))
                .collect();
        }
        let shipped = shipped.replace("=unsix attach ", "=unsix attach --mode redirect ");
        assert_eq!(text(&format!("etc/systemd/system/{unit}")), shipped);
    }
    let program = &found["usr/local/bin/unsix"];
    assert_eq!(program.0 & 0o7777, 0o755);
    assert_eq!(
        program.1,
        fs::metadata(env!("CARGO_BIN_EXE_unsix"))
            .unwrap()
            .size()
            .to_string()
    );
}

#[test]
fn what_somebody_wrote_or_edited_stays() {
    let folder = system();
    let root = root(&folder);
    fs::create_dir(folder.path("root/etc/unsix")).unwrap();
    let own = "listen: [\"127.0.6.54:53\"]\nrules: [{hosts: [a.example]}]\n";
    let file = folder.write("root/etc/unsix/unsix.yaml", own);
    let before = tree(Path::new(&root));
    let told = good(&["install", "--root", &root]);
    assert!(
        told.contains("kept       ") && fs::read_to_string(&file).unwrap() == own,
        "{told}"
    );
    // The socket opens what that file listens on.
    let socket = fs::read_to_string(folder.path("root/etc/systemd/system/unsix.socket")).unwrap();
    let opened: Vec<&str> = socket
        .lines()
        .filter(|line| line.starts_with("Listen"))
        .collect();
    assert_eq!(
        opened,
        ["ListenDatagram=127.0.6.54:53", "ListenStream=127.0.6.54:53"]
    );
    good(&["uninstall", "--root", &root]);
    assert_eq!(tree(Path::new(&root)), before);

    // Ours, and edited then: neither a second install nor uninstall takes it away.
    fs::remove_file(&file).unwrap();
    good(&["install", "--root", &root]);
    let edited = fs::read_to_string(&file).unwrap() + "threads: 1\n";
    fs::write(&file, &edited).unwrap();
    let told = good(&["install", "--root", &root]);
    assert!(
        told.contains(&format!("kept       {}", file.display())),
        "{told}"
    );
    let told = good(&["uninstall", "--root", &root]);
    assert!(
        told.contains(&format!("kept       {}: it was edited", file.display())),
        "{told}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), edited);
}

#[test]
fn a_second_install_takes_over_what_the_first_one_wrote() {
    let folder = system();
    let root = root(&folder);
    let before = tree(Path::new(&root));
    good(&["install", "--root", &root, "--mode", "redirect"]);
    let first = tree(Path::new(&root));
    good(&["install", "--root", &root, "--mode", "redirect"]);
    assert_eq!(tree(Path::new(&root)), first);
    good(&["install", "--root", &root, "--mode", "auto"]);
    let attach = fs::read_to_string(folder.path("root/etc/systemd/system/unsix-attach.service"));
    assert!(attach.unwrap().contains("=unsix attach --config "));
    good(&["uninstall", "--root", &root]);
    assert_eq!(tree(Path::new(&root)), before);
}

#[test]
fn a_second_install_that_fails_leaves_the_first_one_as_it_was() {
    let folder = system();
    let root = root(&folder);
    good(&["install", "--root", &root]);
    // Nobody can write a file in the place of a folder; this unit is the last one.
    let beside = "root/etc/systemd/system/unsix-attach.unsix-new/x";
    fs::create_dir_all(folder.path(beside)).unwrap();
    refused(
        &root,
        &["install", "--mode", "redirect"],
        69,
        "unsix-attach.service cannot be written: Is a directory (os error 21): everything is as it was before",
    );
}

#[test]
fn whatever_the_umask_is_the_service_can_read_its_files() {
    let folder = system();
    let root = root(&folder);
    let script = "umask 077; exec \"$0\" install --root \"$1\"";
    let done = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_unsix"), &root])
        .output();
    assert!(done.as_ref().unwrap().status.success(), "{done:?}");
    let found = tree(Path::new(&root));
    for (path, mode) in [
        ("etc/unsix", 0o755),
        ("etc/unsix/unsix.yaml", 0o644),
        ("usr/local/bin/unsix", 0o755),
    ] {
        assert_eq!(found[path].0 & 0o7777, mode, "{path}");
    }
}

/// Runs it; it must fail, say one line that holds these words, and leave the tree alone.
#[track_caller]
fn refused(root: &str, arguments: &[&str], code: i32, words: &str) {
    let before = tree(Path::new(root));
    let Ended {
        code: found,
        out,
        err,
    } = run(&[arguments, &["--root", root]].concat());
    assert_eq!((found, out.as_str()), (code, ""), "{err}");
    assert!(err.lines().count() == 1 && err.contains(words), "{err}");
    assert_eq!(tree(Path::new(root)), before, "nothing half done");
}

#[test]
fn what_is_in_the_way_is_named_and_nothing_is_half_done() {
    let folder = system();
    let root = root(&folder);
    refused(
        &root,
        &["uninstall"],
        69,
        "nothing to take back: `unsix install` has left no ",
    );
    let foreign = folder.write("root/usr/local/bin/unsix", "#!/bin/sh\n");
    refused(
        &root,
        &["install"],
        69,
        "is another version that `unsix install` did not put there: move it away first",
    );
    fs::remove_file(foreign).unwrap();
    // A folder where a file belongs.
    fs::create_dir_all(folder.path("root/etc/unsix/unsix.yaml")).unwrap();
    refused(
        &root,
        &["install"],
        69,
        "etc/unsix/unsix.yaml cannot be read: Is a directory",
    );
    fs::remove_dir_all(folder.path("root/etc/unsix")).unwrap();
    fs::create_dir_all(folder.path("root/usr/lib/systemd/system")).unwrap();
    let packaged = folder.write("root/usr/lib/systemd/system/unsix.service", "");
    refused(
        &root,
        &["install"],
        69,
        "a package has brought unsix to this system",
    );
    fs::remove_file(packaged).unwrap();
    fs::create_dir(folder.path("root/etc/unsix")).unwrap();
    folder.write("root/etc/unsix/unsix.yaml", "rulse: []\n");
    refused(&root, &["install"], 78, "1:1: rulse: no such option");
    fs::remove_dir_all(folder.path("root/etc/unsix")).unwrap();
    fs::create_dir(folder.path("root/etc/unsix")).unwrap();
    folder.write("root/etc/unsix/installed.json", "no JSON");
    refused(
        &root,
        &["uninstall"],
        69,
        "what was installed cannot be read",
    );
    assert_eq!(
        run(&["install", "--preset", "quay", "--root", &root]).code,
        64
    );
}
