//! How many instructions a hit takes, and a miss but for the kernel, counted by callgrind: `cargo bench --bench instructions`.
//!
//! The one figure that does not depend on the machine's mood. The program runs itself under valgrind with two
//! numbers of hits; the slope between them is free of start and warming. It is held against
//! `benches/results/callgrind.tsv` and fails where a hit became more than a tenth dearer. `-- --keep` writes
//! that file anew: a change that makes hits dearer on purpose commits it. Without valgrind it is
//! skipped and says so; under `cargo test` the hits are only done, not counted.

mod warm;

use std::env;
use std::fs;
use std::hint::black_box;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode};
use unsix::pipeline::Outcome;
use warm::{CASES, Misses, Warm};

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/results/callgrind.tsv");
/// How much dearer a hit may become unnoticed: compilers and allocators move it by a few percent.
const TOLERANCE: f64 = 0.10;
/// A name that nobody has asked before: what it is called.
const MISS: &str = "miss";
/// The two numbers of hits.
const FEW: u64 = 1000;
const MANY: u64 = 11_000;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["--hits", MISS, count] => misses(count),
        ["--hits", case, count] => hit(case, count),
        arguments if !arguments.contains(&"--bench") => {
            let mut hits = CASES.iter().map(|case| hit(case.what, "10"));
            hits.try_for_each(|done| done).and_then(|()| misses("10"))
        }
        _ if valgrind().arg("--version").output().is_err() => {
            println!("skipped: instructions per hit: valgrind is not installed");
            Ok(())
        }
        arguments if arguments.contains(&"--keep") => keep(),
        _ => compare(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is counted: so many hits in this process.
fn hit(what: &str, count: &str) -> io::Result<()> {
    let case = CASES.iter().find(|case| case.what == what);
    let (Some(case), Ok(count)) = (case, count.parse::<u64>()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let query = case.query();
    let warm = Warm::new(case.rules, std::slice::from_ref(&query));
    let mut reply = Vec::with_capacity(1232);
    for _ in 0..count {
        let outcome = warm.ask(black_box(&query), &mut reply);
        if !matches!(outcome, Outcome::Reply { .. }) {
            return Err(io::Error::other(format!("{what}: not a hit: {outcome:?}")));
        }
    }
    Ok(())
}

/// The same of names that nobody knows, with an upstream that answers at once.
fn misses(count: &str) -> io::Result<()> {
    let count: usize = count.parse().map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut misses = Misses::new();
    let replies: usize = (0..count).map(|_| misses.next()).sum();
    if replies == count {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{replies} replies to {count} misses"
    )))
}

fn valgrind() -> Command {
    Command::new("valgrind")
}

/// Instructions of one hit.
fn count(case: &str) -> io::Result<u64> {
    let few = count_all(case, FEW)?;
    let many = count_all(case, MANY)?;
    Ok(many.saturating_sub(few) / (MANY - FEW))
}

/// Instructions of the whole process with so many hits.
fn count_all(case: &str, hits: u64) -> io::Result<u64> {
    let output = valgrind()
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(["--hits", case, &hits.to_string()])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let number = collected.and_then(|(_, number)| number.trim().parse().ok());
    match number {
        Some(number) if output.status.success() => Ok(number),
        _ => Err(io::Error::other(format!(
            "callgrind did not count {case}:\n{said}"
        ))),
    }
}

/// The names of all that is counted.
fn cases() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|case| case.what).chain([MISS])
}

fn keep() -> io::Result<()> {
    let mut text = format!("# {}\narch\thit\tinstructions\n", compiler());
    for case in cases() {
        let count = count(case)?;
        println!("{case}: {count} instructions");
        text.push_str(&format!("{}\t{case}\t{count}\n", env::consts::ARCH));
    }
    fs::write(KEPT, text)
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    let said = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&said).trim().to_owned()
}

fn compare() -> io::Result<()> {
    let kept = fs::read_to_string(KEPT)?;
    let name = Path::new(KEPT)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    let mut dearer = Vec::new();
    for case in cases() {
        let Some(before) = kept_count(&kept, case) else {
            println!(
                "skipped: {case}: {name} has no count for {}",
                env::consts::ARCH
            );
            continue;
        };
        let now = count(case)?;
        let change = now as f64 / before as f64 - 1.0;
        println!(
            "{case}: {now} instructions, {before} kept ({:+.1} %)",
            100.0 * change
        );
        if change > TOLERANCE {
            dearer.push(case);
        } else if change < -TOLERANCE {
            println!("{case}: cheaper than what is kept: hold it with `-- --keep`");
        }
    }
    if dearer.is_empty() {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "dearer by more than {:.0} %: {}",
        100.0 * TOLERANCE,
        dearer.join(", ")
    )))
}

fn kept_count(kept: &str, case: &str) -> Option<u64> {
    let start = format!("{}\t{case}\t", env::consts::ARCH);
    kept.lines()
        .find_map(|line| line.strip_prefix(&start)?.parse().ok())
}
