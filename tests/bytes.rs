//! Whatever bytes a client sends, reading them never panics, and every reply is a whole message.
//!
//! hickory-proto is the independent judge of what a message is.

use hickory_proto::op::{Message, MessageType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
use proptest::collection::vec;
use proptest::prelude::*;
use unsix::message::{
    Answer, Body, Judgement, OwnEde, Query, Question, Rcode, Room, Transport, Ttl, judge,
    write_fault, write_reply,
};

/// Reads a message to its last octet: nothing may stand behind it.
fn read_whole(bytes: &[u8]) -> Message {
    let mut decoder = BinDecoder::new(bytes);
    let message = Message::read(&mut decoder).expect("a reply is a message");
    assert!(decoder.is_empty(), "octets behind the reply");
    message
}

fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A name of any octets, now and then too long a one.
fn name() -> impl Strategy<Value = Vec<u8>> {
    vec(vec(any::<u8>(), 1..20), 0..15).prop_map(|labels| {
        let label = |label: Vec<u8>| [vec![label.len() as u8], label].concat();
        let labels: Vec<_> = labels.into_iter().map(label).collect();
        [labels.concat(), vec![0]].concat()
    })
}

/// A type whose RDATA `record` can write.
fn kind() -> impl Strategy<Value = u16> {
    prop_oneof![Just(1), Just(28), Just(16), Just(65300)]
}

fn option() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![3 => any::<u16>(), 1 => Just(10), 2 => Just(11)];
    (code, vec(any::<u8>(), 0..41))
        .prop_map(|(code, value)| [words(&[code, value.len() as u16]), value].concat())
}

fn opt() -> impl Strategy<Value = Vec<u8>> {
    let version = prop_oneof![9 => Just(0), 1 => any::<u8>()];
    (any::<u16>(), version, any::<u16>(), vec(option(), 0..4)).prop_map(
        |(size, version, flags, options)| {
            let options = options.concat();
            let version = u16::from(version);
            let fixed = words(&[41, size, version, flags, options.len() as u16]);
            [vec![0], fixed, options].concat()
        },
    )
}

/// A query, mostly in order.
fn query() -> impl Strategy<Value = Vec<u8>> {
    let flags = prop_oneof![9 => any::<u16>().prop_map(|flags| flags & 0x07ff), 1 => any::<u16>()];
    let class = prop_oneof![9 => Just(1), 1 => any::<u16>()];
    let opts = prop_oneof![4 => vec(opt(), 0..2), 1 => vec(opt(), 2)];
    let spoiled = proptest::option::weighted(0.2, any::<(prop::sample::Index, u8)>());
    (any::<u16>(), flags, name(), kind(), class, opts, spoiled).prop_map(
        |(id, flags, name, kind, class, opts, spoiled)| {
            let header = words(&[id, flags, 1, 0, 0, opts.len() as u16]);
            let mut query = [header, name, words(&[kind, class]), opts.concat()].concat();
            if let Some((index, octet)) = spoiled {
                *index.get_mut(&mut query) = octet;
            }
            query
        },
    )
}

fn record(kind: u16, ttl: u32, octet: u8) -> Vec<u8> {
    let rdata = match kind {
        1 => vec![octet; 4],
        28 => vec![octet; 16],
        _ => [vec![octet], vec![b'x'; usize::from(octet)]].concat(),
    };
    let fixed = words(&[
        0xc00c,
        kind,
        1,
        (ttl >> 16) as u16,
        ttl as u16,
        rdata.len() as u16,
    ]);
    [fixed, rdata].concat()
}

