//! How long an answer is worth keeping.
//!
//! The smallest TTL of any record rules, held between `min_ttl` and `max_ttl`. Answers that say "no" live no
//! longer than their SOA allows (RFC 2308 section 5), nor than three hours. These bound the keeping alone: the
//! TTLs themselves leave as they came, less their age.
//!
//! Failures are not kept here; see [`Failures`](super::Failures).

use crate::message::{Answer, Meaning};
use std::time::Duration;

/// The times of `cache:` in the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Shortest time an answer is kept, unless its TTL is 0.
    pub min_ttl: Duration,
    /// Longest time an answer is kept; rules where the two contradict each other.
    pub max_ttl: Duration,
    /// How long past its life an answer may still be served while upstreams fail (RFC 8767).
    pub serve_stale: Duration,
}

/// How long an answer may be kept; `None` = not at all.
pub fn lifetime(answer: &Answer, times: &Times) -> Option<Duration> {
    let smallest = answer.smallest_ttl();
    let (ttl, longest) = match answer.meaning() {
        Meaning::Data => (smallest, times.max_ttl),
        Meaning::NoData | Meaning::NxDomain => {
            // RFC 2308 §5: a "no" is cached by its SOA; the records of a chain before it may bound it further.
            let by_soa = answer
                .negative_ttl()
                .map(|ttl| smallest.map_or(ttl, |smallest| ttl.min(smallest)));
            (
                by_soa.or_else(|| referral_ttl(answer)),
                times.max_ttl.min(LONGEST_NEGATIVE),
            )
        }
        Meaning::Failure => (None, Duration::ZERO),
    };
    let span = Duration::from_secs(u64::from(ttl?));
    // RFC 1035 §3.2.1: TTL 0 is for the transaction in progress alone. `min_ttl` bounds how long an answer is
    // kept; it does not make one kept that its owner never wants repeated.
    if span.is_zero() {
        return None;
    }
    let span = span.max(times.min_ttl).min(longest);
    (!span.is_zero()).then_some(span)
}

/// RFC 2308 §5: an answer that says "no" is cached for three hours at most.
const LONGEST_NEGATIVE: Duration = Duration::from_secs(3 * 60 * 60);

