//! When a reply from the cache and one from a fetch are the same, and the few ways in which they may differ.

use crate::clients::Query;
use crate::packet::{A, AAAA, AD, Heard, OPT, TC, number_at, numbers, option, skip_name};
use crate::sides::Told;
use crate::world::World;
use hickory_proto::op::Message;
use hickory_proto::rr::RData;
use unsix::config::{Pattern, Rule};
use unsix::message::Name;
use unsix::pipeline::Source;

/// How far two replies agree. Each difference is one that the contract asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Same {
    /// Every octet, and the tally.
    Entirely,
    /// One of them remembers a failure: that is told by its code and EDE 13 alone (RFC 9520, RFC 8914 §4.14).
    RememberedFailure,
    /// A rule in report mode counts a host without IPv4 for as long as its A is not known: nobody asks for it.
    ReportedOtherwise,
    /// A NODATA of ours lives no longer than the A beside it, where that is known though no rule asks for it.
    BoundOtherwise,
    /// A known A, or its chain, decides at once; a miss that has no reason to ask for the A goes by the AAAA.
    ByIpv4Alone,
    /// The A fails, but lately it was good for who asked with other flags (answers.md 3).
    LatelyGood,
}

/// What the two replies are to.
pub(crate) struct Case<'a> {
    pub(crate) query: &'a Query,
    pub(crate) world: &'a World,
    pub(crate) rules: &'a [Rule],
}

impl Case<'_> {
    /// Compares what the cache said with what a fetch said.
    pub(crate) fn compare(&self, fast: &Told, slow: &Told) -> Result<Same, String> {
        let (mut one, other) = (fast.tally, slow.tally);
        // That is the one thing that should differ.
        if (one.source, other.source) == (Source::Cache, Source::Upstream) {
            one.source = Source::Upstream;
        }
        let same_octets = fast.reply == slow.reply;
        if same_octets && one == other {
            return Ok(Same::Entirely);
        }
        if one == other && is_remembered(fast, slow) {
            return Ok(Same::RememberedFailure);
        }
        if one == other && self.is_bound_otherwise(fast, slow) {
            return Ok(Same::BoundOtherwise);
        }
        if self.is_by_ipv4_alone(fast, slow) {
            return Ok(Same::ByIpv4Alone);
        }
        if fast.tally.source == Source::Filtered && self.world.was_good_lately(self.query) {
            return Ok(Same::LatelyGood);
        }
        one.reported = other.reported;
        match (same_octets, one == other) {
            (true, true) if !self.world.has_ipv4(self.query) => Ok(Same::ReportedOtherwise),
            (_, false) => Err(format!("counted as {:?}, not {:?}", fast.tally, slow.tally)),
            (true, true) => Err("reported otherwise".to_owned()),
            (false, true) => Err("other octets".to_owned()),
        }
    }

    /// The same NODATA of ours but for TTL and MINIMUM of its SOA, for want of the A on one side.
    fn is_bound_otherwise(&self, fast: &Told, slow: &Told) -> bool {
        let replies = unbound(&fast.reply).zip(unbound(&slow.reply));
        fast.tally.source == Source::Filtered
            && self.asks_no_ipv4(fast)
            && replies.is_some_and(|(one, other)| one == other)
    }

    /// The fast side does not know the AAAA, so the A and its chain decided alone.
    fn is_by_ipv4_alone(&self, fast: &Told, slow: &Told) -> bool {
        let stripped = |told: &Told| told.tally.source == Source::Filtered;
        let unasked = stripped(fast) && !stripped(slow) && self.asks_no_ipv4(fast);
        // That the AAAA fails is passed on before the A is there.
        let denied =
            slow.tally.source == Source::Error && self.world.denies_along_a_chain(self.query);
        Heard::read(&self.query.packet).asked.kind == AAAA
            && !self.world.knows_of(self.query, None)
            && (unasked || denied || self.needs_no_ipv4(slow))
    }

    /// The rule that stripped asks for no A before it knows the AAAA: it needs none, or does not name the host itself.
    fn asks_no_ipv4(&self, told: &Told) -> bool {
        let name = Name::from_wire(&Heard::read(&self.query.packet).asked.name).unwrap();
        let names = |pattern: &Pattern| match pattern {
            Pattern::Exact(host) => name == *host,
            Pattern::Below(host) => name.is_at_or_below(host) && name != *host,
            Pattern::AtOrBelow(host) => name.is_at_or_below(host),
        };
        self.needs_no_ipv4(told)
            || !self
                .rule(told)
                .is_some_and(|rule| rule.hosts.iter().any(names))
    }

    fn needs_no_ipv4(&self, told: &Told) -> bool {
        self.rule(told).is_some_and(|rule| !rule.require_ipv4)
    }

    fn rule(&self, told: &Told) -> Option<&Rule> {
        self.rules.get(usize::from(told.tally.rule?))
    }

    /// The cache may have said this: what it said is known there, and its time is not over.
    pub(crate) fn is_known(&self, told: &Told) -> bool {
        let asks = |kind| Heard::read(&self.query.packet).asked.kind == kind;
        match told.tally.source {
            // NXDOMAIN of the A is one of the AAAA too.
            Source::Cache => {
                let denied = told.tally.rcode.0 == 3 && asks(AAAA);
                self.world.knows_of(self.query, None)
                    || denied && self.world.knows_of(self.query, Some(A))
            }
            _ => true,
        }
    }
}

/// The reply as hickory-proto reads it, its SOA's TTL and MINIMUM struck out.
fn unbound(reply: &[u8]) -> Option<Message> {
    let mut message = Message::from_vec(reply).ok()?;
    for record in &mut message.authorities {
        if let RData::SOA(soa) = &mut record.data {
            (record.ttl, soa.minimum) = (0, 0);
        }
    }
    Some(message)
}

fn is_remembered(fast: &Told, slow: &Told) -> bool {
    fast.tally.source == Source::Error
        && (fast.reply == remembered(&slow.reply) || slow.reply == remembered(&fast.reply))
}

/// A failure as it is told while it is remembered: no records, no errors of upstream's, EDE 13.
fn remembered(reply: &[u8]) -> Vec<u8> {
    let mut start = skip_name(reply, 12) + 4;
    let mut told = reply[..start].to_vec();
    let flags = number_at(reply, 2) & !(TC | AD);
    told[2..4].copy_from_slice(&flags.to_be_bytes());
    told[6..12].fill(0);
    while start < reply.len() {
        let fixed = skip_name(reply, start);
        let end = fixed + 10 + usize::from(number_at(reply, fixed + 8));
        if number_at(reply, fixed) == OPT {
            let mut options = option(15, &numbers(&[13]));
            // A stream's keepalive stands behind the errors.
            if end >= fixed + 16 && reply[end - 6..end - 2] == [0, 11, 0, 2] {
                options.extend(&reply[end - 6..end]);
            }
            told[11] = 1;
            told.extend(&reply[start..fixed + 8]);
            told.extend(numbers(&[u16::try_from(options.len()).unwrap()]));
            told.extend(options);
        }
        start = end;
    }
    told
}
