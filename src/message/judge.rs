//! What a packet from an upstream is, for a question in flight.
//!
//! Everything a stranger could get wrong is found here, once; who holds an [`Answer`] need not doubt it
//! (answers.md sections 6 and 10). A record that we need not understand is no reason to refuse the rest.

use super::answer::{Answer, Astray, Ede, Facts, Path, Record, Records, Section, in_answer};
use super::edit::{Draft, rewrite};
use super::kind::{Kind, Rcode};
use super::name::Name;
use super::query::Question;
use super::wire::{HEADER, IN, flag, option, u16_at};
use std::sync::Arc;

/// What a packet from an upstream is, for a question in flight.
#[derive(Clone, Debug)]
pub enum Judgement {
    /// Valid for this id and question; its RCODE may be anything.
    Answer(Arc<Answer>),
    /// TC is set: ask over a stream.
    Truncated,
    /// FORMERR or NOTIMP with our id and nothing else: ask once more without EDNS.
    WithoutEdns,
    /// Not ours, or not to be used: wait on.
    Ignored(Flaw),
    /// Ours, but its chain loops or is longer than 16 names: a failure of this upstream.
    EndlessChain,
}

/// Why a packet is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Id, QR, opcode or question is not what we wait for.
    Mismatch,
    /// It does not parse, or nothing in it answers.
    Garbled,
}

/// How a packet came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP: TC means that there is more to be had.
    Datagram,
    /// TCP and what is built on it: TC means nothing.
    Stream,
}

/// Judges a packet that came for `question`, asked under `id`.
pub fn judge(packet: &[u8], id: u16, question: &Question, over: Transport) -> Judgement {
    let Some(header) = Header::read(packet).filter(|header| header.is_reply_to(id)) else {
        return Judgement::Ignored(Flaw::Mismatch);
    };
    if header.refuses_edns() {
        return Judgement::WithoutEdns;
    }
    // RFC 9619: one question, neither more nor less.
    if header.counts[0] != 1 || !asks(packet, question) {
        return Judgement::Ignored(Flaw::Mismatch);
    }
    if header.flags & flag::TC != 0 && over == Transport::Datagram {
        return Judgement::Truncated;
    }
    match read(packet, question) {
        Ok(answer) => Judgement::Answer(Arc::new(answer)),
        Err(Astray::Endless) => Judgement::EndlessChain,
        Err(Astray::Garbled) => Judgement::Ignored(Flaw::Garbled),
    }
}

/// The lower four bits of the response code, in the header's flags.
const RCODE: u16 = 0x000f;

/// The fixed part of a message (RFC 1035 §4.1.1).
struct Header {
    id: u16,
    flags: u16,
    counts: [u16; 4],
}

impl Header {
    fn read(packet: &[u8]) -> Option<Self> {
        let mut counts = [0; 4];
        for (count, at) in counts.iter_mut().zip([4, 6, 8, 10]) {
            *count = u16_at(packet, at)?;
        }
        Some(Self {
            id: u16_at(packet, 0)?,
            flags: u16_at(packet, 2)?,
            counts,
        })
    }

    fn is_reply_to(&self, id: u16) -> bool {
        self.id == id && self.flags & (flag::QR | flag::OPCODE) == flag::QR
    }

    /// What servers say that know no EDNS and copy nothing (RFC 6891 §7).
    fn refuses_edns(&self) -> bool {
        let rcode = Rcode(self.flags & RCODE);
        self.counts == [0; 4] && matches!(rcode, Rcode::FORM_ERR | Rcode::NOT_IMP)
    }
}

/// The packet's question is ours, its name written out.
fn asks(packet: &[u8], question: &Question) -> bool {
    let name = question.name.wire();
    let end = HEADER + name.len();
    packet
        .get(HEADER..end)
        // No length octet is a letter, so this compares labels with labels.
        .is_some_and(|asked| asked.eq_ignore_ascii_case(name))
        && u16_at(packet, end) == Some(question.kind.0)
        && u16_at(packet, end + 2) == Some(IN)
}

/// Reads what stands behind a question that is ours.
fn read(packet: &[u8], question: &Question) -> Result<Answer, Astray> {
    let body = Body::without_opt(packet).ok_or(Astray::Garbled)?;
    let path = Path::through(&body.records, (&question.name, question.kind))?;
    let (mut is_empty, mut has_strays, mut answers) = (true, false, path.has_links());
    for record in in_answer(&body.records) {
        is_empty = false;
        has_strays |= !path.carries(record);
        answers |= path.is_answered_by(record);
    }
    // answers.md section 6: where nothing on the path answers, the answer is broken.
    if !is_empty && !answers {
        return Err(Astray::Garbled);
    }
    let Body {
        records,
        octets: (octets, is_prefix),
        rcode,
        extended_errors,
    } = body;
    if has_strays {
        let octets = without_strays(&octets, &path).ok_or(Astray::Garbled)?;
        return Ok(Answer::along(&path, octets, rcode, extended_errors));
    }
    if !is_prefix {
        return Ok(Answer::along(&path, octets, rcode, extended_errors));
    }
    let facts = Facts::find(&records, &path, rcode);
    Ok(Answer::of(facts, octets, rcode, extended_errors))
}

