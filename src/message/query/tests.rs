//! Queries as bytes, each fault and each oddity.

use super::*;

const ASKED: &[u8] = b"\x03WwW\x07example\0\0\x1c\0\x01";

/// A packet with id 0x0102.
fn packet(flags: u16, counts: [u16; 4], rest: &[&[u8]]) -> Vec<u8> {
    let mut packet = Vec::new();
    push_words([0x0102, flags], &mut packet);
    push_words(counts, &mut packet);
    packet.extend(rest.concat());
    packet
}

fn asked(name: &[u8], kind: u16, class: u16) -> Vec<u8> {
    [name, &kind.to_be_bytes(), &class.to_be_bytes()].concat()
}

fn opt(size: u16, version: u8, flags: u16, options: &[u8]) -> Vec<u8> {
    let mut opt = vec![0];
    push_words([41, size, u16::from(version), flags], &mut opt);
    push_words([options.len() as u16], &mut opt);
    opt.extend(options);
    opt
}

/// A name whose labels have these lengths.
fn wire(labels: &[u8]) -> Vec<u8> {
    let label = |&length: &u8| [vec![length], vec![b'a'; usize::from(length)]].concat();
    let labels: Vec<_> = labels.iter().map(label).collect();
    [labels.concat(), vec![0]].concat()
}

fn cookie(length: u8) -> Vec<u8> {
    [&[0, 10, 0, length][..], &vec![7; usize::from(length)]].concat()
}

#[test]
fn a_plain_query_is_read_in_place() {
    let bytes = packet(0x0130, [1, 0, 0, 0], &[ASKED]);
    let query = Query::peek(&bytes).unwrap();
    assert_eq!(query.id, 0x0102);
    assert!(query.recursion_desired && query.authentic_data && query.checking_disabled);
    assert_eq!(&query.bytes[12..query.question_end], ASKED);
    assert_eq!(query.question.name.wire(), b"\x03www\x07example\0");
    assert_eq!(query.question.kind, Kind::AAAA);
    assert!(query.question.checking_disabled && !query.question.dnssec_ok);
    assert_eq!(query.edns, None);
}

#[test]
fn the_opt_is_read_wherever_it_stands_among_the_additional() {
    let tsig = b"\x03key\0\0\xfa\0\xff\0\0\0\0\0\x02ab";
    let options = [cookie(8), vec![0, 11, 0, 0], vec![0xff, 0xff, 0, 1, 9]].concat();
    let found = opt(4096, 0, 0x8001, &options);
    for rest in [[&found[..], tsig], [tsig, &found]] {
        let bytes = packet(0, [1, 0, 0, 2], &[ASKED, rest[0], rest[1]]);
        let query = Query::peek(&bytes).unwrap();
        let edns = Edns {
            udp_payload: 4096,
            dnssec_ok: true,
            keepalive: true,
            padded: false,
        };
        assert_eq!(query.edns, Some(edns));
        assert!(query.question.dnssec_ok);
    }
}

#[test]
fn faults_are_found_in_order() {
    let later = opt(1232, 1, 0, &[]);
    let opt = |options: &[u8]| opt(1232, 0, 0, options);
    let plain = opt(&[]);
    let (chaos, meta) = (asked(b"\0", 28, 3), asked(b"\0", 252, 1));
    let long = wire(&[63, 63, 63, 62]);
    let label = wire(&[64]);
    use Fault::{BadVersion, Malformed, NotAQuery, NotImplemented, Refused};
    let one = [1, 0, 0, 0];
    let with_opt = [1, 0, 0, 1];
    #[rustfmt::skip]
    let cases: &[(&str, Vec<u8>, Fault)] = &[
        ("nothing",                        vec![],                                             NotAQuery),
        ("eleven octets",                  vec![0; 11],                                        NotAQuery),
        ("a response",                     packet(0x8000, one, &[ASKED]),                      NotAQuery),
        ("a response before its opcode",   packet(0xa800, one, &[ASKED]),                      NotAQuery),
        ("opcode before the counts",       packet(0x2800, [0, 9, 9, 9], &[]),                  NotImplemented),
        ("no question",                    packet(0, [0, 0, 0, 0], &[]),                       Malformed),
        ("two questions",                  packet(0, [2, 0, 0, 0], &[ASKED, ASKED]),           Malformed),
        ("question cut short",             packet(0, one, &[&ASKED[..ASKED.len() - 1]]),       Malformed),
        ("no question after the header",   packet(0, one, &[]),                                Malformed),
        ("pointer in its name",            packet(0, one, &[b"\x01a\xc0\x0c\0\x01\0\x01"]),    Malformed),
        ("pointer for its name",           packet(0, one, &[b"\xc0\x0c\0\x01\0\x01"]),         Malformed),
        ("label type 01",                  packet(0, one, &[&asked(&label, 1, 1)]),            Malformed),
        ("256 octets in its name",         packet(0, one, &[&asked(&long, 1, 1)]),             Malformed),
        ("record cut short",               packet(0, [1, 1, 0, 0], &[ASKED, b"\0\0\x01\0"]),   Malformed),
        ("record that is not there",       packet(0, with_opt, &[ASKED]),                      Malformed),
        ("two OPT",                        packet(0, [1, 0, 0, 2], &[ASKED, &plain, &plain]),  Malformed),
        ("OPT among the answers",          packet(0, [1, 1, 0, 0], &[ASKED, &plain]),          Malformed),
        ("OPT with an owner",              packet(0, with_opt, &[ASKED, b"\x01a", &plain]),    Malformed),
        ("OPT owned by a pointer",         packet(0, with_opt, &[ASKED, b"\xc0\x18", &plain[1..]]), Malformed),
        ("option head cut short",          packet(0, with_opt, &[ASKED, &opt(&[0, 3, 0])]),    Malformed),
        ("option past the end",            packet(0, with_opt, &[ASKED, &opt(&[0, 3, 0, 1])]), Malformed),
        ("cookie of 7",                    packet(0, with_opt, &[ASKED, &opt(&cookie(7))]),    Malformed),
        ("cookie of 15",                   packet(0, with_opt, &[ASKED, &opt(&cookie(15))]),   Malformed),
        ("cookie of 41",                   packet(0, with_opt, &[ASKED, &opt(&cookie(41))]),   Malformed),
        ("version before class",           packet(0, with_opt, &[&chaos, &later]),             BadVersion),
        ("two OPT before version",         packet(0, [1, 0, 0, 2], &[ASKED, &later, &later]),  Malformed),
        ("class CH",                       packet(0, one, &[&chaos]),                          Refused),
        ("AXFR",                           packet(0, one, &[&meta]),                           Refused),
    ];
    for (why, bytes, fault) in cases {
        assert_eq!(Query::peek(bytes).err(), Some(*fault), "{why}");
    }
}