/// What an upstream could say to this question: records, and an extended error.
fn answer(question: &Question, flags: u16, records: &[(u32, u8)], text: &str) -> Answer {
    let kind = question.kind.0;
    let write = |&(ttl, octet): &(u32, u8)| record(kind, ttl, octet);
    let records: Vec<_> = records.iter().map(write).collect();
    let text_length = text.len() as u16;
    let packet = [
        words(&[7, 0x8000 | flags & 0x0120, 1, records.len() as u16, 0, 1]),
        question.name.wire().to_vec(),
        words(&[kind, 1]),
        records.concat(),
        vec![0],
        words(&[41, 1232, 0, 0, 6 + text_length, 15, 2 + text_length, 22]),
        text.as_bytes().to_vec(),
    ];
    match judge(&packet.concat(), 7, question, Transport::Stream) {
        Judgement::Answer(answer) => std::sync::Arc::unwrap_or_clone(answer),
        _ => panic!("not taken for an answer"),
    }
}

fn room() -> impl Strategy<Value = Room> {
    prop_oneof![
        (512..=4096_u16).prop_map(|max_udp| Room::Datagram { max_udp }),
        any::<(u16, bool)>().prop_map(|(idle, is_encrypted)| Room::Stream { idle, is_encrypted }),
    ]
}

fn limit(query: &Query<'_>, room: Room) -> usize {
    match room {
        Room::Datagram { max_udp } => {
            let offered = query.edns.map_or(512, |edns| edns.udp_payload.max(512));
            usize::from(offered.min(max_udp))
        }
        Room::Stream { .. } => 65_535,
    }
}

/// What holds of every reply, whatever is in it.
fn check(query: &Query<'_>, reply: &[u8], limit: usize) -> Message {
    assert!(reply.len() <= limit, "{} over {limit}", reply.len());
    assert_eq!(
        reply.get(12..query.question_end),
        query.bytes.get(12..query.question_end)
    );
    let message = read_whole(reply);
    assert_eq!(message.metadata.id, query.id);
    assert_eq!(message.metadata.message_type, MessageType::Response);
    assert!(message.metadata.recursion_available && !message.metadata.authoritative);
    assert_eq!(message.queries.len(), 1);
    assert_eq!(message.edns.is_some(), query.edns.is_some());
    message
}

proptest! {
    #[test]
    fn any_bytes_get_a_whole_reply_or_none(bytes in vec(any::<u8>(), 0..300)) {
        let mut out = Vec::new();
        if let Err(fault) = Query::peek(&bytes) && write_fault(&bytes, fault, &mut out) {
            prop_assert_eq!(out.get(..2), bytes.get(..2));
            read_whole(&out);
        }
    }

    #[test]
    fn a_query_that_is_refused_gets_a_whole_reply(bytes in query()) {
        let mut out = Vec::new();
        if let Err(fault) = Query::peek(&bytes) && write_fault(&bytes, fault, &mut out) {
            prop_assert_eq!(out.get(..2), bytes.get(..2));
            prop_assert!(out.len() <= 512);
            read_whole(&out);
        }
    }

    #[test]
    fn a_code_is_a_whole_reply(bytes in query(), code in 0..0x1000_u16, text in ".*", room in room()) {
        if let Ok(query) = Query::peek(&bytes) {
            let own = OwnEde { code: 17, text: &text };
            let mut out = Vec::new();
            write_reply(&query, &Body::Code(Rcode(code)), Some(own), room, &mut out);
            let message = check(&query, &out, limit(&query, room));
            prop_assert!(message.answers.is_empty() && !message.metadata.truncation);
        }
    }

    #[test]
    fn an_answer_is_a_whole_reply(
        bytes in query(),
        flags in any::<u16>(),
        records in vec(any::<(u32, u8)>(), 1..40),
        text in ".{0,300}",
        age in any::<u32>(),
        room in room(),
    ) {
        let query = Query::peek(&bytes).ok().filter(|query| [1, 28, 16, 65300].contains(&query.question.kind.0));
        if let Some(query) = query {
            let answer = answer(&query.question, flags, &records, &text);
            let body = Body::Answer { answer: &answer, ttl: Ttl::aged(age) };
            let mut out = Vec::new();
            write_reply(&query, &body, None, room, &mut out);
            let message = check(&query, &out, limit(&query, room));
            prop_assert!(message.answers.iter().all(|record| record.ttl <= 604_800));
            if !message.metadata.truncation {
                prop_assert_eq!(message.answers.len(), records.len());
            }
        }
    }
}
