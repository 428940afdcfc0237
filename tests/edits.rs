//! Answers under edit, with hickory-proto as the judge who has not seen our code.
//!
//! Messages are built by hickory, compressed as it compresses, edited by us, and read by hickory again: what was
//! to stay must be there, in order, and nothing else. Damaged ones must never bring anything down.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic, and these helpers are all tests"
)]

use std::collections::HashSet;

use hickory_proto::op::{Message, MessageType, OpCode, Query as Asked};
use hickory_proto::rr::rdata::null::NULL;
use hickory_proto::rr::rdata::svcb::{
    IpHint, Mandatory, SVCB, SvcParamKey, SvcParamValue, Unknown,
};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, HTTPS, MX, NS, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use unsix::message::{
    self, Answer, Ask, Body, Fate, Hints, Judgement, Kind, Query, Question, Room, Section, Soa,
    Transport, Ttl, edit, flatten, judge, without_ipv6hint, write_query, write_reply,
};

const ID: u16 = 7;
const RRSIG: u16 = 46;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_judged(packet in vec(any::<u8>(), 0..300), over in select(&[Transport::Datagram, Transport::Stream][..])) {
        let question = question(&name("www.example."), RecordType::A);
        judge(&packet, ID, &question, over);
        let body = [head(&question), packet].concat();
        if let Judgement::Answer(answer) = judge(&body, ID, &question, over) {
            exercise(&answer, &question, &[0, 1, 2]);
        }
    }

    #[test]
    fn a_damaged_answer_does_no_harm(
        message in messages(),
        damage in vec((any::<Index>(), any::<u8>()), 1..6),
        cut in any::<Index>(),
        fates in vec(0..3_u8, 1..8),
    ) {
        let question = question(&message.queries[0].name, message.queries[0].query_type);
        let mut packet = message.to_vec().unwrap();
        let question_end = head(&question).len();
        for (at, octet) in damage {
            // Header flags and question stay, so that what comes behind them is looked at.
            let at = 4 + at.index(packet.len() - 4);
            if !(4..6).contains(&at) && !(12..question_end).contains(&at) {
                packet[at] = octet;
            }
        }
        if let Judgement::Answer(answer) = judge(&packet, ID, &question, Transport::Stream) {
            exercise(&answer, &question, &fates);
            let readable = Message::from_vec(&packet).is_ok();
            if let Some(edited) = edit(&answer, &mut by_turns(&fates)).filter(|_| readable) {
                prop_assert!(Message::from_vec(&reply(&edited, &packet)).is_ok());
            }
        }
        let whole = message.to_vec().unwrap();
        let part = &whole[..cut.index(whole.len())];
        let cut_short = judge(part, ID, &question, Transport::Stream);
        prop_assert!(matches!(cut_short, Judgement::Ignored(_)));
    }

    #[test]
    fn an_untouched_answer_is_the_same_bytes(message in messages()) {
        let question = question(&message.queries[0].name, message.queries[0].query_type);
        let packet = message.to_vec().unwrap();
        let end = head(&question).len();
        let reply = reply(&learn(&packet, &question), &packet);
        prop_assert_eq!(&reply[end..], &packet[end..]);
    }

    #[test]
    fn an_edit_leaves_what_it_keeps(message in messages(), fates in vec(0..3_u8, 1..8)) {
        let question = question(&message.queries[0].name, message.queries[0].query_type);
        let packet = message.to_vec().unwrap();
        let edited = edit(&learn(&packet, &question), &mut by_turns(&fates)).unwrap();
        let octets = reply(&edited, &packet);
        let left = Message::from_vec(&octets).unwrap();
        let want = expected(&message, &fates);
        prop_assert_eq!(&shown(&left), &want.records);
        prop_assert_eq!(left.metadata.authentic_data, !want.changed);
        prop_assert!(octets.len() <= packet.len());
    }

    #[test]
    fn a_flat_answer_has_the_last_records_alone(message in messages()) {
        let asked = &message.queries[0];
        let question = question(&asked.name, asked.query_type);
        let packet = message.to_vec().unwrap();
        if let Some(flat) = flatten(&learn(&packet, &question)) {
            let left = Message::from_vec(&reply(&flat, &packet)).unwrap();
            let end = message.answers.iter().filter(|record| record.record_type() == asked.query_type);
            prop_assert!(left.answers.iter().map(|record| &record.data).eq(end.map(|record| &record.data)));
            prop_assert!(left.answers.iter().all(|record| record.name == asked.name));
            prop_assert_eq!(shown_all(&left.authorities), shown_all(&message.authorities));
            prop_assert_eq!(shown_all(&left.additionals), shown_all(&message.additionals));
        }
    }
}

