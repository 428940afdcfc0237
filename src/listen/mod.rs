//! Hears clients and carries their messages to whoever answers them.
//!
//! UDP is a plain thread for each core ([`worker`]). Whatever has connections is tokio's: TCP, from load balancers too
//! ([`proxy`]), the same over TLS ([`stream`], [`tls`]), HTTPS and QUIC. All ask the pipeline what to reply; what it
//! cannot answer at once is carried by a UDP worker, whichever way it came: one kind of driver, so a client over TCP
//! and one over UDP share their flights.

mod arrival;
mod clock;
mod connections;
mod counter;
mod frame;
mod handover;
#[cfg(feature = "doh")]
pub mod https;
mod inbox;
pub mod passed;
pub mod proxy;
#[cfg(feature = "doq")]
pub mod quic;
mod rights;
mod service;
pub mod sockets;
pub mod stream;
pub mod tls;
pub mod worker;

pub use clock::Clock;
pub use connections::Connections;
pub use counter::Counter;
pub use inbox::{Errand, Inbox};
pub use service::{Hearing, Incoming, Service};
