//! The records of a message, one after the other, read in place.
//!
//! The counts of a header are a stranger's claim: they bound the walk and never an allocation. A walk
//! ends at the first record that does not fit into the message; `is_whole` says whether that happened.

use std::net::Ipv6Addr;

use super::super::kind::Kind;
use super::super::name::Name;
use super::super::svcb;
use super::super::wire::{HEADER, IN, u16_at, u32_at};

/// A section of a message that holds records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Section {
    /// What was asked for.
    Answer,
    /// Who says so, or that there is nothing.
    Authority,
    /// What may be of use beside it.
    Additional,
}

impl Section {
    /// All of them, in the order they stand in a message.
    pub(in crate::message) const ALL: [Self; 3] = [Self::Answer, Self::Authority, Self::Additional];

    /// Where the header counts the section's records (RFC 1035 §4.1.1).
    pub(in crate::message) const fn count_at(self) -> usize {
        match self {
            Self::Answer => 6,
            Self::Authority => 8,
            Self::Additional => 10,
        }
    }
}

/// One record of an answer, read in place.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// The section it stands in.
    pub section: Section,
    /// Its type.
    pub kind: Kind,
    /// Its class; 1 is IN.
    pub class: u16,
    /// Its TTL as it came.
    pub ttl: u32,
    /// Its data as it came: names in it may point elsewhere into the message.
    pub rdata: &'a [u8],
    message: &'a [u8],
    start: usize,
    rdata_at: usize,
}

impl<'a> Record<'a> {
    /// The record that starts at `start`, if all of it is there.
    fn read(message: &'a [u8], start: usize, section: Section) -> Option<Self> {
        let at = Name::end_of(message, start)?;
        let rdata_at = at + 10;
        let length = usize::from(u16_at(message, at + 8)?);
        Some(Self {
            section,
            kind: Kind(u16_at(message, at)?),
            class: u16_at(message, at + 2)?,
            ttl: u32_at(message, at + 4)?,
            rdata: message.get(rdata_at..rdata_at + length)?,
            message,
            start,
            rdata_at,
        })
    }

    /// The name it belongs to.
    pub fn owner(&self) -> Name {
        Name::read(self.message, self.start).map_or(Name::ROOT, |(name, _)| name)
    }

    /// Whether it belongs to this name; [`Self::owner`] copies it, this does not.
    pub fn is_of(&self, name: &Name) -> bool {
        name.stands_at(self.message, self.start)
    }

    /// The address of an AAAA record.
    pub fn ipv6(&self) -> Option<Ipv6Addr> {
        if self.kind != Kind::AAAA {
            return None;
        }
        <[u8; 16]>::try_from(self.rdata).ok().map(Ipv6Addr::from)
    }

    /// What an HTTPS or SVCB record says; parameters that cannot be read count as absent.
    pub fn service(&self) -> Option<Service> {
        svcb::Binding::read(self).map(|binding| Service {
            priority: binding.priority,
            target: binding.target,
            ipv6_hints: binding.ipv6_hints(),
        })
    }

    /// The type an RRSIG covers.
    pub fn covers(&self) -> Option<Kind> {
        if self.kind != Kind::RRSIG {
            return None;
        }
        u16_at(self.rdata, 0).map(Kind)
    }

    /// The name that is all of the data of a CNAME or DNAME.
    pub(super) fn target(&self) -> Option<Name> {
        let (name, end) = self.name_at(0)?;
        (end == self.rdata.len()).then_some(name)
    }

    /// The name at `offset` of the data, and the offset after it; None where it leaves the data.
    pub(in crate::message) fn name_at(&self, offset: usize) -> Option<(Name, usize)> {
        let (name, end) = Name::read(self.message, self.rdata_at + offset)?;
        let after = end - self.rdata_at;
        (after <= self.rdata.len()).then_some((name, after))
    }

