//! The names of a small internet, made up from a seed: what each has, where it leads, what is odd about it.

use crate::packet::{AAAA, name};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use std::collections::HashMap;

/// What a zone says beside "no".
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denial {
    /// Its SOA.
    Soa,
    /// Its name servers alone.
    Servers,
    /// Nothing.
    Nothing,
    /// The SOA of the root.
    Root,
}

/// Apex and way of denying; `rules.yaml` has a rule for most.
#[rustfmt::skip]
pub(crate) const ZONES: [(&str, Denial); 19] = [
    ("plain.test", Denial::Soa), ("spared.plain.test", Denial::Soa), ("star.test", Denial::Soa), ("watch.test", Denial::Soa),
    ("both.test", Denial::Soa), ("flat.test", Denial::Soa), ("keep.test", Denial::Soa), ("respect.test", Denial::Soa),
    ("strand.test", Denial::Soa), ("ranged.test", Denial::Soa), ("office.test", Denial::Soa), ("free.test", Denial::Soa),
    ("routed.test", Denial::Soa), ("bare.test", Denial::Servers), ("mute.test", Denial::Nothing), ("rooted.test", Denial::Root),
    ("cdn.test", Denial::Soa), ("edge.test", Denial::Soa), ("quiet.test", Denial::Servers),
];

/// One name.
pub(crate) struct Host {
    pub(crate) name: Vec<u8>,
    pub(crate) zone: usize,
    pub(crate) link: Option<Link>,
    pub(crate) fours: u8,
    pub(crate) sixes: Vec<[u8; 16]>,
    /// Of addresses, of AAAA where it is another, of the link.
    pub(crate) ttls: [u32; 3],
    /// Signed, and by whom it should not be.
    pub(crate) signed: bool,
    pub(crate) bogus: bool,
    pub(crate) gone: bool,
    pub(crate) quirk: Quirk,
    pub(crate) error: Option<(u16, &'static str)>,
    /// Where other records lead.
    pub(crate) friends: [usize; 3],
}

/// Where a name leads.
#[derive(Clone)]
pub(crate) enum Link {
    Cname(usize),
    /// By a DNAME at its parent; with or without the CNAME made from it.
    Dname(usize, bool),
    /// To itself.
    Loop,
    /// Along so many names.
    Long(u8),
}

/// What is odd about a name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quirk {
    None,
    /// AAAA: NXDOMAIN, though there is an A.
    SixDenied,
    /// AAAA: a failure.
    SixFails(u16),
    /// AAAA: later than a good A waits for it.
    SixSlow,
    /// A: a failure.
    FourFails(u16),
    /// A: NXDOMAIN, though there are AAAA records.
    FourDenied,
    /// Every type fails; with records that mean nothing.
    Fails(u16),
    /// Only the second server answers.
    Flaky,
    /// The server knows no EDNS.
    NoEdns,
}

/// All names.
pub(crate) struct Hosts {
    pub(crate) all: Vec<Host>,
    index: HashMap<Vec<u8>, usize>,
    /// By apex.
    zones: HashMap<Vec<u8>, usize>,
    seed: u64,
}

