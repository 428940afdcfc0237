//! The command line of the comparison.

use crate::peer::Peer;
use clap::Parser;
use std::net::SocketAddrV4;
use std::path::PathBuf;

/// Compares unsix with the kernel's floor and with every peer found on this machine.
#[derive(Parser)]
#[command(
    name = "compare",
    after_help = "Example: cargo bench --bench compare -- --rounds 5 --only hits,misses --peers unbound,dnsdist"
)]
pub(crate) struct Options {
    /// How often each run is made; ratios are made within a round, then their median is taken.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: u32,
    /// How long each run lasts.
    #[arg(long, default_value_t = 3.0)]
    pub(crate) seconds: f64,
    /// Only these scenarios.
    #[arg(long, value_delimiter = ',', value_name = "SCENARIO")]
    pub(crate) only: Vec<String>,
    /// Only these peers, beside the floor and unsix.
    #[arg(long, value_delimiter = ',', value_name = "PEER")]
    pub(crate) peers: Option<Vec<String>>,
    /// A few seconds in all, floor and unsix alone, nothing kept: does the harness work?
    #[arg(long)]
    pub(crate) short: bool,
    /// The machine's name in rows and file names.
    #[arg(long)]
    pub(crate) label: Option<String>,
    /// Measure nothing: make table and plot of this results file anew.
    #[arg(long, value_name = "FILE")]
    pub(crate) read: Option<PathBuf>,
    /// Answer queries at this address: what the comparison starts itself as.
    #[arg(long, value_name = "ADDRESS", hide = true)]
    pub(crate) serve_floor: Option<SocketAddrV4>,
    /// Cargo says so where a measurement is wanted; `cargo test` does not, and gets the short form.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// Reads the command line; ends the process where it is wrong.
    pub(crate) fn read_arguments() -> Self {
        let mut options = Self::parse();
        options.short |= !options.bench;
        if options.short {
            options.rounds = 1;
            options.seconds = 0.1;
            options.peers = Some(Vec::new());
        }
        options
    }

    /// Whether this server is to be measured.
    pub(crate) fn wants(&self, peer: &Peer) -> bool {
        let is_named = |peers: &Vec<String>| peers.contains(&peer.name);
        peer.is_ours() || self.peers.as_ref().is_none_or(is_named)
    }
}
