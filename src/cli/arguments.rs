//! Every command and option, with the text that its help shows.

use super::target::Target;
use crate::attach::Mode;
use crate::config::Config;
use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::net::IpAddr;
use std::path::PathBuf;

/// Caching DNS forwarder that keeps broken IPv6 addresses from its clients.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:
  unsix                                 serve 127.0.0.1:5300 and [::1]:5300 with the preset docker-hub
  unsix --config /etc/unsix/unsix.yaml  serve as the file says
  unsix explain registry-1.docker.io    what would a client be told?

Without a command it runs. Exit codes: 0 all is well, 1 what was looked at is not, 64 the command line
is wrong, 69 an address cannot be listened on or the host lacks something, 70 a fault of unsix, 77 rights
are missing, 78 the configuration is wrong or cannot be read; 10, 11 and 20 are verdicts of doctor."
)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) run: Run,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Subcommand)]
pub(super) enum Command {
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
    /// Tell whether unsix runs and is well, who is led to it, whom it asks and what it did.
    #[command(after_help = "Example: unsix status
Who is not root is not shown everything; the last lines say what, and why.
Exit codes: 0 it is well, 1 it is not.")]
    Status {
        /// As one JSON object, whose names stay.
        #[arg(long)]
        json: bool,
        /// The configuration file that unsix runs with; without one /etc/unsix/unsix.yaml, if it is there.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Find out whether the IPv6 of hosts is broken, why, and what helps; it changes nothing and needs no rights.
    #[command(after_help = "Examples:
  unsix doctor                                       the hosts of the rules, else those of a pull from Docker Hub
  unsix doctor cdn.example.com registry.example:5000 --control www.example.net

It asks every name server of this host for each of them, makes TCP and TLS connections to at most three addresses of
a family, and sends nothing but a ClientHello. It takes about 8 s.
Exit codes: 20 a host cannot be reached, or not over IPv4; else 10 the IPv6 of one is broken and its IPv4 works; else
11 of one nothing can be told; else 0. deploy/doctor.md explains the verdicts and every name of --json.")]
    Doctor(Doctor),
    /// Look hosts up as every program here does, connect to what comes back, and tell whether the fix acts.
    #[command(
        after_help = "Example: unsix verify registry-1.docker.io auth.docker.io
It asks by getaddrinfo of the system, then makes a TCP and a TLS connection to each address, and sends nothing.
Exit codes: 0 all hosts are told IPv4 alone and it works, 1 one is not."
    )]
    Verify {
        /// A host, with its port if that is not 443.
        #[arg(value_name = "HOST[:PORT]", required = true)]
        hosts: Vec<Target>,
        /// The configuration file whose rules should act; without one /etc/unsix/unsix.yaml, if it is there.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Tell in one line whether the running unsix answers, within 2 seconds; for containers.
    #[command(after_help = "Example: HEALTHCHECK CMD [\"/unsix\", \"healthcheck\"]
Exit codes: 0 it is healthy, 1 it is not. That upstreams fail is told, and makes it no less healthy.")]
    Healthcheck {
        /// The configuration file that unsix runs with; without one /etc/unsix/unsix.yaml, if it is there.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Show on this machine alone, without root or a network, how an image pull hangs and what unsix does about it.
    #[command(after_help = "Example: unsix demo
It takes about 15 seconds, and everything happens on loopback: a name server, two registries, a client that does
what containerd does, and unsix. Exit codes: 0 it went as told, 69 this machine has no IPv6 on loopback.")]
    Demo,
    /// Install the service on this host, start it, lead the host to it, and tell how to undo that.
    #[command(after_help = "Example: sudo ./unsix install
It writes /usr/local/bin/unsix, /etc/unsix/unsix.yaml and units of systemd, and changes no file that is there already.
What does not get well within ten seconds is taken back at once.")]
    Install(Install),
    /// Take back what `install` did; files that were edited since stay.
    #[command(after_help = "Example: sudo unsix uninstall")]
    Uninstall {
        /// The system below this folder instead of the running one.
        #[arg(long, value_name = "DIR")]
        root: Option<PathBuf>,
    },
    /// Print the script by which a shell completes commands and options.
    #[command(after_help = "Examples:
  unsix completions bash > /usr/share/bash-completion/completions/unsix
  unsix completions zsh > /usr/share/zsh/vendor-completions/_unsix
  unsix completions fish > /usr/share/fish/vendor_completions.d/unsix.fish")]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the JSON schema of the configuration file, which editors load.
    #[command(after_help = "Example: unsix schema > unsix.schema.json")]
    Schema,
}

#[derive(Args)]
pub(super) struct Run {
    /// The configuration file; without one every option is at its default.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct Explain {
    /// The name to ask for.
    pub(super) name: String,
    /// The record type.
    #[arg(value_name = "TYPE", default_value = "AAAA")]
    pub(super) kind: String,
    /// The address of the client that would ask.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(super) client: IpAddr,
    /// The configuration file; without one every option is at its default.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct Doctor {
    /// A host, with its port if that is not 443.
    #[arg(value_name = "HOST[:PORT]")]
    pub(super) hosts: Vec<Target>,
    /// A host of another network that has both families, by which IPv6 that fails everywhere is told from IPv6 that fails
    /// at one host; may be repeated. Without one quay.io and registry.k8s.io.
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(super) control: Vec<Target>,
    /// As one JSON object, whose names stay.
    #[arg(long)]
    pub(super) json: bool,
    /// The configuration file that unsix runs with; without one /etc/unsix/unsix.yaml, if it is there.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct Install {
    /// The hosts that lose their IPv6 addresses.
    #[arg(long, default_value = "docker-hub", value_parser = PossibleValuesParser::new(Config::presets()))]
    pub(super) preset: String,
    /// How to lead the host to it.
    #[arg(long, value_enum, default_value = "auto")]
    pub(super) mode: Mode,
    /// Write into the system below this folder, as an image, and start nothing.
    #[arg(long, value_name = "DIR")]
    pub(super) root: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct Attach {
    /// How to attach.
    #[arg(long, value_enum, default_value = "auto")]
    pub(super) mode: Mode,
    /// The configuration file that unsix runs with; without one every option is at its default.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}
