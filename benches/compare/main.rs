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

use machine::{Cores, kernel, label, pin};
use options::Options;
use peer::{Peer, Role};
use results::Results;
use rounds::Plan;
use scenario::{SCENARIOS, Scenario};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

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
    if let Some(port) = options.serve_floor {
        return floor::serve(port);
    }
    if let Some(file) = &options.read {
        return results::read(file);
    }
    let plan = plan(options)?;
    let scratch = Scratch::new();
    let folder = if options.short {
        scratch.0.clone()
    } else {
        benches().join("results")
    };
    let facts = facts(&plan);
    for fact in &facts {
        println!("{fact}");
    }
    pin(plan.cores.others)?;
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

/// What is to be measured on this machine; tells what is left out.
fn plan(options: &Options) -> io::Result<Plan> {
    let (mut servers, mut upstreams) = (Vec::new(), Vec::new());
    for peer in Peer::read_all(&benches().join("peers"))? {
        if let Some(name) = peer.leaves_out.iter().find(|name| !is_scenario(name)) {
            return Err(io::Error::other(format!(
                "{} leaves out `{name}`, which is no scenario",
                peer.name
            )));
        }
        if peer.find().is_none() {
            println!("left out: {}: no {} found", peer.name, peer.program);
        } else if peer.role == Role::Upstream {
            upstreams.push(peer);
        } else if options.wants(&peer) {
            servers.push(peer);
        }
    }
    // A name server, else our own echo; the short form takes that at once, for it is there on every machine.
    upstreams.sort_by_key(|peer| peer.is_ours() != options.short);
    let no_upstream = || io::Error::other("no upstream among the peers");
    Ok(Plan {
        servers,
        upstream: upstreams.into_iter().next().ok_or_else(no_upstream)?,
        scenarios: scenarios(&options.only)?,
        rounds: options.rounds,
        span: Duration::try_from_secs_f64(options.seconds).map_err(io::Error::other)?,
        few: options.short,
        cores: Cores::choose()?,
        machine: options.label.clone().unwrap_or_else(label),
    })
}

fn scenarios(only: &[String]) -> io::Result<Vec<&'static Scenario>> {
    if let Some(name) = only.iter().find(|name| !is_scenario(name)) {
        let known: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        return Err(io::Error::other(format!(
            "no scenario `{name}`: there are {}",
            known.join(", ")
        )));
    }
    let is_wanted =
        |scenario: &&Scenario| only.is_empty() || only.iter().any(|name| name == scenario.name);
    Ok(SCENARIOS.iter().filter(is_wanted).collect())
}

fn is_scenario(name: &str) -> bool {
    SCENARIOS.iter().any(|scenario| scenario.name == name)
}

/// What a reader of the rows has to know besides.
fn facts(plan: &Plan) -> Vec<String> {
    let cores = plan.cores;
    let mut facts = vec![
        format!("{}, {}", plan.machine, kernel()),
        format!(
            "server on core {}, generator and upstream on core {}",
            cores.server, cores.others
        ),
        format!(
            "runs of {} s; CPU time from /proc/PID/task/*/schedstat",
            plan.span.as_secs_f64()
        ),
        format!("upstream: {}", plan.upstream.name),
    ];
    if cores.server == cores.others {
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

fn benches() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/benches"))
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
