//! Questions of our own: is a silent upstream back, and does what we send come back to us?
//!
//! The loop probe asks each upstream HINFO for a name of 128 random bits, under the root and under
//! each rule's zone (answers.md 10). If that very question comes in at one of our listeners, the
//! upstream leads back here: it is not asked any more, and the log says so. The process never ends for
//! it, and nobody can forge the sign without having seen it.

use super::health::Upstream;
use crate::config::Pattern;
use crate::message::{Ask, Kind, Name};
use crate::policy::Policy;
use crate::time::Moment;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Loop probes that are under way.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    out: Mutex<Vec<Token>>,
}

#[derive(Debug)]
struct Token {
    label: [u8; LABEL],
    upstream: Arc<Upstream>,
    until: Moment,
}

impl Tokens {
    /// A new probe for an upstream: names to ask for, below each of `zones`.
    pub(super) fn issue(
        &self,
        upstream: &Arc<Upstream>,
        zones: &[Name],
        random: u128,
        now: Moment,
    ) -> Vec<Name> {
        let mut label = [b'0'; LABEL];
        for (at, digit) in label.iter_mut().zip(format!("{random:032x}").bytes()) {
            *at = digit;
        }
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.retain(|token| token.until > now);
        out.push(Token {
            label,
            upstream: Arc::clone(upstream),
            until: now + VALID,
        });
        let below = |zone: &Name| {
            let length = u8::try_from(LABEL).unwrap_or_default();
            let wire: Vec<u8> = [&[length], &label[..], zone.wire()].concat();
            Name::from_wire(&wire)
        };
        zones.iter().filter_map(below).collect()
    }

    /// Whether a probe of this upstream may still come back.
    pub(super) fn is_out(&self, upstream: &Arc<Upstream>, now: Moment) -> bool {
        let out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.iter()
            .any(|token| token.until > now && Arc::ptr_eq(&token.upstream, upstream))
    }

    /// The upstream whose probe this question is.
    pub(super) fn find(&self, name: &Name, now: Moment) -> Option<Arc<Upstream>> {
        let out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = |token: &&Token| {
            token.until > now && name.wire().get(1..=LABEL) == Some(&token.label[..])
        };
        out.iter()
            .find(mine)
            .map(|token| Arc::clone(&token.upstream))
    }
}

/// The root, and the zones of the rules' hosts, a bounded number of them.
pub(super) fn zones_to_probe(policy: &Policy) -> Vec<Name> {
    let mut zones = vec![Name::ROOT];
    for rule in policy.rules() {
        // One name of each rule tells as much as all: they are forwarded alike.
        if let Some(Pattern::Exact(name) | Pattern::Below(name) | Pattern::AtOrBelow(name)) =
            rule.hosts.first()
            && !zones.contains(name)
            && zones.len() < MOST_ZONES
        {
            zones.push(*name);
        }
    }
    zones
}

/// Asks whether a silent upstream is back: any valid answer will do.
pub(super) fn sign_of_life() -> Ask {
    Ask::plain(Name::ROOT, Kind::NS)
}

/// Asks for a loop probe's name.
pub(super) fn loop_question(name: Name) -> Ask {
    Ask::plain(name, Kind::HINFO)
}

/// Hexadecimal digits of 128 bits.
const LABEL: usize = 32;
/// A probe that has not come back by then is no loop.
const VALID: Duration = Duration::from_secs(5);
/// Zones of one probe.
const MOST_ZONES: usize = 8;
