//! The way in without systemd-resolved: the host's questions to its name servers go to the daemon.

use super::fault::Fault;
use super::flows;
use super::table::{Table, Turn};
use std::net::{IpAddr, SocketAddr};

/// A redirection that stands.
#[derive(Debug)]
pub(super) struct Redirect {
    _table: Table,
    /// Whose questions it leaves alone.
    pub(super) spared: u32,
}

impl Redirect {
    /// Leads questions to these servers to a target of their family, all but those of user `spared`.
    ///
    /// # Errors
    /// The daemon is root, or the kernel takes no table of ours.
    pub(super) fn make(
        servers: &[IpAddr],
        (ipv4, ipv6): (Option<SocketAddr>, Option<SocketAddr>),
        spared: u32,
    ) -> Result<Self, Fault> {
        // What root asks, containerd among them, is just what has to be redirected.
        if spared == 0 {
            return Err(Fault::DaemonIsRoot);
        }
        let turns: Vec<Turn> = servers
            .iter()
            .filter_map(|server| {
                let target = if server.is_ipv4() { ipv4 } else { ipv6 }?;
                Some(Turn {
                    server: *server,
                    target,
                })
            })
            .collect();
        let table = Table::make(&turns, spared)?;
        forget(servers);
        Ok(Self {
            _table: table,
            spared,
        })
    }

    /// Takes it back: the table goes, and what went through it.
    pub(super) fn take_back(self, servers: &[IpAddr]) {
        drop(self);
        forget(servers);
    }
}

fn forget(servers: &[IpAddr]) {
    match flows::forget(servers) {
        Ok(count) => tracing::debug!(count, "connections to name servers forgotten"),
        Err(error) => {
            tracing::warn!(%error, "connections to name servers keep their old way for up to two minutes");
        }
    }
}
