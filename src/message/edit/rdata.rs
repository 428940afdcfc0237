//! Which types have names in their data, and where.
//!
//! Only these may point elsewhere into their message, so only these are taken apart when a record is
//! moved. The data of every other type is moved byte for byte (RFC 3597 §4).

use super::super::kind::Kind;

/// A piece of a record's data.
pub(super) enum Part {
    /// That many octets as they are.
    Octets(usize),
    /// A domain name.
    Name,
    /// A length octet and that many octets.
    Text,
    /// All that is left.
    Rest,
}

/// Whether the names may be written as pointers.
#[derive(Clone, Copy)]
pub(super) enum Pointers {
    Allowed,
    Forbidden,
}

/// The pieces in order; None for a type without names.
pub(super) fn layout(kind: Kind) -> Option<(&'static [Part], Pointers)> {
    use Part::{Name, Octets, Rest, Text};
    use Pointers::{Allowed, Forbidden};

    // RFC 3597 §4: the types of RFC 1035 may be compressed. Others came compressed from old servers and are read
    // that way, but never written so.
    let layout: (&'static [Part], Pointers) = match kind.0 {
        // NS, MD, MF, CNAME, MB, MG, MR, PTR
        2..=5 | 7..=9 | 12 => (&[Name], Allowed),
        // SOA
        6 => (&[Name, Name, Octets(20)], Allowed),
        // MINFO
        14 => (&[Name, Name], Allowed),
        // MX
        15 => (&[Octets(2), Name], Allowed),
        // RP
        17 => (&[Name, Name], Forbidden),
        // AFSDB, RT, KX
        18 | 21 | 36 => (&[Octets(2), Name], Forbidden),
        // SIG, RRSIG
        24 | 46 => (&[Octets(18), Name, Rest], Forbidden),
        // PX
        26 => (&[Octets(2), Name, Name], Forbidden),
        // NXT, NSEC
        30 | 47 => (&[Name, Rest], Forbidden),
        // SRV
        33 => (&[Octets(6), Name], Forbidden),
        // NAPTR
        35 => (&[Octets(4), Text, Text, Text, Name], Forbidden),
        // DNAME
        39 => (&[Name], Forbidden),
        // SVCB, HTTPS
        64 | 65 => (&[Octets(2), Name, Rest], Forbidden),
        _ => return None,
    };
    Some(layout)
}
