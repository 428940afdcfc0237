//! Writes packets: a client's queries and what upstreams say, sound ones and broken ones.

use super::Fallible;
use super::records::{Record, class_number, hex, name_wire, names_in};
use super::script::{Compress, EdnsQuery, Packet, Presence, Query, Wrong};
use super::values::{Asked, Flag, bits, rcode_number};
use super::wire::Message;
use std::collections::HashMap;

/// The query as its client would send it.
pub(crate) fn query(query: &Query, id: u16) -> Fallible<Vec<u8>> {
    if let Some(raw) = &query.raw {
        return hex(raw);
    }
    let asked = Asked::parse(&query.query)?;
    let mut writer = Writer::new(Compress::None);
    let additional = query.edns.as_ref().map_or(0, |edns| edns.count);
    let additional = u16::try_from(additional).map_err(|error| error.to_string())?;
    let flags = bits(&query.flags) | u16::from(query.opcode & 0x0F) << 11;
    writer.header([id, flags, 1, 0, 0, additional]);
    writer.question(&asked.wire()?, asked.kind, class_number(&query.class)?);
    for edns in query
        .edns
        .iter()
        .flat_map(|edns| std::iter::repeat_n(edns, edns.count))
    {
        let mut octets = Vec::new();
        for option in &edns.options {
            octets.extend(option_octets(option)?);
        }
        writer.opt(&opt_of(edns)?, &octets);
    }
    Ok(writer.packet)
}

/// What an upstream says to this query of ours.
pub(crate) fn answer(packet: &Packet, to: &[u8]) -> Fallible<Vec<u8>> {
    let ours = Message::read(to)?;
    let id = if packet.wrong == Some(Wrong::Id) {
        ours.id ^ 1
    } else {
        ours.id
    };
    if let Some(raw) = &packet.raw {
        let mut octets = id.to_be_bytes().to_vec();
        octets.extend(hex(raw)?);
        return Ok(octets);
    }
    let question = to
        .get(12..ours.question_end)
        .ok_or("our query has no question")?;
    let sections = [&packet.answer, &packet.authority, &packet.additional];
    let sections = sections.map(|lines| {
        lines
            .iter()
            .map(|line| Record::parse_all(line))
            .collect::<Fallible<Vec<_>>>()
    });
    let with_opt = match packet.opt {
        Some(presence) => presence == Presence::Present,
        None => !ours.opt.is_empty(),
    };

    let mut writer = Writer::new(packet.compress);
    let rcode = rcode_number(&packet.rcode)?;
    let flags = bits(&[Flag::Qr, Flag::Ra])
        | bits(&packet.flags)
        | ours.flags & bits(&[Flag::Rd, Flag::Cd])
        | rcode & 0x0F;
    writer.header([id, flags, 1, 0, 0, 0]);
    writer.raw_question(question);
    for (index, section) in sections.into_iter().enumerate() {
        for record in section?.iter().flatten() {
            writer.record(record);
            writer.count(6 + 2 * index);
        }
    }
    if with_opt {
        let mut options = Vec::new();
        for error in &packet.ede {
            options.extend(extended_error(error)?);
        }
        let dnssec_ok = ours.opt.first().map_or(0, |opt| opt.flags & 0x8000);
        let flags = u32::from(rcode >> 4) << 24 | u32::from(dnssec_ok);
        writer.opt(
            &OptHead {
                owner: vec![0],
                payload: 1232,
                flags,
            },
            &options,
        );
        writer.count(10);
    }
    Ok(spoil(writer.packet, packet.wrong, ours.question_end))
}

/// Makes a sound packet wrong in the one way that the script names.
fn spoil(mut packet: Vec<u8>, wrong: Option<Wrong>, question_end: usize) -> Vec<u8> {
    let mut set = |at: usize, change: fn(u8) -> u8| {
        if let Some(octet) = packet.get_mut(at) {
            *octet = change(*octet);
        }
    };
    match wrong {
        None | Some(Wrong::Id) => {}
        Some(Wrong::Name) => set(13, |octet| octet ^ 1),
        Some(Wrong::Type) => set(question_end - 3, |octet| octet ^ 2),
        Some(Wrong::Class) => set(question_end - 1, |octet| octet ^ 2),
        Some(Wrong::Qr) => set(2, |octet| octet & 0x7F),
        Some(Wrong::Opcode) => set(2, |octet| octet | 0x10),
        Some(Wrong::Counts) => (4..12).for_each(|at| set(at, |_| 0xFF)),
        Some(Wrong::Loop) => {
            let target = u8::try_from(question_end).unwrap_or(u8::MAX);
            if let Some(owner) = packet.get_mut(question_end..question_end + 2) {
                owner.copy_from_slice(&[0xC0, target]);
            }
        }
        Some(Wrong::NoQuestion) => {
            set(5, |_| 0);
            packet.drain(12..question_end);
        }
        Some(Wrong::Short) => packet.truncate(2),
        Some(Wrong::Empty) => packet.clear(),
        Some(Wrong::Garbage) => {
            packet.truncate(2);
            packet.extend([0xA7; 40]);
        }
        Some(Wrong::Cut) => packet.truncate(packet.len() - 3),
    }
    packet
}

/// The fixed part of an OPT record.
struct OptHead {
    owner: Vec<u8>,
    payload: u16,
    /// Extended RCODE, version and flags as they stand in the place of a TTL.
    flags: u32,
}

