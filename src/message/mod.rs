//! DNS messages: bytes to meaning and back.
//!
//! Wire bytes are the currency: an upstream's answer is kept as it came, patched and copied, never
//! decoded and encoded again. Nothing here opens a socket, reads a clock, draws a random number or logs.

mod age;
mod answer;
mod edit;
mod judge;
mod kind;
#[cfg(feature = "doh")]
mod lifetime;
mod made;
mod name;
mod opt;
mod query;
mod reply;
mod svcb;
mod wire;

pub use age::age;
pub use answer::{Answer, Ede, Meaning, Record, Section, Service, Soa};
pub use edit::{Fate, edit, flatten, without_additional};
pub use judge::{Flaw, Judgement, Transport, judge};
pub use kind::{Kind, Rcode, UnknownKind};
#[cfg(feature = "doh")]
pub use lifetime::lifetime;
pub use made::{addresses, nodata, nxdomain, under_kind};
pub use name::{Name, NameError};
pub use opt::OwnEde;
pub use query::{Ask, Edns, Fault, Query, Question, is_reply_to, pad_query, write_query};
pub use reply::{Body, Room, Ttl, write_fault, write_reply};
pub use svcb::{Hints, service, without_ipv6hint};
