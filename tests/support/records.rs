//! Records and names between zone-file text and uncompressed octets.
//!
//! RDATA is read by hickory-proto's zone parser, and by this file where a line of ours is shorter
//! or stranger than a zone file's: see `tests/README.md`, "Records".

use super::Fallible;
use hickory_proto::rr::{RData, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};
use std::fmt;
use std::str::FromStr;

/// One record, every name in it spelled out.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// The owner in wire form, letter case kept.
    pub(crate) owner: Vec<u8>,
    pub(crate) kind: u16,
    pub(crate) class: u16,
    pub(crate) ttl: u32,
    pub(crate) rdata: Vec<u8>,
}

/// Letter case of names is no difference here: `bytes: upstream` is the option that looks at it.
impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, self.class, self.ttl) == (other.kind, other.class, other.ttl)
            && self.owner.eq_ignore_ascii_case(&other.owner)
            && lower_names(self.kind, &self.rdata) == lower_names(other.kind, &other.rdata)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (owner, kind) = (name_text(&self.owner), kind_text(self.kind));
        write!(
            f,
            "{owner} {} CLASS{} {kind} {}",
            self.ttl,
            self.class,
            rdata_text(self)
        )
    }
}

impl Record {
    /// `owner ttl IN TYPE rdata`, once for each number of a `{1..9}` in it.
    pub(crate) fn parse_all(line: &str) -> Fallible<Vec<Self>> {
        expand(line)?.iter().map(|line| Self::parse(line)).collect()
    }

    pub(crate) fn parse(line: &str) -> Fallible<Self> {
        let mut rest = line;
        let mut next = || -> Fallible<&str> {
            let (word, tail) = rest
                .trim_start()
                .split_once(' ')
                .unwrap_or_else(|| (rest.trim(), ""));
            rest = tail;
            if word.is_empty() {
                Err(format!("`{line}` is cut short"))
            } else {
                Ok(word)
            }
        };
        let owner = name_wire(next()?)?;
        let ttl = next()?
            .parse()
            .map_err(|_| format!("`{line}`: the second word is no TTL"))?;
        let class = class_number(next()?)?;
        let kind = kind_number(next()?)?;
        let rdata = rdata_wire(kind, rest.trim()).map_err(|error| format!("`{line}`: {error}"))?;
        Ok(Self {
            owner,
            kind,
            class,
            ttl,
            rdata,
        })
    }
}

/// `n{1..3}.example.` becomes three lines. `{?dns}`, as in a URI template, stays.
pub(crate) fn expand(line: &str) -> Fallible<Vec<String>> {
    let Some((head, (range, tail))) = line
        .split_once('{')
        .and_then(|(head, rest)| Some((head, rest.split_once('}')?)))
        .filter(|(_, (range, _))| !range.starts_with('?'))
    else {
        return Ok(vec![line.to_owned()]);
    };
    let bounds = range
        .split_once("..")
        .and_then(|(first, last)| Some((first.parse::<u32>().ok()?, last.parse::<u32>().ok()?)));
    let (first, last) = bounds.ok_or_else(|| format!("`{range}` is no range like 1..9"))?;
    let mut lines = Vec::new();
    for number in first..=last {
        lines.extend(expand(&format!("{head}{number}{tail}"))?);
    }
    Ok(lines)
}

/// Wire form of a name written with its final dot; `\DDD` is decimal (RFC 1035 §5.1).
pub(crate) fn name_wire(text: &str) -> Fallible<Vec<u8>> {
    if !text.ends_with('.') {
        return Err(format!("the name `{text}` has no dot at its end"));
    }
    let (mut wire, mut label) = (Vec::new(), Vec::new());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        match octet {
            b'.' => {
                // The root alone is a dot with nothing before it.
                if !label.is_empty() {
                    wire.push(u8::try_from(label.len()).map_err(|_| "label too long")?);
                    wire.append(&mut label);
                }
            }
            b'\\' => {
                let digits: String = octets.by_ref().take(3).map(char::from).collect();
                label.push(
                    digits
                        .parse()
                        .map_err(|_| format!("`\\{digits}` is no octet"))?,
                );
            }
            _ => label.push(octet),
        }
    }
    wire.push(0);
    Ok(wire)
}

