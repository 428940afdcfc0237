//! What is left of an answer after an edit.

use super::super::answer::sample::{Packet, lines, name, question, rrsig_rdata, wire};
use super::super::query::Question;
use super::*;

const V4: &[u8] = &[192, 0, 2, 1];
const V6: &[u8] = &[0x20; 16];

fn without(kind: Kind) -> impl FnMut(&Record<'_>) -> Fate {
    move |record| match record.kind == kind {
        true => Fate::Remove,
        false => Fate::Keep,
    }
}

fn any() -> Question {
    question("www.example", Kind::ANY)
}

#[test]
fn a_set_that_changed_is_no_longer_signed() {
    let answer = Packet::to(&any())
        .flags(0x81a0)
        .answer("www.example", Kind::AAAA, 60, V6)
        .answer(
            "www.example",
            Kind::RRSIG,
            60,
            &rrsig_rdata(Kind::AAAA, "example"),
        )
        .answer("www.example", Kind::A, 60, V4)
        .answer(
            "WWW.example",
            Kind::RRSIG,
            60,
            &rrsig_rdata(Kind::A, "example"),
        )
        .authority(
            "www.example",
            Kind::RRSIG,
            60,
            &rrsig_rdata(Kind::AAAA, "example"),
        )
        .additional(
            "ns.example",
            Kind::RRSIG,
            60,
            &rrsig_rdata(Kind::AAAA, "example"),
        )
        .learn(&any());
    assert!(answer.is_authentic() && answer.mentions_ipv6());
    let edited = edit(&answer, &mut without(Kind::AAAA)).unwrap();
    let want = [
        "an www.example. 60 A",
        "an WWW.example. 60 RRSIG",
        "ns www.example. 60 RRSIG",
        "ar ns.example. 60 RRSIG",
    ];
    assert_eq!(lines(&edited), want);
    assert!(!edited.is_authentic() && !edited.mentions_ipv6());
    assert!(edited.is_signed(Kind::A) && !edited.is_signed(Kind::AAAA));
}

#[test]
fn an_edit_of_nothing_changes_nothing() {
    let packet = Packet::to(&any())
        .flags(0x81a0)
        .answer("www.example", Kind::A, 60, V4);
    let edited = edit(&packet.learn(&any()), &mut |_| Fate::Keep).unwrap();
    assert_eq!(edited.octets(), packet.0);
    assert!(edited.is_authentic());
}

#[test]
fn pointers_into_what_went_are_mended() {
    let asked = question("x.test", Kind::ANY);
    // The AAAA's owner is written out; CNAME and MX point into it.
    let packet = Packet::to(&asked).answer("x.test", Kind::AAAA, 60, V6);
    let inside = 12 + 8 + 4;
    let pointer = [0xc0, inside];
    let mx = [&[0, 10, 2, b'm', b'x'][..], &pointer].concat();
    let answer = packet
        .record(Section::Answer, (&pointer, Kind::MX, 1), 5, &mx)
        .record(
            Section::Additional,
            (&[&[2, b'm', b'x'][..], &pointer].concat(), Kind::A, 1),
            6,
            V4,
        )
        .learn(&asked);
    let edited = edit(&answer, &mut without(Kind::AAAA)).unwrap();
    assert_eq!(lines(&edited), ["an x.test. 5 MX", "ar mx.x.test. 6 A"]);
    let exchange = edited
        .records()
        .next()
        .and_then(|mx| mx.name_at(2))
        .unwrap()
        .0;
    assert_eq!(exchange, name("mx.x.test"));
    assert!(
        edited.octets().len() < answer.octets().len() - 28,
        "compressed again"
    );
}