fn opt_of(edns: &EdnsQuery) -> Fallible<OptHead> {
    let dnssec_ok = if edns.dnssec_ok { 0x8000 } else { 0 };
    let flags = u32::from(edns.version) << 16 | u32::from(edns.z | dnssec_ok);
    Ok(OptHead {
        owner: name_wire(&edns.owner)?,
        payload: edns.size,
        flags,
    })
}

/// `10:0011223344556677`; `10+9:0011` writes a length of nine before two octets.
fn option_octets(text: &str) -> Fallible<Vec<u8>> {
    let (code, digits) = text.split_once(':').ok_or("an option is code:hex")?;
    let (code, lie) = code
        .split_once('+')
        .map_or((code, None), |(code, lie)| (code, Some(lie)));
    let code: u16 = code
        .parse()
        .map_err(|_| format!("`{code}` is no option code"))?;
    let octets = hex(digits)?;
    let length = match lie {
        Some(lie) => lie.parse().map_err(|_| format!("`{lie}` is no length"))?,
        None => u16::try_from(octets.len()).map_err(|error| error.to_string())?,
    };
    Ok([&code.to_be_bytes()[..], &length.to_be_bytes()[..], &octets].concat())
}

/// `15 some text` as an option (RFC 8914).
fn extended_error(text: &str) -> Fallible<Vec<u8>> {
    let (code, text) = text.split_once(' ').unwrap_or((text, ""));
    let code: u16 = code
        .parse()
        .map_err(|_| format!("`{code}` is no info code"))?;
    let length = u16::try_from(2 + text.len()).map_err(|error| error.to_string())?;
    let head = [
        15_u16.to_be_bytes(),
        length.to_be_bytes(),
        code.to_be_bytes(),
    ];
    Ok([head.concat(), text.as_bytes().to_vec()].concat())
}

/// A packet being written.
struct Writer {
    packet: Vec<u8>,
    compress: Compress,
    /// Lowered name to the place where it stands.
    places: HashMap<Vec<u8>, usize>,
}

impl Writer {
    fn new(compress: Compress) -> Self {
        Self {
            packet: Vec::new(),
            compress,
            places: HashMap::new(),
        }
    }

    fn number(&mut self, number: u16) {
        self.packet.extend(number.to_be_bytes());
    }

    fn header(&mut self, numbers: [u16; 6]) {
        numbers.into_iter().for_each(|number| self.number(number));
    }

    /// One more record in the count that stands at this place of the header.
    fn count(&mut self, at: usize) {
        if let Some([high, low]) = self.packet.get_mut(at..at + 2) {
            let count = u16::from_be_bytes([*high, *low]).saturating_add(1);
            [*high, *low] = count.to_be_bytes();
        }
    }

    fn question(&mut self, name: &[u8], kind: u16, class: u16) {
        self.name(name, self.compress != Compress::None);
        self.number(kind);
        self.number(class);
    }

    fn raw_question(&mut self, question: &[u8]) {
        let (name, rest) = question.split_at(question.len().saturating_sub(4));
        self.name(name, true);
        self.packet.extend(rest);
    }

    fn record(&mut self, record: &Record) {
        self.name(&record.owner, self.compress != Compress::None);
        self.number(record.kind);
        self.number(record.class);
        self.packet.extend(record.ttl.to_be_bytes());
        let length_at = self.packet.len();
        self.number(0);
        self.rdata(record);
        let length = u16::try_from(self.packet.len() - length_at - 2).unwrap_or(u16::MAX);
        if let Some(octets) = self.packet.get_mut(length_at..length_at + 2) {
            octets.copy_from_slice(&length.to_be_bytes());
        }
    }

    fn rdata(&mut self, record: &Record) {
        let usual = matches!(record.kind, 2 | 5 | 6 | 12 | 15);
        let compress = match self.compress {
            Compress::None => false,
            Compress::Usual => usual,
            Compress::Everywhere => true,
        };
        let Some((before, names)) = names_in(record.kind).filter(|_| !record.rdata.is_empty())
        else {
            self.packet.extend(&record.rdata);
            return;
        };
        let (head, mut rest) = record.rdata.split_at(before);
        self.packet.extend(head);
        for _ in 0..names {
            let (name, tail) = rest.split_at(name_length(rest));
            self.name(name, compress);
            rest = tail;
        }
        self.packet.extend(rest);
    }

    /// A name, as a pointer from where it stood before if it may be.
    fn name(&mut self, name: &[u8], compress: bool) {
        let mut rest = name;
        while let Some((&length, _)) = rest.split_first() {
            let lowered = rest.to_ascii_lowercase();
            if let Some(&place) = self.places.get(&lowered).filter(|_| compress) {
                self.number(0xC000 | u16::try_from(place).unwrap_or_default());
                return;
            }
            if length > 0 && self.packet.len() < 0x4000 {
                self.places.entry(lowered).or_insert(self.packet.len());
            }
            let (label, tail) = rest.split_at((1 + usize::from(length)).min(rest.len()));
            self.packet.extend(label);
            rest = tail;
        }
    }

    fn opt(&mut self, head: &OptHead, options: &[u8]) {
        self.packet.extend(&head.owner);
        self.number(41);
        self.number(head.payload);
        self.packet.extend(head.flags.to_be_bytes());
        self.number(u16::try_from(options.len()).unwrap_or(u16::MAX));
        self.packet.extend(options);
    }
}

fn name_length(wire: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&length) = wire.get(at) {
        at += 1 + usize::from(length);
        if length == 0 {
            break;
        }
    }
    at.min(wire.len())
}
