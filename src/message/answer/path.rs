//! The way from the question's name to the name whose records answer it.
//!
//! It is found by following CNAME and DNAME from name to name, whatever the order of the records: what
//! does not lie on this way answers nothing, whoever put it there (answers.md sections 4 and 6).

use super::super::kind::Kind;
use super::super::name::Name;
use super::super::wire::{HEADER, IN, u16_at};
use super::record::{Record, Records, Section};
use std::borrow::Cow;

/// Names a chain may have after the question's own (answers.md section 4).
const LONGEST_CHAIN: usize = 16;

/// Why there is no way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::message) enum Astray {
    /// It comes back to itself, or is too long.
    Endless,
    /// The question or a link of it cannot be read.
    Garbled,
}

/// The names from the question's own to the last one.
pub(in crate::message) struct Path<'q> {
    question: Cow<'q, Name>,
    kind: Kind,
    chain: Vec<Name>,
    /// Owners of the DNAME records that made a name of the chain.
    dnames: Vec<Name>,
    ttl: Option<u32>,
}

impl<'q> Path<'q> {
    /// Follows the links in the ANSWER section of `message`.
    pub(in crate::message) fn follow(message: &[u8]) -> Result<Self, Astray> {
        let mut path = Self::start(message).ok_or(Astray::Garbled)?;
        path.walk(&Records::all(message))?;
        Ok(path)
    }