/// RDATA of each kind with `host.test` compressed in it, and how it leaves.
#[test]
fn names_in_data_leave_as_their_type_allows() {
    let pointer = [0xc0, 12];
    let plain = wire("host.test");
    let with = |before: &[u8], name: &[u8], after: &[u8]| [before, name, after].concat();
    let kept = |before: &[u8], after: &[u8]| {
        (with(before, &pointer, after), with(before, &pointer, after))
    };
    let spelled =
        |before: &[u8], after: &[u8]| (with(before, &pointer, after), with(before, &plain, after));
    let soa = [0; 20];
    let cases = [
        (2, kept(&[], &[])),
        (6, kept(&[1, b'a', 0], &soa)),
        (12, kept(&[], &[])),
        (14, kept(&[0], &[])),
        (15, kept(&[0, 1], &[])),
        (17, spelled(&[0], &[])),
        (18, spelled(&[0, 1], &[])),
        (26, spelled(&[0, 1, 0], &[])),
        (30, spelled(&[], &[1, 2])),
        (33, spelled(&[0; 6], &[])),
        (35, spelled(&[0, 0, 0, 0, 1, b'u', 0, 2, b'r', b'e'], &[])),
        (36, spelled(&[0, 1], &[])),
        (46, spelled(&[9; 18], b"signature")),
        (65, spelled(&[0, 1], &[0, 1, 0, 0])),
        (16, kept(&[1], &[])),
        (65300, kept(&[], b"opaque")),
        (65300, (vec![], vec![])),
        (15, (vec![], vec![])),
    ];
    let asked = question("host.test", Kind::ANY);
    for (kind, (before, want)) in cases {
        let answer = Packet::to(&asked)
            .answer("host.test", Kind::AAAA, 1, V6)
            .answer("host.test", Kind(kind), 1, &before)
            .learn(&asked);
        let edited = edit(&answer, &mut without(Kind::AAAA)).unwrap();
        assert_eq!(edited.records().next().unwrap().rdata, want, "TYPE{kind}");
    }
}

#[test]
fn letter_case_is_kept() {
    let answer = Packet::to(&any())
        .answer("WwW.example", Kind::AAAA, 1, V6)
        .answer(
            "www.ExAmple",
            Kind::MX,
            1,
            &[&[0, 1][..], &wire("MX.exaMPLE")].concat(),
        )
        .learn(&any());
    let edited = edit(&answer, &mut without(Kind::AAAA)).unwrap();
    let mx = edited.records().next().unwrap();
    assert_eq!(mx.owner().wire(), wire("www.ExAmple"));
    assert_eq!(mx.name_at(2).unwrap().0.wire(), wire("MX.exaMPLE"));
}

#[test]
fn what_cannot_be_edited_goes_or_stops_it() {
    let broken = [0, 1, 9, b'a'];
    let base = Packet::to(&any()).answer("www.example", Kind::AAAA, 1, V6);
    let good_then_broken = base
        .clone()
        .additional("a.example", Kind::A, 2, V4)
        .additional("mx.example", Kind::MX, 2, &broken)
        .additional("b.example", Kind::A, 2, V4);
    let edited = edit(&good_then_broken.learn(&any()), &mut without(Kind::AAAA)).unwrap();
    assert_eq!(edited.octets().len(), 12 + 13 + 4, "ADDITIONAL went whole");
    assert!(lines(&edited).is_empty());
    let in_answer = base.clone().answer("www.example", Kind::MX, 1, &broken);
    assert!(edit(&in_answer.learn(&any()), &mut without(Kind::AAAA)).is_none());
    let in_authority = base.authority("example", Kind::SRV, 1, &broken);
    assert!(edit(&in_authority.learn(&any()), &mut without(Kind::AAAA)).is_none());
    let removed = edit(&in_answer.learn(&any()), &mut without(Kind::MX)).unwrap();
    assert_eq!(
        lines(&removed),
        ["an www.example. 1 AAAA"],
        "what goes need not be readable"
    );
}

#[test]
fn data_can_be_replaced() {
    let answer = Packet::to(&any())
        .answer("www.example", Kind::HTTPS, 1, &[0, 1, 0])
        .answer(
            "www.example",
            Kind::RRSIG,
            1,
            &rrsig_rdata(Kind::HTTPS, "example"),
        )
        .learn(&any());
    let edited = edit(&answer, &mut |record| match record.kind {
        Kind::HTTPS => Fate::Rdata(vec![0, 2, 0, 0, 9, 0, 0]),
        _ => Fate::Keep,
    });
    let edited = edited.unwrap();
    assert_eq!(lines(&edited), ["an www.example. 1 HTTPS"]);
    assert_eq!(
        edited.records().next().unwrap().rdata,
        [0, 2, 0, 0, 9, 0, 0]
    );
    let too_long = edit(&answer, &mut |_| Fate::Rdata(vec![0; 40_000]));
    assert!(too_long.is_none());
}

