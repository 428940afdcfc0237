//! Names as text and as bytes.

use super::*;

#[test]
fn text_and_wire_are_one_name() {
    #[rustfmt::skip]
    let cases: &[(&str, &str, &[u8], &str)] = &[
        ("plain",                   "a.bc",        b"\x01a\x02bc\0",               "a.bc."),
        ("dot at the end",          "a.bc.",       b"\x01a\x02bc\0",               "a.bc."),
        ("letter case stays",       "Ab",          b"\x02Ab\0",                    "Ab."),
        ("root",                    ".",           b"\0",                          "."),
        ("escapes are decimal",     "\\065\\255",  b"\x02A\xff\0",                 "A\\255."),
        ("a dot within a label",    "a\\.b",       b"\x03a.b\0",                   "a\\.b."),
        ("a blank by its number",   "a\\032b",     b"\x03a b\0",                   "a\\032b."),
        ("zone file signs",         "\\@$",        b"\x02@$\0",                    "\\@\\$."),
        ("service label, wildcard", "_dns.*",      b"\x04_dns\x01*\0",             "_dns.*."),
        ("U-label",                 "b\u{fc}cher.example", b"\x0dxn--bcher-kva\x07example\0", "xn--bcher-kva.example."),
    ];
    for (why, text, wire, shown) in cases {
        let name = Name::parse(text).unwrap();
        assert_eq!(name.wire(), *wire, "{why}");
        assert_eq!(name.to_string(), *shown, "{why}");
        assert_eq!(Name::from_wire(wire), Some(name), "{why}");
        assert_eq!(Name::parse(shown), Ok(name), "{why}: shown and read again");
    }
}

#[test]
fn text_that_is_no_name() {
    let label = "a".repeat(64);
    let long = "abc.".repeat(64);
    #[rustfmt::skip]
    let cases = [
        ("nothing",                       "",           NameError::Empty),
        ("dot at the start",              ".a",         NameError::EmptyLabel),
        ("two dots",                      "a..b",       NameError::EmptyLabel),
        ("64 octets in a label",          &*label,      NameError::LabelTooLong),
        ("257 octets",                    &*long,       NameError::TooLong),
        ("a blank",                       "a b",        NameError::BadCharacter),
        ("number over 255",               "\\256",      NameError::BadCharacter),
        ("number cut short",              "\\25",       NameError::BadCharacter),
        ("backslash at the end",          "a\\",        NameError::BadCharacter),
        ("no label of IDNA",              "\u{fc}\\.b", NameError::BadCharacter),
        ("letters beyond ASCII, escaped", "\\\u{fc}",   NameError::BadCharacter),
    ];
    for (why, text, error) in cases {
        assert_eq!(Name::parse(text), Err(error), "{why}");
    }
}

#[test]
fn the_longest_name_fits() {
    let text = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
    assert_eq!(Name::parse(&text).unwrap().wire().len(), 255);
    assert_eq!(Name::parse(&(text + "b")), Err(NameError::TooLong));
    let most = "a.".repeat(127);
    assert_eq!(Name::parse(&most).unwrap().suffixes().count(), 128);
}

type Read = Option<(&'static str, usize)>;

#[test]
fn pointers_lead_backward_only() {
    #[rustfmt::skip]
    let cases: &[(&str, &[u8], usize, Read)] = &[
        ("label and pointer",        b"\x01a\0\x01b\xc0\0",       3, Some(("b.a.", 7))),
        ("pointer to a pointer",     b"\x01a\0\xc0\0\xc0\x03",    5, Some(("a.", 7))),
        ("to itself",                b"\xc0\0",                   0, None),
        ("to its own run",           b"\x01a\xc0\0",              0, None),
        ("forward",                  b"\xc0\x02\0",               0, None),
        ("there and back",           b"\xc0\x02\xc0\0",           2, None),
        ("pointer cut short",        b"\0\xc0",                   1, None),
        ("label cut short",          b"\x02a",                    0, None),
        ("no root",                  b"\x01a",                    0, None),
        ("label type 01",            b"\x41a\0",                  0, None),
        ("label type 10",            b"\x81a\0",                  0, None),
        ("beyond the message",       b"\0",                       1, None),
    ];
    for (why, message, at, want) in cases {
        let read = Name::read(message, *at).map(|(name, after)| (name.to_string(), after));
        let want = want.map(|(name, after)| (name.to_owned(), after));
        assert_eq!(read, want, "{why}");
    }
}

#[test]
fn a_long_chain_of_pointers_is_refused() {
    let mut message = vec![0];
    for target in std::iter::once(0).chain((1..400).step_by(2)) {
        message.extend((0xc000_u16 | target).to_be_bytes());
    }
    assert!(Name::read(&message, 2 * 100 + 1).is_some());
    assert!(Name::read(&message, message.len() - 2).is_none());
}

#[test]
fn wire_form_ends_with_the_name() {
    assert_eq!(Name::from_wire(b"\x01a\0\0"), None);
    assert_eq!(Name::from_wire(b""), None);
    assert_eq!(Name::from_wire(&[b'\x01'; 300]), None);
}

#[test]
fn letter_case_does_not_count() {
    let (upper, lower) = (
        Name::parse("WWW.Example").unwrap(),
        Name::parse("www.example").unwrap(),
    );
    assert_eq!(upper, lower);
    assert_eq!(upper.lower().wire(), lower.wire());
    let set = std::collections::HashSet::from([upper]);
    assert!(set.contains(&lower));
    assert_ne!(upper, Name::parse("www.example.org").unwrap());
}

#[test]
fn suffixes_go_down_to_the_root() {
    let name = Name::parse("a.bc").unwrap();
    let suffixes: Vec<_> = name.suffixes().collect();
    assert_eq!(suffixes, [&b"\x01a\x02bc\0"[..], b"\x02bc\0", b"\0"]);
    assert_eq!(Name::ROOT.suffixes().count(), 1);
    assert_eq!(Name::ROOT.suffixes().count(), 1);
}

#[test]
fn below_means_whole_labels() {
    #[rustfmt::skip]
    let cases = [
        ("itself",           "docker.io",      "Docker.IO", true),
        ("below",            "a.b.docker.io",  "docker.io", true),
        ("above",            "io",             "docker.io", false),
        ("only looks so",    "evildocker.io",  "docker.io", false),
        ("everything",       "a",              ".",         true),
    ];
    for (why, name, other, want) in cases {
        let (name, other) = (Name::parse(name).unwrap(), Name::parse(other).unwrap());
        assert_eq!(name.is_at_or_below(&other), want, "{why}");
    }
}
