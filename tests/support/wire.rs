//! Reads a packet, octet by octet and strictly: whole records, no octet left over, pointers backward.

use super::Fallible;
use super::records::{Record, names_in};

/// A packet taken apart.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) id: u16,
    /// Header bits as they stand, opcode and RCODE included.
    pub(crate) flags: u16,
    pub(crate) question_count: u16,
    /// Where the question section ends.
    pub(crate) question_end: usize,
    /// Without OPT.
    pub(crate) answer: Vec<Record>,
    pub(crate) authority: Vec<Record>,
    pub(crate) additional: Vec<Record>,
    pub(crate) opt: Vec<Opt>,
    /// Where each TTL stands.
    pub(crate) ttls_at: Vec<usize>,
    /// Where the first OPT begins, or the packet ends.
    pub(crate) body_end: usize,
}

/// The OPT record of a message (RFC 6891).
#[derive(Debug)]
pub(crate) struct Opt {
    pub(crate) owner: Vec<u8>,
    pub(crate) payload: u16,
    pub(crate) extended_rcode: u8,
    pub(crate) version: u8,
    pub(crate) flags: u16,
    pub(crate) options: Vec<(u16, Vec<u8>)>,
}

impl Message {
    pub(crate) fn read(packet: &[u8]) -> Fallible<Self> {
        let mut reader = Reader { packet, at: 0 };
        let [id, flags, question_count, answers, authorities, additionals] = reader.header()?;
        for _ in 0..question_count {
            reader.name()?;
            reader.take(4)?;
        }
        let question_end = reader.at;
        let mut message = Self {
            id,
            flags,
            question_count,
            question_end,
            answer: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
            opt: Vec::new(),
            ttls_at: Vec::new(),
            body_end: packet.len(),
        };
        message.answer = message.section(&mut reader, answers)?;
        message.authority = message.section(&mut reader, authorities)?;
        message.additional = message.section(&mut reader, additionals)?;
        match packet.len() - reader.at {
            0 => Ok(message),
            rest => Err(format!("{rest} octets after the last record")),
        }
    }

    pub(crate) fn rcode(&self) -> u16 {
        let high = self
            .opt
            .first()
            .map_or(0, |opt| u16::from(opt.extended_rcode));
        high << 4 | self.flags & 0x0F
    }

    fn section(&mut self, reader: &mut Reader<'_>, count: u16) -> Fallible<Vec<Record>> {
        let mut records = Vec::new();
        for _ in 0..count {
            let begin = reader.at;
            let owner = reader.name()?;
            let [kind, class] = [reader.number()?, reader.number()?];
            let ttl_at = reader.at;
            let ttl = u32::from(reader.number()?) << 16 | u32::from(reader.number()?);
            let length = usize::from(reader.number()?);
            if kind == 41 {
                self.body_end = self.body_end.min(begin);
                let [_, _, high, low] = ttl.to_be_bytes();
                let [extended_rcode, version, ..] = ttl.to_be_bytes();
                let flags = u16::from_be_bytes([high, low]);
                let options = options(reader.take(length)?)?;
                self.opt.push(Opt {
                    owner,
                    payload: class,
                    extended_rcode,
                    version,
                    flags,
                    options,
                });
                continue;
            }
            self.ttls_at.push(ttl_at);
            let rdata = reader.rdata(kind, length)?;
            records.push(Record {
                owner,
                kind,
                class,
                ttl,
                rdata,
            });
        }
        Ok(records)
    }
}

/// A packet being read.
struct Reader<'a> {
    packet: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Fallible<&'a [u8]> {
        let octets = self
            .packet
            .get(self.at..self.at + length)
            .ok_or_else(|| format!("cut short at octet {}", self.at))?;
        self.at += length;
        Ok(octets)
    }

    fn number(&mut self) -> Fallible<u16> {
        Ok(self
            .take(2)?
            .iter()
            .fold(0, |sum, &octet| sum << 8 | u16::from(octet)))
    }

    fn header(&mut self) -> Fallible<[u16; 6]> {
        let mut numbers = [0; 6];
        for number in &mut numbers {
            *number = self.number()?;
        }
        Ok(numbers)
    }

    fn name(&mut self) -> Fallible<Vec<u8>> {
        let (name, end) = name_at(self.packet, self.at)?;
        self.at = end;
        Ok(name)
    }

    /// RDATA with its names spelled out.
    fn rdata(&mut self, kind: u16, length: usize) -> Fallible<Vec<u8>> {
        let end = self.at + length;
        let Some((before, names)) = names_in(kind).filter(|_| length > 0) else {
            return Ok(self.take(length)?.to_vec());
        };
        let mut rdata = self.take(before)?.to_vec();
        for _ in 0..names {
            rdata.extend(self.name()?);
        }
        let rest = end
            .checked_sub(self.at)
            .ok_or("a name runs past its RDATA")?;
        rdata.extend(self.take(rest)?);
        Ok(rdata)
    }
}

fn name_at(packet: &[u8], begin: usize) -> Fallible<(Vec<u8>, usize)> {
    let (mut at, mut lowest, mut end) = (begin, begin, None);
    let mut name = Vec::new();
    loop {
        let length = *packet.get(at).ok_or("a name runs past the packet")?;
        let next = packet.get(at + 1).copied().unwrap_or_default();
        match length {
            0 => {
                name.push(0);
                return Ok((name, end.unwrap_or(at + 1)));
            }
            1..=63 => {
                let label = packet.get(at..=at + usize::from(length));
                name.extend(label.ok_or("a label runs past the packet")?);
                at += 1 + usize::from(length);
            }
            0xC0.. => {
                let target = usize::from(length & 0x3F) << 8 | usize::from(next);
                if target >= lowest {
                    return Err(format!("the pointer at {at} does not point backward"));
                }
                end = end.or(Some(at + 2));
                (at, lowest) = (target, target);
            }
            _ => return Err(format!("no label begins with {length:#x}")),
        }
    }
}

fn options(octets: &[u8]) -> Fallible<Vec<(u16, Vec<u8>)>> {
    let mut reader = Reader {
        packet: octets,
        at: 0,
    };
    let mut options = Vec::new();
    while reader.at < octets.len() {
        let code = reader.number()?;
        let length = usize::from(reader.number()?);
        options.push((code, reader.take(length)?.to_vec()));
    }
    Ok(options)
}
