//! Queries: those of clients are read here, those to upstreams written.
//!
//! A client's query is read in place and in one pass. Nothing of it reaches an upstream but the question it
//! asks: the upstream's query is written anew.

use super::kind::{Kind, Rcode};
use super::name::Name;
use super::wire::{HEADER, IN, flag, option, push_words, skip_name, u16_at};

/// What is asked: the cache's key. The class is IN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// Whose records, always in lower case.
    pub name: Name,
    /// Which records.
    pub kind: Kind,
    /// DO: signatures are wanted.
    pub dnssec_ok: bool,
    /// CD: the client validates by itself.
    pub checking_disabled: bool,
}

/// The EDNS part of a query (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// How large a datagram the client takes, as it said: perhaps less than 512.
    pub udp_payload: u16,
    /// DO: signatures are wanted.
    pub dnssec_ok: bool,
    /// The client asks how long its stream may idle (RFC 7828).
    pub keepalive: bool,
    /// The client padded its query, and wants a padded reply (RFC 7830).
    pub padded: bool,
}

/// A well-formed query of a client, read in place.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The whole packet.
    pub bytes: &'a [u8],
    /// The client's message id.
    pub id: u16,
    /// RD.
    pub recursion_desired: bool,
    /// AD: the client wants to know whether the answer was validated (RFC 6840 §5.7).
    pub authentic_data: bool,
    /// CD.
    pub checking_disabled: bool,
    /// What it asks.
    pub question: Question,
    /// The question section, letter case as the client wrote it, is `bytes[12..question_end]`.
    pub question_end: usize,
    /// Its OPT record, if it has one.
    pub edns: Option<Edns>,
}

/// Why a packet is no query for us. The first that applies, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A response, or too short to carry a header: not answered at all.
    NotAQuery,
    /// Its opcode is not QUERY.
    NotImplemented,
    /// It does not have one whole question, or does not parse.
    Malformed,
    /// Its EDNS version is not 0.
    BadVersion,
    /// Its class is not IN, or its type is about a message or a zone.
    Refused,
}

impl Fault {
    /// The code that a reply says it with; of what gets no reply, FORMERR.
    pub fn rcode(self) -> Rcode {
        match self {
            Self::NotAQuery | Self::Malformed => Rcode::FORM_ERR,
            Self::NotImplemented => Rcode::NOT_IMP,
            Self::BadVersion => Rcode::BAD_VERS,
            Self::Refused => Rcode::REFUSED,
        }
    }
}

impl<'a> Query<'a> {
    /// Reads a client's packet. Octets behind the last record that the header counts are not looked at.
    pub fn peek(bytes: &'a [u8]) -> Result<Self, Fault> {
        let parsed = Parsed::read(bytes)?;
        // RFC 6891 §6.1.3.
        if parsed.opt.is_some_and(|opt| opt.version != 0) {
            return Err(Fault::BadVersion);
        }
        if parsed.asked.class != IN || parsed.asked.kind.is_meta() {
            return Err(Fault::Refused);
        }
        Ok(parsed.query())
    }
}

/// A query that parses, whether we serve its like or not. Its name is not copied yet.
pub(super) struct Parsed<'a> {
    bytes: &'a [u8],
    id: u16,
    flags: u16,
    asked: Asked<'a>,
    opt: Option<Opt>,
}

