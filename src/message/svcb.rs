//! Service bindings, HTTPS and SVCB (RFC 9460), and the IPv6 addresses they hint at.
//!
//! Only the hint and the `mandatory` list that may name it are ever rewritten; every other parameter,
//! known or not, keeps its bytes and its place.

use std::net::Ipv6Addr;

use super::answer::Record;
use super::kind::Kind;
use super::name::Name;
use super::wire::{push_words, u16_at};

/// The SvcParamKey of the list of keys a client must understand (RFC 9460 §8).
const MANDATORY: u16 = 0;

/// The SvcParamKey of IPv6 addresses (RFC 9460 §7.3).
const IPV6HINT: u16 = 6;

/// RDATA of a service in ServiceMode, its parameters by key in ascending order (RFC 9460 §2.2). None: they are too long.
pub fn service(priority: u16, target: &Name, params: &[(u16, Vec<u8>)]) -> Option<Vec<u8>> {
    let mut rdata = priority.to_be_bytes().to_vec();
    rdata.extend_from_slice(target.wire());
    for (key, value) in params {
        push_param(&mut rdata, *key, value)?;
    }
    Some(rdata)
}

/// What becomes of a service binding whose IPv6 hints are to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hints {
    /// There is nothing to take out: the record may stay as it is.
    None,
    /// RDATA for the same record without them.
    Stripped(Vec<u8>),
    /// There is a hint, but the parameters around it are malformed: the record has to go.
    Unreadable,
}

/// Takes the `ipv6hint` addresses that `remove` says out of an HTTPS or SVCB record.
///
/// The key goes when no address is left, and `mandatory` then no longer lists it; a list emptied by
/// that goes too.
pub fn without_ipv6hint(record: &Record<'_>, remove: &dyn Fn(Ipv6Addr) -> bool) -> Hints {
    let Some(binding) = Binding::read(record).filter(Binding::has_ipv6hint) else {
        return Hints::None;
    };
    let Some(hint) = binding.well_formed_hint() else {
        return Hints::Unreadable;
    };
    let kept: Vec<u8> = addresses(hint)
        .filter(|address| !remove(*address))
        .flat_map(|address| address.octets())
        .collect();
    if kept.len() == hint.len() {
        return Hints::None;
    }
    match binding.write_with_hint(&kept) {
        Some(rdata) => Hints::Stripped(rdata),
        None => Hints::Unreadable,
    }
}

/// The data of an HTTPS or SVCB record, read in place.
pub(super) struct Binding<'a> {
    /// SvcPriority; 0 is AliasMode.
    pub(super) priority: u16,
    /// TargetName.
    pub(super) target: Name,
    params: &'a [u8],
}

impl<'a> Binding<'a> {
    /// None for other types, and where priority or target cannot be read: nobody finds a hint there.
    pub(super) fn read(record: &Record<'a>) -> Option<Self> {
        if !matches!(record.kind, Kind::HTTPS | Kind::SVCB) {
            return None;
        }
        let (target, params_at) = record.name_at(2)?;
        Some(Self {
            priority: u16_at(record.rdata, 0)?,
            target,
            params: record.rdata.get(params_at..)?,
        })
    }

    /// The key is there, be the list well-formed or not.
    pub(super) fn has_ipv6hint(&self) -> bool {
        let mut params = self.params();
        params.any(|(key, _)| key == IPV6HINT) || u16_at(params.rest, 0) == Some(IPV6HINT)
    }

    /// The addresses of the first hint, if the key is there.
    pub(super) fn ipv6_hints(&self) -> Option<Vec<Ipv6Addr>> {
        let (_, hint) = self.params().find(|(key, _)| *key == IPV6HINT)?;
        Some(addresses(hint).collect())
    }

