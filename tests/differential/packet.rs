//! Packets octet by octet, names compressed or not; nothing here is the code under test.

use std::collections::HashMap;

pub(crate) const A: u16 = 1;
pub(crate) const NS: u16 = 2;
pub(crate) const CNAME: u16 = 5;
pub(crate) const SOA: u16 = 6;
pub(crate) const HINFO: u16 = 13;
pub(crate) const MX: u16 = 15;
pub(crate) const TXT: u16 = 16;
pub(crate) const AAAA: u16 = 28;
pub(crate) const SRV: u16 = 33;
pub(crate) const DNAME: u16 = 39;
pub(crate) const OPT: u16 = 41;
pub(crate) const RRSIG: u16 = 46;
pub(crate) const SVCB: u16 = 64;
pub(crate) const HTTPS: u16 = 65;
pub(crate) const ANY: u16 = 255;

pub(crate) const QR: u16 = 0x8000;
pub(crate) const AA: u16 = 0x0400;
pub(crate) const TC: u16 = 0x0200;
pub(crate) const RD: u16 = 0x0100;
pub(crate) const RA: u16 = 0x0080;
pub(crate) const AD: u16 = 0x0020;
pub(crate) const CD: u16 = 0x0010;

/// A piece of RDATA.
#[derive(Clone)]
pub(crate) enum Part {
    Octets(Vec<u8>),
    /// A name in wire form.
    Name(Vec<u8>),
}

/// One record to be written.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) owner: Vec<u8>,
    pub(crate) kind: u16,
    pub(crate) class: u16,
    pub(crate) ttl: u32,
    pub(crate) rdata: Vec<Part>,
}

/// Which names become pointers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    /// Owners, and RDATA of the types of RFC 1035.
    Usual,
    /// Every name, as old servers do.
    Everywhere,
}

/// A packet being written.
pub(crate) struct Writer {
    pub(crate) octets: Vec<u8>,
    compression: Compression,
    /// Lowered name to the place where it stands.
    places: HashMap<Vec<u8>, u16>,
    /// Where each TTL stands, but for OPT.
    pub(crate) ttls: Vec<usize>,
}

impl Writer {
    /// Header and one question.
    pub(crate) fn new(flags: u16, name: &[u8], kind: u16, compression: Compression) -> Self {
        let mut writer = Self {
            octets: numbers(&[0, flags, 1, 0, 0, 0]),
            compression,
            places: HashMap::new(),
            ttls: Vec::new(),
        };
        writer.name(name, true);
        writer.octets.extend(numbers(&[kind, 1]));
        writer
    }

    /// A record of a section: 1 to 3.
    pub(crate) fn record(&mut self, section: usize, record: &Record) {
        self.count(section);
        self.name(&record.owner, self.compression != Compression::None);
        self.octets.extend(numbers(&[record.kind, record.class]));
        self.ttls.push(self.octets.len());
        self.octets.extend(record.ttl.to_be_bytes());
        let length_at = self.octets.len();
        self.octets.extend([0, 0]);
        let compress = match self.compression {
            Compression::None => false,
            Compression::Usual => matches!(record.kind, NS | CNAME | SOA | 12 | MX),
            Compression::Everywhere => !matches!(record.kind, SVCB | HTTPS),
        };
        for part in &record.rdata {
            match part {
                Part::Octets(octets) => self.octets.extend(octets),
                Part::Name(name) => self.name(name, compress),
            }
        }
        let length = u16::try_from(self.octets.len() - length_at - 2).unwrap();
        self.octets[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }

    /// An OPT record: the upper bits of the RCODE, flags, options.
    pub(crate) fn opt(&mut self, high: u16, flags: u16, options: &[u8]) {
        self.count(3);
        self.octets.push(0);
        let length = u16::try_from(options.len()).unwrap();
        self.octets
            .extend(numbers(&[OPT, 1232, high << 8, flags, length]));
        self.octets.extend(options);
    }

    fn count(&mut self, section: usize) {
        let at = 4 + 2 * section;
        let count = number_at(&self.octets, at) + 1;
        self.octets[at..at + 2].copy_from_slice(&count.to_be_bytes());
    }

    fn name(&mut self, name: &[u8], compress: bool) {
        let mut rest = name;
        while rest[0] > 0 {
            let lowered = rest.to_ascii_lowercase();
            if let Some(place) = self.places.get(&lowered).filter(|_| compress) {
                self.octets.extend((0xc000 | place).to_be_bytes());
                return;
            }
            if let Ok(place @ 0..0x4000) = u16::try_from(self.octets.len()) {
                self.places.entry(lowered).or_insert(place);
            }
            let (label, tail) = rest.split_at(1 + usize::from(rest[0]));
            self.octets.extend(label);
            rest = tail;
        }
        self.octets.push(0);
    }
}

/// Numbers of 16 bits as octets.
pub(crate) fn numbers(numbers: &[u16]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_be_bytes())
        .collect()
}

pub(crate) fn number_at(packet: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([packet[at], packet[at + 1]])
}

/// A name in wire form; `text` has no escapes.
pub(crate) fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').filter(|label| !label.is_empty());
    let mut wire: Vec<u8> = labels
        .flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat())
        .collect();
    wire.push(0);
    wire
}

/// An option of an OPT record.
pub(crate) fn option(code: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap();
    [&numbers(&[code, length]), value].concat()
}

/// The offset after an uncompressed name.
pub(crate) fn skip_name(packet: &[u8], mut at: usize) -> usize {
    while packet[at] > 0 && packet[at] < 0xc0 {
        at += 1 + usize::from(packet[at]);
    }
    at + if packet[at] == 0 { 1 } else { 2 }
}

/// What a query asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    /// In lower case.
    pub(crate) name: Vec<u8>,
    pub(crate) kind: u16,
    /// DO.
    pub(crate) signed: bool,
    /// CD.
    pub(crate) unchecked: bool,
}

/// A query, read back.
pub(crate) struct Heard {
    pub(crate) asked: Asked,
    pub(crate) id: u16,
    pub(crate) flags: u16,
    pub(crate) edns: bool,
}

impl Heard {
    /// Reads a query that is whole, of ours or a client's.
    pub(crate) fn read(packet: &[u8]) -> Self {
        let end = skip_name(packet, 12);
        let flags = number_at(packet, 2);
        let (mut at, mut opt) = (end + 4, None);
        for _ in 0..number_at(packet, 6) + number_at(packet, 8) + number_at(packet, 10) {
            let fixed = skip_name(packet, at);
            if number_at(packet, fixed) == OPT {
                opt = Some(number_at(packet, fixed + 6));
            }
            at = fixed + 10 + usize::from(number_at(packet, fixed + 8));
        }
        Self {
            asked: Asked {
                name: packet[12..end].to_ascii_lowercase(),
                kind: number_at(packet, end),
                signed: opt.is_some_and(|flags| flags & 0x8000 != 0),
                unchecked: flags & CD != 0,
            },
            id: number_at(packet, 0),
            flags,
            edns: opt.is_some(),
        }
    }
}