    /// The same for the records of an answer to this question.
    pub(in crate::message) fn through(
        records: &[Record<'_>],
        (question, kind): (&'q Name, Kind),
    ) -> Result<Self, Astray> {
        let mut path = Self::at(Cow::Borrowed(question), kind);
        path.walk(records)?;
        Ok(path)
    }

    /// Follows them as long as they lead on to new names.
    pub(super) fn follow_as_far(message: &[u8]) -> Self {
        let mut path =
            Self::start(message).unwrap_or_else(|| Self::at(Cow::Owned(Name::ROOT), Kind(0)));
        // What was walked before the fault stays.
        let _ = path.walk(&Records::all(message));
        path
    }

    fn start(message: &[u8]) -> Option<Self> {
        let (question, end) = Name::read(message, HEADER)?;
        Some(Self::at(Cow::Owned(question), Kind(u16_at(message, end)?)))
    }

    fn at(question: Cow<'q, Name>, kind: Kind) -> Self {
        Self {
            question,
            kind,
            chain: Vec::new(),
            dnames: Vec::new(),
            ttl: None,
        }
    }

    fn walk(&mut self, records: &[Record<'_>]) -> Result<(), Astray> {
        let links = links(records)?;
        if links.is_empty() {
            return Ok(());
        }
        while let Some(target) = self.step(&links, records) {
            if self.passes(&target) || self.chain.len() == LONGEST_CHAIN {
                return Err(Astray::Endless);
            }
            self.chain.push(target);
        }
        Ok(())
    }

    /// Where the last name leads, if it leads on.
    fn step(&mut self, links: &[Record<'_>], records: &[Record<'_>]) -> Option<Name> {
        let name = *self.end();
        let cname = links
            .iter()
            .find(|link| link.kind == Kind::CNAME && link.is_of(&name));
        let dname = links
            .iter()
            .filter(|link| link.kind == Kind::DNAME)
            .find_map(|link| Some((link, substitute(&name, link)?)));
        match (cname, dname) {
            (Some(cname), dname) => {
                let target = cname.target()?;
                // RFC 6672 §3.1: the CNAME beside a DNAME is the one made from it; any other DNAME is a stray.
                let maker = dname.filter(|(_, made)| made.is_none_or(|made| made == target));
                if let Some((dname, _)) = maker {
                    self.use_dname(dname);
                }
                // RFC 1034 §3.6.2: who asks for the alias itself is not sent on.
                if matches!(self.kind, Kind::CNAME | Kind::ANY) {
                    return None;
                }
                self.bound(cname.ttl);
                Some(target)
            }
            // RFC 6672 §2.4: nothing stands below a DNAME, so where the answer does, the DNAME is a stray.
            (None, Some(_)) if in_answer(records).any(|record| self.is_answered_by(record)) => None,
            (None, Some((dname, made))) => {
                self.use_dname(dname);
                made
            }
            (None, None) => None,
        }
    }

    fn use_dname(&mut self, dname: &Record<'_>) {
        self.bound(dname.ttl);
        self.dnames.push(dname.owner());
    }

    fn bound(&mut self, ttl: u32) {
        self.ttl = Some(self.ttl.map_or(ttl, |smallest| smallest.min(ttl)));
    }

    /// The name whose records answer.
    pub(super) fn end(&self) -> &Name {
        self.chain.last().unwrap_or(&self.question)
    }

    /// Names after the question's own.
    pub(in crate::message) fn chain(&self) -> &[Name] {
        &self.chain
    }

    /// Smallest TTL of the links that were followed.
    pub(super) fn ttl(&self) -> Option<u32> {
        self.ttl
    }

    fn passes(&self, name: &Name) -> bool {
        *self.question == *name || self.chain.contains(name)
    }

    /// A record of the ANSWER section that belongs there.
    pub(in crate::message) fn carries(&self, record: &Record<'_>) -> bool {
        let is_dname = record.kind == Kind::DNAME || record.covers() == Some(Kind::DNAME);
        let passes = std::iter::once(&*self.question)
            .chain(&self.chain)
            .any(|name| record.is_of(name));
        passes || is_dname && self.dnames.iter().any(|dname| record.is_of(dname))
    }

    /// A record that is what was asked for.
    pub(in crate::message) fn is_answered_by(&self, record: &Record<'_>) -> bool {
        record.section == Section::Answer
            && record.class == IN
            && (record.kind == self.kind || self.kind == Kind::ANY)
            && record.is_of(self.end())
    }

    /// A record that may say that nothing is there: a SOA of AUTHORITY at or above a name asked for.
    pub(super) fn is_denied_by(&self, record: &Record<'_>) -> bool {
        if record.section != Section::Authority || record.kind != Kind::SOA {
            return false;
        }
        let owner = record.owner();
        self.question.is_at_or_below(&owner) || self.end().is_at_or_below(&owner)
    }

    /// Some record of the ANSWER section leads on.
    pub(in crate::message) fn has_links(&self) -> bool {
        !self.chain.is_empty() || !self.dnames.is_empty()
    }
}

/// Every CNAME and DNAME of the ANSWER section.
fn links<'a>(records: &[Record<'a>]) -> Result<Vec<Record<'a>>, Astray> {
    let links: Vec<_> = in_answer(records)
        .filter(|record| matches!(record.kind, Kind::CNAME | Kind::DNAME))
        .filter(|record| record.class == IN)
        .copied()
        .collect();
    if links.iter().any(|link| link.target().is_none()) {
        return Err(Astray::Garbled);
    }
    Ok(links)
}

/// The records of the ANSWER section.
pub(in crate::message) fn in_answer<'r, 'a>(
    records: &'r [Record<'a>],
) -> impl Iterator<Item = &'r Record<'a>> {
    records
        .iter()
        .take_while(|record| record.section == Section::Answer)
}

/// None where `dname` does not reach `name`; Some(None) where the name it makes would be too long.
fn substitute(name: &Name, dname: &Record<'_>) -> Option<Option<Name>> {
    // RFC 6672 §2.3: a DNAME redirects what is below its owner, never the owner.
    let owner = dname.owner();
    if *name == owner || !name.is_at_or_below(&owner) {
        return None;
    }
    let below = name.wire().len() - owner.wire().len();
    let mut made = name.wire().get(..below)?.to_vec();
    made.extend_from_slice(dname.target()?.wire());
    Some(Name::from_wire(&made))
}