impl Hosts {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut hosts = Self {
            all: Vec::new(),
            index: HashMap::new(),
            zones: ZONES.iter().map(|(apex, _)| name(apex)).zip(0..).collect(),
            seed,
        };
        for (zone, (apex, _)) in ZONES.iter().enumerate() {
            for label in LABELS {
                hosts.add(wire(label, apex), zone, &mut random);
            }
        }
        for (zone, (apex, _)) in ZONES.iter().enumerate() {
            let target = hosts.pick(&mut random);
            let (label, parent) = hosts.all[target]
                .name
                .split_at(1 + usize::from(hosts.all[target].name[0]));
            if parent.len() > name("test").len() {
                // What is below a DNAME ends as its target begins.
                let own = [label, &name(&format!("d.{apex}"))].concat();
                let at = hosts.add(own, zone, &mut random);
                hosts.all[at].link = Some(Link::Dname(target, random.random()));
            }
        }
        hosts
    }

    fn add(&mut self, name: Vec<u8>, zone: usize, random: &mut StdRng) -> usize {
        let at = self.all.len();
        let mut ttls = [pick_ttl(random); 3];
        for ttl in &mut ttls {
            if random.random_bool(0.3) {
                *ttl = pick_ttl(random);
            }
        }
        let quirk = match random.random_range(0..60) {
            0..2 => Quirk::SixDenied,
            2..4 => Quirk::SixFails([2, 5, 1][random.random_range(0..3)]),
            4..5 => Quirk::SixSlow,
            5..7 => Quirk::FourFails([2, 5, 4][random.random_range(0..3)]),
            7 => Quirk::FourDenied,
            8..10 => Quirk::Fails([2, 5, 23, 9, 4][random.random_range(0..5)]),
            10 => Quirk::Flaky,
            11 => Quirk::NoEdns,
            _ => Quirk::None,
        };
        // Links lead on to names before this one: none comes back but those that are meant to.
        let link = match random.random_range(0..100) {
            0..28 if at > 0 => Some(Link::Cname(random.random_range(0..at))),
            28 => Some(Link::Loop),
            29 => Some(Link::Long([15, 16, 17][random.random_range(0..3)])),
            _ => None,
        };
        let signed = random.random_bool(0.35);
        let host = Host {
            link,
            fours: *[0, 1, 1, 2, 3].choose(random).unwrap(),
            sixes: (0..*[0, 1, 1, 2, 3].choose(random).unwrap())
                .map(|_| six(random))
                .collect(),
            ttls,
            signed,
            bogus: signed && random.random_bool(0.1),
            gone: random.random_bool(0.06),
            quirk,
            error: *[
                None,
                None,
                None,
                None,
                Some((0, "")),
                Some((22, "No reachable authority")),
                Some((3, "stale")),
            ]
            .choose(random)
            .unwrap(),
            friends: std::array::from_fn(|_| random.random_range(0..=at)),
            name,
            zone,
        };
        self.index.insert(host.name.to_ascii_lowercase(), at);
        self.all.push(host);
        at
    }

    pub(crate) fn pick(&self, random: &mut StdRng) -> usize {
        random.random_range(0..self.all.len())
    }

    /// By its name in lower case.
    pub(crate) fn find(&self, name: &[u8]) -> Option<usize> {
        self.index.get(name).copied()
    }

    /// Names whose chains or aliases lead here, and those that lie ahead.
    pub(crate) fn related(&self, at: usize) -> Vec<usize> {
        let leads = |from: &Host| match from.link {
            Some(Link::Cname(to) | Link::Dname(to, _)) => to == at,
            _ => from.friends.contains(&at),
        };
        let before = (0..self.all.len())
            .filter(|from| leads(&self.all[*from]))
            .take(4);
        let mut related: Vec<usize> = before.chain(self.all[at].friends).collect();
        if let Some(Link::Cname(to) | Link::Dname(to, _)) = self.all[at].link {
            related.push(to);
        }
        related
    }

    /// The longest zone that holds a name.
    pub(crate) fn zone_of(&self, name: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            if let Some(zone) = self.zones.get(&name[at..]) {
                return Some(*zone);
            }
            at += 1 + usize::from(*name.get(at).filter(|length| **length > 0)?);
        }
    }

    /// The same numbers each time for a name and a type.
    pub(crate) fn dice(&self, name: &[u8], kind: u16) -> StdRng {
        let mut seed = self.seed ^ u64::from(kind) << 40;
        for octet in name {
            seed = (seed ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3);
        }
        StdRng::seed_from_u64(seed)
    }
}

impl Host {
    /// The TTL of one of its sets.
    pub(crate) fn ttl(&self, kind: u16) -> u32 {
        self.ttls[usize::from(kind == AAAA)]
    }
}

pub(crate) fn pick_ttl(random: &mut StdRng) -> u32 {
    const TTLS: [u32; 10] = [
        300,
        300,
        300,
        60,
        60,
        3600,
        3600,
        86_400,
        700_000,
        0x8000_0001,
    ];
    if random.random_bool(0.06) {
        return *[0, 1, 2, 5, 30].choose(random).unwrap();
    }
    *TTLS.choose(random).unwrap()
}

/// Inside the networks of rules or outside.
pub(crate) fn six(random: &mut StdRng) -> [u8; 16] {
    let network = *[1, 0xbad, 2].choose(random).unwrap();
    std::net::Ipv6Addr::new(0x2001, 0xdb8, network, 0, 0, 0, 0, random.random()).octets()
}

const LABELS: [&[u8]; 11] = [
    b"",
    b"www",
    b"Api",
    b"_443",
    b"a",
    b"b",
    b"c",
    b"\x00.\xff",
    b"deep",
    b"x-1",
    b"a-label-of-sixty-three-octets-which-is-the-most-that-a-name-may",
];

fn wire(label: &[u8], zone: &str) -> Vec<u8> {
    let zone = name(zone);
    if label.is_empty() {
        return zone;
    }
    [&[u8::try_from(label.len()).unwrap()], label, &zone].concat()
}
