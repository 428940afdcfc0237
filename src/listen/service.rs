//! What whoever hears clients over streams hands their messages to.

use super::connections::Connections;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;

/// A message of a client, and where it came from.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The message; nothing is known of it.
    pub query: &'a [u8],
    /// The client; of a load balancer's connection the one that it names.
    pub peer: SocketAddr,
    /// The address of ours that it reached.
    pub local: SocketAddr,
    /// Where a reply that comes later goes, by [`Connections::finish`].
    pub connection: u64,
}

/// Answers a message at once, or promises one call of [`Connections::finish`]. Must not block.
pub type Service = dyn Fn(Incoming<'_>) -> Option<Vec<u8>> + Send + Sync;

/// What every listener of streams needs.
#[derive(Clone)]
pub struct Hearing {
    /// Answers what comes.
    pub service: Arc<Service>,
    /// Whoever is connected.
    pub connections: Arc<Connections>,
    /// Turns true when nobody is heard any more.
    pub stop: watch::Receiver<bool>,
}

impl fmt::Debug for Hearing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Hearing").finish_non_exhaustive()
    }
}
