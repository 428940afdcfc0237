//! Answers as the servers of a small internet would give them, sound ones and odd ones.

use crate::hosts::{Denial, Host, Hosts, Link, Quirk, ZONES, pick_ttl, six};
use crate::packet::{
    A, AAAA, ANY, Asked, CNAME, DNAME, HINFO, HTTPS, MX, NS, Part, RRSIG, Record, SOA, SRV, SVCB,
    TXT, name, numbers, option,
};
use crate::upstream::Meaning;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// An answer being made.
pub(crate) struct Draft<'a> {
    hosts: &'a Hosts,
    /// The name asked for.
    name: Vec<u8>,
    pub(crate) dice: StdRng,
    signed: bool,
    /// ANSWER, AUTHORITY, ADDITIONAL.
    pub(crate) sections: [Vec<Record>; 3],
    pub(crate) rcode: u16,
    pub(crate) meaning: Meaning,
    /// MINIMUM of the SOA that denies.
    pub(crate) minimum: Option<u32>,
    pub(crate) authentic: bool,
    pub(crate) error: Option<(u16, &'static str)>,
    pub(crate) quirk: Quirk,
    /// It has data that cannot be read: nothing in it can be moved.
    pub(crate) is_opaque: bool,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(hosts: &'a Hosts, asked: &Asked) -> Self {
        let mut draft = Self {
            hosts,
            name: asked.name.clone(),
            dice: hosts.dice(&asked.name, asked.kind),
            signed: false,
            sections: Default::default(),
            rcode: 0,
            meaning: Meaning::NoData,
            minimum: None,
            authentic: false,
            error: None,
            quirk: Quirk::None,
            is_opaque: false,
        };
        match hosts.find(&asked.name) {
            Some(at) => draft.of_host(&hosts.all[at], asked),
            None if asked.name == [0] && asked.kind == NS => {
                draft.push(0, (&[0], NS, 3600), vec![Part::Name(name("a.root.test"))]);
                draft.meaning = Meaning::Data;
            }
            None => draft.deny(hosts.zone_of(&asked.name), 3),
        }
        draft
    }

    fn of_host(&mut self, host: &'a Host, asked: &Asked) {
        self.signed = asked.signed && host.signed;
        let Some(end) = self.walk(host, asked.kind) else {
            return;
        };
        self.error = host.error;
        self.authentic = host.signed && end.signed;
        self.signed &= end.signed;
        self.quirk = match (end.quirk, asked.kind) {
            (Quirk::SixSlow, AAAA) | (Quirk::Flaky | Quirk::NoEdns, _) => end.quirk,
            _ => Quirk::None,
        };
        // Who knows no EDNS validates nothing.
        self.authentic &= end.quirk != Quirk::NoEdns;
        let bogus = (host.bogus || end.bogus) && !asked.unchecked;
        match (end.quirk, asked.kind) {
            _ if bogus => {
                self.error = Some((6, "signature expired"));
                self.fail(end, asked.kind, 2);
            }
            (Quirk::Fails(rcode), _) => self.fail(end, asked.kind, rcode),
            (Quirk::SixFails(rcode), AAAA) | (Quirk::FourFails(rcode), A) => {
                self.fail(end, asked.kind, rcode);
            }
            (Quirk::SixDenied, AAAA) => self.deny(Some(end.zone), 3),
            // Beside an AAAA that is NODATA it would be told or not, whichever came first.
            (Quirk::FourDenied, A) if !end.sixes.is_empty() => self.deny(Some(end.zone), 3),
            _ if end.gone => self.deny(Some(end.zone), 3),
            _ if self.data(end, asked.kind) => {
                self.meaning = Meaning::Data;
                self.beside(end, asked.kind);
            }
            _ => self.deny(Some(end.zone), 0),
        }
    }

    /// Along the links, to the name that has the records; none where all is said already.
    fn walk(&mut self, host: &'a Host, kind: u16) -> Option<&'a Host> {
        let (mut host, first) = (host, &host.name);
        while let Some(link) = &host.link {
            let ttl = host.ttls[2];
            let (to, shown) = match link {
                Link::Cname(to) => (*to, true),
                Link::Dname(to, shown) => (*to, *shown),
                Link::Loop => {
                    self.push(
                        0,
                        (&host.name, CNAME, ttl),
                        vec![Part::Name(host.name.clone())],
                    );
                    self.meaning = if kind == CNAME || kind == ANY {
                        Meaning::Data
                    } else {
                        Meaning::Failure
                    };
                    return None;
                }
                Link::Long(names) if host.name == *first => {
                    self.go_far(host, *names, kind);
                    return None;
                }
                Link::Long(_) => break,
            };
            let to = &self.hosts.all[to];
            if let Link::Dname(..) = link {
                let parent = |name: &[u8]| name[1 + usize::from(name[0])..].to_vec();
                self.push(
                    0,
                    (&parent(&host.name), DNAME, ttl),
                    vec![Part::Name(parent(&to.name))],
                );
            }
            if shown || kind == CNAME {
                self.push(
                    0,
                    (&host.name, CNAME, ttl),
                    vec![Part::Name(to.name.clone())],
                );
                if kind == CNAME || kind == ANY {
                    self.meaning = Meaning::Data;
                    return None;
                }
            }
            host = to;
        }
        Some(host)
    }

    /// A chain of so many names, with an address at its end.
    fn go_far(&mut self, host: &Host, names: u8, kind: u16) {
        let far = |number: u8| match number {
            0 => host.name.clone(),
            _ => [&[2, b'l', b'a' + number], &host.name[..]].concat(),
        };
        let ttl = host.ttls[2].max(30);
        let asks_alias = kind == CNAME || kind == ANY;
        for number in 0..if asks_alias { 1 } else { names } {
            self.push(
                0,
                (&far(number), CNAME, ttl),
                vec![Part::Name(far(number + 1))],
            );
        }
        if asks_alias {
            self.meaning = Meaning::Data;
        } else if names > 16 {
            self.meaning = Meaning::Failure;
        } else if kind == A || kind == AAAA {
            let address = six(&mut self.dice);
            self.push(0, (&far(names), AAAA, ttl), octets(&address));
            if kind == A {
                self.push(0, (&far(names), A, ttl), octets(&[192, 0, 2, 1]));
            }
            self.meaning = Meaning::Data;
        } else {
            self.deny(Some(host.zone), 0);
        }
    }

    /// The records of a type; false where there are none.
    fn data(&mut self, host: &'a Host, kind: u16) -> bool {
        let before = self.sections[0].len();
        let (owner, ttl) = (&host.name, host.ttl(kind));
        let friend = |at: usize| Part::Name(self.hosts.all[host.friends[at]].name.clone());
        match kind {
            A => self.fours(0, host),
            AAAA => self.sixes(0, host),
            ANY => {
                self.fours(0, host);
                self.sixes(0, host);
                self.push(0, (owner, TXT, ttl), octets(b"\x03any"));
            }
            MX => {
                let exchanges = [friend(0), friend(1)];
                for exchange in exchanges {
                    self.push(
                        0,
                        (owner, MX, ttl),
                        vec![Part::Octets(vec![0, 10]), exchange],
                    );
                }
            }
            SRV => {
                let head = Part::Octets(numbers(&[1, 2, 443]));
                let target = friend(0);
                self.push(0, (owner, SRV, ttl), vec![head, target]);
            }
            SOA | NS if host.name == name(ZONES[host.zone].0) => {
                if kind == NS || ZONES[host.zone].1 == Denial::Soa {
                    self.apex(host.zone, kind, 0);
                }
            }
            HTTPS | SVCB => self.services(host, kind),
            TXT => {
                let length = *[4, 40, 400, 900, 1300, 3000]
                    .choose(&mut self.dice)
                    .unwrap();
                let text: Vec<u8> = [&[3], &b"txt"[..]]
                    .concat()
                    .into_iter()
                    .cycle()
                    .take(length)
                    .collect();
                self.push(0, (owner, TXT, ttl), octets(&text));
            }
            SOA | NS | CNAME | DNAME | HINFO => {}
            _ => {
                for _ in 0..*[0, 0, 1, 2].choose(&mut self.dice).unwrap() {
                    let rdata = self.rdata(kind, friend(2));
                    self.push(0, (owner, kind, ttl), rdata);
                }
            }
        }
        self.sections[0].len() > before
    }

    /// RDATA of any other type: as it should be, or octets that nobody can read.
    fn rdata(&mut self, kind: u16, name: Part) -> Vec<Part> {
        let length = self.dice.random_range(0..40);
        let opaque: Vec<u8> = (0..length).map(|_| self.dice.random()).collect();
        let is_opaque = self.dice.random_bool(0.5);
        self.is_opaque |= is_opaque;
        match kind {
            _ if is_opaque => octets(&opaque),
            2..=5 | 7..=9 | 12 => vec![name],
            14 | 17 => vec![name.clone(), name],
            18 | 21 | 36 => vec![Part::Octets(vec![0; 2]), name],
            24 | 46 => vec![Part::Octets(vec![1; 18]), name, Part::Octets(opaque)],
            26 => vec![Part::Octets(vec![0; 2]), name.clone(), name],
            30 | 47 => vec![name, Part::Octets(opaque)],
            35 => vec![Part::Octets(b"\0\x01\0\x02\x01u\x01s\0".to_vec()), name],
            _ => octets(&opaque),
        }
    }

    fn fours(&mut self, section: usize, host: &Host) {
        for last in 0..host.fours {
            self.push(
                section,
                (&host.name, A, host.ttl(A)),
                octets(&[192, 0, 2, last]),
            );
        }
    }

    fn sixes(&mut self, section: usize, host: &Host) {
        for address in &host.sixes {
            self.push(section, (&host.name, AAAA, host.ttl(AAAA)), octets(address));
        }
    }

    /// SvcParams in order, a few of them malformed.
    fn services(&mut self, host: &'a Host, kind: u16) {
        for number in 0..*[0, 1, 1, 2, 3].choose(&mut self.dice).unwrap() {
            let alias = self.dice.random_bool(0.3);
            let target = match self.dice.random_range(0..4) {
                0 => self.hosts.all[host.friends[0]].name.clone(),
                1 => self.hosts.all[host.friends[1]].name.clone(),
                _ => vec![0],
            };
            let hint: Vec<u8> = (0..2).flat_map(|_| six(&mut self.dice)).collect();
            let cut = *[16, 16, 32, 32, 32, 24, 0].choose(&mut self.dice).unwrap();
            let params = [
                option(0, &numbers(&[1, 6])),
                option(0, &numbers(&[6])),
                option(1, b"\x02h2"),
                option(4, &[192, 0, 2, 8]),
                option(6, &hint[..cut]),
                option(7777, b"opaque"),
            ];
            let chosen: Vec<u8> = match self.dice.random_range(0..8) {
                0 => Vec::new(),
                1 => params[2..4].concat(),
                2 => params[4..].concat(),
                3 => [&params[0][..], &params[2..].concat()].concat(),
                4 => [&params[1][..], &params[4]].concat(),
                5 => [&params[4][..], &params[2]].concat(),
                _ => params[2..].concat(),
            };
            let priority = if alias { 0 } else { number + 1 };
            let rdata = vec![
                Part::Octets(numbers(&[priority])),
                Part::Name(target),
                Part::Octets(chosen),
            ];
            self.push(0, (&host.name, kind, host.ttl(kind)), rdata);
        }
    }

    /// What comes along: servers, glue of friends and of the name itself, odd records.
    fn beside(&mut self, host: &'a Host, kind: u16) {
        if self.dice.random_bool(0.2) {
            self.apex(host.zone, NS, 1);
        }
        let hosts = self.hosts;
        for at in host.friends {
            if matches!(kind, MX | SRV | NS) || self.dice.random_bool(0.08) {
                let friend = &hosts.all[at];
                self.fours(2, friend);
                self.sixes(2, friend);
            }
        }
        if matches!(kind, A | HTTPS | SVCB) && self.dice.random_bool(0.2) {
            self.sixes(2, host);
        }
        if self.dice.random_bool(0.04) {
            self.push(2, (&host.name, 65_300, 3600), octets(&[0xc0, 0x0c, 1]));
        }
        if self.dice.random_bool(0.03) {
            self.push(2, (&host.name, AAAA, 3600), octets(&[1, 2, 3]));
            self.sections[2].last_mut().unwrap().class = 3;
        }
    }

    /// A failure, now and then with records all the same.
    fn fail(&mut self, host: &'a Host, kind: u16, rcode: u16) {
        (self.rcode, self.meaning, self.authentic) = (rcode, Meaning::Failure, false);
        if self.dice.random() {
            // What answers nothing is no answer, and the wait for one goes on.
            self.sixes(if kind == AAAA { 0 } else { 2 }, host);
            self.beside(host, MX);
        }
    }

    /// NODATA or NXDOMAIN, as the zone says it.
    fn deny(&mut self, zone: Option<usize>, rcode: u16) {
        if rcode == 3 {
            // The same whatever type was asked for: it is passed on from the A or the AAAA, whichever came first.
            self.dice = self.hosts.dice(&self.name, 0);
        }
        self.rcode = rcode;
        self.meaning = if rcode == 0 {
            Meaning::NoData
        } else {
            Meaning::NxDomain
        };
        match zone.map(|zone| (zone, ZONES[zone].1)) {
            Some((_, Denial::Nothing)) => {}
            Some((zone, Denial::Servers)) => self.apex(zone, NS, 1),
            Some((zone, Denial::Soa)) => self.minimum = Some(self.soa(&name(ZONES[zone].0), 1)),
            Some((_, Denial::Root)) | None => self.minimum = Some(self.soa(&[0], 1)),
        }
        if self.dice.random_bool(0.05) {
            let address = six(&mut self.dice);
            self.push(2, (&name("help.free.test"), AAAA, 3600), octets(&address));
        }
    }

    /// SOA or NS of a zone.
    fn apex(&mut self, zone: usize, kind: u16, section: usize) {
        let apex = name(ZONES[zone].0);
        if kind == SOA {
            self.soa(&apex, section);
        } else {
            for server in ["ns1", "ns2"] {
                let server = name(&format!("{server}.{}", ZONES[zone].0));
                self.push(section, (&apex, NS, 3600), vec![Part::Name(server)]);
            }
        }
    }

    /// The SOA of a zone, the same each time; its MINIMUM.
    fn soa(&mut self, apex: &[u8], section: usize) -> u32 {
        let mut dice = self.hosts.dice(apex, SOA);
        let ttl = pick_ttl(&mut dice);
        let minimum = *[300, 60, 20_000, 5, 0].choose(&mut dice).unwrap();
        let numbers = [2024, 7200, 900, 1_209_600, minimum].map(u32::to_be_bytes);
        let rdata = vec![
            Part::Name(name("ns1.Registry.test")),
            Part::Name(name("mail.Registry.test")),
            Part::Octets(numbers.concat()),
        ];
        self.push(section, (apex, SOA, ttl.max(2)), rdata);
        minimum
    }

    /// A record, and its signature where one is due.
    fn push(&mut self, section: usize, set: (&[u8], u16, u32), rdata: Vec<Part>) {
        let (owner, kind, ttl) = set;
        let mut record = Record {
            owner: owner.to_vec(),
            kind,
            class: 1,
            ttl,
            rdata,
        };
        self.sections[section].push(record.clone());
        if self.signed {
            let mut head = kind.to_be_bytes().to_vec();
            head.extend([8, 2, 0, 0, 0, 60, 0, 0, 0, 9, 0, 0, 0, 1, 0, 7]);
            record.kind = RRSIG;
            record.rdata = vec![
                Part::Octets(head),
                Part::Name(name("test")),
                Part::Octets(vec![0x5a; 32]),
            ];
            self.sections[section].push(record);
        }
    }
}

fn octets(octets: &[u8]) -> Vec<Part> {
    vec![Part::Octets(octets.to_vec())]
}