    /// Where it starts in the message.
    pub(in crate::message) fn start(&self) -> usize {
        self.start
    }

    /// Where the next one would start.
    pub(in crate::message) fn end(&self) -> usize {
        self.rdata_at + self.rdata.len()
    }

    /// Where its TTL lies in the message.
    pub(super) fn ttl_at(&self) -> usize {
        self.rdata_at - 6
    }

    /// It tells an IPv6 address, or may tell one to somebody who reads it more kindly than we do.
    pub(super) fn mentions_ipv6(&self) -> bool {
        self.kind == Kind::AAAA
            || svcb::Binding::read(self).is_some_and(|binding| binding.has_ipv6hint())
    }
}

/// What an HTTPS or SVCB record says that matters here (RFC 9460).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// SvcPriority; 0 is AliasMode.
    pub priority: u16,
    /// TargetName; the root stands for the owner, or for nothing in AliasMode.
    pub target: Name,
    /// The addresses of `ipv6hint`, if the key is there.
    pub ipv6_hints: Option<Vec<Ipv6Addr>>,
}

/// A start of authority with its numbers (RFC 1035 §3.3.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Soa {
    /// The zone.
    pub owner: Name,
    /// Its first server.
    pub mname: Name,
    /// The mailbox of who answers for it.
    pub rname: Name,
    /// The zone's version.
    pub serial: u32,
    /// Seconds between two looks of a secondary server.
    pub refresh: u32,
    /// Seconds until it looks again after a failure.
    pub retry: u32,
    /// Seconds after which it stops answering.
    pub expire: u32,
    /// Seconds a denial may be kept (RFC 2308 §4).
    pub minimum: u32,
}

impl Soa {
    /// The SOA in this record, if it is one and all of it is there.
    pub(super) fn read(record: &Record<'_>) -> Option<Self> {
        if record.kind != Kind::SOA || record.class != IN {
            return None;
        }
        let (mname, at) = record.name_at(0)?;
        let (rname, at) = record.name_at(at)?;
        Some(Self {
            owner: record.owner(),
            mname,
            rname,
            serial: u32_at(record.rdata, at)?,
            refresh: u32_at(record.rdata, at + 4)?,
            retry: u32_at(record.rdata, at + 8)?,
            expire: u32_at(record.rdata, at + 12)?,
            minimum: u32_at(record.rdata, at + 16)?,
        })
    }
}

/// A walk over the records of a message, in order, OPT included.
pub(in crate::message) struct Records<'a> {
    message: &'a [u8],
    at: usize,
    left: [u16; 3],
    is_whole: bool,
}

impl<'a> Records<'a> {
    /// Starts behind the header and the one question.
    pub(in crate::message) fn of(message: &'a [u8]) -> Option<Self> {
        let question_end = Name::end_of(message, HEADER)?;
        let mut left = [0; 3];
        for (left, section) in left.iter_mut().zip(Section::ALL) {
            *left = u16_at(message, section.count_at())?;
        }
        Some(Self {
            message,
            at: question_end + 4,
            left,
            is_whole: true,
        })
    }

    /// All of them that are there.
    pub(in crate::message) fn all(message: &'a [u8]) -> Vec<Record<'a>> {
        Self::of(message).into_iter().flatten().collect()
    }

    /// Where the next record would start.
    pub(in crate::message) fn at(&self) -> usize {
        self.at
    }

    /// Every record that was looked for was there.
    pub(in crate::message) fn is_whole(&self) -> bool {
        self.is_whole && self.at <= self.message.len()
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let mut sections = Section::ALL.into_iter().zip(&mut self.left);
        let (section, left) = sections.find(|(_, left)| **left > 0)?;
        *left -= 1;
        let record = Record::read(self.message, self.at, section);
        match &record {
            Some(record) => self.at = record.end(),
            None => {
                self.left = [0; 3];
                self.is_whole = false;
            }
        }
        record
    }
}
