//! Names that are answered here and never forwarded (answers.md 8).
//!
//! `localhost` (RFC 6761 §6.3), `invalid` (§6.4), `onion` (RFC 7686), `alt` (RFC 9476), `resolver.arpa`
//! (RFC 9462 §6.4), where `_dns` tells of our encrypted listeners, the canary by which `unsix attach` knows that we are well, and, while every default upstream is a global address, `home.arpa` (RFC 8375) and
//! the reverse zones of addresses that mean something only at home (RFC 6303, RFC 7793).

use crate::message::{self, Answer, Kind, Name, Question, Soa};
use foldhash::{HashMap, HashMapExt};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The zones answered here.
#[derive(Clone, Debug)]
pub(super) struct Special {
    zones: HashMap<Box<[u8]>, Role>,
}

/// What is said of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// This host itself.
    Localhost,
    /// How we are found: the RDATA of SVCB records.
    Resolver(Box<[Vec<u8>]>),
    /// The name does not exist.
    NxDomain,
    /// Who answers: `unsix attach` asks it.
    Canary,
}

/// Who answers the canary's question. Its TXT record says it in attributes (RFC 1464).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Another number at each start.
    pub instance: u64,
    /// The user that asks upstreams: an attachment leaves its questions alone.
    pub uid: u32,
}

impl Identity {
    /// The RDATA of the TXT record: `version`, `instance` and `uid`.
    fn rdata(self) -> Vec<u8> {
        let attributes = [
            concat!("version=", env!("CARGO_PKG_VERSION")).to_owned(),
            format!("instance={:016x}", self.instance),
            format!("uid={}", self.uid),
        ];
        let mut rdata = Vec::new();
        for attribute in attributes {
            let octets = attribute.len().min(usize::from(u8::MAX));
            rdata.extend(u8::try_from(octets));
            rdata.extend(attribute.bytes().take(octets));
        }
        rdata
    }
}

/// A special zone that holds a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    /// Its apex.
    pub(super) zone: Name,
    role: &'a Role,
}

impl Special {
    /// `global_upstreams`: every default upstream is out in the world, where nobody can know the
    /// names of this network. `services`: what we tell of ourselves.
    pub(super) fn new(global_upstreams: bool, services: Box<[Vec<u8>]>) -> Self {
        let mut zones = HashMap::new();
        let mut add = |text: &str, role| {
            if let Ok(name) = Name::parse(text) {
                zones.insert(name.lower().wire().into(), role);
            }
        };
        add("localhost", Role::Localhost);
        add("resolver.arpa", Role::Resolver(services));
        for zone in ["invalid", "onion", "alt"] {
            add(zone, Role::NxDomain);
        }
        if global_upstreams {
            for zone in HOME {
                add(zone, Role::NxDomain);
            }
            for octet in 16..32 {
                add(&format!("{octet}.172.in-addr.arpa"), Role::NxDomain);
            }
            for octet in 64..128 {
                add(&format!("{octet}.100.in-addr.arpa"), Role::NxDomain);
            }
            add(&format!("{}ip6.arpa", "0.".repeat(32)), Role::NxDomain);
            add(&format!("1.{}ip6.arpa", "0.".repeat(31)), Role::NxDomain);
        }
        Self { zones }
    }

    /// The longest special zone that holds the name.
    pub(super) fn find(&self, name: &Name) -> Option<Found<'_>> {
        let top = name.suffixes().filter(|suffix| suffix.len() > 1).last()?;
        if !TOPS.contains(&top) {
            return None;
        }
        name.suffixes().find_map(|suffix| {
            let role = self.zones.get(suffix)?;
            let zone = Name::from_wire(suffix)?;
            Some(Found { zone, role })
        })
    }
}

impl Found<'_> {
    /// The canary, of this name.
    pub(super) const fn canary(name: Name) -> Self {
        let (zone, role) = (name, &Role::Canary);
        Self { zone, role }
    }

    /// The answer of our own.
    pub(super) fn answer(&self, question: &Question, identity: Identity) -> Answer {
        // Nobody keeps the canary's answer: it tells of this moment.
        let soa = match self.role {
            Role::Canary => soa(self.zone, 0),
            Role::Resolver(_) => soa(self.zone, DESIGNATED),
            _ => soa(self.zone, LIFETIME),
        };
        match (self.role, question.kind) {
            (Role::Localhost, Kind::A) => {
                message::addresses(question, LIFETIME, &[&Ipv4Addr::LOCALHOST.octets()])
            }
            (Role::Localhost, Kind::AAAA) => {
                message::addresses(question, LIFETIME, &[&Ipv6Addr::LOCALHOST.octets()])
            }
            (Role::Canary, Kind::TXT) => message::addresses(question, 0, &[&identity.rdata()]),
            (Role::Resolver(services), Kind::SVCB)
                if !services.is_empty() && question.name.wire() == DNS_RESOLVER_ARPA =>
            {
                let rdata: Vec<&[u8]> = services.iter().map(Vec::as_slice).collect();
                message::addresses(question, DESIGNATED, &rdata)
            }
            // RFC 9462 §6.4: whatever else is asked there.
            (Role::Localhost | Role::Resolver(_) | Role::Canary, _) => {
                message::nodata(question, None, &soa)
            }
            (Role::NxDomain, _) => message::nxdomain(question, &soa),
        }
    }
}

/// A SOA of our own for a zone answered here.
fn soa(owner: Name, ttl: u32) -> Soa {
    let name = |text| Name::parse(text).unwrap_or(Name::ROOT);
    Soa {
        owner,
        mname: name("answered-locally.unsix.invalid"),
        rname: name("nobody.unsix.invalid"),
        serial: 1,
        refresh: 7_200,
        retry: 900,
        expire: 1_209_600,
        minimum: ttl,
    }
}

/// Seconds that an answer of our own lives; these names never change.
const LIFETIME: u32 = 3_600;

/// Seconds that clients may believe what they know of our listeners, or that there are none.
const DESIGNATED: u32 = 300;

/// Where clients ask how a resolver is found (RFC 9462 §4).
const DNS_RESOLVER_ARPA: &[u8] = b"\x04_dns\x08resolver\x04arpa\0";

/// The top labels under which a special name can stand, in wire form with the root.
const TOPS: [&[u8]; 5] = [
    b"\x09localhost\0",
    b"\x07invalid\0",
    b"\x05onion\0",
    b"\x03alt\0",
    b"\x04arpa\0",
];

/// Zones that only this network knows (RFC 8375, RFC 6303 §4); ranges are added by count.
const HOME: [&str; 16] = [
    "home.arpa",
    "0.in-addr.arpa",
    "10.in-addr.arpa",
    "127.in-addr.arpa",
    "254.169.in-addr.arpa",
    "168.192.in-addr.arpa",
    "2.0.192.in-addr.arpa",
    "100.51.198.in-addr.arpa",
    "113.0.203.in-addr.arpa",
    "255.255.255.255.in-addr.arpa",
    "d.f.ip6.arpa",
    "8.e.f.ip6.arpa",
    "9.e.f.ip6.arpa",
    "a.e.f.ip6.arpa",
    "b.e.f.ip6.arpa",
    "8.b.d.0.1.0.0.2.ip6.arpa",
];
