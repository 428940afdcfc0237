//! Which IPv6 addresses are broken: from what probes saw to what rules with `when: broken` go by.
//!
//! Pure: [`Track`] decides about one address, [`Book`] knows which hosts are watched, when each is due and what was
//! decided of it. Whoever probes brings the time and what was seen ([`crate::prober`] in the daemon).

mod book;
mod memory;
mod page;
#[cfg(test)]
mod tests;
mod track;
mod words;

pub use book::{Book, Change, Condition, Endpoint, Report};
pub use page::{OfAddress, OfCause, OfChange, OfHost, Page};
pub use track::{Limits, Seen, Track, Verdict};
pub use words::{cause, label, labels};
