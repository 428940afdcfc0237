//! Record types and response codes: their numbers and their names.

use std::fmt;
use std::str::FromStr;

use hickory_proto::rr::RecordType;

/// A record type (RFC 1035 §3.2.2 and IANA's list).
///
/// As text `AAAA`, or `TYPE65300` (RFC 3597 §5) where it has no name; read in any letter case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind(pub u16);

#[rustfmt::skip]
#[expect(missing_docs, reason = "each is the type that it is called after")]
impl Kind {
    pub const A: Self = Self(1);
    pub const NS: Self = Self(2);
    pub const CNAME: Self = Self(5);
    pub const SOA: Self = Self(6);
    pub const PTR: Self = Self(12);
    pub const HINFO: Self = Self(13);
    pub const MX: Self = Self(15);
    pub const TXT: Self = Self(16);
    pub const AAAA: Self = Self(28);
    pub const SRV: Self = Self(33);
    pub const DNAME: Self = Self(39);
    pub const OPT: Self = Self(41);
    pub const DS: Self = Self(43);
    pub const RRSIG: Self = Self(46);
    pub const NSEC: Self = Self(47);
    pub const NSEC3: Self = Self(50);
    pub const SVCB: Self = Self(64);
    pub const HTTPS: Self = Self(65);
    pub const TKEY: Self = Self(249);
    pub const TSIG: Self = Self(250);
    pub const IXFR: Self = Self(251);
    pub const AXFR: Self = Self(252);
    pub const MAILB: Self = Self(253);
    pub const MAILA: Self = Self(254);
    pub const ANY: Self = Self(255);
}

impl Kind {
    /// A type that a client may not ask us for: about a message or a whole zone, or obsolete.
    pub(super) fn is_meta(self) -> bool {
        matches!(
            self,
            Self::OPT
                | Self::TKEY
                | Self::TSIG
                | Self::IXFR
                | Self::AXFR
                | Self::MAILB
                | Self::MAILA
        )
    }
}

/// Types that hickory-proto shows or reads wrongly, or not at all.
const NAMED_HERE: [(Kind, &str); 5] = [
    (Kind::OPT, "OPT"),
    (Kind::TKEY, "TKEY"),
    (Kind::IXFR, "IXFR"),
    (Kind::MAILB, "MAILB"),
    (Kind::MAILA, "MAILA"),
];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((_, name)) = NAMED_HERE.iter().find(|(kind, _)| kind == self) {
            return f.pad(name);
        }
        match RecordType::from(self.0) {
            // ANAME never got a number of its own, and 0 is no type.
            RecordType::Unknown(_) | RecordType::ANAME | RecordType::ZERO => {
                f.pad(&format!("TYPE{}", self.0))
            }
            known => f.pad(known.into()),
        }
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let text = text.to_ascii_uppercase();
        if let Some(digits) = text.strip_prefix("TYPE") {
            // A sign is no digit, though the number parser takes it.
            let plain = digits.bytes().all(|octet| octet.is_ascii_digit());
            let number = digits.parse().ok().filter(|_| plain);
            return number.map(Self).ok_or(UnknownKind);
        }
        if let Some((kind, _)) = NAMED_HERE.iter().find(|(_, name)| *name == text) {
            return Ok(*kind);
        }
        match RecordType::from_str(&text) {
            Ok(RecordType::ANAME) | Err(_) => Err(UnknownKind),
            Ok(known) => Ok(Self(known.into())),
        }
    }
}

/// A text that names no record type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownKind;

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such record type: write a name like `AAAA`, or `TYPE` and its number")
    }
}

impl std::error::Error for UnknownKind {}

/// A response code, which OPT extends to twelve bits (RFC 6891 §6.1.3).
///
/// As text `NOERROR`, or `RCODE99` where it has no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rcode(pub u16);

#[rustfmt::skip]
#[expect(missing_docs, reason = "each is the code that it is called after")]
impl Rcode {
    pub const NO_ERROR: Self = Self(0);
    pub const FORM_ERR: Self = Self(1);
    pub const SERV_FAIL: Self = Self(2);
    pub const NX_DOMAIN: Self = Self(3);
    pub const NOT_IMP: Self = Self(4);
    pub const REFUSED: Self = Self(5);
    pub const YX_DOMAIN: Self = Self(6);
    pub const BAD_VERS: Self = Self(16);
}

impl Rcode {
    /// Its name, or `OTHER`: a metric's label, which a stranger must not be able to multiply.
    pub fn label(self) -> &'static str {
        match self.0 {
            0 => "NOERROR",
            1 => "FORMERR",
            2 => "SERVFAIL",
            3 => "NXDOMAIN",
            4 => "NOTIMP",
            5 => "REFUSED",
            6 => "YXDOMAIN",
            7 => "YXRRSET",
            8 => "NXRRSET",
            9 => "NOTAUTH",
            10 => "NOTZONE",
            16 => "BADVERS",
            23 => "BADCOOKIE",
            _ => OTHER,
        }
    }
}

const OTHER: &str = "OTHER";

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.label() {
            OTHER => f.pad(&format!("RCODE{}", self.0)),
            name => f.pad(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_as_it_is_shown() {
        for number in 0..=u16::MAX {
            let shown = Kind(number).to_string();
            assert_eq!(shown.parse(), Ok(Kind(number)), "{shown}");
            assert_eq!(shown.to_lowercase().parse(), Ok(Kind(number)), "{shown}");
        }
    }

    #[test]
    fn types_are_shown_by_name() {
        #[rustfmt::skip]
        let cases = [
            (Kind::A, "A"), (Kind::AAAA, "AAAA"), (Kind::HTTPS, "HTTPS"), (Kind::ANY, "ANY"), (Kind::OPT, "OPT"),
            (Kind::IXFR, "IXFR"), (Kind(65300), "TYPE65300"), (Kind(0), "TYPE0"), (Kind(65305), "TYPE65305"),
        ];
        for (kind, text) in cases {
            assert_eq!(kind.to_string(), text);
        }
        assert_eq!("TYPE28".parse(), Ok(Kind::AAAA));
    }

    #[test]
    fn a_text_that_is_no_type() {
        for text in ["", "TYPE", "TYPE+1", "TYPE65536", "ANAME", "AAAAA", "28"] {
            assert_eq!(text.parse::<Kind>(), Err(UnknownKind), "{text}");
        }
    }

    #[test]
    fn response_codes_have_few_labels() {
        let labels: std::collections::HashSet<_> =
            (0..0x1000).map(|code| Rcode(code).label()).collect();
        assert_eq!(labels.len(), 14);
        assert_eq!(Rcode::NX_DOMAIN.to_string(), "NXDOMAIN");
        assert_eq!(Rcode(99).to_string(), "RCODE99");
    }
}
