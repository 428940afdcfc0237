//! What the scenario runner is made of: scripts, records as text, packets as bytes, and the small
//! world in which the real pipeline meets scripted upstreams and a clock that is a number.
//!
//! Nothing here uses the code under test to read or write a packet: what it did is read back by an
//! own walk over the octets, and by hickory-proto where that can parse it.

pub(crate) mod awaited;
pub(crate) mod checks;
pub(crate) mod compare;
pub(crate) mod deliveries;
pub(crate) mod given;
pub(crate) mod packets;
pub(crate) mod records;
pub(crate) mod script;
pub(crate) mod upstreams;
pub(crate) mod values;
pub(crate) mod wire;
pub(crate) mod world;

/// What went wrong, in one line for whoever wrote the scenario.
pub(crate) type Fallible<T> = Result<T, String>;