/// Everything that can be asked of an answer, none of which may panic.
fn exercise(answer: &Answer, question: &Question, fates: &[u8]) {
    for record in answer.records() {
        record.service();
        record.covers();
        record.ipv6();
        without_ipv6hint(&record, &|address| address.octets()[0] & 1 == 0);
    }
    let in_answer = answer
        .records()
        .filter(|record| record.section == Section::Answer);
    let addresses = in_answer.filter_map(|record| record.ipv6());
    assert!(answer.ipv6_addresses().eq(addresses));
    let ours = Soa {
        owner: question.name,
        mname: question.name,
        rname: question.name,
        serial: 1,
        refresh: 1,
        retry: 1,
        expire: 1,
        minimum: 1,
    };
    let soa = answer.soa().unwrap_or(ours);
    let other = Question {
        kind: Kind::AAAA,
        ..*question
    };
    let made = [
        (question, edit(answer, &mut by_turns(fates))),
        (question, flatten(answer)),
        (&other, Some(message::nodata(&other, Some(answer), &soa))),
        (&other, Some(message::under_kind(answer, other.kind))),
    ];
    for (question, answer) in made {
        let Some(answer) = answer else { continue };
        assert!(reply(&answer, &head(question)).len() >= answer.records().count() * 11);
        assert!(answer.footprint() > 12);
    }
}

/// Each record its fate: kept, removed, or (a service) without hints.
fn by_turns(fates: &[u8]) -> impl FnMut(&message::Record<'_>) -> Fate {
    let mut turns = fates.iter().cycle();
    move |record| match turns.next() {
        Some(1) => Fate::Remove,
        Some(2) => match without_ipv6hint(record, &|_| true) {
            Hints::None => Fate::Keep,
            Hints::Stripped(rdata) => Fate::Rdata(rdata),
            Hints::Unreadable => Fate::Remove,
        },
        _ => Fate::Keep,
    }
}

struct Expected {
    records: Vec<String>,
    changed: bool,
}

/// What those fates leave, worked out on hickory's records.
fn expected(message: &Message, fates: &[u8]) -> Expected {
    let mut turns = fates.iter().cycle();
    let mut changed = HashSet::new();
    let mut left = Vec::new();
    let sections = [&message.answers, &message.authorities, &message.additionals];
    for (section, records) in sections.into_iter().enumerate() {
        for record in records {
            let mut record = record.clone();
            let set = (
                section,
                record.name.to_lowercase(),
                u16::from(record.record_type()),
            );
            match turns.next() {
                Some(1) => _ = changed.insert(set),
                turn => {
                    if turn == Some(&2) && drop_hint(&mut record) {
                        changed.insert(set);
                    }
                    left.push((section, record));
                }
            }
        }
    }
    let is_orphan = |(section, record): &(usize, Record)| match &record.data {
        RData::Unknown { rdata, .. } if u16::from(record.record_type()) == RRSIG => {
            let covered = u16::from_be_bytes([rdata.anything[0], rdata.anything[1]]);
            changed.contains(&(*section, record.name.to_lowercase(), covered))
        }
        _ => false,
    };
    let kept = left.iter().filter(|record| !is_orphan(record));
    Expected {
        records: kept
            .map(|(section, record)| format!("{section} {record}"))
            .collect(),
        changed: !changed.is_empty(),
    }
}