    /// The value of the hint, if the whole list is one that a client may accept.
    fn well_formed_hint(&self) -> Option<&'a [u8]> {
        let mut params = self.params();
        let mut hint = None;
        let mut last_key = None;
        for (key, value) in params.by_ref() {
            // RFC 9460 §2.2: keys ascend, so none comes twice.
            if last_key.is_some_and(|last| last >= key) {
                return None;
            }
            last_key = Some(key);
            if key == IPV6HINT {
                hint = Some(value);
            }
        }
        // RFC 9460 §7.3: one address at least, and whole ones only.
        hint.filter(|hint| params.rest.is_empty() && !hint.is_empty() && hint.len() % 16 == 0)
    }

    /// The record's data with this value in the place of the hint; an empty one takes the key off.
    fn write_with_hint(&self, hint: &[u8]) -> Option<Vec<u8>> {
        let mut rdata = self.priority.to_be_bytes().to_vec();
        // RFC 9460 §2.2: the target is never compressed.
        rdata.extend_from_slice(self.target.wire());
        for (key, value) in self.params() {
            match key {
                IPV6HINT if hint.is_empty() => {}
                IPV6HINT => push_param(&mut rdata, key, hint)?,
                MANDATORY if hint.is_empty() => {
                    let listed = without_key(value, IPV6HINT)?;
                    if !listed.is_empty() {
                        push_param(&mut rdata, key, &listed)?;
                    }
                }
                _ => push_param(&mut rdata, key, value)?,
            }
        }
        Some(rdata)
    }

    fn params(&self) -> Params<'a> {
        Params { rest: self.params }
    }
}

/// The SvcParams in order, up to the first that is cut short; `rest` is what was not read.
struct Params<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Params<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let key = u16_at(self.rest, 0)?;
        let length = usize::from(u16_at(self.rest, 2)?);
        let (value, rest) = self.rest.get(4..)?.split_at_checked(length)?;
        self.rest = rest;
        Some((key, value))
    }
}

fn push_param(rdata: &mut Vec<u8>, key: u16, value: &[u8]) -> Option<()> {
    push_words([key, u16::try_from(value.len()).ok()?], rdata);
    rdata.extend_from_slice(value);
    Some(())
}

/// A `mandatory` list without one key; None where it is no list of keys.
fn without_key(list: &[u8], key: u16) -> Option<Vec<u8>> {
    let (keys, cut_short) = list.as_chunks::<2>();
    let others = keys.iter().filter(|listed| **listed != key.to_be_bytes());
    cut_short
        .is_empty()
        .then(|| others.flatten().copied().collect())
}

fn addresses(hint: &[u8]) -> impl Iterator<Item = Ipv6Addr> {
    let (whole, _) = hint.as_chunks::<16>();
    whole.iter().map(|octets| Ipv6Addr::from(*octets))
}

#[cfg(test)]
mod tests {
    use super::super::answer::sample::{Packet, name, question, wire};
    use super::*;

    const V6: [[u8; 16]; 2] = [[0x20; 16], [0xfd; 16]];

    /// RDATA with these parameters behind priority and target.
    fn rdata(priority: u8, target: &str, params: &[(u16, &[u8])]) -> Vec<u8> {
        let mut rdata = [&[0, priority][..], &wire(target)].concat();
        for (key, value) in params {
            push_param(&mut rdata, *key, value).unwrap();
        }
        rdata
    }

    fn strip(rdata: &[u8], remove: &dyn Fn(Ipv6Addr) -> bool) -> Hints {
        let asked = question("www.example", Kind::HTTPS);
        let answer = Packet::to(&asked).answer("www.example", Kind::HTTPS, 1, rdata);
        let answer = answer.learn(&asked);
        without_ipv6hint(&answer.records().next().unwrap(), remove)
    }