/// A NODATA without SOA that names the zone's servers (RFC 2308 §2.2, type 3) lives by those.
fn referral_ttl(answer: &Answer) -> Option<u32> {
    let is_referral = answer.meaning() == Meaning::NoData && answer.has_authority_ns();
    if is_referral {
        answer.smallest_ttl()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Judgement, Kind, Name, Question, Transport, judge};

    /// A record of the answer (`true`) or the authority section: type, TTL and RDATA.
    type Piece = (bool, Kind, u32, &'static [u8]);

    /// Why, pieces, `min_ttl`, `max_ttl` and the seconds wanted.
    type Positive = (&'static str, &'static [Piece], u64, u64, Option<u64>);
    /// Why, RCODE, pieces, `min_ttl` and the seconds wanted.
    type Negative = (&'static str, u8, &'static [Piece], u64, Option<u64>);

    const A: Kind = Kind::A;
    const ADDRESS: &[u8] = &[192, 0, 2, 1];
    /// Two root names, five numbers; MINIMUM is 300.
    const SOA: &[u8] = &[
        0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 44,
    ];
    const SOA_OF_DAYS: &[u8] = &[
        0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 9, 0, 0,
    ];
    const SOA_OF_NOTHING: &[u8] = &[
        0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0,
    ];
    const TARGET: &[u8] = b"\x01t\x07example\x00";

    const NO_ERROR: u8 = 0;
    const SERV_FAIL: u8 = 2;
    const NX_DOMAIN: u8 = 3;

    /// What upstream said to `www.example. A`. Every record but SOA and NS is owned by the name itself.
    fn answer(rcode: u8, pieces: &[Piece]) -> std::sync::Arc<Answer> {
        let name = Name::parse("www.example.").unwrap();
        let question = Question {
            name,
            kind: A,
            dnssec_ok: false,
            checking_disabled: false,
        };
        let count = |in_answer| {
            u8::try_from(pieces.iter().filter(|piece| piece.0 == in_answer).count()).unwrap()
        };
        let mut packet = vec![
            0,
            7,
            0x81,
            0x80 | rcode,
            0,
            1,
            0,
            count(true),
            0,
            count(false),
            0,
            0,
        ];
        packet.extend(name.wire());
        packet.extend([0, 1, 0, 1]);
        for (in_answer, kind, ttl, rdata) in pieces {
            packet.extend(if *in_answer { [0xC0, 12] } else { [0xC0, 16] });
            packet.extend([kind.0.to_be_bytes(), [0, 1]].concat());
            packet.extend(ttl.to_be_bytes());
            packet.extend(u16::try_from(rdata.len()).unwrap().to_be_bytes());
            packet.extend(*rdata);
        }
        match judge(&packet, 7, &question, Transport::Datagram) {
            Judgement::Answer(answer) => answer,
            _ => panic!("no answer: {packet:?}"),
        }
    }

    fn seconds(answer: &Answer, min_ttl: u64, max_ttl: u64) -> Option<u64> {
        let times = Times {
            min_ttl: Duration::from_secs(min_ttl),
            max_ttl: Duration::from_secs(max_ttl),
            serve_stale: Duration::ZERO,
        };
        lifetime(answer, &times).map(|span| span.as_secs())
    }

    const DAY: u64 = 86_400;

    #[test]
    #[rustfmt::skip]
    fn lives_as_long_as_its_smallest_ttl() {
        let cases: [Positive; 9] = [
            ("one record",          &[(true, A, 60, ADDRESS)],                                    0,   DAY, Some(60)),
            ("the smaller of two",  &[(true, A, 60, ADDRESS), (true, A, 50, ADDRESS)],            0,   DAY, Some(50)),
            ("authority counts",    &[(true, A, 60, ADDRESS), (false, Kind::NS, 40, TARGET)],     0,   DAY, Some(40)),
            ("not under the least", &[(true, A, 60, ADDRESS)],                                    90,  DAY, Some(90)),
            ("not over the most",   &[(true, A, 90_000, ADDRESS)],                                0,   DAY, Some(DAY)),
            ("a set top bit",       &[(true, A, 0x8000_0001, ADDRESS)],                           0,   DAY, Some(DAY)),
            ("TTL 0",               &[(true, A, 0, ADDRESS)],                                     90,  DAY, None),
            ("most is nothing",     &[(true, A, 60, ADDRESS)],                                    0,   0,   None),
            ("most under least",    &[(true, A, 60, ADDRESS)],                                    100, 10,  Some(10)),
        ];
        for (why, pieces, min_ttl, max_ttl, want) in cases {
            assert_eq!(seconds(&answer(NO_ERROR, pieces), min_ttl, max_ttl), want, "{why}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn a_no_lives_as_long_as_its_soa_allows() {
        let cases: [Negative; 13] = [
            ("MINIMUM",                NO_ERROR,  &[(false, Kind::SOA, 3_600, SOA)],                                  0,  Some(300)),
            ("the SOA's own TTL",      NO_ERROR,  &[(false, Kind::SOA, 200, SOA)],                                    0,  Some(200)),
            ("NXDOMAIN the same",      NX_DOMAIN, &[(false, Kind::SOA, 3_600, SOA)],                                  0,  Some(300)),
            ("three hours at most",    NX_DOMAIN, &[(false, Kind::SOA, 500_000, SOA_OF_DAYS)],                        0,  Some(10_800)),
            ("whatever the least is",  NX_DOMAIN, &[(false, Kind::SOA, 500_000, SOA_OF_DAYS)],                        DAY, Some(10_800)),
            ("not under the least",    NX_DOMAIN, &[(false, Kind::SOA, 3_600, SOA)],                                  400, Some(400)),
            ("MINIMUM 0",              NO_ERROR,  &[(false, Kind::SOA, 3_600, SOA_OF_NOTHING)],                       90, None),
            ("a chain bounds it",      NO_ERROR,  &[(true, Kind::CNAME, 20, TARGET), (false, Kind::SOA, 3_600, SOA)], 0,  Some(20)),
            ("NODATA with nothing",    NO_ERROR,  &[],                                                                0,  None),
            ("NODATA by its NS",       NO_ERROR,  &[(false, Kind::NS, 70, TARGET)],                                   0,  Some(70)),
            ("NS of days",             NO_ERROR,  &[(false, Kind::NS, 500_000, TARGET)],                              0,  Some(10_800)),
            ("NXDOMAIN without SOA",   NX_DOMAIN, &[(false, Kind::NS, 70, TARGET)],                                   0,  None),
            ("a failure",              SERV_FAIL, &[(false, Kind::SOA, 3_600, SOA)],                                  90, None),
        ];
        for (why, rcode, pieces, min_ttl, want) in cases {
            assert_eq!(seconds(&answer(rcode, pieces), min_ttl, DAY), want, "{why}");
        }
    }
}
