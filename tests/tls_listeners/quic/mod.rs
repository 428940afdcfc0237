//! Clients over QUIC (RFC 9250): what they get, what is held against them, and what they cannot do to others.

mod client;
mod errors;
mod floods;
mod packets;
mod serving;
mod tap;

use crate::World;
use client::Client;

impl World {
    /// A client over QUIC that trusts us.
    fn connect_quic(&self) -> Client {
        Client::to(self.quic(), &self.client).unwrap()
    }

    /// Queries that came over QUIC.
    fn queries(&self) -> f64 {
        self.metric("unsix_queries_total{transport=\"doq\"}")
    }

    /// Handshakes that ended like this.
    fn handshakes(&self, result: &str) -> f64 {
        self.metric(&format!(
            "unsix_tls_handshakes_total{{result=\"{result}\"}}"
        ))
    }
}
