//! A message being written: header, question, then records in the order of their sections.
//!
//! Names are compressed against what stands before them. A record that cannot be written leaves no
//! trace, and none makes the message longer than its 16 bits of length allow.

use super::super::answer::{Record, Records, Section};
use super::super::kind::Kind;
use super::super::name::Name;
use super::super::wire::{HEADER, flag, push_words, u16_at};
use super::names::Names;
use super::rdata::{Part, Pointers, layout};

/// The longest message there is: a stream frames it with 16 bits (RFC 1035 §4.2.2).
const LONGEST: usize = 0xffff;

/// A message of which the header, the question and the records so far are written.
pub(in crate::message) struct Draft {
    octets: Vec<u8>,
    names: Names,
    /// Where the section being written starts.
    section: Option<(Section, usize)>,
}

/// All of a record but its data.
#[derive(Clone, Copy)]
pub(in crate::message) struct Head {
    pub(in crate::message) section: Section,
    pub(in crate::message) owner: Name,
    pub(in crate::message) kind: Kind,
    pub(in crate::message) class: u16,
    pub(in crate::message) ttl: u32,
}

impl Head {
    /// The head a record has.
    pub(in crate::message) fn of(record: &Record<'_>) -> Self {
        Self {
            section: record.section,
            owner: record.owner(),
            kind: record.kind,
            class: record.class,
            ttl: record.ttl,
        }
    }
}

impl Draft {
    /// Starts with the header and the question of `message`, letter case included, and no records.
    pub(in crate::message) fn like(message: &[u8]) -> Option<Self> {
        let (name, _) = Name::read(message, HEADER)?;
        let mut octets = message.get(..Records::of(message)?.at())?.to_vec();
        octets.get_mut(6..HEADER)?.fill(0);
        let mut names = Names::default();
        names.learn(&name, HEADER, &octets);
        Some(Self {
            octets,
            names,
            section: None,
        })
    }

    /// Copies a record as it is; names in its data are written anew where its type has some.
    pub(in crate::message) fn copy(&mut self, record: &Record<'_>) -> Option<()> {
        self.copy_as(Head::of(record), record)
    }

    /// Copies the data of a record under another head.
    pub(in crate::message) fn copy_as(&mut self, head: Head, record: &Record<'_>) -> Option<()> {
        self.push(head, |draft| draft.copy_rdata(record))
    }

    /// Writes one record; None, and no trace of it, where it does not fit or `rdata` fails.
    pub(in crate::message) fn push(
        &mut self,
        head: Head,
        rdata: impl FnOnce(&mut Self) -> Option<()>,
    ) -> Option<()> {
        let start = self.octets.len();
        let written = self.write_record(head, rdata);
        if written.is_none() {
            self.cut(start);
        }
        written
    }

    fn write_record(
        &mut self,
        head: Head,
        rdata: impl FnOnce(&mut Self) -> Option<()>,
    ) -> Option<()> {
        let start = self.octets.len();
        if self.section.is_none_or(|(open, _)| open != head.section) {
            self.section = Some((head.section, start));
        }
        self.name(&head.owner);
        push_words([head.kind.0, head.class], &mut self.octets);
        self.octets(&head.ttl.to_be_bytes());
        let length_at = self.octets.len();
        self.octets(&[0; 2]);
        rdata(self)?;
        let length = u16::try_from(self.octets.len() - length_at - 2).ok()?;
        if self.octets.len() > LONGEST {
            return None;
        }
        self.put(length_at, length)?;
        let count_at = head.section.count_at();
        self.put(count_at, u16_at(&self.octets, count_at)?.checked_add(1)?)
    }

    /// Writes a name, the longest part of it that stands already as a pointer.
    pub(in crate::message) fn name(&mut self, name: &Name) {
        self.names.write(name, &mut self.octets);
    }

    /// Writes a name without a pointer; later names may still point to it.
    fn whole_name(&mut self, name: &Name) {
        let at = self.octets.len();
        self.octets(name.wire());
        self.names.learn(name, at, &self.octets);
    }

    /// Writes octets as they are.
    pub(in crate::message) fn octets(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    fn copy_rdata(&mut self, record: &Record<'_>) -> Option<()> {
        let Some((parts, pointers)) = layout(record.kind).filter(|_| !record.rdata.is_empty())
        else {
            self.octets(record.rdata);
            return Some(());
        };
        let mut at = 0;
        for part in parts {
            let length = match part {
                Part::Name => {
                    let (name, after) = record.name_at(at)?;
                    match pointers {
                        Pointers::Allowed => self.name(&name),
                        Pointers::Forbidden => self.whole_name(&name),
                    }
                    at = after;
                    continue;
                }
                Part::Octets(length) => *length,
                Part::Text => 1 + usize::from(*record.rdata.get(at)?),
                Part::Rest => record.rdata.len() - at,
            };
            self.octets(record.rdata.get(at..at + length)?);
            at += length;
        }
        (at == record.rdata.len()).then_some(())
    }

    /// Says that nobody vouches for what stands here any more.
    pub(in crate::message) fn clear_authentic(&mut self) {
        if let Some(flags) = u16_at(&self.octets, 2) {
            self.put(2, flags & !flag::AD);
        }
    }

    /// Takes off the ADDITIONAL section, and with it the claim that all is as upstream vouched for it.
    pub(super) fn drop_additional(&mut self) {
        if let Some((Section::Additional, start)) = self.section {
            self.cut(start);
        }
        let count_at = Section::Additional.count_at();
        self.put(count_at, 0);
        self.clear_authentic();
    }

    fn cut(&mut self, end: usize) {
        self.octets.truncate(end);
        // What was learned may lie behind the cut: what is written from here on starts anew.
        self.names = Names::default();
    }

    fn put(&mut self, at: usize, number: u16) -> Option<()> {
        let place = self.octets.get_mut(at..at + 2)?;
        place.copy_from_slice(&number.to_be_bytes());
        Some(())
    }

    /// The message.
    pub(in crate::message) fn finish(self) -> Vec<u8> {
        self.octets
    }
}
