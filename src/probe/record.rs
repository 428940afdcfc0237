//! The first TLS record of a server, read octet by octet and kept nowhere (RFC 8446 §5.1). No IO.

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing is wrong with it yet.
    More,
    /// It is whole: a ServerHello, or the beginning of one, or an alert.
    Whole,
    /// This is no TLS, or no record that a server may begin with.
    Other,
}

/// A record on its way in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Record {
    /// Octets heard.
    heard: u32,
    /// What kind of record it is.
    content: u8,
    /// Octets after the header.
    length: u32,
}

impl Record {
    /// Hears more of it. Once it is not `More` there is nothing to hear.
    pub(super) fn hear(&mut self, octets: &[u8]) -> Progress {
        for octet in octets {
            let progress = self.hear_one(*octet);
            if progress != Progress::More {
                return progress;
            }
        }
        Progress::More
    }

    fn hear_one(&mut self, octet: u8) -> Progress {
        let place = self.heard;
        self.heard += 1;
        let good = match place {
            0 => {
                self.content = octet;
                matches!(octet, HANDSHAKE | ALERT)
            }
            // SSL 3.0 and all of TLS.
            1 => octet == 3,
            2 => octet <= 4,
            3 => {
                self.length = u32::from(octet) << 8;
                true
            }
            4 => {
                self.length |= u32::from(octet);
                self.is_possible_length()
            }
            5 if self.content == HANDSHAKE => octet == SERVER_HELLO,
            5 => matches!(octet, WARNING | FATAL),
            _ => true,
        };
        match good {
            false => Progress::Other,
            true if place >= HEADER && self.heard == HEADER + self.length => Progress::Whole,
            true => Progress::More,
        }
    }

    fn is_possible_length(self) -> bool {
        match self.content {
            ALERT => self.length == 2,
            _ => (1..=1 << 14).contains(&self.length),
        }
    }
}

const HEADER: u32 = 5;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const SERVER_HELLO: u8 = 2;
const WARNING: u8 = 1;
const FATAL: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// A record of this kind and claimed length, with a body of `body` octets that begins with `first`.
    fn record(content: u8, length: u16, first: u8, body: usize) -> Vec<u8> {
        let mut octets = vec![content, 3, 3];
        octets.extend(length.to_be_bytes());
        octets.resize(5 + body, 0);
        if let Some(octet) = octets.get_mut(5) {
            *octet = first;
        }
        octets
    }

    #[test]
    fn a_record_is_known_by_its_header_and_its_end() {
        use Progress::{More, Other, Whole};
        #[rustfmt::skip]
        let cases = [
            ("nothing",                        vec![],                        More),
            ("an alert",                       record(21, 2, 2, 2),           Whole),
            ("a warning",                      record(21, 2, 1, 2),           Whole),
            ("an alert of no level",           record(21, 2, 3, 2),           Other),
            ("an alert that is too long",      record(21, 3, 2, 3),           Other),
            ("half an alert",                  record(21, 2, 2, 1),           More),
            ("a ServerHello",                  record(22, 90, 2, 90),         Whole),
            ("more after it",                  record(22, 90, 2, 900),        Whole),
            ("the beginning of one",           record(22, 1, 2, 1),           Whole),
            ("all but its last octet",         record(22, 90, 2, 89),         More),
            ("the largest",                    record(22, 16384, 2, 16384),   Whole),
            ("larger than TLS has",            record(22, 16385, 2, 0),       Other),
            ("a length of 65535",              record(22, 65535, 2, 0),       Other),
            ("an empty one",                   record(22, 0, 2, 0),           Other),
            ("a ClientHello sent back",        record(22, 90, 1, 90),         Other),
            ("encrypted before any handshake", record(23, 90, 2, 90),         Other),
            ("HTTP",                           b"HTTP/1.1 400 Bad".to_vec(),  Other),
            ("SSH",                            b"SSH-2.0-OpenSSH".to_vec(),   Other),
            ("another version of the record",  vec![22, 4],                   Other),
        ];
        for (why, octets, progress) in cases {
            assert_eq!(Record::default().hear(&octets), progress, "{why}");
        }
    }

    /// Any octets, and often some that look like a record.
    fn flight() -> impl Strategy<Value = Vec<u8>> {
        let like = (20_u8..25, 0_u8..6, any::<u16>(), 0_u8..4, 0_usize..300);
        let like = like.prop_map(|(content, minor, length, first, body)| {
            let mut octets = record(content, length % 300, first, body);
            octets[2] = minor;
            octets
        });
        prop_oneof![vec(any::<u8>(), 0..600), like]
    }

    proptest! {
        #[test]
        fn where_a_flight_is_cut_makes_no_difference(flight in flight(), size in 1_usize..40) {
            let whole = Record::default().hear(&flight);
            let mut record = Record::default();
            let mut parts = flight.chunks(size).map(|part| record.hear(part));
            let ended = parts.find(|progress| *progress != Progress::More);
            prop_assert_eq!(ended.unwrap_or(Progress::More), whole);
            prop_assert!(record.heard as usize <= flight.len());
        }
    }
}