/// The text of an uncompressed name.
pub(crate) fn name_text(wire: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = wire;
    while let Some((&length, tail)) = rest.split_first().filter(|(length, _)| **length > 0) {
        let (label, tail) = tail.split_at(usize::from(length).min(tail.len()));
        for &octet in label {
            if octet.is_ascii_graphic() && octet != b'.' && octet != b'\\' {
                text.push(char::from(octet));
            } else {
                text.push_str(&format!("\\{octet:03}"));
            }
        }
        text.push('.');
        rest = tail;
    }
    if text.is_empty() {
        ".".to_owned()
    } else {
        text
    }
}

/// `AAAA` or `TYPE65300`.
pub(crate) fn kind_number(text: &str) -> Fallible<u16> {
    if let Some(number) = text.strip_prefix("TYPE") {
        return number.parse().map_err(|_| format!("`{text}` is no type"));
    }
    RecordType::from_str(text)
        .map(u16::from)
        .map_err(|_| format!("`{text}` is no type"))
}

/// The other way round.
pub(crate) fn kind_text(kind: u16) -> String {
    match RecordType::from(kind) {
        RecordType::Unknown(number) => format!("TYPE{number}"),
        known => known.to_string(),
    }
}

/// `IN`, `CH` or `CLASS4`.
pub(crate) fn class_number(text: &str) -> Fallible<u16> {
    match text {
        "IN" => Ok(1),
        "CH" => Ok(3),
        "ANY" => Ok(255),
        _ => text
            .strip_prefix("CLASS")
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| format!("`{text}` is no class")),
    }
}

/// Octets written as pairs of hexadecimal digits; blanks do not count.
pub(crate) fn hex(text: &str) -> Fallible<Vec<u8>> {
    let digits: Vec<char> = text
        .chars()
        .filter(|digit| !digit.is_whitespace())
        .collect();
    digits
        .chunks(2)
        .map(|pair| {
            let pair: String = pair.iter().collect();
            u8::from_str_radix(&pair, 16).map_err(|_| format!("`{pair}` is not two hex digits"))
        })
        .collect()
}

/// Where names stand in the RDATA of types whose names may be compressed: octets before the first
/// name, and how many names follow.
pub(crate) fn names_in(kind: u16) -> Option<(usize, usize)> {
    match kind {
        // NS, CNAME, PTR, DNAME
        2 | 5 | 12 | 39 => Some((0, 1)),
        // SOA, RP
        6 | 17 => Some((0, 2)),
        // MX, AFSDB, KX, SVCB, HTTPS
        15 | 18 | 36 | 64 | 65 => Some((2, 1)),
        // SRV
        33 => Some((6, 1)),
        // RRSIG
        46 => Some((18, 1)),
        _ => None,
    }
}

fn rdata_wire(kind: u16, text: &str) -> Fallible<Vec<u8>> {
    if let Some(generic) = text.strip_prefix("\\#") {
        let generic = generic.trim();
        let (length, digits) = generic.split_once(' ').unwrap_or((generic, ""));
        let octets = hex(digits)?;
        return if length.parse() == Ok(octets.len()) {
            Ok(octets)
        } else {
            Err(format!("\\# {length} before {} octets", octets.len()))
        };
    }
    match kind_text(kind).as_str() {
        "RRSIG" => return signature(text),
        // hickory-proto's zone parser does not know it.
        "DNAME" => return name_wire(text),
        _ => {}
    }
    if let Some(size) = text.strip_prefix('*').filter(|_| kind_text(kind) == "TXT") {
        let size: usize = size.parse().map_err(|_| format!("`*{size}` is no size"))?;
        return Ok(filled_text(size));
    }
    let data = RData::try_from_str(RecordType::from(kind), text).map_err(|e| e.to_string())?;
    emit(&data)
}

