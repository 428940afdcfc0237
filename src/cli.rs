//! The command line: what can be said to `unsix`, and how it ends.
//!
//! Exit codes are those of sysexits(3): 0 all is well, 64 the command line is wrong, 69 an address cannot be
//! listened on or the host lacks something, 70 a fault of ours, 74 the output cannot be written, 77 rights are
//! missing, 78 the configuration is wrong or cannot be read.

mod attach;
mod explain;
mod manager;
mod run;

use crate::attach::Mode;
use crate::config::Config;
use clap::{Args, Parser, Subcommand};
use std::fmt;
use std::io::{ErrorKind, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A caching DNS forwarder that keeps broken IPv6 addresses of configured hosts from its clients.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:
  unsix                                 serve 127.0.0.1:5300 and [::1]:5300 with the preset docker-hub
  unsix --config /etc/unsix/unsix.yaml  serve as the file says
  unsix explain registry-1.docker.io    what would a client be told?

Without a command it runs. Exit codes: 0 all is well, 64 the command line is wrong, 69 an address
cannot be listened on or the host lacks something, 70 a fault of unsix, 77 rights are missing,
78 the configuration is wrong or cannot be read."
)]
struct Arguments {
    #[command(flatten)]
    run: Run,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve DNS until SIGTERM or Ctrl-C; SIGHUP reloads the configuration.
    #[command(after_help = "Example: unsix run --config /etc/unsix/unsix.yaml")]
    Run(Run),
    /// Tell everything that is wrong with a configuration file, and start nothing.
    #[command(after_help = "Example: unsix check /etc/unsix/unsix.yaml
Each mistake is a line `FILE:line:column: option: what is wrong and what to write`; the exit code is then 78.")]
    Check {
        /// The configuration file.
        file: PathBuf,
    },
    /// Ask the upstreams and tell step by step what a client would be told, and why.
    #[command(
        after_help = "Example: unsix explain registry-1.docker.io AAAA --client 10.0.0.7
It asks by itself, on a free port of its own: no unsix needs to run, and one that runs is left alone."
    )]
    Explain(Explain),
    /// Lead this host's questions to a running unsix, and away from it whenever that is not well.
    #[command(
        after_help = "Example: sudo unsix attach --config /etc/unsix/unsix.yaml
It runs until SIGTERM or Ctrl-C, writes no file, and however it ends nothing of it is left.
It needs uid 0 with CAP_NET_ADMIN as its only capability; `--mode print` needs neither."
    )]
    Attach(Attach),
    /// Print the JSON schema of the configuration file, which editors load.
    #[command(after_help = "Example: unsix schema > unsix.schema.json")]
    Schema,
}

#[derive(Args)]
struct Run {
    /// The configuration file; without one every option is at its default.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Args)]
struct Explain {
    /// The name to ask for.
    name: String,
    /// The record type.
    #[arg(value_name = "TYPE", default_value = "AAAA")]
    kind: String,
    /// The address of the client that would ask.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    client: IpAddr,
    /// The configuration file; without one every option is at its default.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Args)]
struct Attach {
    /// How to attach.
    #[arg(long, value_enum, default_value = "auto")]
    mode: Mode,
    /// The configuration file that unsix runs with; without one every option is at its default.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Why the program ends otherwise than well.
enum Failure {
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
            Failure::Usage => 64,
            Failure::Unavailable => 69,
            Failure::Bug => 70,
            Failure::Output => 74,
            Failure::Rights => 77,
            Failure::Config => 78,
        })
    }
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
        Some(Command::Schema) => print(&Config::schema()),
    };
    done.map_or_else(Into::into, |()| ExitCode::SUCCESS)
}

fn check(file: &Path) -> Result<(), Failure> {
    let config = read(Some(file))?;
    let (rules, routes) = (config.rules.len(), config.routes.len());
    print(&format!(
        "{}: good: {}, {}\n",
        file.display(),
        counted(rules, "rule"),
        counted(routes, "route")
    ))
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
    Config::read_octets(&content).map_err(|problems| {
        for problem in problems {
            complain(format_args!("{name}:{problem}"));
        }
        Failure::Config
    })
}
