//! Replies to clients.
//!
//! Every reply that carries a question is written by [`write_reply`], so no two paths can disagree about its header,
//! its size, its OPT or its TTLs. Records are copied as they came; only their TTLs change.

use super::answer::Answer;
use super::kind::Rcode;
use super::opt::{Opt, OwnEde};
use super::query::{Asked, Fault, PAYLOAD, Parsed, Query};
use super::wire::{HEADER, flag, push_words, u16_at};

/// How TTLs leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl {
    leaves: Leaves,
    most: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaves {
    Aged(u32),
    Fixed(u32),
    Negative { age: u32, bound: u32 },
}

impl Ttl {
    /// RFC 8767 §4: a set top bit is a large number, and no TTL need be longer than a week.
    const MOST: u32 = 604_800;

    /// The upstream's, less this age in seconds, never over a week.
    pub const fn aged(age: u32) -> Self {
        Self::of_kind(Leaves::Aged(age))
    }

    /// This one for every record (a stale answer's).
    pub const fn fixed(ttl: u32) -> Self {
        Self::of_kind(Leaves::Fixed(ttl))
    }

    /// Those of a NODATA of our own ([`super::nodata`]): its chain less its `age` in seconds, its SOA `bound` seconds at
    /// most, in TTL and MINIMUM alike (RFC 2308 §5).
    pub const fn negative(age: u32, bound: u32) -> Self {
        Self::of_kind(Leaves::Negative { age, bound })
    }

    /// The same, and for no record more than so many seconds.
    #[must_use]
    pub fn at_most(self, seconds: u32) -> Self {
        let most = self.most.min(seconds);
        Self { most, ..self }
    }

    const fn of_kind(leaves: Leaves) -> Self {
        let most = Self::MOST;
        Self { leaves, most }
    }

    /// The same for the records before a NODATA's SOA.
    fn of_chain(self) -> Self {
        match self.leaves {
            Leaves::Negative { age, .. } => Self::aged(age).at_most(self.most),
            _ => self,
        }
    }

    fn of(self, upstream: u32) -> u32 {
        let ttl = match self.leaves {
            Leaves::Aged(age) | Leaves::Negative { age, .. } => upstream.saturating_sub(age),
            Leaves::Fixed(ttl) => ttl,
        };
        ttl.min(self.most)
    }
}

/// How much a reply may hold, and what its transport adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// A datagram.
    Datagram {
        /// Our own bound; what the client takes (512 without OPT) bounds it too.
        max_udp: u16,
    },
    /// A stream.
    Stream {
        /// How long it may idle, in units of 100 ms: told if the client asked.
        idle: u16,
        /// Nobody between reads it: what the client padded is padded.
        is_encrypted: bool,
    },
}

impl Room {
    /// The octets that are left behind the header and the question.
    fn left(self, query: &Query<'_>) -> usize {
        let whole = match (self, query.edns) {
            // RFC 6891 §6.2.3: a size below 512 means 512.
            (Self::Datagram { max_udp }, Some(edns)) => edns.udp_payload.max(512).min(max_udp),
            (Self::Datagram { max_udp }, None) => max_udp.min(512),
            (Self::Stream { .. }, _) => u16::MAX,
        };
        usize::from(whole).saturating_sub(query.question_end)
    }

    /// The datagram that we offer to take.
    fn payload(self) -> u16 {
        match self {
            Self::Datagram { max_udp } => max_udp,
            Self::Stream { .. } => PAYLOAD,
        }
    }
}

/// What goes back.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// An answer to the query's very question.
    Answer {
        /// Whose records and response code are given.
        answer: &'a Answer,
        /// How its TTLs leave.
        ttl: Ttl,
    },
    /// A response code, no records.
    Code(Rcode),
}

