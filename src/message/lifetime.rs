//! How long a message may be kept by who knows nothing of DNS: a cache of HTTP (RFC 8484 §5.1).

use super::answer::{Record, Records, Section};
use super::kind::{Kind, Rcode};
use super::wire::u16_at;

/// Seconds that a reply may be kept: the smallest TTL of its answer section; where that is empty, what the SOA of a
/// denial allows (RFC 2308 §5). None: it is a failure, or it does not say.
pub fn lifetime(reply: &[u8]) -> Option<u32> {
    let rcode = Rcode(u16_at(reply, 2)? & 0xf);
    if !matches!(rcode, Rcode::NO_ERROR | Rcode::NX_DOMAIN) {
        return None;
    }
    let mut answered: Option<u32> = None;
    for record in Records::of(reply)? {
        match record.section {
            Section::Answer => {
                answered = Some(answered.map_or(record.ttl, |least| least.min(record.ttl)));
            }
            Section::Authority if answered.is_none() && record.kind == Kind::SOA => {
                return denied(&record);
            }
            _ => break,
        }
    }
    answered
}

/// Its MINIMUM is what it ends with (RFC 1035 §3.3.13).
fn denied(soa: &Record<'_>) -> Option<u32> {
    let minimum = u32::from_be_bytes(*soa.rdata.last_chunk()?);
    Some(soa.ttl.min(minimum))
}

#[cfg(test)]
mod tests {
    use super::lifetime;

    /// A response to `. A`, of that RCODE and with these records: (section, type, TTL, RDATA).
    fn reply(rcode: u8, records: &[(usize, u16, u32, &[u8])]) -> Vec<u8> {
        let mut message = vec![0, 1, 0x81, 0x80 | rcode, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend([0, 0, 1, 0, 1]);
        for (section, kind, ttl, rdata) in records {
            message[6 + 2 * section + 1] += 1;
            message.push(0);
            message.extend(kind.to_be_bytes());
            message.extend([0, 1]);
            message.extend(ttl.to_be_bytes());
            message.extend(u16::try_from(rdata.len()).unwrap().to_be_bytes());
            message.extend(*rdata);
        }
        message
    }

    #[test]
    fn a_reply_lives_as_long_as_rfc_8484_says() {
        const A: u16 = 1;
        const SOA: u16 = 6;
        const OPT: u16 = 41;
        let address: &[u8] = &[192, 0, 2, 1];
        let soa: &[u8] = &[
            0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 60,
        ];
        #[rustfmt::skip]
        let table: &[(&str, Vec<u8>, Option<u32>)] = &[
            ("the smallest", reply(0, &[(0, A, 300, address), (0, A, 200, address)]), Some(200)),
            ("authority and OPT aside", reply(0, &[(0, A, 300, address), (1, SOA, 5, soa), (2, OPT, 0, &[])]), Some(300)),
            ("a denial, by MINIMUM", reply(3, &[(1, SOA, 900, soa)]), Some(60)),
            ("a denial, by its TTL", reply(0, &[(1, SOA, 9, soa)]), Some(9)),
            ("with an alias before", reply(3, &[(0, 5, 30, &[0]), (1, SOA, 9, soa)]), Some(30)),
            ("stale now", reply(0, &[(0, A, 0, address)]), Some(0)),
            ("nothing said", reply(0, &[(2, OPT, 1 << 15, &[])]), None),
            ("a failure", reply(2, &[(0, A, 300, address)]), None),
            ("refused", reply(5, &[]), None),
            ("no SOA at all", reply(0, &[(1, SOA, 9, &[0, 0, 1])]), None),
            ("cut off", reply(0, &[(0, A, 300, address)])[..20].to_vec(), None),
            ("no message", vec![0; 3], None),
        ];
        for (why, reply, seconds) in table {
            assert_eq!(lifetime(reply), *seconds, "{why}");
        }
    }
}
