//! What others ask of an answer more often than they read its records.

use super::super::kind::{Kind, Rcode};
use super::super::name::Name;
use super::super::wire::IN;
use super::Meaning;
use super::path::Path;
use super::record::{Record, Section, Soa};

/// Found in one walk, kept as small as can be.
#[derive(Clone, Debug, Default)]
pub(in crate::message) struct Facts {
    ttls: Box<[u16]>,
    pub(super) chain: Box<[Name]>,
    pub(super) chain_ttl: Option<u32>,
    pub(super) smallest_ttl: Option<u32>,
    pub(super) negative_ttl: Option<u32>,
    pub(super) meaning: Meaning,
    pub(super) has_authority_ns: bool,
    pub(super) mentions_ipv6: bool,
    pub(super) mentions_ipv6_aside: bool,
}

impl Facts {
    /// Looks at each record of an answer once.
    pub(in crate::message) fn find(records: &[Record<'_>], path: &Path<'_>, rcode: Rcode) -> Self {
        let mut facts = Self {
            chain: path.chain().into(),
            chain_ttl: path.ttl(),
            ..Self::default()
        };
        let ttls = records.iter().map(|record| u16::try_from(record.ttl_at()));
        facts.ttls = ttls.filter_map(Result::ok).collect();
        let mut has_data = false;
        let mut denial: Option<u32> = None;
        for record in records {
            facts.smallest_ttl = least(facts.smallest_ttl, record.ttl);
            if record.mentions_ipv6() {
                let asked = record.kind == Kind::AAAA && path.is_answered_by(record);
                facts.mentions_ipv6 = true;
                facts.mentions_ipv6_aside |= !asked;
            }
            facts.has_authority_ns |= record.section == Section::Authority
                && record.kind == Kind::NS
                && record.class == IN;
            has_data |= path.is_answered_by(record);
            if path.is_denied_by(record)
                && let Some(soa) = Soa::read(record)
            {
                // RFC 2308 §5: the SOA's own TTL bounds its MINIMUM.
                denial = least(denial, record.ttl.min(soa.minimum));
            }
        }
        facts.meaning = match rcode {
            Rcode::NO_ERROR if has_data => Meaning::Data,
            Rcode::NO_ERROR => Meaning::NoData,
            Rcode::NX_DOMAIN => Meaning::NxDomain,
            _ => Meaning::Failure,
        };
        if matches!(facts.meaning, Meaning::NoData | Meaning::NxDomain) {
            facts.negative_ttl = denial;
        }
        facts
    }

    /// Where the TTL of each record lies.
    pub(super) fn ttls(&self) -> &[u16] {
        &self.ttls
    }
}

fn least(so_far: Option<u32>, ttl: u32) -> Option<u32> {
    Some(so_far.map_or(ttl, |smallest| smallest.min(ttl)))
}
