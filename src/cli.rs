//! The command line: what can be said to `unsix`, and how it ends.
//!
//! Exit codes: 0 all is well, 1 what was looked at is not, and those of sysexits(3): 64 the command line is wrong, 69
//! an address cannot be listened on or the host lacks something, 70 a fault of ours, 74 the output cannot be written,
//! 77 rights are missing, 78 the configuration is wrong or cannot be read. `doctor` has codes of its own.

mod admin;
mod arguments;
mod attach;
mod demo;
mod doctor;
mod explain;
mod health;
mod install;
mod manager;
mod run;
mod status;
mod target;
mod verify;

use crate::config::Config;
use arguments::{Arguments, Attach, Command, Explain};
use clap::{CommandFactory, Parser};
use clap_complete::{Shell, generate};
use std::fmt;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

/// Why the program ends otherwise than well.
enum Failure {
    /// What was looked at is not well.
    Unhealthy,
    /// The doctor's verdict.
    Verdict(u8),
    /// The command line is wrong.
    Usage,
    /// An address cannot be listened on, or nobody answers.
    Unavailable,
    /// A fault of ours.
    Bug,
    /// What was asked for cannot be written.
    Output,
    /// The rights for it are missing.
    Rights,
    /// The configuration is wrong or cannot be read.
    Config,
}

impl From<Failure> for ExitCode {
    fn from(failure: Failure) -> Self {
        Self::from(match failure {
            Failure::Unhealthy => 1,
            Failure::Verdict(code) => code,
            Failure::Usage => 64,
            Failure::Unavailable => 69,
            Failure::Bug => 70,
            Failure::Output => 74,
            Failure::Rights => 77,
            Failure::Config => 78,
        })
    }
}

/// Every command and option, as manual pages are made from them.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Writing it fails only where nobody reads; help and version are no error.
            let _ = error.print();
            return if error.use_stderr() {
                Failure::Usage.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let done = match arguments.command {
        None => run::run(arguments.run.config),
        Some(Command::Run(run)) => run::run(run.config.or(arguments.run.config)),
        Some(Command::Check { file }) => check(&file),
        Some(Command::Explain(explain)) => explain::explain(&explain),
        Some(Command::Attach(attach)) => attach::attach(attach),
        Some(Command::Doctor(wanted)) => doctor::doctor(wanted),
        Some(Command::Status { json, config }) => status::status(config, json),
        Some(Command::Verify { hosts, config }) => verify::verify(hosts, config),
        Some(Command::Healthcheck { config }) => health::healthcheck(config),
        Some(Command::Install(wanted)) => install::install(&wanted),
        Some(Command::Uninstall { root }) => install::uninstall(root.as_deref()),
        Some(Command::Completions { shell }) => completions(shell),
        Some(Command::Demo) => demo::demo(),
        Some(Command::Schema) => print(&Config::schema()),
    };
    done.map_or_else(Into::into, |()| ExitCode::SUCCESS)
}

fn check(file: &Path) -> Result<(), Failure> {
    let config = read(Some(file))?;
    let problems = crate::daemon::problems_of_files(&config);
    for problem in &problems {
        complain(format_args!("{}: {problem}", file.display()));
    }
    if !problems.is_empty() {
        return Err(Failure::Config);
    }
    let (rules, routes) = (config.rules.len(), config.routes.len());
    print(&format!(
        "{}: good: {}, {}\n",
        file.display(),
        counted(rules, "rule"),
        counted(routes, "route")
    ))
}

/// Prints the script by which a shell completes commands and options.
fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(shell, &mut command(), "unsix", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Prints what was asked for. A reader that has seen enough (`| head`) is no fault.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    let done = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match done {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            complain(format_args!("standard output cannot be written: {error}"));
            Err(Failure::Output)
        }
        _ => Ok(()),
    }
}

/// Says what is wrong, on standard error; where that cannot be written nobody can be told.
fn complain(what: impl fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// Reads a configuration file, or tells everything that is wrong with it.
fn read(file: Option<&Path>) -> Result<Config, Failure> {
    let Some(file) = file else {
        return Ok(Config::default());
    };
    let name = file.display();
    let content = std::fs::read(file).map_err(|error| {
        complain(format_args!("{name}: cannot be read: {error}"));
        Failure::Config
    })?;
    let config = Config::read_octets(&content);
    config
        .map(|config| config.beside(file))
        .map_err(|problems| {
            for problem in problems {
                complain(format_args!("{name}:{problem}"));
            }
            Failure::Config
        })
}