/// The message without the records of its ANSWER section that are not on the path.
fn without_strays(octets: &[u8], path: &Path<'_>) -> Option<Vec<u8>> {
    let mut draft = rewrite(octets, |draft, record| {
        if record.section == Section::Answer && !path.carries(record) {
            return Some(());
        }
        draft.copy(record)
    })?;
    draft.clear_authentic();
    Some(draft.finish())
}

/// A message of which every record is there, and what its OPT said.
struct Body<'a> {
    /// All records but the OPT, as they stand in the packet.
    records: Vec<Record<'a>>,
    /// The message without its OPT, and whether the packet starts with it, but for the counts.
    octets: (Vec<u8>, bool),
    rcode: Rcode,
    extended_errors: Box<[Ede]>,
}

impl<'a> Body<'a> {
    /// Takes the OPT out and cuts off what is behind the last record; None where a record is not whole.
    fn without_opt(packet: &'a [u8]) -> Option<Self> {
        let mut walk = Records::of(packet)?;
        let mut opt: Option<Record<'_>> = None;
        let mut records = Vec::new();
        for record in &mut walk {
            if record.kind != Kind::OPT {
                records.push(record);
                continue;
            }
            // RFC 6891 §6.1.1: at most one, in ADDITIONAL, under the root.
            if opt.is_some() || record.section != Section::Additional || !record.is_of(&Name::ROOT)
            {
                return None;
            }
            opt = Some(record);
        }
        if !walk.is_whole() {
            return None;
        }
        let end = walk.at();
        let octets = match opt {
            None => (packet.get(..end)?.to_vec(), true),
            Some(opt) if opt.end() == end => (cut_last(packet, opt.start())?, true),
            Some(_) => (rewrite_without_opt(packet)?.finish(), false),
        };
        // RFC 6891 §6.1.3: the upper 8 of 12 bits stand where other records have their TTL.
        let high = opt.map_or(0, |opt| (opt.ttl >> 24) as u16);
        let low = u16_at(packet, 2)? & RCODE;
        Some(Self {
            records,
            octets,
            rcode: Rcode(high << 4 | low),
            extended_errors: opt.map_or_else(Box::default, |opt| extended_errors(opt.rdata)),
        })
    }
}

/// The message up to its last record, which starts at `start`.
fn cut_last(packet: &[u8], start: usize) -> Option<Vec<u8>> {
    let mut octets = packet.get(..start)?.to_vec();
    let count_at = Section::Additional.count_at();
    let count = u16_at(&octets, count_at)?.checked_sub(1)?;
    octets
        .get_mut(count_at..count_at + 2)?
        .copy_from_slice(&count.to_be_bytes());
    Some(octets)
}

/// Records behind an OPT may point to names before it and to each other, so all are written anew.
fn rewrite_without_opt(packet: &[u8]) -> Option<Draft> {
    rewrite(packet, |draft, record| match record.kind {
        Kind::OPT => Some(()),
        _ => draft.copy(record),
    })
}

/// The extended errors (option 15, RFC 8914) among the options of an OPT, up to the first that is cut short.
fn extended_errors(mut options: &[u8]) -> Box<[Ede]> {
    /// Servers give one or two; a client has no use for a list.
    const MOST_ERRORS: usize = 4;

    let mut errors = Vec::new();
    while let (Some(code), Some(length)) = (u16_at(options, 0), u16_at(options, 2)) {
        let rest = options.get(4..).unwrap_or_default();
        let Some((value, rest)) = rest.split_at_checked(usize::from(length)) else {
            break;
        };
        options = rest;
        if code == option::EXTENDED_ERROR && errors.len() < MOST_ERRORS {
            errors.extend(extended_error(value));
        }
    }
    errors.into_boxed_slice()
}

fn extended_error(value: &[u8]) -> Option<Ede> {
    const LONGEST_TEXT: usize = 255;

    let code = u16_at(value, 0)?;
    let text = String::from_utf8_lossy(value.get(2..)?);
    // RFC 8914 §2: the text may end in a NUL, which is no part of it.
    let text = text.trim_end_matches('\0').char_indices();
    let short = text.take_while(|(at, letter)| at + letter.len_utf8() <= LONGEST_TEXT);
    Some(Ede {
        code,
        text: short.map(|(_, letter)| letter).collect(),
    })
}

#[cfg(test)]
mod tests;
