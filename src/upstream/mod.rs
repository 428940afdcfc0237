//! Carries bytes to other name servers, and finds out which ones the system uses.
//!
//! Decides nothing about answers: whoever asks says which message is the right one.

mod datagram;
mod lookup;
pub mod secure;
pub mod stream;
pub mod system;

pub use datagram::{Datagrams, Heard, Sent};
pub use lookup::{addresses, lookup};
