//! The house rules that no compiler checks: who may import whom, and what the pure rooms never touch.

use std::fs;
use std::path::{Path, PathBuf};

/// Which rooms a room may name in a `crate::` path. Everything else is a wall; `time` is open to all.
#[rustfmt::skip]
const DOORS: &[(&str, &[&str])] = &[
    ("message",  &[]),
    ("metrics",  &[]),
    ("log",      &["config"]),
    ("config",   &["message"]),
    ("policy",   &["config", "message"]),
    ("cache",    &["config", "message"]),
    ("verdict",  &["config", "message", "policy", "probe"]),
    ("prober",   &["config", "message", "pipeline", "probe", "upstream", "verdict"]),
    ("pipeline", &["cache", "config", "message", "policy"]),
    ("probe",    &[]),
    ("sys",      &[]),
    ("upstream", &["config", "message", "metrics", "sys"]),
    ("listen",   &["config", "message", "metrics", "pipeline", "sys", "upstream"]),
    ("attach",   &["config", "message", "sys", "upstream"]),
    ("demo",     &["config", "daemon", "doctor", "listen", "message", "probe"]),
    ("doctor",   &["attach", "config", "message", "policy", "probe", "upstream", "verdict"]),
    ("admin",    &["config", "message", "metrics", "pipeline"]),
];

/// Rooms and files that wire the others together.
const PORCH: &[&str] = &["daemon", "cli", "main", "lib", "time"];

/// Rooms without socket, clock, task or log: whatever they decide can be played with a number for a clock.
const PURE: &[&str] = &[
    "message", "config", "policy", "cache", "pipeline", "verdict",
];

/// Words that have no place in a pure room.
const IMPURE: &[&str] = &[
    "std::net::UdpSocket",
    "UdpSocket::",
    "TcpStream",
    "TcpListener",
    "Instant",
    "SystemTime",
    "tokio::",
    "tracing::",
    "thread::",
    "rand::rng",
    "SysRng",
    "std::fs",
    "println!",
];

/// Waits that hang where the clock is faked; the serving path waits in epoll or tokio.
const TIMED_WAITS: &[&str] = &["park_timeout", "recv_timeout", "wait_timeout"];

/// The one room that may hold `unsafe`.
const SYSTEM_CALLS: &str = "src/sys/";

#[test]
fn rooms_only_use_their_doors() {
    let mut broken = Vec::new();
    for (room, doors) in DOORS {
        for line in code_of_room(room) {
            for target in rooms_named_in(&line.code) {
                if target != *room && target != "time" && !doors.contains(&target) {
                    broken.push(format!("{}: {room} may not use `{target}`", line.place));
                }
            }
        }
    }
    none_of(&broken);
}

#[test]
fn every_room_is_on_the_plan() {
    let mut broken = Vec::new();
    for entry in fs::read_dir("src").unwrap() {
        let path = entry.unwrap().path();
        let room = path.file_stem().unwrap().to_string_lossy().into_owned();
        if !PORCH.contains(&room.as_str()) && !DOORS.iter().any(|(name, _)| *name == room) {
            broken.push(format!("{}: which rooms may it use?", path.display()));
        }
    }
    none_of(&broken);
}

#[test]
fn pure_rooms_touch_no_socket_clock_task_or_log() {
    let mut broken = Vec::new();
    for room in PURE {
        for line in code_of_room(room) {
            for word in IMPURE.iter().filter(|word| has_word(&line.code, word)) {
                broken.push(format!(
                    "{}: {room} is pure and may not name `{word}`",
                    line.place
                ));
            }
        }
    }
    none_of(&broken);
}

#[test]
fn no_wait_reads_a_clock_of_its_own() {
    let mut broken = Vec::new();
    for line in code_under(Path::new("src")) {
        for word in TIMED_WAITS.iter().filter(|word| has_word(&line.code, word)) {
            broken.push(format!(
                "{}: `{word}` hangs under a faked clock",
                line.place
            ));
        }
    }
    none_of(&broken);
}

#[test]
fn unsafe_stays_in_one_room() {
    let mut broken = Vec::new();
    for line in code_under(Path::new("src")) {
        let elsewhere = !line.place.starts_with(SYSTEM_CALLS);
        if elsewhere && has_word(&line.code, "unsafe") {
            broken.push(format!(
                "{}: `unsafe` belongs in {SYSTEM_CALLS}",
                line.place
            ));
        }
    }
    none_of(&broken);
}

#[test]
fn no_file_is_longer_than_500_lines() {
    let mut broken = Vec::new();
    for file in all_files() {
        let count = fs::read_to_string(&file).unwrap().lines().count();
        if count > 500 {
            broken.push(format!("{}: {count} lines", file.display()));
        }
    }
    none_of(&broken);
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut broken = Vec::new();
    for file in all_files() {
        if !fs::read_to_string(&file).unwrap().starts_with("//! ") {
            broken.push(format!("{}: the first line is no `//!`", file.display()));
        }
    }
    none_of(&broken);
}

fn none_of(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// A line without its comment.
struct Line {
    /// `file:number`
    place: String,
    code: String,
}

/// A room is a folder, or a single file while it is small.
fn code_of_room(room: &str) -> Vec<Line> {
    let folder = Path::new("src").join(room);
    let file = folder.with_extension("rs");
    if file.exists() {
        code_in(&file)
    } else {
        code_under(&folder)
    }
}

fn code_under(folder: &Path) -> Vec<Line> {
    rust_files(folder)
        .iter()
        .flat_map(|file| code_in(file))
        .collect()
}

fn code_in(file: &Path) -> Vec<Line> {
    let text = fs::read_to_string(file).expect("a source file is text");
    let numbered = text.lines().zip(1..);
    numbered
        .map(|(line, number)| Line {
            place: format!("{}:{number}", file.display()),
            code: line.split("//").next().unwrap_or_default().to_owned(),
        })
        .collect()
}

fn all_files() -> Vec<PathBuf> {
    ["src", "tests", "benches"]
        .iter()
        .flat_map(|folder| rust_files(Path::new(folder)))
        .collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The first segment after each `crate::`; a grouped `crate::{a, b}` gives an empty name, which no
/// room has as a door: one `use` per room.
fn rooms_named_in(code: &str) -> impl Iterator<Item = &str> {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    code.split("crate::").skip(1).map(move |rest| {
        let end = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len());
        &rest[..end]
    })
}

/// Whole words only: `unsafe_code` is not `unsafe`.
fn has_word(code: &str, word: &str) -> bool {
    let is_part = |letter: Option<char>| letter.is_some_and(|l| l.is_alphanumeric() || l == '_');
    code.match_indices(word).any(|(at, _)| {
        let after = &code[at + word.len()..];
        let open = word.ends_with(':') || word.ends_with('!');
        !is_part(code[..at].chars().next_back()) && (open || !is_part(after.chars().next()))
    })
}

#[test]
fn the_reader_of_lines_sees_what_it_must() {
    let rooms = |code| rooms_named_in(code).collect::<Vec<_>>();
    assert_eq!(rooms("use crate::message::Name;"), ["message"]);
    assert_eq!(
        rooms("use crate::{cache, config};"),
        [""],
        "a group hides its rooms"
    );
    assert!(has_word("unsafe { call() }", "unsafe"));
    assert!(!has_word("#![deny(unsafe_code)]", "unsafe"));
    assert!(has_word("use std::time::Instant;", "Instant"));
    assert!(!has_word("let instantly = 1;", "Instant"));
}
