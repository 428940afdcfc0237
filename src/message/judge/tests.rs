//! Packets, good and bad, and what they are taken for.

use super::super::answer::sample::{
    ID, Packet, lines, name, question, rrsig_rdata, soa_rdata, wire,
};
use super::super::answer::{Ede, Meaning, Section};
use super::*;

const V4: &[u8] = &[192, 0, 2, 1];

fn www() -> Question {
    question("www.example", Kind::A)
}

fn good() -> Packet {
    Packet::to(&www()).answer("www.example", Kind::A, 60, V4)
}

/// One word for a judgement.
fn word(judgement: &Judgement) -> &'static str {
    match judgement {
        Judgement::Answer(_) => "answer",
        Judgement::Truncated => "truncated",
        Judgement::WithoutEdns => "without edns",
        Judgement::Ignored(Flaw::Mismatch) => "mismatch",
        Judgement::Ignored(Flaw::Garbled) => "garbled",
        Judgement::EndlessChain => "endless",
    }
}

fn header_only(flags: u16) -> Packet {
    let mut packet = good().flags(flags).count(0, 0).count(1, 0);
    packet.0.truncate(12);
    packet
}

#[test]
fn a_packet_that_is_not_ours_is_waited_past() {
    let edited = |at: usize, octet: u8| {
        let mut packet = good();
        packet.0[at] = octet;
        packet
    };
    let pointer = Packet([&good().0[..12], &[0xc0, 12, 0, 1, 0, 1]].concat());
    let cases = [
        ("good", good(), "answer"),
        ("other letter case", edited(14, b'W'), "answer"),
        ("short", Packet(good().0[..11].to_vec()), "mismatch"),
        ("empty", Packet(Vec::new()), "mismatch"),
        ("other id", edited(0, 0x99), "mismatch"),
        ("a query", good().flags(0x0100), "mismatch"),
        ("opcode UPDATE", good().flags(0xa980), "mismatch"),
        ("no question", good().count(0, 0), "mismatch"),
        ("two questions", good().count(0, 2), "mismatch"),
        ("other name", edited(14, b'v'), "mismatch"),
        ("other type", edited(26, 28), "mismatch"),
        ("other class", edited(28, 3), "mismatch"),
        ("a pointer for a name", pointer, "mismatch"),
        (
            "question cut short",
            Packet(good().0[..27].to_vec()),
            "mismatch",
        ),
    ];
    for (why, packet, want) in cases {
        assert_eq!(word(&packet.judge(&www())), want, "{why}");
    }
}

#[test]
fn a_server_without_edns_is_asked_once_more() {
    let with_opt = good().flags(0x8181).opt(0, &[]).count(1, 0).count(0, 0);
    let cases = [
        ("FORMERR", header_only(0x8181), "without edns"),
        ("NOTIMP", header_only(0x8184), "without edns"),
        ("SERVFAIL", header_only(0x8182), "mismatch"),
        ("NOERROR", header_only(0x8180), "mismatch"),
        ("FORMERR with OPT", with_opt, "mismatch"),
        (
            "FORMERR with the question",
            Packet::to(&www()).flags(0x8181),
            "answer",
        ),
    ];
    for (why, packet, want) in cases {
        assert_eq!(word(&packet.judge(&www())), want, "{why}");
    }
}

#[test]
fn truncation_counts_on_datagrams_only() {
    let mut packet = good().flags(0x8380);
    packet.0.truncate(packet.0.len() - 3);
    assert_eq!(
        word(&packet.judge(&www())),
        "truncated",
        "before the body is read"
    );
    let over_stream = judge(&good().flags(0x8380).0, ID, &www(), Transport::Stream);
    assert_eq!(word(&over_stream), "answer");
}

