//! What is to be measured: the servers found here, the upstream behind them, the scenarios they can take part in.
//!
//! What is left out is told, by name and with the reason.

use crate::machine::{Cores, address, label};
use crate::options::Options;
use crate::peer::{Peer, Role};
use crate::scenario::{SCENARIOS, Scenario, Upstream};
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

/// The folder of everything that is measured with.
pub(crate) const BENCHES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches");

/// What is to be measured, and how.
pub(crate) struct Plan {
    /// Who is measured.
    pub(crate) servers: Vec<Peer>,
    /// Who answers what they do not know.
    pub(crate) upstream: Peer,
    /// In which scenarios.
    pub(crate) scenarios: Vec<&'static Scenario>,
    /// Our address in the network, if a scenario wants the upstream there.
    pub(crate) interface: Option<Ipv4Addr>,
    /// How often.
    pub(crate) rounds: u32,
    /// How long each run.
    pub(crate) span: Duration,
    /// Only a hundredth of the names, to see that it works.
    pub(crate) few: bool,
    /// Who runs where.
    pub(crate) cores: Cores,
    /// The machine's name in rows.
    pub(crate) machine: String,
}

impl Plan {
    /// As the command line wants it and this machine allows it.
    pub(crate) fn make(options: &Options) -> io::Result<Self> {
        let (servers, upstream) = peers(options)?;
        let mut scenarios = scenarios(&options.only)?;
        let interface = find_interface(&mut scenarios);
        Ok(Self {
            servers,
            upstream,
            scenarios,
            interface,
            rounds: options.rounds,
            span: Duration::try_from_secs_f64(options.seconds).map_err(io::Error::other)?,
            few: options.short,
            cores: Cores::choose()?,
            machine: options.label.clone().unwrap_or_else(label),
        })
    }
}

/// The servers, and the upstream behind them: a name server if there is one, else our own echo. The short
/// form takes the echo in any case, for it does the same on every machine.
fn peers(options: &Options) -> io::Result<(Vec<Peer>, Peer)> {
    let (mut servers, mut upstreams) = (Vec::new(), Vec::new());
    for peer in Peer::read_all(&Path::new(BENCHES).join("peers"))? {
        if let Some(name) = peer.leaves_out.iter().find(|name| !is_scenario(name)) {
            return Err(io::Error::other(format!(
                "{} leaves out `{name}`, which is no scenario",
                peer.name
            )));
        }
        let is_wanted = options.wants(&peer);
        if is_wanted && peer.find().is_none() {
            println!("left out: {}: no {} found", peer.name, peer.program);
        } else if peer.role == Role::Upstream {
            upstreams.push(peer);
        } else if is_wanted {
            servers.push(peer);
        }
    }
    upstreams.retain(|peer| peer.find().is_some());
    upstreams.sort_by_key(|peer| peer.is_ours() != options.short);
    let upstream = upstreams.into_iter().next();
    Ok((
        servers,
        upstream.ok_or_else(|| io::Error::other("no upstream among the peers"))?,
    ))
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

/// Our address in the network, for the scenarios that need one; without one, they go.
fn find_interface(scenarios: &mut Vec<&Scenario>) -> Option<Ipv4Addr> {
    let is_near = |scenario: &&Scenario| scenario.upstream == Upstream::Loopback;
    if scenarios.iter().all(is_near) {
        return None;
    }
    let interface = address();
    if interface.is_none() {
        println!("left out: scenarios with the upstream in the network: this machine is in none");
        scenarios.retain(is_near);
    }
    interface
}