impl<'a> Parsed<'a> {
    #[inline]
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        let (header, _) = bytes
            .split_first_chunk::<HEADER>()
            .ok_or(Fault::NotAQuery)?;
        let [id, flags, questions, answers, authorities, additionals] = words(header);
        if flags & flag::QR != 0 {
            return Err(Fault::NotAQuery);
        }
        if flags & flag::OPCODE != 0 {
            return Err(Fault::NotImplemented);
        }
        // RFC 9619 §4.
        if questions != 1 {
            return Err(Fault::Malformed);
        }
        let asked = Asked::read(bytes).ok_or(Fault::Malformed)?;
        let others = u32::from(answers) + u32::from(authorities);
        let opt = find_opt(bytes, asked.end, others, additionals).ok_or(Fault::Malformed)?;
        Ok(Self {
            bytes,
            id,
            flags,
            asked,
            opt,
        })
    }

    /// The query, its name copied and lowered: once, for it is 256 octets long.
    #[inline]
    pub(super) fn query(&self) -> Query<'a> {
        let edns = self.opt.map(|opt| opt.edns);
        let checking_disabled = self.flags & flag::CD != 0;
        Query {
            bytes: self.bytes,
            id: self.id,
            recursion_desired: self.flags & flag::RD != 0,
            authentic_data: self.flags & flag::AD != 0,
            checking_disabled,
            question: Question {
                name: Name::lowered(self.asked.name),
                kind: self.asked.kind,
                dnssec_ok: edns.is_some_and(|edns| edns.dnssec_ok),
                checking_disabled,
            },
            question_end: self.asked.end,
            edns,
        }
    }
}

fn words(header: &[u8; HEADER]) -> [u16; 6] {
    let &[a, b, c, d, e, f, g, h, i, j, k, l] = header;
    [[a, b], [c, d], [e, f], [g, h], [i, j], [k, l]].map(u16::from_be_bytes)
}

/// The question section of a query.
pub(super) struct Asked<'a> {
    /// In wire form, as the client wrote it.
    name: &'a [u8],
    kind: Kind,
    class: u16,
    /// The offset after it.
    pub(super) end: usize,
}

impl<'a> Asked<'a> {
    /// None when it is cut short, or a pointer is in its name: there is nothing yet for one to point to.
    #[inline]
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let name = Name::written_out(bytes, HEADER)?;
        let after = HEADER + name.len();
        Some(Self {
            name,
            kind: Kind(u16_at(bytes, after)?),
            class: u16_at(bytes, after + 2)?,
            end: after + 4,
        })
    }
}

#[derive(Clone, Copy)]
struct Opt {
    edns: Edns,
    version: u8,
}

/// Walks the records behind the question: `others` of them, then the additional ones, where the OPT belongs.
/// Any other record is only walked over. None: the query is malformed.
fn find_opt(bytes: &[u8], mut at: usize, others: u32, additionals: u16) -> Option<Option<Opt>> {
    let mut found = None;
    for number in 0..others + u32::from(additionals) {
        let start = at;
        let fixed = skip_name(bytes, at)?;
        let (head, rest) = bytes.get(fixed..)?.split_first_chunk::<10>()?;
        let &[
            kind_high,
            kind_low,
            size_high,
            size_low,
            _,
            version,
            flags_high,
            flags_low,
            length_high,
            length_low,
        ] = head;
        let length = usize::from(u16::from_be_bytes([length_high, length_low]));
        let rdata = rest.get(..length)?;
        at = fixed + head.len() + length;
        if Kind(u16::from_be_bytes([kind_high, kind_low])) != Kind::OPT {
            continue;
        }
        // RFC 6891 §6.1.1: one OPT at most, among the additional records; §6.1.2: its owner is the root.
        if found.is_some() || number < others || fixed != start + 1 {
            return None;
        }
        let asked = options(rdata)?;
        found = Some(Opt {
            edns: Edns {
                udp_payload: u16::from_be_bytes([size_high, size_low]),
                dnssec_ok: u16::from_be_bytes([flags_high, flags_low]) & flag::DO != 0,
                keepalive: asked.keepalive,
                padded: asked.padding,
            },
            version,
        });
    }
    Some(found)
}

/// Options of a query that a reply goes by.
#[derive(Clone, Copy, Default)]
struct Wanted {
    keepalive: bool,
    padding: bool,
}

