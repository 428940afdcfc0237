//! `unsix verify`: what is a program of this host told of a host, and does that work?
//!
//! The question goes by getaddrinfo of the C library, as every program's does, so whatever leads questions to the daemon,
//! or does not, acts here too. Then each address gets a TCP and a TLS connection, over which nothing is sent: a
//! handshake is what hangs where IPv6 is broken, the server's certificates being its first large packets.

mod connect;
mod verdict;

use super::health::runtime;
use super::target::Target;
use super::{Failure, print};
use crate::listen::Clock;
use connect::{Connector, Outcome};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use verdict::Rules;

/// What was seen of a host.
struct Seen {
    /// What came of each address that programs are told, or why they are told none.
    told: Result<Vec<(IpAddr, Outcome)>, String>,
    /// How long the lookup took.
    lookup: Duration,
}

/// Verifies each host; all must be well.
pub(super) fn verify(hosts: Vec<Target>, file: Option<PathBuf>) -> Result<(), Failure> {
    let rules = Rules::read(file)?;
    let runtime = runtime()?;
    let done = runtime.block_on(async {
        let connector = Arc::new(Connector::new());
        let tasks = hosts.into_iter().map(|target| {
            let connector = Arc::clone(&connector);
            tokio::spawn(async move { (look(&target, &connector).await, target) })
        });
        let mut good = true;
        for task in tasks.collect::<Vec<_>>() {
            let (seen, target) = task.await.map_err(bug)?;
            let verdict = verdict::verdict(&target, &seen, &rules);
            let (Ok(sentence) | Err(sentence)) = &verdict;
            print(&format!("{}: {sentence}\n", target.shown()))?;
            good &= verdict.is_ok();
        }
        Ok(good)
    });
    // A lookup that nobody waits for any more may still hang in the C library.
    runtime.shutdown_background();
    match done? {
        true => Ok(()),
        false => Err(Failure::Unhealthy),
    }
}

async fn look(target: &Target, connector: &Arc<Connector>) -> Seen {
    let clock = Clock::start();
    let told = timeout(PATIENCE, lookup_host((target.host.as_str(), target.port))).await;
    let lookup = clock.now().since(crate::time::Moment::ZERO);
    let told = match told.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(told) => told,
        Err(error) => {
            let told = Err(error.to_string());
            return Seen { told, lookup };
        }
    };
    let mut tries = JoinSet::new();
    let mut order = Vec::new();
    for address in told {
        if !order.contains(&address.ip()) {
            order.push(address.ip());
            let (connector, host) = (Arc::clone(connector), target.host.clone());
            tries.spawn(async move { (address.ip(), connector.try_out(address, &host).await) });
        }
    }
    let mut told = tries.join_all().await;
    told.sort_by_key(|(address, _)| order.iter().position(|one| one == address));
    Seen {
        told: Ok(told),
        lookup,
    }
}

fn bug(error: JoinError) -> Failure {
    super::complain(error);
    Failure::Bug
}

/// The C library itself gives up sooner, as resolv.conf says, unless many servers are silent.
const PATIENCE: Duration = Duration::from_secs(20);
