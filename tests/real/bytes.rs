//! What no rule touches passes octet by octet: our reply beside the upstream's own.
//!
//! Apart from the OPT record, which is between neighbors, and TTLs, which age.

use crate::Fallible;
use crate::packet::{Query, Reply};
use crate::servers::{Unsix, World};
use std::net::SocketAddr;

const A: u16 = 1;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const HINFO: u16 = 13;
const MX: u16 = 15;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const LOC: u16 = 29;
const SRV: u16 = 33;
const NAPTR: u16 = 35;
const TLSA: u16 = 52;
const SVCB: u16 = 64;
const HTTPS: u16 = 65;
const CAA: u16 = 257;

/// Things that are legal and rare.
#[rustfmt::skip]
const ODD: &[(&str, &str, u16)] = &[
    ("RDATA without an octet",               "empty.odd.example",        65300),
    ("RDATA that looks like a pointer",      "unknown.odd.example",      65301),
    ("a type that is not there",             "unknown.odd.example",      65302),
    ("keys that nobody knows",               "svcb.odd.example",         SVCB),
    ("an alias",                             "alias.odd.example",        HTTPS),
    ("services with their addresses",     "srv.odd.example",          SRV),
    ("a name moved by DNAME",                "target.moved.odd.example", A),
    ("the DNAME's CNAME for IPv6",           "target.moved.odd.example", AAAA),
    ("a chain of sixteen names",             "n1.odd.example",           A),
    ("the same chain with nothing at its end", "n1.odd.example",         AAAA),
    ("one CNAME asked for itself",           "n1.odd.example",           CNAME),
    ("a place on Earth",                     "rare.odd.example",         LOC),
    ("empty strings",                        "rare.odd.example",         TXT),
    ("a refusal in the shape of a record",   "rare.odd.example",         HINFO),
    ("a flag that is critical",              "rare.odd.example",         CAA),
    ("a rule for rewriting",                 "rare.odd.example",         NAPTR),
    ("a certificate's hash",                 "rare.odd.example",         TLSA),
    ("letter case",                          "SvCb.oDD.eXaMPle",         SVCB),
    ("letter case along a chain",            "N1.Odd.ExamplE",           A),
    ("a name that is not there",             "NoBody.odd.example",       A),
];

/// All that quay.io publishes.
#[rustfmt::skip]
const QUAY: &[(&str, &str, u16)] = &[
    ("IPv4",              "quay.io",       A),
    ("IPv6",              "quay.io",       AAAA),
    ("hints",             "quay.io",       HTTPS),
    ("glue of both kinds", "quay.io",      MX),
    ("text",              "quay.io",       TXT),
    ("letter case",       "qUaY.iO",       AAAA),
    ("the zone's start",  "quay.io",       SOA),
    ("a chain elsewhere", "cdn01.quay.io", CNAME),
    ("nothing there",     "mx1.quay.io",   TXT),
];

/// A way to ask.
type Ask = fn(Query<'_>, SocketAddr) -> Fallible<Reply>;

const WAYS: [(&str, Ask); 2] = [
    ("UDP", |query, server| query.over_udp(server)),
    ("TCP", |query, server| query.over_tcp(server)),
];

/// Odd records, from the upstream and from the cache, over UDP and TCP.
pub(crate) fn odd_records(world: &World) -> Fallible<()> {
    all_the_same(world, ODD)
}

/// quay.io keeps everything.
pub(crate) fn quay(world: &World) -> Fallible<()> {
    all_the_same(world, QUAY)
}

fn all_the_same(world: &World, table: &[(&str, &str, u16)]) -> Fallible<()> {
    let upstream = world.knot()?;
    let unsix = Unsix::start(upstream, "")?;
    for &(what, name, kind) in table {
        for edns in [Some(1232), None] {
            let query = Query { name, kind, edns };
            for way in ["first", "again"] {
                let case = format!("{what}, {way}, edns {edns:?}");
                for (over, ask) in WAYS {
                    let (ours, theirs) = (ask(query, unsix.address)?, ask(query, upstream)?);
                    same(&format!("{case}, {over}"), &ours, &theirs);
                }
            }
        }
    }
    let changed = unsix.metric("unsix_rule_replies_total")?;
    assert_eq!(changed, 0, "no rule has anything to do with these names");
    Ok(())
}

#[track_caller]
fn same(case: &str, ours: &Reply, theirs: &Reply) {
    assert_eq!(ours.rcode, theirs.rcode, "{case}: RCODE");
    assert_eq!(ours.truncated, theirs.truncated, "{case}: TC");
    assert_eq!(ours.counts, theirs.counts, "{case}: counts of records");
    assert_eq!(ours.question, theirs.question, "{case}: question");
    assert_eq!(ours.records, theirs.records, "{case}: records");
    assert_eq!(ours.has_opt, theirs.has_opt, "{case}: OPT");
    for (ours, theirs) in ours.ttls.iter().zip(&theirs.ttls) {
        let aged = theirs.checked_sub(*ours).is_some_and(|age| age <= 30);
        assert!(aged, "{case}: a TTL of {theirs} became {ours}");
    }
}

/// 4,000 octets of text: cut to whole records over UDP, whole over TCP.
pub(crate) fn large(world: &World) -> Fallible<()> {
    let upstream = world.knot()?;
    let unsix = Unsix::start(upstream, "")?;
    for (edns, limit) in [(None, 512), (Some(512), 512), (Some(4096), 1232)] {
        let query = Query {
            name: "big.odd.example",
            kind: TXT,
            edns,
        };
        let cut = query.over_udp(unsix.address)?;
        assert!(cut.truncated, "edns {edns:?}: TC");
        assert!(cut.size <= limit, "edns {edns:?}: {} octets", cut.size);
        assert_eq!(cut.has_opt, edns.is_some(), "edns {edns:?}: the OPT stays");
        let whole = whole(query, unsix.address)?;
        let [answers, ..] = cut.counts;
        assert!(answers > 0, "edns {edns:?}: what fits is there");
        assert!(
            whole.records.starts_with(&cut.records),
            "edns {edns:?}: only whole records, in order"
        );
        same("all of it", &whole, &query.over_tcp(upstream)?);
    }
    Ok(())
}

fn whole(query: Query<'_>, server: SocketAddr) -> Fallible<Reply> {
    let whole = query.over_tcp(server)?;
    assert!(!whole.truncated, "TC over TCP");
    assert!(whole.size > 4000, "{} octets", whole.size);
    Ok(whole)
}
