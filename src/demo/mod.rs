//! The whole story on one machine: a pull that hangs, why, unsix in its path, and IPv6 that heals.
//!
//! Everything stands on loopback, so it needs neither a network nor root. Real are the sockets, DNS, TLS, the probe and
//! the daemon, which is configured as any other; made up are the name server and the registries (`world`). Each step
//! waits for what it says: a pull that should hang and does not ends the story with an error.

mod ask;
mod narrator;
mod puller;
mod registry;
mod story;
#[cfg(test)]
mod tests;
mod unsix;
mod world;
mod zone;

use crate::daemon::StartError;
use std::fmt;
use std::io::{self, Write};
use std::net::IpAddr;
use story::Story;

/// Why the story came to no good end.
#[derive(Debug)]
pub enum Fault {
    /// This machine's loopback lacks an address.
    NoLoopback(IpAddr),
    /// The system refuses a socket or what else it takes.
    System(io::Error),
    /// The daemon does not start.
    Start(StartError),
    /// Nobody reads the story, or it cannot be written.
    Output(io::Error),
    /// It went otherwise than told.
    Otherwise(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLoopback(IpAddr::V6(_)) => f.write_str(
                "this machine has no IPv6, not even ::1 on its loopback, so it cannot show how IPv6 breaks: `sysctl net.ipv6.conf.lo.disable_ipv6=0` turns it on, or run the demo on another machine",
            ),
            Self::NoLoopback(ip) => write!(
                f,
                "this machine's loopback does not have {ip}: is it down? `ip link set lo up` brings it up"
            ),
            Self::System(error) => write!(f, "the system refuses what the demo needs: {error}"),
            Self::Start(error) => error.fmt(f),
            Self::Output(error) => write!(f, "the story cannot be written: {error}"),
            Self::Otherwise(what) => write!(f, "the demo went otherwise than it should: {what}"),
        }
    }
}

impl std::error::Error for Fault {}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// Tells the story to `out`, each line when it happens; under 30 s.
///
/// # Errors
/// See [`Fault`].
pub async fn run(out: &mut dyn Write) -> Result<(), Fault> {
    let mut story = Story::begin(out).await?;
    let hanging = story.pull_without_us().await?;
    story.diagnose().await?;
    story.fail(hanging).await?;
    let unsix = story.pull_with_us().await?;
    story.heal(&unsix).await?;
    story.end()
}
