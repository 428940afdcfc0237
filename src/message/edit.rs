//! Answers rewritten record by record, on the wire.
//!
//! What stays keeps its order and its meaning; pointers are made anew, for what they pointed to may be
//! gone. What was signed and has changed is no longer signed: the set loses its RRSIG and the answer its
//! AD. Nothing here decides what is to go.

mod draft;
mod names;
mod rdata;

use std::collections::HashSet;

use super::answer::{Answer, Meaning, Record, Records, Section};
use super::kind::Kind;
use super::name::Name;
use super::wire::flag;
pub(super) use draft::{Draft, Head};

/// What happens to one record of an answer under edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays as it is.
    Keep,
    /// It goes.
    Remove,
    /// It stays with this data, in which no name is compressed.
    Rdata(Vec<u8>),
}

/// Rewrites an answer record by record.
///
/// None: the ANSWER or AUTHORITY section cannot be rewritten. An ADDITIONAL section that cannot goes whole.
pub fn edit(answer: &Answer, decide: &mut dyn FnMut(&Record<'_>) -> Fate) -> Option<Answer> {
    let mut changed: HashSet<(Section, Name, Kind)> = HashSet::new();
    let mut fates = Vec::new();
    for record in answer.records() {
        let fate = decide(&record);
        if fate != Fate::Keep {
            changed.insert((record.section, record.owner(), record.kind));
        }
        fates.push(fate);
    }
    if changed.is_empty() {
        return Some(answer.clone());
    }
    let mut fates = fates.into_iter();
    let draft = rewrite(answer.octets(), |draft, record| {
        let lost_its_set = record
            .covers()
            .is_some_and(|kind| changed.contains(&(record.section, record.owner(), kind)));
        match fates.next()? {
            Fate::Remove => Some(()),
            Fate::Keep if lost_its_set => Some(()),
            Fate::Keep => draft.copy(record),
            Fate::Rdata(rdata) => draft.push(Head::of(record), |draft| {
                draft.octets(&rdata);
                Some(())
            }),
        }
    })?;
    read_changed(draft, answer)
}

/// The answer without its ADDITIONAL section, and without AD: always possible, for nothing points forward into it.
pub fn without_additional(answer: &Answer) -> Answer {
    let first = answer
        .records()
        .find(|record| record.section == Section::Additional);
    let Some(first) = first else {
        return answer.clone();
    };
    let mut octets = answer.octets().to_vec();
    octets.truncate(first.start());
    if let Some(count) = octets
        .get_mut(Section::Additional.count_at()..)
        .and_then(<[u8]>::first_chunk_mut)
    {
        *count = [0; 2];
    }
    if let Some(flags) = octets.get_mut(2..).and_then(<[u8]>::first_chunk_mut) {
        *flags = (u16::from_be_bytes(*flags) & !flag::AD).to_be_bytes();
    }
    Answer::ours(octets, answer.rcode(), answer.extended_errors().into())
}

/// The final records of an answer under the question's own name, without the chain that led to them.
///
/// Their TTL is the smallest of chain and set. None: there is no chain, or no data at its end.
pub fn flatten(answer: &Answer) -> Option<Answer> {
    let end = answer.chain().last()?;
    let (question, kind) = answer.question()?;
    if answer.meaning() != Meaning::Data {
        return None;
    }
    let is_final = |record: &Record<'_>| record.is_of(end) && record.kind == kind;
    let ttl = answer
        .records()
        .filter(|record| record.section == Section::Answer && is_final(record))
        .map(|record| record.ttl)
        .chain(answer.chain_ttl())
        .min()?;
    let draft = rewrite(answer.octets(), |draft, record| {
        if record.section != Section::Answer {
            return draft.copy(record);
        }
        if !is_final(record) {
            return Some(());
        }
        let head = Head {
            owner: question,
            ttl,
            ..Head::of(record)
        };
        draft.copy_as(head, record)
    })?;
    read_changed(draft, answer)
}

/// Writes a message anew, each record as `write` does it.
pub(super) fn rewrite(
    message: &[u8],
    mut write: impl FnMut(&mut Draft, &Record<'_>) -> Option<()>,
) -> Option<Draft> {
    let mut draft = Draft::like(message)?;
    for record in Records::of(message)? {
        if write(&mut draft, &record).is_none() {
            if record.section != Section::Additional {
                return None;
            }
            draft.drop_additional();
            break;
        }
    }
    Some(draft)
}

fn read_changed(mut draft: Draft, before: &Answer) -> Option<Answer> {
    draft.clear_authentic();
    Answer::read(
        draft.finish(),
        before.rcode(),
        before.extended_errors().into(),
    )
    .ok()
}

#[cfg(test)]
mod tests;
