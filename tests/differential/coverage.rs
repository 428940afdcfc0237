//! What the queries were about: a test that asks the same thing a hundred thousand times proves little.

use crate::clients::{Query, STRANGER};
use crate::compare::Same;
use crate::packet::{A, AAAA, AD, ANY, HTTPS, Heard, RA, SVCB, TC, TXT, number_at};
use crate::sides::Told;
use std::collections::BTreeMap;
use unsix::message::Transport;
use unsix::pipeline::Source;

/// One query and what it was told.
pub(crate) struct Seen<'a> {
    pub(crate) query: &'a Query,
    pub(crate) told: &'a Told,
    /// By the cache, or without any.
    pub(crate) is_hit: bool,
    /// Some time has passed since the first answers.
    pub(crate) is_aged: bool,
}

/// How often what was seen.
#[derive(Default)]
pub(crate) struct Coverage {
    queries: u64,
    seen: BTreeMap<&'static str, u64>,
    allowed: BTreeMap<&'static str, u64>,
}

/// Whether a query is such a one.
type Test = fn(&Seen<'_>) -> bool;

/// What is counted: of 100,000 queries at least so many are such.
#[rustfmt::skip]
const LEAST: [(&str, u64, Test); 29] = [
    ("told at once",                       60_000, |seen| seen.is_hit),
    ("from the cache",                     30_000, |seen| seen.is(Source::Cache)),
    ("from the cache, aged",               15_000, |seen| seen.is(Source::Cache) && seen.is_aged),
    ("NXDOMAIN from the cache",             2_000, |seen| seen.is(Source::Cache) && seen.rcode() == 3),
    ("NODATA from the cache",               3_000, |seen| seen.is(Source::Cache) && seen.rcode() == 0 && seen.answers() == 0),
    ("hints or glue taken out",             1_000, |seen| seen.is(Source::Cache) && seen.told.tally.rule.is_some()),
    ("in report mode",                        500, |seen| seen.is_hit && seen.told.tally.reported.is_some()),
    ("a NODATA of ours",                    2_000, |seen| seen.is(Source::Filtered)),
    ("a NODATA of ours, aged",              1_000, |seen| seen.is(Source::Filtered) && seen.is_aged),
    ("a NODATA of ours behind a chain",       400, |seen| seen.is(Source::Filtered) && seen.answers() > 0),
    ("a failure that is remembered",        2_000, |seen| seen.is(Source::Error) && [2, 5, 4].contains(&seen.rcode())),
    ("a special name",                        700, |seen| seen.is(Source::Special)),
    ("BADVERS",                               100, |seen| seen.is_hit && seen.rcode() == 16),
    ("FORMERR",                               500, |seen| seen.is_hit && seen.rcode() == 1),
    ("NOTIMP",                                100, |seen| seen.is_hit && seen.rcode() == 4),
    ("AD",                                    500, |seen| seen.is_hit && seen.flags() & AD != 0),
    ("cut to size",                           500, |seen| seen.is_hit && seen.flags() & TC != 0),
    ("over a stream",                      10_000, |seen| seen.is_hit && seen.query.client.transport == Transport::Stream),
    ("over IPv6",                           5_000, |seen| seen.is_hit && seen.query.client.address.is_ipv6()),
    ("without OPT",                         5_000, |seen| seen.is_hit && number_at(&seen.query.packet, 10) == 0),
    ("A",                                   5_000, |seen| seen.asks(A)),
    ("AAAA",                               10_000, |seen| seen.asks(AAAA)),
    ("ANY",                                 1_000, |seen| seen.asks(ANY)),
    ("HTTPS",                               4_000, |seen| seen.asks(HTTPS)),
    ("SVCB",                                1_000, |seen| seen.asks(SVCB)),
    ("TXT",                                   300, |seen| seen.asks(TXT)),
    ("a type without a name",                 300, |seen| seen.asks(65_300)),
    ("to nobody who may ask",                 500, |seen| seen.is_hit && seen.query.client.address == STRANGER),
    ("a miss",                              3_000, |seen| !seen.is_hit),
];

/// What else happens: at least so often.
const BESIDE: [(&str, u64); 3] = [("refreshed", 30), ("stale", 100), ("failed", 50)];

/// Differences that are allowed: at most so often.
const MOST: [(Same, &str, u64); 5] = [
    (
        Same::RememberedFailure,
        "a failure by its code alone",
        12_000,
    ),
    (Same::ReportedOtherwise, "reported otherwise", 800),
    (Same::BoundOtherwise, "bound otherwise", 800),
    (Same::ByIpv4Alone, "by the A alone", 800),
    (Same::LatelyGood, "by an A of lately", 200),
];

impl Coverage {
    pub(crate) fn queries(&self) -> u64 {
        self.queries
    }

    /// Counts a query.
    pub(crate) fn see(&mut self, seen: &Seen<'_>) {
        self.queries += 1;
        for (what, _, is_such) in LEAST {
            if is_such(seen) {
                self.count(what);
            }
        }
    }

    /// Counts something beside.
    pub(crate) fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// Counts a difference that is allowed.
    pub(crate) fn allow(&mut self, same: Same) {
        for (_, what, _) in MOST.iter().filter(|(of, ..)| *of == same) {
            *self.allowed.entry(what).or_default() += 1;
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.queries += other.queries;
        for (sum, counts) in [
            (&mut self.seen, &other.seen),
            (&mut self.allowed, &other.allowed),
        ] {
            for (what, count) in counts {
                *sum.entry(what).or_default() += count;
            }
        }
    }

    /// What there was too little or too much of.
    pub(crate) fn faults(&self) -> Vec<String> {
        let share = |of_100_000: u64| of_100_000 * self.queries / 100_000;
        let count = |counts: &BTreeMap<&str, u64>, what| counts.get(what).copied().unwrap_or(0);
        let least = LEAST.map(|(what, least, _)| (what, least));
        let too_few = least.into_iter().chain(BESIDE).filter_map(|(what, least)| {
            let seen = count(&self.seen, what);
            (seen < share(least)).then(|| format!("only {seen} of `{what}`"))
        });
        let too_many = MOST.into_iter().filter_map(|(_, what, most)| {
            let allowed = count(&self.allowed, what);
            (allowed > share(most)).then(|| format!("{allowed} times `{what}`"))
        });
        too_few.chain(too_many).collect()
    }
}

impl std::fmt::Display for Coverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{:8} queries", self.queries)?;
        for (what, count) in self.seen.iter().chain(&self.allowed) {
            writeln!(f, "{count:8} {what}")?;
        }
        Ok(())
    }
}

impl Seen<'_> {
    fn is(&self, source: Source) -> bool {
        self.is_hit && self.told.tally.source == source
    }

    fn rcode(&self) -> u16 {
        self.told.tally.rcode.0
    }

    fn flags(&self) -> u16 {
        number_at(&self.told.reply, 2)
    }

    fn answers(&self) -> u16 {
        number_at(&self.told.reply, 6)
    }

    /// A well-formed question for this type.
    fn asks(&self, kind: u16) -> bool {
        let served = !matches!(self.rcode(), 1 | 4 | 16);
        self.is_hit
            && served
            && self.flags() & RA != 0
            && Heard::read(&self.query.packet).asked.kind == kind
    }
}