/// Writes the reply to a query. Clears `out` first; allocates nothing if `out` has room.
///
/// An extended error is for clients that sent an OPT. A response code over 15 needs one too: without, it is SERVFAIL.
pub fn write_reply(
    query: &Query<'_>,
    body: &Body<'_>,
    own: Option<OwnEde<'_>>,
    room: Room,
    out: &mut Vec<u8>,
) {
    let (rcode, answer, ttl) = match *body {
        Body::Answer { answer, ttl } => (answer.rcode(), Some(answer), ttl),
        Body::Code(rcode) => (rcode, None, Ttl::aged(0)),
    };
    // RFC 6891 §6.1.3: the upper eight bits of a code travel in the OPT.
    let rcode = match query.edns {
        None if rcode.0 > 15 => Rcode::SERV_FAIL,
        _ => rcode,
    };
    let records = answer.map_or(Records::NONE, |answer| Records::of(query, answer));
    let opt = query.edns.map(|edns| Opt {
        payload: room.payload(),
        rcode,
        dnssec_ok: edns.dnssec_ok,
        idle: match room {
            Room::Stream { idle, .. } if edns.keepalive => Some(idle),
            _ => None,
        },
        padding: None,
        own,
        upstream: answer.map_or(&[], Answer::extended_errors),
    });
    let (records, mut opt, truncated) = fit(records, opt, room.left(query));
    if matches!((room, query.edns), (Room::Stream { is_encrypted: true, .. }, Some(edns)) if edns.padded)
    {
        let before = query.question_end + records.octets.len();
        opt = opt.map(|opt| opt.padded(before + opt.length()));
    }

    let authentic = answer.is_some_and(Answer::is_authentic);
    let flags = flag::those([
        (truncated, flag::TC),
        (query.recursion_desired, flag::RD),
        // RFC 6840 §5.8: AD is for those who asked for it.
        (
            authentic && (query.authentic_data || query.question.dnssec_ok),
            flag::AD,
        ),
        (query.checking_disabled, flag::CD),
    ]);
    let flags = flag::QR | flag::RA | flags | (rcode.0 & 0xf);
    let [answers, authorities, additionals] = records.counts;
    let additionals = additionals + u16::from(opt.is_some());

    out.clear();
    push_words([query.id, flags, 1, answers, authorities, additionals], out);
    let question = query.bytes.get(HEADER..query.question_end);
    out.extend_from_slice(question.unwrap_or_default());
    out.extend_from_slice(records.octets);
    // What was cut off has no SOA at its end to be bounded.
    let whole = answer.is_some_and(|answer| answer.ttls().len() == records.ttls.len());
    write_ttls(out, records.ttls, if whole { ttl } else { ttl.of_chain() });
    if let Some(opt) = opt {
        opt.write(out);
    }
}

/// What of these goes into so many octets, and whether something had to stay out.
fn fit<'a>(
    records: Records<'a>,
    opt: Option<Opt<'a>>,
    left: usize,
) -> (Records<'a>, Option<Opt<'a>>, bool) {
    let length = |opt: Option<Opt<'_>>| opt.map_or(0, |opt| opt.length());
    if records.octets.len() + length(opt) <= left {
        return (records, opt, false);
    }
    // RFC 8914 §3: extended errors go before other data does, and TC tells so.
    let opt = opt.map(Opt::without_errors);
    let left = left.saturating_sub(length(opt));
    (records.fitting(left), opt, true)
}

/// Records to be copied behind the question.
#[derive(Clone, Copy)]
struct Records<'a> {
    octets: &'a [u8],
    /// Where they begin: behind the question, in the answer as in the reply.
    start: usize,
    /// Offsets from the message's start, in the answer as in the reply.
    ttls: &'a [u16],
    /// Of the answer, authority and additional section.
    counts: [u16; 3],
}

impl<'a> Records<'a> {
    const NONE: Self = Self {
        octets: &[],
        start: HEADER,
        ttls: &[],
        counts: [0; 3],
    };

