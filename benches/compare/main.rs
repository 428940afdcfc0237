//! Compares unsix with the kernel's floor and with other servers: one command, `cargo bench --bench compare`.
//!
//! It starts each server pinned to one core, generator and upstream on another, asks all of them the same,
//! and counts the CPU time that the server took for each answer. `benches/README.md` tells the method and how
//! to read the figures. Under `cargo test` it does its short form: broken is what gives no rows, slow is fine.

mod blast;
mod clock;
mod floor;
mod http2;
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
mod wire;

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
        println!("{}", results::read(file)?);
        return Ok(());
    }
    let plan = Plan::make(options)?;
    pin(&[plan.cores.others])?;
    if options.short {
        let scratch = Scratch::new();
        compare(&plan, &scratch.0)?;
        return Ok(());
    }
    let table = compare(&plan, &Path::new(BENCHES).join("results"))?;
    println!("\n{table}");
    Ok(())
}

/// Measures, keeps rows, table and plot in this folder, and gives the table.
fn compare(plan: &Plan, folder: &Path) -> io::Result<String> {
    let facts = facts(plan);
    for fact in &facts {
        println!("{fact}");
    }
    let mut results = Results::create(folder, &plan.machine, &facts)?;
    let mut failed = 0;
    plan.run(|row| match row {
        Some(row) => results.add(row),
        None => {
            failed += 1;
            Ok(())
        }
    })?;
    let table = results.finish()?;
    match failed {
        0 => Ok(table),
        _ => Err(io::Error::other(format!(
            "{failed} runs gave no result; the others are kept"
        ))),
    }
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
        let others = plan
            .servers
            .iter()
            .filter(|server| !scenario.is_for(server));
        let others: Vec<_> = others.map(|server| server.name.as_str()).collect();
        let without = match others.as_slice() {
            [] => String::new(),
            others => format!("; without {}", others.join(", ")),
        };
        facts.push(format!(
            "scenario {}: {}{without}",
            scenario.name, scenario.about
        ));
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