/// `A example.`: type covered and signer; whatever else an RRSIG holds is made up.
fn signature(text: &str) -> Fallible<Vec<u8>> {
    let (covered, signer) = text
        .split_once(' ')
        .ok_or("RRSIG: type covered and signer")?;
    let mut octets = kind_number(covered)?.to_be_bytes().to_vec();
    octets.extend([8, 2]); // RSASHA256, two labels
    octets.extend(60_u32.to_be_bytes());
    octets.extend(1_900_000_000_u32.to_be_bytes());
    octets.extend(1_700_000_000_u32.to_be_bytes());
    octets.extend(12_345_u16.to_be_bytes());
    octets.extend(name_wire(signer.trim())?);
    octets.extend([0x5A; 64]);
    Ok(octets)
}

/// Character strings of 255 octets, the last one shorter, `size` octets of RDATA in all.
fn filled_text(size: usize) -> Vec<u8> {
    let mut octets = Vec::with_capacity(size);
    while octets.len() < size {
        let length = (size - octets.len() - 1).min(255);
        octets.push(u8::try_from(length).unwrap_or(u8::MAX));
        octets.extend(std::iter::repeat_n(b'x', length));
    }
    octets
}

/// Uncompressed octets of what hickory-proto holds.
pub(crate) fn emit(data: &RData) -> Fallible<Vec<u8>> {
    let mut octets = Vec::new();
    let mut encoder = BinEncoder::new(&mut octets);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    data.emit(&mut encoder).map_err(|error| error.to_string())?;
    Ok(octets)
}

/// RDATA with the letters of its names lowered. A length octet never looks like a capital: labels
/// end at 63.
fn lower_names(kind: u16, rdata: &[u8]) -> Vec<u8> {
    let mut lowered = rdata.to_vec();
    let Some((mut at, names)) = names_in(kind) else {
        return lowered;
    };
    for _ in 0..names {
        while let Some(&length) = lowered.get(at) {
            let end = at + 1 + usize::from(length);
            if let Some(label) = lowered.get_mut(at..end) {
                label.make_ascii_lowercase();
            }
            at = end;
            if length == 0 {
                break;
            }
        }
    }
    lowered
}

fn rdata_text(record: &Record) -> String {
    let octets: Vec<String> = record
        .rdata
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    let mut text = format!("\\# {} {}", record.rdata.len(), octets.concat());
    if text.len() > 120 {
        text.truncate(120);
        text.push_str("...");
    }
    readable(record).unwrap_or(text)
}

/// What people read more easily than hexadecimal, for the few types that scenarios are about.
fn readable(record: &Record) -> Option<String> {
    match (record.kind, names_in(record.kind)) {
        (1, _) => Some(
            std::net::Ipv4Addr::from(<[u8; 4]>::try_from(record.rdata.as_slice()).ok()?)
                .to_string(),
        ),
        (28, _) => Some(
            std::net::Ipv6Addr::from(<[u8; 16]>::try_from(record.rdata.as_slice()).ok()?)
                .to_string(),
        ),
        (2 | 5 | 12 | 39, _) => Some(name_text(&record.rdata)),
        (6, _) => {
            let end = record.rdata.len().checked_sub(20)?;
            let numbers: Vec<String> = record
                .rdata
                .get(end..)?
                .chunks_exact(4)
                .map(|four| {
                    four.iter()
                        .fold(0_u32, |sum, &octet| sum << 8 | u32::from(octet))
                        .to_string()
                })
                .collect();
            let mname = name_text(&record.rdata);
            let rname = name_text(record.rdata.get(skip_name(&record.rdata)?..end)?);
            Some(format!("{mname} {rname} {}", numbers.join(" ")))
        }
        _ => None,
    }
}

fn skip_name(wire: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let length = usize::from(*wire.get(at)?);
        at += 1 + length;
        if length == 0 {
            return Some(at);
        }
    }
}
