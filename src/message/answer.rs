//! What an upstream said: its bytes, and the few facts that others ask for.
//!
//! The bytes are the packet as it came, without its OPT record and without anything behind the last
//! record; they are never decoded and encoded again. The facts are found once, when the bytes are read.
//! Nothing here refuses a record it need not understand.

mod facts;
mod path;
mod record;
#[cfg(test)]
pub(super) mod sample;

use super::kind::{Kind, Rcode};
use super::name::Name;
use super::wire::{HEADER, flag, u16_at};
pub(super) use facts::Facts;
pub(super) use path::{Astray, Path, in_answer};
pub(super) use record::Records;
pub use record::{Record, Section, Service, Soa};
use std::net::Ipv6Addr;

/// An answer as an upstream gave it, checked once, its OPT taken off.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Header of 12 octets, one question (its name uncompressed), records; no OPT, nothing behind them.
    octets: Box<[u8]>,
    extended_errors: Box<[Ede]>,
    rcode: Rcode,
    facts: Facts,
}

/// One extended DNS error (RFC 8914).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ede {
    /// Its INFO-CODE.
    pub code: u16,
    /// Its EXTRA-TEXT, at most 255 octets; may be empty.
    pub text: Box<str>,
}

/// What kind of answer this is to its question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Meaning {
    /// NOERROR with a record of the asked type (any record for ANY) at the chain's end.
    Data,
    /// NOERROR without one.
    NoData,
    /// The name, or the one its chain ends at, does not exist.
    NxDomain,
    /// Any other RCODE, YXDOMAIN included: another upstream may know better.
    #[default]
    Failure,
}

impl Answer {
    /// Reads a message without OPT, whatever is in its ANSWER section.
    pub(super) fn read(
        octets: Vec<u8>,
        rcode: Rcode,
        extended_errors: Box<[Ede]>,
    ) -> Result<Self, Astray> {
        let path = Path::follow(&octets)?;
        Ok(Self::along(&path, octets, rcode, extended_errors))
    }

    /// The same where the path through its ANSWER section is known.
    pub(super) fn along(
        path: &Path<'_>,
        octets: Vec<u8>,
        rcode: Rcode,
        extended_errors: Box<[Ede]>,
    ) -> Self {
        let facts = Facts::find(&Records::all(&octets), path, rcode);
        Self::of(facts, octets, rcode, extended_errors)
    }

    /// The same where all is known.
    pub(super) fn of(
        facts: Facts,
        octets: Vec<u8>,
        rcode: Rcode,
        extended_errors: Box<[Ede]>,
    ) -> Self {
        Self {
            octets: octets.into_boxed_slice(),
            extended_errors,
            rcode,
            facts,
        }
    }

    /// A message that we wrote ourselves: it is not refused, however far its chain can be followed.
    pub(super) fn ours(octets: Vec<u8>, rcode: Rcode, extended_errors: Box<[Ede]>) -> Self {
        let path = Path::follow_as_far(&octets);
        Self::along(&path, octets, rcode, extended_errors)
    }

    /// The whole message: header, question, records.
    pub(super) fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Where the TTL of each record lies in the octets, in order.
    pub(super) fn ttls(&self) -> &[u16] {
        self.facts.ttls()
    }

    /// Name and type it was asked for, the name's letter case as it came.
    pub(super) fn question(&self) -> Option<(Name, Kind)> {
        let (name, end) = Name::read(&self.octets, HEADER)?;
        Some((name, Kind(u16_at(&self.octets, end)?)))
    }

    /// All 12 bits of the response code.
    pub fn rcode(&self) -> Rcode {
        self.rcode
    }

    /// What kind of answer this is.
    pub fn meaning(&self) -> Meaning {
        self.facts.meaning
    }

    /// Upstream set AD and nothing was taken out.
    pub fn is_authentic(&self) -> bool {
        u16_at(&self.octets, 2).is_some_and(|flags| flags & flag::AD != 0)
    }

    /// The extended errors upstream gave, at most four.
    pub fn extended_errors(&self) -> &[Ede] {
        &self.extended_errors
    }

    /// Smallest TTL of any record, a set top bit meaning large (RFC 8767 §4); None without records.
    pub fn smallest_ttl(&self) -> Option<u32> {
        self.facts.smallest_ttl
    }

    /// How long a NODATA or NXDOMAIN may be kept: min(TTL, MINIMUM) of the authority's SOA (RFC 2308 §5).
    pub fn negative_ttl(&self) -> Option<u32> {
        self.facts.negative_ttl
    }

    /// The authority section has an NS record.
    pub fn has_authority_ns(&self) -> bool {
        self.facts.has_authority_ns
    }

    /// The SOA of the answer section (a SOA question), else the one of the authority section.
    ///
    /// Only one whose owner is the question's name, the chain's end, or above one of them.
    pub fn soa(&self) -> Option<Soa> {
        let path = Path::follow(&self.octets).ok()?;
        self.records()
            .filter(|record| path.is_answered_by(record) || path.is_denied_by(record))
            .find_map(|record| Soa::read(&record))
    }

    /// Names after the question's own along CNAME and DNAME, in order; empty without a chain. At most 16.
    pub fn chain(&self) -> &[Name] {
        &self.facts.chain
    }

    /// Smallest TTL among the chain's CNAME and DNAME records.
    pub fn chain_ttl(&self) -> Option<u32> {
        self.facts.chain_ttl
    }

    /// There is an AAAA record, or an HTTPS or SVCB record with an ipv6hint, in any section.
    pub fn mentions_ipv6(&self) -> bool {
        self.facts.mentions_ipv6
    }

    /// The same of records that are not the AAAA records asked for.
    pub fn mentions_ipv6_aside(&self) -> bool {
        self.facts.mentions_ipv6_aside
    }

    /// The answer section has an RRSIG that covers this type.
    pub fn is_signed(&self, kind: Kind) -> bool {
        self.records()
            .any(|record| record.section == Section::Answer && record.covers() == Some(kind))
    }

    /// The addresses of the AAAA records in ANSWER. Found by the places of their TTLs: no name is read.
    pub fn ipv6_addresses(&self) -> impl Iterator<Item = Ipv6Addr> + Clone {
        let count = u16_at(&self.octets, Section::Answer.count_at()).unwrap_or(0);
        let ttls = self.ttls().iter().take(count.into());
        ttls.filter_map(|ttl| {
            let ttl = usize::from(*ttl);
            // TYPE and CLASS stand before a TTL, RDLENGTH and RDATA behind it (RFC 1035 §4.1.3).
            let kind = Kind(u16_at(&self.octets, ttl.checked_sub(4)?)?);
            let length = usize::from(u16_at(&self.octets, ttl + 4)?);
            let rdata = self.octets.get(ttl + 6..)?.get(..length)?;
            let octets = <[u8; 16]>::try_from(rdata).ok();
            octets.filter(|_| kind == Kind::AAAA).map(Ipv6Addr::from)
        })
    }

    /// Octets this takes, heap included.
    pub fn footprint(&self) -> usize {
        let errors = self.extended_errors.iter();
        size_of::<Self>()
            + self.octets.len()
            + size_of_val(self.ttls())
            + size_of_val(self.chain())
            + errors
                .map(|error| size_of::<Ede>() + error.text.len())
                .sum::<usize>()
    }

    /// Every record but OPT, in order.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        Records::of(&self.octets).into_iter().flatten()
    }
}