    fn of(query: &Query<'_>, answer: &'a Answer) -> Self {
        let message = answer.octets();
        let start = query.question_end;
        debug_assert!(
            query
                .bytes
                .get(HEADER..start)
                .zip(message.get(HEADER..start))
                .is_some_and(|(asked, answered)| asked.eq_ignore_ascii_case(answered)),
            "an answer is given to its own question only: its pointers lead there"
        );
        Self {
            octets: message.get(start..).unwrap_or_default(),
            start,
            ttls: answer.ttls(),
            counts: [6, 8, 10].map(|at| u16_at(message, at).unwrap_or(0)),
        }
    }

    /// The end of the record with this TTL: RDLENGTH and as many octets stand behind it.
    fn end_behind(&self, ttl: u16) -> Option<usize> {
        let at = usize::from(ttl).checked_sub(self.start)?;
        let length = u16_at(self.octets, at + 4)?;
        Some(at + 6 + usize::from(length))
    }

    /// The whole records, from the first on, that fit into so many octets.
    fn fitting(self, room: usize) -> Self {
        let mut size = 0;
        let mut kept = 0;
        for &ttl in self.ttls {
            let end = self.end_behind(ttl).filter(|&end| end <= room);
            let Some(end) = end else { break };
            size = end;
            kept += 1;
        }
        let mut left = kept;
        let counts = self.counts.map(|count| {
            let here = count.min(left);
            left -= here;
            here
        });
        Self {
            octets: self.octets.get(..size).unwrap_or_default(),
            ttls: self.ttls.get(..usize::from(kept)).unwrap_or_default(),
            counts,
            ..self
        }
    }
}

fn write_ttls(out: &mut [u8], offsets: &[u16], ttl: Ttl) {
    if let Leaves::Negative { bound, .. } = ttl.leaves
        && let Some((&soa, chain)) = offsets.split_last()
    {
        write_ttls(out, chain, ttl.of_chain());
        return bound_soa(out, soa, bound.min(ttl.most));
    }
    for &at in offsets {
        let field = out.get_mut(usize::from(at)..);
        if let Some(field) = field.and_then(<[u8]>::first_chunk_mut) {
            *field = ttl.of(u32::from_be_bytes(*field)).to_be_bytes();
        }
    }
}

/// The last record is the SOA, and the last of its numbers the MINIMUM.
fn bound_soa(out: &mut [u8], ttl: u16, bound: u32) {
    let minimum = out.len().saturating_sub(4);
    for at in [usize::from(ttl), minimum] {
        if let Some(field) = out.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
            *field = u32::from_be_bytes(*field).min(bound).to_be_bytes();
        }
    }
}

/// Writes the reply to a packet that is no query for us. False: it gets none. Clears `out` first.
pub fn write_fault(bytes: &[u8], fault: Fault, out: &mut Vec<u8>) -> bool {
    out.clear();
    if fault == Fault::NotAQuery {
        return false;
    }
    let rcode = fault.rcode();
    match Parsed::read(bytes) {
        Ok(parsed) => {
            let room = Room::Datagram { max_udp: PAYLOAD };
            write_reply(&parsed.query(), &Body::Code(rcode), None, room, out);
            true
        }
        Err(_) => write_unparsed(bytes, rcode, out).is_some(),
    }
}

/// The header, and the question if it can be read: of the rest nothing can be said, an OPT included.
fn write_unparsed(bytes: &[u8], rcode: Rcode, out: &mut Vec<u8>) -> Option<()> {
    out.clear();
    let (id, flags, questions) = (u16_at(bytes, 0)?, u16_at(bytes, 2)?, u16_at(bytes, 4)?);
    bytes.get(..HEADER).filter(|_| flags & flag::QR == 0)?;
    let question = Asked::read(bytes)
        .filter(|_| questions == 1)
        .and_then(|asked| bytes.get(HEADER..asked.end));
    let echoed = flags & (flag::OPCODE | flag::RD | flag::CD);
    let flags = flag::QR | flag::RA | echoed | (rcode.0 & 0xf);
    push_words([id, flags, u16::from(question.is_some()), 0, 0, 0], out);
    out.extend_from_slice(question.unwrap_or_default());
    Some(())
}

#[cfg(test)]
mod tests;
