//! Compares unsix with the kernel's floor and with other servers: one command, `cargo bench --bench compare`.
//!
//! It starts each server pinned to one core, generator and upstream on another, asks all of them the same,
//! and counts the CPU time that the server took for each answer. `benches/README.md` tells the method and how
//! to read the figures. Under `cargo test` it does its short form: broken is what gives no rows, slow is fine.

mod blast;
mod clock;
mod floor;
mod machine;
mod mmsg;
mod options;
mod peer;
mod plan;
mod plot;
mod questions;
mod results;
mod rounds;
mod row;
mod scenario;
mod server;
mod streams;
mod summary;
mod tally;

use machine::{kernel, pin};
use options::Options;
use plan::{BENCHES, Plan};
use results::Results;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(&Options::read_arguments()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> io::Result<()> {
    if let Some(address) = options.serve_floor {
        return floor::serve(address);
    }
    if let Some(file) = &options.read {
        return results::read(file);
    }
    let plan = Plan::make(options)?;
    let scratch = Scratch::new();
    let folder = if options.short {
        scratch.0.clone()
    } else {
        Path::new(BENCHES).join("results")
    };
    let facts = facts(&plan);
    for fact in &facts {
        println!("{fact}");
    }
    pin(&[plan.cores.others])?;
    let mut results = Results::create(&folder, &plan.machine, &facts)?;
    let mut runs = 0;
    plan.run(|row| {
        runs += 1;
        row.map_or(Ok(()), |row| results.add(row))
    })?;
    results.finish()?;
    if results.count() < runs {
        return Err(io::Error::other(format!(
            "{} of {runs} runs gave no result",
            runs - results.count()
        )));
    }
    Ok(())
}

/// What a reader of the rows has to know besides.
fn facts(plan: &Plan) -> Vec<String> {
    let cores = &plan.cores;
    let threads = plan.scenarios.iter().map(|scenario| scenario.threads).max();
    let mut facts = vec![
        format!("{}, {}", plan.machine, kernel()),
        format!(
            "server on cores {:?}, one for each thread; generator and upstream on core {}",
            cores.of_threads(threads.unwrap_or(1)),
            cores.others
        ),
        format!(
            "runs of {} s; CPU time from /proc/PID/task/*/schedstat",
            plan.span.as_secs_f64()
        ),
        format!("upstream: {}", plan.upstream.name),
    ];
    if cores.server.contains(&cores.others) {
        facts.push("one core for both: no figure of this machine means anything".to_owned());
    }
    for peer in plan.servers.iter().chain([&plan.upstream]) {
        if let Some(version) = peer.tell_version() {
            facts.push(format!("{}: {version}", peer.name));
        }
    }
    for scenario in &plan.scenarios {
        facts.push(format!("scenario {}: {}", scenario.name, scenario.about));
    }
    facts
}

/// The folder of everything that is not kept.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("compare-{}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