/// 3,400 names that share their suffixes fill a message and still fit after the edit.
#[test]
fn a_large_answer_is_compressed_again() {
    let asked = question("example", Kind::NS);
    let mut packet = Packet::to(&asked).answer("example", Kind::AAAA, 1, V6);
    for number in 0..3400_u32 {
        let label = format!("{number:04x}");
        let target = [&[4], label.as_bytes(), &[0xc0, 12]].concat();
        let octets = packet.0.len() + 12 + target.len();
        assert!(octets < 65_535);
        packet
            .0
            .extend_from_slice(&[0xc0, 12, 0, 2, 0, 1, 0, 0, 0, 9, 0, 7]);
        packet.0.extend_from_slice(&target);
    }
    let answer = packet.count(1, 3401).0;
    let answer = Packet(answer).learn(&asked);
    let edited = edit(&answer, &mut without(Kind::AAAA)).unwrap();
    assert_eq!(edited.records().count(), 3400);
    assert!(edited.octets().len() <= answer.octets().len() - 28);
    assert!(
        answer
            .records()
            .skip(1)
            .zip(edited.records())
            .all(|(before, after)| {
                before.name_at(0).map(|(name, _)| name) == after.name_at(0).map(|(name, _)| name)
            })
    );
}

#[test]
fn no_name_takes_many_pointers() {
    // Each name is one label before the last: the longest chain of pointers there can be.
    let asked = question("a", Kind::ANY);
    let mut owner = "a".to_owned();
    let mut packet = Packet::to(&asked).answer("a", Kind::AAAA, 1, V6);
    for _ in 0..60 {
        owner = format!("b.{owner}");
        packet = packet.additional(&owner, Kind::A, 1, V4);
    }
    let edited = edit(&packet.learn(&asked), &mut without(Kind::AAAA)).unwrap();
    assert_eq!(
        edited.records().last().map(|record| record.owner()),
        Some(name(&owner))
    );
    for record in edited.records() {
        assert!(pointers(edited.octets(), record.start()) <= 8);
    }
}

fn pointers(octets: &[u8], mut at: usize) -> usize {
    let mut count = 0;
    while octets[at] != 0 {
        if octets[at] >= 0xc0 {
            at = usize::from(u16::from_be_bytes([octets[at], octets[at + 1]]) & 0x3fff);
            count += 1;
        } else {
            at += 1 + usize::from(octets[at]);
        }
    }
    count
}

#[test]
fn a_chain_is_flattened() {
    let asked = question("www.example", Kind::A);
    let packet = Packet::to(&asked)
        .flags(0x81a0)
        .answer("www.example", Kind::CNAME, 20, &wire("cdn.test"))
        .answer(
            "www.example",
            Kind::RRSIG,
            20,
            &rrsig_rdata(Kind::CNAME, "example"),
        )
        .answer("cdn.test", Kind::A, 50, V4)
        .answer("CDN.test", Kind::A, 10, &[192, 0, 2, 2])
        .answer("cdn.test", Kind::RRSIG, 50, &rrsig_rdata(Kind::A, "test"))
        .authority("test", Kind::NS, 5, &wire("ns.test"))
        .additional("ns.test", Kind::A, 4, V4);
    let flat = flatten(&packet.learn(&asked)).unwrap();
    let want = [
        "an www.example. 10 A",
        "an www.example. 10 A",
        "ns test. 5 NS",
        "ar ns.test. 4 A",
    ];
    assert_eq!(lines(&flat), want);
    assert!(flat.chain().is_empty() && !flat.is_authentic());
    assert_eq!(flat.meaning(), Meaning::Data);
    let plain = Packet::to(&asked).answer("www.example", Kind::A, 20, V4);
    assert!(flatten(&plain.learn(&asked)).is_none(), "no chain");
    let no_data = Packet::to(&asked).answer("www.example", Kind::CNAME, 20, &wire("cdn.test"));
    assert!(
        flatten(&no_data.learn(&asked)).is_none(),
        "no data at its end"
    );
}