    #[test]
    fn the_hint_goes_and_mandatory_is_mended() {
        let hint: &[u8] = V6.as_flattened();
        let alpn: (u16, &[u8]) = (1, b"\x02h2");
        let v4: (u16, &[u8]) = (4, &[192, 0, 2, 1]);
        let odd: (u16, &[u8]) = (7777, b"any");
        let six: (u16, &[u8]) = (6, hint);
        #[rustfmt::skip]
        let cases: [(&str, Vec<u8>, Vec<u8>); 6] = [
            ("the hint alone",    rdata(1, ".", &[six]),                                rdata(1, ".", &[])),
            ("among others",      rdata(1, "a.B", &[alpn, v4, six, odd]),               rdata(1, "a.B", &[alpn, v4, odd])),
            ("listed with others", rdata(1, ".", &[(0, &[0, 1, 0, 6]), alpn, six]),     rdata(1, ".", &[(0, &[0, 1]), alpn])),
            ("listed alone",      rdata(1, ".", &[(0, &[0, 6]), alpn, six]),            rdata(1, ".", &[alpn])),
            ("not listed",        rdata(1, ".", &[(0, &[0, 1]), alpn, six]),            rdata(1, ".", &[(0, &[0, 1]), alpn])),
            ("in AliasMode",      rdata(0, "b.test", &[six]),                           rdata(0, "b.test", &[])),
        ];
        for (why, before, after) in cases {
            assert_eq!(strip(&before, &|_| true), Hints::Stripped(after), "{why}");
        }
    }

    #[test]
    fn only_the_addresses_named_go() {
        let [first, second] = V6;
        let before = rdata(1, ".", &[(0, &[0, 6]), (6, V6.as_flattened()), (9, b"x")]);
        let after = rdata(1, ".", &[(0, &[0, 6]), (6, &second), (9, b"x")]);
        let is_first = |address| address == Ipv6Addr::from(first);
        assert_eq!(strip(&before, &is_first), Hints::Stripped(after));
        assert_eq!(strip(&before, &|_| false), Hints::None);
    }

    #[test]
    fn malformed_parameters() {
        let six: (u16, &[u8]) = (6, &V6[0]);
        let cut_short = |mut rdata: Vec<u8>| {
            rdata.pop();
            rdata
        };
        #[rustfmt::skip]
        let cases = [
            ("no data",                    vec![],                                        Hints::None),
            ("no target",                  vec![0, 1, 3, b'a'],                           Hints::None),
            ("no hint, cut short",         cut_short(rdata(1, ".", &[(4, &[1; 4])])),     Hints::None),
            ("no hint, keys descend",      rdata(1, ".", &[(4, &[]), (1, &[])]),          Hints::None),
            ("mandatory lists no hint",    rdata(1, ".", &[(0, &[0, 6])]),                Hints::None),
            ("hint, then cut short",       cut_short(rdata(1, ".", &[six, (9, b"x")])),   Hints::Unreadable),
            ("the hint is cut short",      cut_short(rdata(1, ".", &[six])),              Hints::Unreadable),
            ("keys descend around it",     rdata(1, ".", &[(9, b"x"), six]),              Hints::Unreadable),
            ("the hint twice",             rdata(1, ".", &[six, six]),                    Hints::Unreadable),
            ("the hint is empty",          rdata(1, ".", &[(6, &[])]),                    Hints::Unreadable),
            ("half an address",            rdata(1, ".", &[(6, &[1; 24])]),               Hints::Unreadable),
            ("mandatory is no list",       rdata(1, ".", &[(0, &[0, 6, 0]), six]),        Hints::Unreadable),
        ];
        for (why, rdata, want) in cases {
            assert_eq!(strip(&rdata, &|_| true), want, "{why}");
        }
    }

    #[test]
    fn a_service_is_read() {
        let asked = question("www.example", Kind::SVCB);
        let data = rdata(3, "t.test", &[(6, V6.as_flattened())]);
        let answer = Packet::to(&asked).answer("www.example", Kind::SVCB, 1, &data);
        let answer = answer.answer("www.example", Kind::SVCB, 1, &rdata(0, ".", &[]));
        let answer = answer.learn(&asked);
        let services: Vec<_> = answer
            .records()
            .map(|record| record.service().unwrap())
            .collect();
        assert_eq!(
            (services[0].priority, services[0].target),
            (3, name("t.test"))
        );
        assert_eq!(
            services[0].ipv6_hints,
            Some(V6.map(Ipv6Addr::from).to_vec())
        );
        assert_eq!((services[1].priority, &services[1].ipv6_hints), (0, &None));
    }
}
