//! What holds for every reply of every scenario, whatever it says, and for every query that goes up.

use super::Fallible;
use super::records::{Record, emit, name_text};
use super::values::{Flag, Over, bits, flag_words};
use super::wire::Message;
use hickory_proto::op::Message as Oracle;
use hickory_proto::rr::Record as OracleRecord;
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};

/// A reply beside the query it belongs to.
pub(crate) struct Exchanged<'a> {
    pub(crate) query: &'a [u8],
    pub(crate) reply: &'a [u8],
    pub(crate) over: Over,
    /// `max_udp` of the configuration.
    pub(crate) max_udp: u16,
}

/// Reads the reply and complains about whatever no reply may do.
pub(crate) fn every_reply(
    exchanged: &Exchanged<'_>,
    faults: &mut Vec<String>,
) -> Fallible<Message> {
    let Exchanged { query, reply, .. } = exchanged;
    let message = Message::read(reply)?;
    let id = query
        .iter()
        .take(2)
        .fold(0, |sum, &octet| sum << 8 | u16::from(octet));
    if message.id != id {
        faults.push(format!("the id is {:#06x}, not {id:#06x}", message.id));
    }
    header(query, &message, faults);
    let read = Message::read(query).ok();
    if let Some(query) = read.filter(|query| query.question_count == 1 && query.opt.len() < 2) {
        well_formed(exchanged, &query, &message, faults);
    }
    if message.opt.len() > 1 {
        faults.push("two OPT records".to_owned());
    }
    if message.question_count > 0
        && query.get(12..message.question_end) != question(reply, &message)
    {
        faults.push("the question is not the client's, octet by octet".to_owned());
    }
    let all = [&message.answer, &message.authority, &message.additional];
    for record in all
        .into_iter()
        .flatten()
        .filter(|record| record.ttl > 604_800)
    {
        faults.push(format!("a TTL over a week: {record}"));
    }
    if let Err(error) = agrees(reply, &message) {
        faults.push(format!("hickory-proto: {error}"));
    }
    Ok(message)
}

fn header(query: &[u8], message: &Message, faults: &mut Vec<String>) {
    let asked = query.get(2..4).map_or(0, |two| {
        two.iter().fold(0, |sum, &o| sum << 8 | u16::from(o))
    });
    let must = bits(&[Flag::Qr, Flag::Ra]);
    let must_not = bits(&[Flag::Aa, Flag::Z]);
    let echoed = bits(&[Flag::Rd, Flag::Cd]) | 0x7800;
    if message.flags & must != must || message.flags & must_not != 0 {
        faults.push(format!("header bits {}", flag_words(message.flags)));
    }
    if message.flags & echoed != asked & echoed {
        faults.push("opcode, RD and CD are not those of the query".to_owned());
    }
}

/// What a well-formed query may rely on.
fn well_formed(
    exchanged: &Exchanged<'_>,
    query: &Message,
    message: &Message,
    faults: &mut Vec<String>,
) {
    // RFC 1035 §4.1.1: who cannot interpret a query need not repeat what is in it.
    let not_understood = matches!(message.rcode(), 1 | 4);
    if message.question_count != 1 && !not_understood {
        faults.push(format!("{} questions", message.question_count));
    }
    let asked = query.opt.first();
    match (asked, message.opt.first()) {
        (None, Some(_)) => faults.push("an OPT record that nobody asked for".to_owned()),
        (Some(_), None) if not_understood => {}
        (Some(_), None) => faults.push("no OPT record, the query had one".to_owned()),
        (Some(asked), Some(opt)) => {
            // RFC 6891 §6.1.3, RFC 3225 §3: version 0, DO copied, every other flag 0.
            if opt.version != 0 || opt.flags != asked.flags & 0x8000 || opt.owner != [0] {
                faults.push(format!("a strange OPT record: {opt:?}"));
            }
            if opt.payload < 512 {
                faults.push(format!("OPT with a payload size of {}", opt.payload));
            }
        }
        (None, None) => {}
    }
    let limit = match exchanged.over {
        Over::Tcp => 65_535,
        Over::Udp => asked.map_or(512, |opt| opt.payload.max(512).min(exchanged.max_udp)),
    };
    if exchanged.reply.len() > usize::from(limit) {
        faults.push(format!(
            "{} octets, the client takes {limit}",
            exchanged.reply.len()
        ));
    }
    let wants_ad =
        query.flags & Flag::Ad.bit() != 0 || asked.is_some_and(|opt| opt.flags & 0x8000 != 0);
    if message.flags & Flag::Ad.bit() != 0 && !wants_ad {
        faults.push("AD for a client that set neither AD nor DO".to_owned());
    }
}

fn question<'a>(packet: &'a [u8], message: &Message) -> Option<&'a [u8]> {
    packet.get(12..message.question_end)
}

/// What we may send to an upstream: built from the question alone.
pub(crate) fn every_upstream_query(packet: &[u8]) -> Fallible<Message> {
    let message = Message::read(packet)?;
    let allowed = bits(&[Flag::Rd, Flag::Ad, Flag::Cd]);
    if message.flags & !allowed != 0 {
        return Err(format!("header bits {}", flag_words(message.flags)));
    }
    let records = message.answer.len() + message.authority.len() + message.additional.len();
    if message.question_count != 1 || records > 0 || message.opt.len() > 1 {
        return Err("more or less than one question and one OPT".to_owned());
    }
    if let Some(opt) = message.opt.first() {
        let sound = opt.payload == 1232 && opt.version == 0 && opt.flags & 0x7FFF == 0;
        if !sound || !opt.options.is_empty() || opt.extended_rcode != 0 {
            return Err(format!("OPT goes hop by hop, not like this: {opt:?}"));
        }
    }
    Oracle::from_vec(packet).map_err(|error| error.to_string())?;
    Ok(message)
}

/// The independent oracle reads the same records, where it can read the packet at all.
fn agrees(packet: &[u8], message: &Message) -> Fallible<()> {
    let sections = [&message.answer, &message.authority, &message.additional];
    if sections
        .iter()
        .any(|section| section.iter().any(|record| record.rdata.is_empty()))
    {
        return Ok(()); // It refuses a packet with an empty RDATA in it.
    }
    let oracle = Oracle::from_vec(packet).map_err(|error| error.to_string())?;
    let read = [&oracle.answers, &oracle.authorities, &oracle.additionals];
    for (ours, theirs) in sections.into_iter().zip(read) {
        let theirs: Vec<Record> = theirs.iter().map(converted).collect::<Fallible<_>>()?;
        // It keeps an RRSIG as it stands in the packet, a compressed signer included.
        let comparable = |record: &Record| record.kind != 46;
        let same = ours
            .iter()
            .zip(&theirs)
            .all(|(ours, theirs)| !comparable(ours) || ours == theirs);
        if ours.len() != theirs.len() || !same {
            let owners: Vec<_> = theirs
                .iter()
                .map(|record| name_text(&record.owner))
                .collect();
            return Err(format!("reads other records, of {}", owners.join(" ")));
        }
    }
    Ok(())
}

fn converted(record: &OracleRecord) -> Fallible<Record> {
    let mut owner = Vec::new();
    let mut encoder = BinEncoder::new(&mut owner);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    record
        .name
        .emit(&mut encoder)
        .map_err(|error| error.to_string())?;
    Ok(Record {
        owner,
        kind: record.record_type().into(),
        class: record.dns_class.into(),
        ttl: record.ttl,
        rdata: emit(&record.data)?,
    })
}