/// Walks the options of an OPT. None: one runs past the end, or is a broken cookie.
fn options(mut options: &[u8]) -> Option<Wanted> {
    let mut wanted = Wanted::default();
    while !options.is_empty() {
        let (&[code_high, code_low, length_high, length_low], rest) =
            options.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([length_high, length_low]));
        (_, options) = rest.split_at_checked(length)?;
        match u16::from_be_bytes([code_high, code_low]) {
            option::KEEPALIVE => wanted.keepalive = true,
            option::PADDING => wanted.padding = true,
            // RFC 7873 §5.2.2: 8 octets of the client, alone or with 8 to 32 of a server.
            option::COOKIE if length != 8 && !(16..=40).contains(&length) => return None,
            _ => {}
        }
    }
    Some(wanted)
}

/// How a question is put to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ask {
    /// What is asked.
    pub question: Question,
    /// RD, as the client set it.
    pub recursion_desired: bool,
    /// AD, as the client set it.
    pub authentic_data: bool,
}

impl Ask {
    /// As a plain client asks: RD, and nothing about DNSSEC.
    pub fn plain(name: Name, kind: Kind) -> Self {
        Self {
            question: Question {
                name: name.lower(),
                kind,
                dnssec_ok: false,
                checking_disabled: false,
            },
            recursion_desired: true,
            authentic_data: false,
        }
    }
}

/// The largest datagram we take from an upstream, and offer to take from a client: it crosses any network
/// unfragmented.
pub(super) const PAYLOAD: u16 = 1232;

/// Writes the query for an upstream. Clears `out` first. Without EDNS it cannot ask for signatures.
pub fn write_query(ask: &Ask, id: u16, edns: bool, out: &mut Vec<u8>) {
    out.clear();
    let question = &ask.question;
    let flags = flag::those([
        (ask.recursion_desired, flag::RD),
        (ask.authentic_data, flag::AD),
        (question.checking_disabled, flag::CD),
    ]);
    push_words([id, flags, 1, 0, 0, u16::from(edns)], out);
    out.extend_from_slice(question.name.wire());
    push_words([question.kind.0, IN], out);
    if edns {
        let flags = flag::those([(question.dnssec_ok, flag::DO)]);
        out.push(0);
        push_words([Kind::OPT.0, PAYLOAD, 0, flags, 0], out);
    }
}

/// Pads a query of ours to a multiple of 128 octets, where it has an OPT record to do so in (RFC 7830, RFC 8467 §4.1).
pub fn pad_query(query: &mut Vec<u8>) {
    if query.get(ADDITIONAL) == Some(&1) {
        let options = query.len() + OPTION_HEADER;
        let padding = (options.next_multiple_of(BLOCK) - options) as u16;
        // RDLENGTH, which was none, is what it ends with.
        query.truncate(query.len() - 2);
        push_words([OPTION_HEADER as u16 + padding, PADDING, padding], query);
        query.resize(query.len() + usize::from(padding), 0);
    }
}

/// Whether a message has the id of a query of ours, is a response, and repeats its question but for letter case.
pub fn is_reply_to(query: &[u8], message: &[u8]) -> bool {
    let opt = if query.get(ADDITIONAL) == Some(&1) {
        OPT
    } else {
        0
    };
    let question = query.get(HEADER..query.len().saturating_sub(opt));
    let question = question.unwrap_or_default();
    let theirs = message.get(HEADER..HEADER + question.len());
    query.get(..2) == message.get(..2)
        && message.get(2).is_some_and(|flags| flags & 0x80 != 0)
        && theirs.is_some_and(|theirs| theirs.eq_ignore_ascii_case(question))
}

/// Where the lower octet of ARCOUNT stands: our queries have an OPT record behind the question or nothing.
const ADDITIONAL: usize = 11;
/// Octets of that OPT record.
const OPT: usize = 11;
/// Octets before an option's data (RFC 6891 §6.1.2).
const OPTION_HEADER: usize = 4;
/// RFC 7830 §3.
const PADDING: u16 = 12;
const BLOCK: usize = 128;

#[cfg(test)]
mod tests;
