//! Replies as bytes: header, TTLs, size, OPT, and what a packet gets that is no query.

use super::*;
use crate::message::{Judgement, Transport, judge};

const ASKED: &[u8] = b"\x03WwW\x07example\0\0\x10\0\x01";
const ANSWERED: &[u8] = b"\x03www\x07example\0\0\x10\0\x01";
const DATAGRAM: Room = Room::Datagram { max_udp: 1232 };
const FRESH: Ttl = Ttl::aged(0);

fn message(id: u16, flags: u16, counts: [u16; 4], rest: &[&[u8]]) -> Vec<u8> {
    let mut message = Vec::new();
    push_words([id, flags], &mut message);
    push_words(counts, &mut message);
    message.extend(rest.concat());
    message
}

fn plain(flags: u16) -> Vec<u8> {
    message(0x0102, flags, [1, 0, 0, 0], &[ASKED])
}

fn with_opt(size: u16, extended_flags: u16, options: &[u8]) -> Vec<u8> {
    let opt = opt(size, 0, extended_flags, options);
    message(0x0102, 0x0100, [1, 0, 0, 1], &[ASKED, &opt])
}

fn opt(size: u16, rcode_and_version: u16, flags: u16, options: &[u8]) -> Vec<u8> {
    let mut opt = vec![0];
    let words = [41, size, rcode_and_version, flags, options.len() as u16];
    push_words(words, &mut opt);
    opt.extend(options);
    opt
}

fn extended_error(code: u16, text: &str) -> Vec<u8> {
    let mut option = Vec::new();
    push_words([15, 2 + text.len() as u16, code], &mut option);
    option.extend(text.as_bytes());
    option
}

/// A TXT record of the question's name with so many octets of RDATA.
fn txt(ttl: u32, length: u8) -> Vec<u8> {
    let text = vec![b'x'; usize::from(length) - 1];
    let head = [&b"\xc0\x0c\0\x10\0\x01"[..], &ttl.to_be_bytes()].concat();
    [head, vec![0, length, length - 1], text].concat()
}

/// An upstream's answer with these flags, TXT records and options.
fn answer(flags: u16, records: &[Vec<u8>], options: &[u8]) -> Answer {
    let opt = opt(1232, 0, 0, options);
    let counts = [1, records.len() as u16, 0, 1];
    let packet = message(7, flags, counts, &[ANSWERED, &records.concat(), &opt]);
    let asked = plain(0);
    let question = Query::peek(&asked).unwrap().question;
    match judge(&packet, 7, &question, Transport::Stream) {
        Judgement::Answer(answer) => std::sync::Arc::unwrap_or_clone(answer),
        _ => panic!("not an answer"),
    }
}

fn reply(query: &[u8], body: &Body<'_>, own: Option<OwnEde<'_>>, room: Room) -> Vec<u8> {
    let mut out = b"old".to_vec();
    write_reply(&Query::peek(query).unwrap(), body, own, room, &mut out);
    out
}

#[test]
fn the_header_says_what_it_must() {
    let authentic = answer(0x85a0, &[txt(60, 2)], &[]);
    let other = answer(0x8180, &[txt(60, 2)], &[]);
    let signed = with_opt(1232, 0x8000, &[]);
    let (authentic, other) = (
        Body::Answer {
            answer: &authentic,
            ttl: FRESH,
        },
        Body::Answer {
            answer: &other,
            ttl: FRESH,
        },
    );
    #[rustfmt::skip]
    let cases = [
        ("RD echoed, RA set",              plain(0x0100), &other,                         0x8180),
        ("CD echoed",                      plain(0x0010), &other,                         0x8090),
        ("Z and TC and RCODE are not",     plain(0x064f), &other,                         0x8080),
        ("AD for one who did not ask",     plain(0x0100), &authentic,                     0x8180),
        ("AD for one who set AD",          plain(0x0120), &authentic,                     0x81a0),
        ("AD for one who set DO",          signed,        &authentic,                     0x81a0),
        ("no AD that upstream did not set", plain(0x0120), &other,                        0x8180),
        ("a code alone",                   plain(0x0120), &Body::Code(Rcode::NX_DOMAIN),  0x8183),
        ("a code over 15 without OPT",     plain(0),      &Body::Code(Rcode::BAD_VERS),   0x8082),
    ];
    for (why, query, body, flags) in cases {
        let reply = reply(&query, body, None, DATAGRAM);
        assert_eq!(u16_at(&reply, 0), Some(0x0102), "{why}");
        assert_eq!(
            u16_at(&reply, 2),
            Some(flags),
            "{why}: {:04x?}",
            u16_at(&reply, 2)
        );
        assert_eq!(&reply[12..12 + ASKED.len()], ASKED, "{why}");
    }
}

#[test]
fn records_are_copied_behind_the_clients_own_question() {
    let answer = answer(0x8180, &[txt(60, 4), txt(70, 5)], &[]);
    let body = Body::Answer {
        answer: &answer,
        ttl: Ttl::aged(10),
    };
    let reply = reply(&plain(0x0100), &body, None, DATAGRAM);
    let want = message(
        0x0102,
        0x8180,
        [1, 2, 0, 0],
        &[ASKED, &txt(50, 4), &txt(60, 5)],
    );
    assert_eq!(reply, want);
}

