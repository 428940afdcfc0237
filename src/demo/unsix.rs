//! The daemon in the path of the demo's client, in this process, configured by a file's text as any other.

use super::Fault;
use crate::config::Config;
use crate::daemon::Daemon;
use std::net::SocketAddr;

/// A running daemon. It ends with this.
pub(super) struct Unsix {
    /// Where it listens.
    pub(super) address: SocketAddr,
    _daemon: Daemon,
}

impl Unsix {
    /// Starts one with this configuration.
    pub(super) fn start(text: &str) -> Result<Self, Fault> {
        let config = Config::read(text);
        let config = config.map_err(|problems| Fault::Otherwise(format!("{problems:?}")))?;
        let daemon = Daemon::start(&config, None).map_err(Fault::Start)?;
        let first = daemon.addresses().first().copied();
        let address = first.ok_or_else(|| Fault::Otherwise("unsix does not listen".to_owned()))?;
        Ok(Self {
            address,
            _daemon: daemon,
        })
    }
}

/// A rule for Docker Hub that holds while its IPv6 is broken, and probes that need not look long: two of each kind are enough.
pub(super) fn config(server: SocketAddr, port: u16) -> String {
    format!(
        "listen: [\"127.0.0.1:0\"]
upstreams: [\"{server}\"]
rules: [{{preset: docker-hub, when: broken, initial: pass, port: {port}}}]
probe: {{interval: 500ms, timeout: 500ms, fall: 2, rise: 2, min_broken: 1s, managed_ttl: 1s,
        controls: [], allow: [127.0.0.0/8, \"::1/128\"]}}
threads: 1
admin: off
"
    )
}