#[test]
fn a_packet_that_does_not_parse_is_garbled() {
    let raw = |owner: &[u8], kind, section| good().record(section, (owner, kind, IN), 0, &[]);
    let an = Section::Answer;
    let mut cut_short = good();
    cut_short.0.pop();
    let cases = [
        ("record cut short", cut_short),
        ("more counted than there", good().count(1, 2)),
        (
            "as many as can be counted",
            good().count(1, 65535).count(2, 65535).count(3, 65535),
        ),
        ("pointer to itself", raw(&[0xc0, 56], Kind::TXT, an)),
        ("pointer forward", raw(&[0xc0, 58], Kind::TXT, an)),
        ("label type 01", raw(&[0x40, 0], Kind::TXT, an)),
        ("two OPT", good().opt(0, &[]).opt(0, &[])),
        ("OPT in ANSWER", raw(&[0], Kind::OPT, an)),
        ("OPT in AUTHORITY", raw(&[0], Kind::OPT, Section::Authority)),
        (
            "OPT under a name",
            raw(&[1, b'a', 0], Kind::OPT, Section::Additional),
        ),
        (
            "CNAME without a target",
            Packet::to(&www()).answer("www.example", Kind::CNAME, 1, &[]),
        ),
        (
            "DNAME with more than one",
            Packet::to(&www()).answer("example", Kind::DNAME, 1, &[0, 0]),
        ),
        (
            "nothing that answers",
            Packet::to(&www()).answer("other.example", Kind::A, 1, V4),
        ),
        (
            "another type only",
            Packet::to(&www()).answer("www.example", Kind::TXT, 1, b"\x01a"),
        ),
        (
            "another class only",
            Packet::to(&www()).record(an, (&wire("www.example"), Kind::A, 3), 1, V4),
        ),
    ];
    for (why, packet) in cases {
        assert_eq!(word(&packet.judge(&www())), "garbled", "{why}");
    }
}

#[test]
fn odd_records_pass_byte_for_byte() {
    let odd = |kind: u16, rdata: &[u8]| {
        let asked = question("www.example", Kind(kind));
        (
            asked,
            Packet::to(&asked).answer("www.example", Kind(kind), 60, rdata),
        )
    };
    let beside = |packet: Packet| (www(), packet);
    let svcb_key_7777 = [&[0, 1, 0][..], &[0x1e, 0x61, 0, 2, 1, 2]].concat();
    let cases = [
        ("unknown type, no data", odd(65300, &[])),
        ("empty APL", odd(42, &[])),
        ("unknown SvcParam", odd(65, &svcb_key_7777)),
        ("HTTPS without data", odd(65, &[])),
        ("A of three octets", odd(1, &[192, 0, 2])),
        ("MX whose exchange is cut short", odd(15, &[0, 10, 3, b'a'])),
        (
            "class CH beside",
            beside(good().record(Section::Additional, (&[0], Kind::TXT, 3), 1, &[])),
        ),
        (
            "root owner, huge TTL",
            beside(good().additional(".", Kind(4711), u32::MAX, b"abc")),
        ),
        (
            "owner compressed",
            beside(good().record(Section::Answer, (&[0xc0, 12], Kind::A, 1), 1, V4)),
        ),
    ];
    for (why, (asked, packet)) in cases {
        assert_eq!(packet.learn(&asked).octets(), packet.0, "{why}");
    }
}

#[test]
fn what_is_behind_the_last_record_is_cut_off() {
    let mut packet = good();
    packet.0.extend_from_slice(b"trailing");
    assert_eq!(packet.learn(&www()).octets(), good().0);
}

#[test]
fn the_opt_is_taken_off() {
    let blocked = [0, 15, 0, 7, 0, 15, b'n', b'o', b'p', b'e', 0];
    let options = [
        &[0, 3, 0, 1, b'x'][..],
        &blocked,
        &[0, 15, 0, 1, 9],
        &[0, 15, 0, 9, 0],
    ]
    .concat();
    let answer = Packet::to(&www()).opt(1, &options).learn(&www());
    assert_eq!(answer.octets(), Packet::to(&www()).0);
    assert_eq!(answer.rcode(), Rcode::BAD_VERS);
    assert_eq!(answer.meaning(), Meaning::Failure);
    let want = Ede {
        code: 15,
        text: "nope".into(),
    };
    assert_eq!(answer.extended_errors(), [want]);
}

#[test]
fn extended_errors_are_bounded() {
    let mut long = vec![0, 15, 1, 46, 0, 0];
    long.extend("é".repeat(150).into_bytes());
    let options = [long, [0, 15, 0, 2, 0, 3].repeat(9)].concat();
    let answer = good().opt(0, &options).learn(&www());
    let lengths: Vec<_> = answer
        .extended_errors()
        .iter()
        .map(|error| error.text.len())
        .collect();
    assert_eq!(lengths, [254, 0, 0, 0]);
}

