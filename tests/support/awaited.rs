//! Records that a scenario awaits in a reply, with room for what it cannot know.

use super::Fallible;
use super::records::{Record, expand};
use std::fmt;

/// A record that a scenario awaits; `*` is any owner, any TTL.
#[derive(Debug)]
pub(crate) struct Awaited {
    text: String,
    record: Record,
    any_owner: bool,
    any_ttl: bool,
    soa: Option<MadeUp>,
}

/// An SOA of our own: only its MINIMUM is awaited, and for `filter` that its names say so.
#[derive(Debug)]
struct MadeUp {
    says_filter: bool,
    minimum: Option<u32>,
}

impl Awaited {
    /// A record line, or one with `*`, `SOA made-up 60` or `SOA filter 60`.
    pub(crate) fn parse_all(line: &str) -> Fallible<Vec<Self>> {
        expand(line)?.into_iter().map(Self::parse).collect()
    }

    fn parse(text: String) -> Fallible<Self> {
        let mut words: Vec<&str> = text.split(' ').collect();
        let (mut any_owner, mut any_ttl, mut soa) = (false, false, None);
        if let [owner, ttl, ..] = words.as_mut_slice() {
            any_owner = std::mem::replace(owner, if *owner == "*" { "." } else { owner }) == "*";
            any_ttl = std::mem::replace(ttl, if *ttl == "*" { "0" } else { ttl }) == "*";
        }
        if let [_, _, "IN", "SOA", who @ ("made-up" | "filter"), minimum] = words.as_slice() {
            soa = Some(MadeUp {
                says_filter: *who == "filter",
                minimum: minimum.parse().ok(),
            });
            words.splice(4.., ["\\#", "0"]);
        }
        let record = Record::parse(&words.join(" "))?;
        Ok(Self {
            text,
            record,
            any_owner,
            any_ttl,
            soa,
        })
    }

    pub(crate) fn is(&self, given: &Record) -> bool {
        let mut awaited = self.record.clone();
        if self.any_owner {
            awaited.owner.clone_from(&given.owner);
        }
        if self.any_ttl {
            awaited.ttl = given.ttl;
        }
        if self.soa.as_ref().is_some_and(|soa| soa.fits(&given.rdata)) {
            awaited.rdata.clone_from(&given.rdata);
        }
        awaited == *given
    }
}

impl MadeUp {
    fn fits(&self, rdata: &[u8]) -> bool {
        let (names, numbers) = rdata.split_at(rdata.len().saturating_sub(20));
        let minimum = numbers
            .iter()
            .skip(16)
            .fold(0_u32, |sum, &octet| sum << 8 | u32::from(octet));
        let filter = names
            .windows(6)
            .any(|six| six.eq_ignore_ascii_case(b"filter"));
        self.minimum.is_none_or(|awaited| awaited == minimum) && (filter || !self.says_filter)
    }
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
