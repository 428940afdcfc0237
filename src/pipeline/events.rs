//! What drivers tell fetches, and what fetches tell drivers.

use super::{Origin, Tally, Trouble};
use crate::config::Server;
use crate::message::Transport;
use std::net::SocketAddr;

/// One query to one upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Exchange {
    /// The fetch it belongs to.
    pub fetch: u64,
    /// Which of its tries.
    pub attempt: u8,
}

/// What happened to an exchange.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A datagram, or a whole message of a stream, came from the upstream asked.
    Packet {
        /// Which exchange.
        exchange: Exchange,
        /// The bytes.
        packet: &'a [u8],
    },
    /// Nothing comes of it: refused, no route, a stream that broke or took too long, or no socket to send from.
    Failed {
        /// Which exchange.
        exchange: Exchange,
        /// Why.
        trouble: Trouble,
    },
}

/// What the driver has to do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Send this to the upstream, from a fresh random port; until `Release`, what comes back is an event.
    Send {
        /// Names the answer.
        exchange: Exchange,
        /// Where to.
        upstream: Server,
        /// How.
        transport: Transport,
        /// The query.
        packet: Vec<u8>,
    },
    /// Send this to a client.
    Reply {
        /// Which.
        origin: Origin,
        /// The reply.
        reply: Vec<u8>,
        /// What it counts as.
        tally: Tally,
    },
    /// Nothing more is awaited for this fetch: close its sockets.
    Release {
        /// Which.
        fetch: u64,
    },
    /// A state changed: worth one log line.
    Note(Note),
}

/// A change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// An upstream is not asked any more.
    UpstreamDown {
        /// Which.
        upstream: Server,
        /// Why.
        reason: &'static str,
    },
    /// An upstream is asked again.
    UpstreamUp {
        /// Which.
        upstream: Server,
    },
    /// What we sent to this upstream came back to us.
    Loop {
        /// Which.
        upstream: Server,
        /// Who brought it back.
        peer: SocketAddr,
    },
}