#[test]
fn records_behind_the_opt_keep_their_meaning() {
    // The second record's owner points into the first, which moves when the OPT goes.
    let packet =
        good()
            .flags(0x81a0)
            .opt(0, &[0, 3, 0, 1, b'x'])
            .additional("glue.test", Kind::A, 7, V4);
    let glue_at = u8::try_from(packet.0.len() - 14 - 11).unwrap();
    let packet = packet.record(
        Section::Additional,
        (&[1, b'x', 0xc0, glue_at], Kind::A, 1),
        8,
        V4,
    );
    let answer = packet.learn(&www());
    assert_eq!(
        lines(&answer),
        [
            "an www.example. 60 A",
            "ar glue.test. 7 A",
            "ar x.glue.test. 8 A"
        ]
    );
    assert!(answer.is_authentic(), "an OPT is no part of the answer");
}

/// `n0` to `n<links>`, each an alias of the next, the last with an address.
fn chain(links: usize, order: impl Fn(&mut Vec<usize>)) -> (Question, Packet) {
    let asked = question("n0.example", Kind::A);
    let mut numbers: Vec<_> = (0..links).collect();
    order(&mut numbers);
    let packet = numbers
        .into_iter()
        .fold(Packet::to(&asked), |packet, number| {
            let target = wire(&format!("n{}.example", number + 1));
            packet.answer(
                &format!("n{number}.example"),
                Kind::CNAME,
                50 + number as u32,
                &target,
            )
        });
    (
        asked,
        packet.answer(&format!("N{links}.example"), Kind::A, 99, V4),
    )
}

#[test]
fn a_chain_has_sixteen_names_at_most() {
    let (asked, packet) = chain(16, |_| ());
    let answer = packet.learn(&asked);
    assert_eq!(answer.chain().len(), 16);
    assert_eq!(answer.chain().last(), Some(&name("n16.example")));
    assert_eq!(
        (answer.meaning(), answer.chain_ttl()),
        (Meaning::Data, Some(50))
    );
    let (asked, packet) = chain(17, |_| ());
    assert_eq!(word(&packet.judge(&asked)), "endless");
}

#[test]
fn a_chain_is_followed_in_any_order() {
    let (asked, packet) = chain(5, |numbers| numbers.reverse());
    let answer = packet.learn(&asked);
    assert_eq!(answer.chain().len(), 5);
    assert_eq!(answer.octets(), packet.0);
}

#[test]
fn loops_end() {
    let asked = www();
    let alias = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    let cases = [
        ("itself", vec![alias("www.example", "WWW.example")]),
        (
            "two",
            vec![
                alias("www.example", "b.example"),
                alias("b.example", "www.example"),
            ],
        ),
        (
            "further on",
            vec![
                alias("www.example", "b.example"),
                alias("b.example", "b.example"),
            ],
        ),
    ];
    for (why, aliases) in cases {
        let to = |asked: &Question| {
            aliases
                .iter()
                .fold(Packet::to(asked), |packet, (from, to)| {
                    packet.answer(from, Kind::CNAME, 1, &wire(to))
                })
        };
        assert_eq!(word(&to(&asked).judge(&asked)), "endless", "{why}");
        let alias_itself = question("www.example", Kind::CNAME);
        assert_eq!(
            word(&to(&alias_itself).judge(&alias_itself)),
            "answer",
            "{why}"
        );
    }
}

#[test]
fn dnames_lead_on() {
    let asked = question("a.old.example", Kind::A);
    let dname = Packet::to(&asked).answer("old.example", Kind::DNAME, 9, &wire("new.example"));
    let with_cname = dname
        .clone()
        .answer("a.old.example", Kind::CNAME, 30, &wire("a.new.example"));
    let signed = with_cname.answer(
        "old.example",
        Kind::RRSIG,
        9,
        &rrsig_rdata(Kind::DNAME, "example"),
    );
    for (why, packet) in [("alone", dname), ("with its CNAME and RRSIG", signed)] {
        let packet = packet.answer("a.new.example", Kind::A, 60, V4);
        let answer = packet.learn(&asked);
        assert_eq!(answer.octets(), packet.0, "{why}");
        assert_eq!(answer.chain(), [name("a.new.example")], "{why}");
        assert_eq!(
            (answer.meaning(), answer.chain_ttl()),
            (Meaning::Data, Some(9)),
            "{why}"
        );
    }
}

