//! The last step of every reply: records, TTLs and an extended error become bytes.
//!
//! Here too is told that a host was asked for which probes watch: nothing else sees every reply.

use super::replies::{Audience, Given, STALE_TTL, age};
use super::{Pipeline, Source, Tally};
use crate::message::{self, Answer, Body, Kind, Meaning, OwnEde, Rcode, Room, Transport, Ttl};
use std::borrow::Cow;
use std::time::Duration;

impl Pipeline {
    /// A NODATA of ours: answer, age of its chain, seconds that its SOA lives at most.
    pub(super) fn write_nodata(
        &self,
        to: Audience<'_>,
        place: usize,
        (answer, age, bound): (&Answer, u32, u32),
        out: &mut Vec<u8>,
    ) -> Tally {
        let ttl = Ttl::negative(age, bound);
        let ttl = self.managed(to, (ttl, Some(place)), answer);
        let text = filtered_by(to, place);
        let own = OwnEde {
            code: FILTERED,
            text: &text,
        };
        message::write_reply(
            to.query,
            &Body::Answer { answer, ttl },
            Some(own),
            room(to),
            out,
        );
        Tally {
            source: Source::Filtered,
            rcode: Rcode::NO_ERROR,
            rule: u8::try_from(place).ok(),
            reported: None,
        }
    }

    /// A reply of upstream's records, or of what the rules left of them.
    pub(super) fn write_answer(
        &self,
        to: Audience<'_>,
        given: Given<'_>,
        answer: &Answer,
        out: &mut Vec<u8>,
    ) -> Tally {
        let ttl = if given.stale {
            Ttl::fixed(STALE_TTL)
        } else {
            Ttl::aged(age(given.learned, to.now))
        };
        let ttl = self.managed(to, (ttl, given.removed), answer);
        let text = given.removed.map(|place| filtered_by(to, place));
        let (code, text) = match &text {
            Some(text) => (Some(FILTERED), &**text),
            // RFC 8914 §4.4, §4.20: stale, and stale NXDOMAIN.
            None if given.stale && answer.meaning() == Meaning::NxDomain => (Some(19), ""),
            None if given.stale => (Some(3), ""),
            None => (None, ""),
        };
        let own = code.map(|code| OwnEde { code, text });
        message::write_reply(to.query, &Body::Answer { answer, ttl }, own, room(to), out);
        Tally {
            source: given.source,
            rcode: answer.rcode(),
            rule: given.removed.and_then(|place| u8::try_from(place).ok()),
            reported: given.reported.and_then(|place| u8::try_from(place).ok()),
        }
    }

    /// Bounds what clients may keep of a host that probes watch, so that a verdict reaches them soon, and notes that
    /// it was asked for.
    #[inline]
    fn managed(
        &self,
        to: Audience<'_>,
        (ttl, removed): (Ttl, Option<usize>),
        answer: &Answer,
    ) -> Ttl {
        match to.settings.policy.managed().is_empty() {
            true => ttl,
            false => self.bounded(to, (ttl, removed), answer),
        }
    }

    /// The same, where some rule goes by probes.
    #[cold]
    fn bounded(
        &self,
        to: Audience<'_>,
        (ttl, removed): (Ttl, Option<usize>),
        answer: &Answer,
    ) -> Ttl {
        let policy = &to.settings.policy;
        let rules = self.rules_along(to, answer.chain()) & policy.managed();
        let mut places = rules.places();
        let meant = |place: &usize| removed == Some(*place) || policy.watches(*place, answer);
        let Some(place) = places.find(meant) else {
            return ttl;
        };
        let most = to.settings.managed_ttl;
        let has_ipv6 = removed.is_some() || answer.ipv6_addresses().next().is_some();
        if to.query.question.kind == Kind::AAAA && has_ipv6 {
            let told = answer.smallest_ttl().unwrap_or(0).min(most);
            let span = Duration::from_secs(told.into());
            self.sightings.note(to, (place, span));
        }
        ttl.at_most(most)
    }
}

/// Which rule kept something from the client, and what it knows of the host.
fn filtered_by(to: Audience<'_>, place: usize) -> Cow<'_, str> {
    let policy = &to.settings.policy;
    let name = policy.rule(place).map_or("", |rule| &rule.name);
    match policy.why(place, &to.query.question.name) {
        Some(why) => Cow::Owned(format!("{name}: {why}")),
        None => Cow::Borrowed(name),
    }
}

/// A reply without records.
pub(super) fn write_code(to: Audience<'_>, rcode: Rcode, ede: u16, out: &mut Vec<u8>) -> Tally {
    let own = OwnEde {
        code: ede,
        text: "",
    };
    message::write_reply(to.query, &Body::Code(rcode), Some(own), room(to), out);
    Tally {
        source: Source::Error,
        rcode,
        rule: None,
        reported: None,
    }
}

/// An answer made here for a special name.
pub(super) fn write_special(to: Audience<'_>, answer: &Answer, out: &mut Vec<u8>) -> Tally {
    let body = Body::Answer {
        answer,
        ttl: Ttl::aged(0),
    };
    message::write_reply(to.query, &body, None, room(to), out);
    Tally {
        source: Source::Special,
        rcode: answer.rcode(),
        rule: None,
        reported: None,
    }
}

pub(super) fn room(to: Audience<'_>) -> Room {
    match to.client.transport {
        Transport::Datagram => Room::Datagram {
            max_udp: to.settings.max_udp,
        },
        Transport::Stream => Room::Stream {
            idle: IDLE,
            is_encrypted: to.client.is_encrypted,
        },
    }
}

/// The idle time of streams told to clients that ask for it, in units of 100 ms (RFC 7828).
const IDLE: u16 = 100;
/// RFC 8914 §4.18; never 15 (Blocked): nobody is blocked from a host that has IPv4.
const FILTERED: u16 = 17;