#[test]
fn ttls_leave_aged() {
    #[rustfmt::skip]
    let cases = [
        ("as it came",             300,         FRESH,          300),
        ("less its age",           300,         Ttl::aged(299), 1),
        ("older than its TTL",     300,         Ttl::aged(301), 0),
        ("a week at most",         700_000,     Ttl::aged(1),   604_800),
        ("top bit set is large",   u32::MAX,    Ttl::aged(9),   604_800),
        ("stale",                  5,           Ttl::fixed(30), 30),
        ("no more than is bearable", 300,       Ttl::aged(9).at_most(30), 30),
        ("less than that already", 20,          Ttl::aged(9).at_most(30), 11),
    ];
    for (why, upstream, ttl, want) in cases {
        let answer = answer(0x8180, &[txt(upstream, 2)], &[]);
        let body = Body::Answer {
            answer: &answer,
            ttl,
        };
        let reply = reply(&plain(0), &body, None, DATAGRAM);
        assert!(reply.ends_with(&txt(want, 2)), "{why}");
    }
}

#[test]
fn what_does_not_fit_is_cut_between_records() {
    // Header and question take 29 octets, each record 112, an OPT 11.
    let records = vec![txt(60, 100); 12];
    let answer = answer(0x8180, &records, &[]);
    let body = Body::Answer {
        answer: &answer,
        ttl: FRESH,
    };
    let stream = Room::Stream {
        idle: 0,
        is_encrypted: false,
    };
    #[rustfmt::skip]
    let cases = [
        ("512 without OPT",               plain(0),               DATAGRAM,                         4, true),
        ("a size below 512 means 512",    with_opt(0, 0, &[]),    DATAGRAM,                         4, true),
        ("one octet short of five",       with_opt(599, 0, &[]),  DATAGRAM,                         4, true),
        ("just five, its OPT too",        with_opt(600, 0, &[]),  DATAGRAM,                         5, true),
        ("never over our own bound",      with_opt(4096, 0, &[]), DATAGRAM,                        10, true),
        ("our own bound may be larger",   with_opt(4096, 0, &[]), Room::Datagram { max_udp: 4096 }, 12, false),
        ("a stream takes all",            plain(0),               stream,                          12, false),
    ];
    for (why, query, room, kept, truncated) in cases {
        let reply = reply(&query, &body, None, room);
        let opt = usize::from(query.len() > 29);
        assert_eq!(reply.len(), 29 + kept * 112 + opt * 11, "{why}");
        assert_eq!(u16_at(&reply, 6), Some(kept as u16), "{why}");
        assert_eq!(u16_at(&reply, 10), Some(opt as u16), "{why}");
        assert_eq!(reply[2] & 2 != 0, truncated, "{why}");
    }
}

#[test]
fn the_opt_is_ours() {
    let answer = answer(0x8180, &[txt(60, 2)], &extended_error(22, "upstream's"));
    let body = Body::Answer {
        answer: &answer,
        ttl: FRESH,
    };
    let own = Some(OwnEde {
        code: 17,
        text: "docker-hub",
    });
    let errors = [
        extended_error(17, "docker-hub"),
        extended_error(22, "upstream's"),
    ]
    .concat();
    let both = [errors.clone(), vec![0, 11, 0, 2, 0, 100]].concat();
    let stream = Room::Stream {
        idle: 100,
        is_encrypted: false,
    };
    let keepalive = b"\0\x0b\0\0";
    let padding = b"\0\x0c\0\x03\0\0\0";
    let unknown = b"\0\x03\0\0\0\x08\0\x04\0\x01\0\0";
    #[rustfmt::skip]
    let cases = [
        ("errors, ours first",            with_opt(4096, 0, &[]),        DATAGRAM, opt(1232, 0, 0, &errors)),
        ("DO echoed, other flags not",    with_opt(4096, 0xffff, &[]),   DATAGRAM, opt(1232, 0, 0x8000, &errors)),
        ("options not echoed",            with_opt(4096, 0, unknown),    DATAGRAM, opt(1232, 0, 0, &errors)),
        ("keepalive on a stream",         with_opt(4096, 0, keepalive),  stream,   opt(1232, 0, 0, &both)),
        ("not unless asked for",          with_opt(4096, 0, &[]),        stream,   opt(1232, 0, 0, &errors)),
        ("padding not in clear text",      with_opt(4096, 0, padding),    stream,   opt(1232, 0, 0, &errors)),
        ("RFC 7828: never in a datagram", with_opt(4096, 0, keepalive),  DATAGRAM, opt(1232, 0, 0, &errors)),
    ];
    for (why, query, room, want) in cases {
        let reply = reply(&query, &body, own, room);
        assert!(reply.ends_with(&[txt(60, 2), want].concat()), "{why}");
    }
    let bare = reply(&plain(0), &body, own, DATAGRAM);
    assert!(bare.ends_with(&txt(60, 2)), "no OPT for one who sent none");

    let extended = reply(
        &with_opt(512, 0, &[]),
        &Body::Code(Rcode(23)),
        None,
        DATAGRAM,
    );
    assert_eq!(extended[3] & 0xf, 7);
    assert!(extended.ends_with(&opt(1232, 0x0100, 0, &[])));
}

