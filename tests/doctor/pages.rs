//! What doctor prints, for programs and for people.

use crate::daemon::network::{FAR6, narrow_to, on_the_way, server};
use crate::world::{self, CONTROL, HOST, doctor, host};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// Holds a text against a file of `tests/golden`, which BLESS writes.
#[track_caller]
fn is_golden(file: &str, found: &str) {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, found).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "{file} is old: run BLESS=1 cargo test --test doctor\n{found}"
    );
}

/// Hosts of three kinds, in a network with a black hole.
const HOSTS: [&str; 3] = [HOST, "four.example:8443", "nobody.example"];

pub(crate) fn json() {
    let _dns = host();
    server();
    narrow_to(FAR6);
    let (mut report, _) = world::json(&HOSTS);
    mask(&mut report);
    is_golden("doctor.json", &format!("{report:#}\n"));
}

/// Times are those of the day, and pullers those of the machine.
fn mask(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(mask),
        Value::Object(all) => {
            for (key, value) in all {
                match key.as_str() {
                    "pullers" => *value = Value::Array(Vec::new()),
                    "kubernetes" => *value = Value::Null,
                    key if key.ends_with("seconds") && value.is_number() => *value = 0.into(),
                    _ => mask(value),
                }
            }
        }
        _ => {}
    }
}

pub(crate) fn page() {
    let _dns = host();
    server();
    narrow_to(FAR6);
    let ended = doctor(&HOSTS);
    assert_eq!((ended.code, ended.err.as_str()), (20, ""), "{ended:?}");
    let machine = ["  puller ", "  kubernetes "];
    let lines = ended.out.lines();
    let lines = lines.filter(|line| machine.iter().all(|start| !line.starts_with(start)));
    let masked: String = lines.map(|line| masked(line) + "\n").collect();
    is_golden("doctor.txt", &masked);
}

/// A line without its times, which take more or less room.
fn masked(line: &str) -> String {
    let indent = line.len() - line.trim_start().len();
    let mut words: Vec<&str> = line.split_whitespace().collect();
    for at in 1..words.len() {
        let is_time = words[at].trim_end_matches(',') == "ms";
        if is_time && words[at - 1].parse::<f64>().is_ok_and(|time| time != 300.0) {
            words[at - 1] = "N";
        }
    }
    format!("{}{}", &line[..indent], words.join(" "))
}

/// `script` gives it a terminal.
fn on_a_terminal(variables: &str) -> String {
    let unsix = env!("CARGO_BIN_EXE_unsix");
    let line = format!("env {variables} {unsix} doctor {HOST} --control {CONTROL}");
    let output = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(10), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn terminal() {
    const RED: &str = "\x1b[1;31mIPV6_DROPPED\x1b[0m";
    let _dns = host();
    server();
    on_the_way("ip6 daddr 2001:db8:b::2 tcp flags syn drop");
    let seen = on_a_terminal("TERM=xterm");
    assert!(
        seen.contains("examining: ") && seen.contains(" answers are there (2 s)"),
        "{seen}"
    );
    assert!(seen.contains(RED), "{seen}");
    for variables in ["TERM=xterm NO_COLOR=1", "TERM=dumb"] {
        let seen = on_a_terminal(variables);
        assert!(
            seen.contains("  IPV6_DROPPED  ") && !seen.contains(RED),
            "{seen}"
        );
    }
    let piped = doctor(&[HOST]);
    assert!(
        !piped.out.contains('\x1b') && piped.err.is_empty(),
        "{piped:?}"
    );
}

/// A program that is called as a puller is, ended with the test.
struct Puller(Child);

impl Puller {
    fn start(name: &str) -> Self {
        fs::create_dir_all("/run/pullers").unwrap();
        let file = format!("/run/pullers/{name}");
        fs::copy("/bin/sleep", &file).unwrap();
        Self(Command::new(file).arg("60").spawn().unwrap())
    }
}

impl Drop for Puller {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Real processes, linked with glibc as Debian's containerd is.
pub(crate) fn pullers() {
    let _dns = host();
    server();
    let _puller = Puller::start("containerd");
    fs::write("/etc/gai.conf", "precedence ::ffff:0:0/96  100\n").unwrap();
    for (nsswitch, resolver, heeds, words) in [
        (
            "hosts: files dns\n",
            "go",
            false,
            "containerd does not, so pulls go on as without it",
        ),
        (
            "hosts: files resolve dns\n",
            "glibc",
            true,
            "and so does containerd",
        ),
    ] {
        fs::write("/etc/nsswitch.conf", nsswitch).unwrap();
        let (report, _) = world::json(&[HOST]);
        let around = &report["surroundings"];
        let all = around["pullers"].as_array().unwrap();
        let ours = all
            .iter()
            .find(|one| one["path"] == "/run/pullers/containerd")
            .unwrap();
        assert_eq!(ours["resolver"], resolver);
        assert_eq!(ours["heeds_gai_conf"], heeds);
        let note = around["notes"][0].as_str().unwrap();
        assert!(
            note.starts_with("/etc/gai.conf has a line in force") && note.contains(words),
            "{note}"
        );
    }
}