#[test]
fn what_is_not_on_the_way_is_cut_out() {
    let asked = question("www.example", Kind::A);
    let packet = Packet::to(&asked)
        .flags(0x81a0)
        .answer("evil.test", Kind::A, 1, V4)
        .answer("www.example", Kind::CNAME, 20, &wire("cdn.test"))
        .answer("test", Kind::DNAME, 2, &wire("evil"))
        .answer("evil.test", Kind::CNAME, 3, &wire("cdn.test"))
        .record(Section::Answer, (&wire("cdn.test"), Kind::A, 1), 30, V4)
        .answer("cdn.test", Kind::RRSIG, 30, &rrsig_rdata(Kind::A, "test"))
        .answer("example", Kind::A, 4, V4)
        .authority("elsewhere", Kind::NS, 5, &wire("evil.test"));
    let answer = packet.learn(&asked);
    let want = [
        "an www.example. 20 CNAME",
        "an cdn.test. 30 A",
        "an cdn.test. 30 RRSIG",
        "ns elsewhere. 5 NS",
    ];
    assert_eq!(lines(&answer), want);
    assert!(!answer.is_authentic());
    assert!(answer.is_signed(Kind::A) && !answer.is_signed(Kind::CNAME));
}

#[test]
fn answers_mean_something() {
    let ask_any = question("www.example", Kind::ANY);
    let alias = |asked: &Question| {
        Packet::to(asked).answer("www.example", Kind::CNAME, 20, &wire("cdn.test"))
    };
    let denied = |packet: Packet, zone: &str| packet.authority(zone, Kind::SOA, 70, &soa_rdata(40));
    let empty = Packet::to(&www());
    #[rustfmt::skip]
    let cases = [
        ("data",                     www(), good(),                                     Meaning::Data,     None),
        ("bare",                     www(), empty.clone(),                              Meaning::NoData,   None),
        ("denied by the zone",       www(), denied(empty.clone(), "example"),           Meaning::NoData,   Some(40)),
        ("denied by the name",       www(), denied(empty.clone(), "www.example"),       Meaning::NoData,   Some(40)),
        ("denied by a stranger",     www(), denied(empty.clone(), "other"),             Meaning::NoData,   None),
        ("denied at the chain's end", www(), denied(alias(&www()), "test"),             Meaning::NoData,   Some(40)),
        ("no such name",             www(), denied(empty.clone(), ".").flags(0x8183),   Meaning::NxDomain, Some(40)),
        ("no such name at the end",  www(), alias(&www()).flags(0x8183),                Meaning::NxDomain, None),
        ("a failure",                www(), denied(empty, "example").flags(0x8182),     Meaning::Failure,  None),
        ("any record for ANY",       ask_any, alias(&ask_any),                          Meaning::Data,     None),
    ];
    for (why, asked, packet, meaning, negative_ttl) in cases {
        let answer = packet.learn(&asked);
        assert_eq!(
            (answer.meaning(), answer.negative_ttl()),
            (meaning, negative_ttl),
            "{why}"
        );
    }
}

#[test]
fn facts_are_found() {
    let hinted = [&[0, 1, 0][..], &[0, 6, 0, 16], &[0x20; 16]].concat();
    let rdata = soa_rdata(40);
    let plain = good().answer("www.example", Kind::A, 0x8000_0000, V4);
    assert_eq!(
        plain.learn(&www()).smallest_ttl(),
        Some(60),
        "a set top bit is large"
    );
    assert_eq!(Packet::to(&www()).learn(&www()).smallest_ttl(), None);
    assert!(!plain.learn(&www()).mentions_ipv6());
    for (kind, rdata) in [
        (Kind::AAAA, &[1; 16][..]),
        (Kind::HTTPS, &hinted),
        (Kind::SVCB, &hinted),
    ] {
        let answer = good().additional("x.test", kind, 1, rdata).learn(&www());
        assert!(answer.mentions_ipv6(), "{kind}");
    }
    let delegated = Packet::to(&www()).authority("example", Kind::NS, 1, &wire("ns.example"));
    assert!(delegated.learn(&www()).has_authority_ns());
    let asked = question("example", Kind::SOA);
    let own = Packet::to(&asked)
        .answer("example", Kind::SOA, 1, &rdata)
        .learn(&asked);
    assert_eq!(
        own.soa().map(|soa| (soa.owner, soa.minimum)),
        Some((name("example"), 40))
    );
    assert!(own.footprint() > own.octets().len());
}