#[test]
fn extended_errors_are_cut_and_go_first() {
    let beyond = "n\u{e9}".repeat(200);
    let answer = answer(0x8180, &[], &extended_error(0, &beyond));
    let body = Body::Answer {
        answer: &answer,
        ttl: FRESH,
    };
    let long = "r".repeat(65);
    let own = |text| Some(OwnEde { code: 17, text });
    let query = with_opt(4096, 0, &[]);
    let upstream = extended_error(0, &beyond[..255]);
    for (why, text, left) in [
        ("64 octets", &*long, &long[..64]),
        ("ASCII", "r\u{e8}gle", "r"),
    ] {
        let reply = reply(&query, &body, own(text), DATAGRAM);
        let want = opt(
            1232,
            0,
            0,
            &[extended_error(17, left), upstream.clone()].concat(),
        );
        assert!(reply.ends_with(&want), "{why}");
    }

    // 29 octets, 4 records of 112, an OPT of 11: 488. Only the errors do not fit.
    let answer = self::answer(0x8180, &vec![txt(60, 100); 4], &[]);
    let body = Body::Answer {
        answer: &answer,
        ttl: FRESH,
    };
    let cut = reply(&with_opt(512, 0, &[]), &body, own(&long), DATAGRAM);
    assert!(cut.ends_with(&[txt(60, 100), opt(1232, 0, 0, &[])].concat()));
    assert_eq!((cut.len(), cut[2] & 2), (488, 2));
}

#[test]
fn a_packet_that_is_no_query_gets_its_due() {
    let later = opt(1232, 1, 0x8000, &[]);
    let chaos = [&ASKED[..ASKED.len() - 1], &[3]].concat();
    let one = [1, 0, 0, 0];
    #[rustfmt::skip]
    let cases = [
        ("a response",           message(9, 0x8100, one, &[ASKED]),          None),
        ("too short",            vec![0; 11],                                None),
        ("opcode, RD, CD",       message(9, 0x2110, one, &[ASKED]),          Some(message(9, 0xa194, one, &[ASKED]))),
        ("opcode, any counts",   message(9, 0x2800, [0, 9, 9, 9], &[]),      Some(message(9, 0xa884, [0; 4], &[]))),
        ("opcode, cut short",    message(9, 0x2800, one, &[b"\x03ab"]),      Some(message(9, 0xa884, [0; 4], &[]))),
        ("two questions",        message(9, 0x0100, [2, 0, 0, 0], &[ASKED, ASKED]), Some(message(9, 0x8181, [0; 4], &[]))),
        ("question cut short",   message(9, 0x0100, one, &[b"\x03ab"]),      Some(message(9, 0x8181, [0; 4], &[]))),
        ("record cut short",     message(9, 0x0100, [1, 0, 0, 1], &[ASKED]), Some(message(9, 0x8181, one, &[ASKED]))),
        ("version 1",            message(9, 0x0100, [1, 0, 0, 1], &[ASKED, &later]),
                            Some(message(9, 0x8180, [1, 0, 0, 1], &[ASKED, &opt(1232, 0x0100, 0x8000, &[])]))),
        ("class CH",             message(9, 0x0100, one, &[&chaos]),         Some(message(9, 0x8185, one, &[&chaos]))),
        ("class CH with OPT",    message(9, 0x0100, [1, 0, 0, 1], &[&chaos, &opt(512, 0, 0, &[])]),
                            Some(message(9, 0x8185, [1, 0, 0, 1], &[&chaos, &opt(1232, 0, 0, &[])]))),
    ];
    for (why, packet, want) in cases {
        let mut out = b"old".to_vec();
        let fault = Query::peek(&packet).unwrap_err();
        let replied = write_fault(&packet, fault, &mut out);
        assert_eq!(replied.then_some(out), want, "{why}");
    }
}

#[test]
fn encrypted_replies_are_padded_for_those_who_pad() {
    let room = Room::Stream {
        idle: 100,
        is_encrypted: true,
    };
    let padding = b"\0\x0c\0\x03\0\0\0";
    let both = [&padding[..], b"\0\x0b\0\0"].concat();
    for count in [0, 1, 20, 40, 2000] {
        let answer = answer(0x8180, &vec![txt(60, 10); count], &[]);
        let body = Body::Answer {
            answer: &answer,
            ttl: FRESH,
        };
        let bare = reply(&with_opt(4096, 0, &[]), &body, None, room);
        for (options, more) in [(&padding[..], 4), (&both, 10)] {
            let reply = reply(&with_opt(4096, 0, options), &body, None, room);
            assert_eq!(reply.len(), (bare.len() + more).next_multiple_of(468));
            assert!(reply.len() == bare.len() + more || reply.last() == Some(&0));
        }
    }
}