fn drop_hint(record: &mut Record) -> bool {
    let RData::HTTPS(HTTPS(svcb)) = &mut record.data else {
        return false;
    };
    let before = svcb.svc_params.len();
    svcb.svc_params
        .retain(|(key, _)| *key != SvcParamKey::Ipv6Hint);
    if svcb.svc_params.len() == before {
        return false;
    }
    for (_, value) in &mut svcb.svc_params {
        if let SvcParamValue::Mandatory(list) = value {
            list.0.retain(|key| *key != SvcParamKey::Ipv6Hint);
        }
    }
    svcb.svc_params
        .retain(|(_, value)| !matches!(value, SvcParamValue::Mandatory(list) if list.0.is_empty()));
    true
}

fn shown(message: &Message) -> Vec<String> {
    let sections = [&message.answers, &message.authorities, &message.additionals];
    let numbered = sections.into_iter().enumerate();
    numbered
        .flat_map(|(section, records)| {
            records
                .iter()
                .map(move |record| format!("{section} {record}"))
        })
        .collect()
}

fn shown_all(records: &[Record]) -> Vec<String> {
    records.iter().map(ToString::to_string).collect()
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn question(name: &Name, kind: RecordType) -> Question {
    Question {
        name: message::Name::parse(&name.to_ascii()).unwrap().lower(),
        kind: Kind(u16::from(kind)),
        dnssec_ok: false,
        checking_disabled: false,
    }
}

/// Header and question of a good reply, one record of each section counted.
fn head(question: &Question) -> Vec<u8> {
    let ask = Ask {
        question: *question,
        recursion_desired: true,
        authentic_data: true,
    };
    let mut octets = Vec::new();
    write_query(&ask, ID, false, &mut octets);
    octets[2] |= 0x80;
    octets[6..12].copy_from_slice(&[0, 1, 0, 1, 0, 1]);
    octets
}

fn learn(packet: &[u8], question: &Question) -> Answer {
    match judge(packet, ID, question, Transport::Stream) {
        Judgement::Answer(answer) => std::sync::Arc::unwrap_or_clone(answer),
        other => panic!("{other:?}"),
    }
}

/// The reply to a client that spells the question like `packet` does.
fn reply(answer: &Answer, packet: &[u8]) -> Vec<u8> {
    let (_, question_end) = message::Name::read(packet, 12).unwrap();
    let mut octets = packet[..question_end + 4].to_vec();
    // RD and AD set, and nothing behind the question.
    octets[2..12].copy_from_slice(&[1, 0x20, 0, 1, 0, 0, 0, 0, 0, 0]);
    let query = Query::peek(&octets).unwrap();
    let mut reply = Vec::new();
    let ttl = Ttl::aged(0);
    write_reply(
        &query,
        &Body::Answer { answer, ttl },
        None,
        Room::Stream {
            idle: 1,
            is_encrypted: false,
        },
        &mut reply,
    );
    reply
}

/// Names that share suffixes, some of which differ in letter case only.
fn names() -> impl Strategy<Value = Name> {
    let labels = vec(select(&["a", "b", "www", "WWW", "cdn-1", "_x"][..]), 0..4);
    let ends = select(&["example.", "Example.", "test.", "a.b.c.d.e.test."][..]);
    (labels, ends).prop_map(|(labels, end)| {
        let labels: String = labels
            .into_iter()
            .map(|label| format!("{label}."))
            .collect();
        name(&format!("{labels}{end}"))
    })
}

fn addresses_v4() -> impl Strategy<Value = RData> {
    any::<[u8; 4]>().prop_map(|octets| RData::A(A(octets.into())))
}

fn addresses_v6() -> impl Strategy<Value = RData> {
    any::<[u8; 16]>().prop_map(|octets| RData::AAAA(AAAA(octets.into())))
}

fn services() -> impl Strategy<Value = RData> {
    let hints = vec(any::<[u8; 16]>(), 0..3);
    let listed = vec(
        select(&[SvcParamKey::Port, SvcParamKey::Ipv6Hint][..]),
        0..2,
    );
    (1..9_u16, names(), hints, listed, vec(any::<u8>(), 0..9)).prop_map(
        |(priority, target, hints, mut listed, opaque)| {
            let hints: Vec<_> = hints
                .into_iter()
                .map(|octets| AAAA(octets.into()))
                .collect();
            listed.retain(|key| *key == SvcParamKey::Port || !hints.is_empty());
            let mut params = Vec::new();
            if !listed.is_empty() {
                params.push((
                    SvcParamKey::Mandatory,
                    SvcParamValue::Mandatory(Mandatory(listed)),
                ));
            }
            params.push((SvcParamKey::Port, SvcParamValue::Port(8443)));
            if !hints.is_empty() {
                params.push((
                    SvcParamKey::Ipv6Hint,
                    SvcParamValue::Ipv6Hint(IpHint(hints)),
                ));
            }
            let opaque = SvcParamValue::Unknown(Unknown(opaque));
            params.push((SvcParamKey::from(7777), opaque));
            RData::HTTPS(HTTPS(SVCB::new(priority, target, params)))
        },
    )
}

fn data() -> impl Strategy<Value = RData> {
    let opaque = vec(any::<u8>(), 1..40).prop_map(|octets| RData::Unknown {
        code: RecordType::Unknown(65300),
        rdata: NULL::with(octets),
    });
    prop_oneof![
        addresses_v4(),
        addresses_v6(),
        services(),
        (any::<u16>(), names()).prop_map(|(preference, name)| RData::MX(MX::new(preference, name))),
        names().prop_map(|target| RData::SRV(SRV::new(1, 2, 443, target))),
        "[ -~]{0,60}".prop_map(|text| RData::TXT(TXT::new(vec![text]))),
        opaque,
    ]
}

/// A signature over records of this type: to hickory without DNSSEC, unknown data.
fn signature(covered: RecordType) -> RData {
    let mut octets = u16::from(covered).to_be_bytes().to_vec();
    octets.extend_from_slice(&[8, 2, 0, 0, 0, 60, 0, 0, 0, 9, 0, 0, 0, 1, 0, 7]);
    octets.extend_from_slice(b"\x07example\x00signature");
    RData::Unknown {
        code: RecordType::from(RRSIG),
        rdata: NULL::with(octets),
    }
}

/// Answers as resolvers give them: a chain, a set at its end, signatures, authority, glue.
fn messages() -> impl Strategy<Value = Message> {
    let chain = (0..5_usize, select(&["t.example.", "x.a.b.c.d.e.test."][..]));
    let set = vec(data(), 1..5);
    let authority = vec((names(), names()), 0..3);
    let additional = vec(
        (
            names(),
            prop_oneof![addresses_v4(), addresses_v6(), services()],
        ),
        0..6,
    );
    (names(), chain, set, any::<bool>(), authority, additional).prop_map(
        |(owner, (links, end), set, any, authority, additional)| {
            let kind = match any {
                true => RecordType::ANY,
                false => set[0].record_type(),
            };
            let mut message = Message::new(ID, MessageType::Response, OpCode::Query);
            message.metadata.authentic_data = true;
            message.add_query(Asked::query(owner.clone(), kind));
            let mut last = owner;
            for link in 0..if any { 0 } else { links } {
                let target = name(&format!("link{link}.{end}"));
                let data = RData::CNAME(CNAME(target.clone()));
                message.add_answer(Record::from_rdata(last.clone(), 20, data));
                message.add_answer(Record::from_rdata(last, 20, signature(RecordType::CNAME)));
                last = target;
            }
            for data in set
                .into_iter()
                .filter(|data| any || data.record_type() == kind)
            {
                message.add_answer(Record::from_rdata(last.clone(), 300, data.clone()));
                message.add_answer(Record::from_rdata(
                    last.clone(),
                    300,
                    signature(data.record_type()),
                ));
            }
            for (zone, server) in authority {
                let soa = SOA::new(server.clone(), zone.clone(), 1, 2, 3, 4, 5);
                message.add_authority(Record::from_rdata(zone.clone(), 40, RData::NS(NS(server))));
                message.add_authority(Record::from_rdata(zone, 50, RData::SOA(soa)));
            }
            for (owner, data) in additional {
                message.add_additional(Record::from_rdata(owner, 60, data));
            }
            message
        },
    )
}