#[test]
fn odd_queries_that_are_served() {
    let longest = wire(&[63, 63, 63, 61]);
    let opt = |options: &[u8]| opt(0, 0, 0, options);
    #[rustfmt::skip]
    let cases: &[(&str, Vec<u8>)] = &[
        ("the root",               packet(0, [1, 0, 0, 0], &[&asked(b"\0", 2, 1)])),
        ("255 octets",             packet(0, [1, 0, 0, 0], &[&asked(&longest, 1, 1)])),
        ("TC, Z, RA, AA, RCODE",   packet(0x06cf, [1, 0, 0, 0], &[ASKED])),
        ("octets behind the end",  packet(0, [1, 0, 0, 0], &[ASKED, b"junk"])),
        ("an answer",              packet(0, [1, 1, 0, 0], &[ASKED, b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04abcd"])),
        ("cookie of 8",            packet(0, [1, 0, 0, 1], &[ASKED, &opt(&cookie(8))])),
        ("cookie of 16",           packet(0, [1, 0, 0, 1], &[ASKED, &opt(&cookie(16))])),
        ("cookie of 40",           packet(0, [1, 0, 0, 1], &[ASKED, &opt(&cookie(40))])),
        ("unknown type",           packet(0, [1, 0, 0, 0], &[&asked(b"\0", 65300, 1)])),
    ];
    for (why, bytes) in cases {
        assert!(Query::peek(bytes).is_ok(), "{why}");
    }
}

#[test]
fn types_about_a_message_or_a_zone_are_refused() {
    for kind in 0..=u16::MAX {
        let bytes = packet(0, [1, 0, 0, 0], &[&asked(b"\0", kind, 1)]);
        let refused = [41, 249, 250, 251, 252, 253, 254].contains(&kind);
        assert_eq!(Query::peek(&bytes).is_err(), refused, "{kind}");
    }
}

#[test]
fn an_upstream_is_asked_the_question_alone() {
    let mut ask = Ask {
        question: Question {
            name: Name::parse("www.example").unwrap(),
            kind: Kind::AAAA,
            dnssec_ok: true,
            checking_disabled: true,
        },
        recursion_desired: true,
        authentic_data: true,
    };
    let mut out = b"old".to_vec();
    write_query(&ask, 0x0a0b, true, &mut out);
    let head = b"\x0a\x0b\x01\x30\0\x01\0\0\0\0\0\x01";
    let question = b"\x03www\x07example\0\0\x1c\0\x01";
    let opt = b"\0\0\x29\x04\xd0\0\0\x80\0\0\0";
    assert_eq!(out, [&head[..], question, opt].concat());

    ask.recursion_desired = false;
    ask.authentic_data = false;
    ask.question.checking_disabled = false;
    write_query(&ask, 0x0a0b, false, &mut out);
    let head = b"\x0a\x0b\0\0\0\x01\0\0\0\0\0\0";
    assert_eq!(out, [&head[..], question].concat());
}

#[test]
fn queries_are_padded_to_blocks_where_they_can_be() {
    let mut query = Vec::new();
    for name in [
        "a",
        "a.rather.longer.name.that.fills.most.of.one.block.and.then.a.little.more.example",
        &["x"; 120].join("."),
    ] {
        let ask = Ask::plain(Name::parse(name).unwrap(), Kind::A);
        write_query(&ask, 7, false, &mut query);
        let bare = query.clone();
        pad_query(&mut query);
        assert_eq!(query, bare, "there is no OPT to pad in");
        write_query(&ask, 7, true, &mut query);
        let unpadded = query.clone();
        pad_query(&mut query);
        assert!(query.len().is_multiple_of(128), "{name}: {}", query.len());
        assert!(
            query.len() - unpadded.len() < 132,
            "{name}: one block at most"
        );
        let read = hickory_proto::op::Message::from_vec(&query).unwrap();
        let options = read.edns.unwrap();
        assert!(
            options
                .option(hickory_proto::rr::rdata::opt::EdnsCode::Padding)
                .is_some()
        );
        let mut answer = unpadded.to_ascii_uppercase();
        answer[2] |= 0x80;
        assert!(is_reply_to(&unpadded, &answer), "{name}");
        answer[13] ^= 1;
        assert!(!is_reply_to(&unpadded, &answer), "{name}: another question");
    }
}
