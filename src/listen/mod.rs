//! Hears clients and carries their messages to whoever answers them.
//!
//! UDP is a plain thread for each core ([`worker`]); streams are tokio's ([`stream`]), over TLS where that is wanted ([`tls`]), from load balancers too ([`proxy`]). Both ask the pipeline
//! what to reply; what it cannot answer at once is carried by a UDP worker, whichever way it came: one
//! kind of driver, so a client over TCP and one over UDP share their flights.

mod clock;
mod connections;
mod counter;
mod frame;
mod handover;
mod inbox;
pub mod passed;
pub mod proxy;
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
