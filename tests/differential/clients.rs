//! What clients send: every type, class, flag and option, well-formed and broken.

use crate::packet::{
    A, AAAA, AD, ANY, CD, CNAME, DNAME, HINFO, HTTPS, MX, NS, OPT, RD, SOA, SRV, SVCB, TXT, name,
    numbers, option, skip_name,
};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use std::net::{IpAddr, Ipv4Addr};
use unsix::message::Transport;
use unsix::pipeline::Client;

/// A packet and who sends it.
#[derive(Clone)]
pub(crate) struct Query {
    pub(crate) packet: Vec<u8>,
    pub(crate) client: Client,
}

/// What a group of queries has in common.
#[derive(Clone)]
pub(crate) struct Theme {
    pub(crate) kind: u16,
    pub(crate) signed: bool,
    pub(crate) unchecked: bool,
}

impl Theme {
    pub(crate) fn new(random: &mut StdRng) -> Self {
        Self {
            kind: kind(random),
            signed: random.random_bool(0.3),
            unchecked: random.random_bool(0.1),
        }
    }
}

/// A type that people ask for, now and then any number.
fn kind(random: &mut StdRng) -> u16 {
    match random.random_range(0..100) {
        0..34 => AAAA,
        34..50 => A,
        50..64 => HTTPS,
        64..68 => SVCB,
        68..74 => ANY,
        74..94 => *[
            MX, SRV, NS, SOA, TXT, CNAME, DNAME, 12, 43, 46, 47, 35, 65_300,
        ]
        .choose(random)
        .unwrap(),
        94..96 => HINFO,
        96..98 => *[OPT, 249, 250, 251, 252, 253, 254].choose(random).unwrap(),
        _ => random.random(),
    }
}

/// Names that are answered without an upstream, or never.
const SPECIAL: [&str; 14] = [
    "localhost",
    "a.LocalHost",
    "x.invalid",
    "facebook.onion",
    "alt",
    "resolver.arpa",
    "_dns.resolver.arpa",
    "1.0.0.10.in-addr.arpa",
    "home.arpa",
    "1.2.0.192.in-addr.arpa",
    "9.7.0.10.in-addr.arpa",
    "",
    "nobody.knows.this",
    "test",
];

impl Query {
    /// A query for a name, mostly as the theme says.
    pub(crate) fn new(host: &[u8], theme: &Theme, random: &mut StdRng) -> Self {
        let mut theme = theme.clone();
        if random.random_bool(0.2) {
            theme = Theme {
                kind: kind(random),
                ..theme
            };
        }
        theme.signed ^= random.random_bool(0.05);
        let host = if random.random_bool(0.04) {
            name(SPECIAL.choose(random).unwrap())
        } else {
            host.to_vec()
        };
        let mut query = Self {
            packet: Vec::new(),
            client: client(random),
        };
        query.write(&host, &theme, random);
        if random.random_bool(0.06) {
            query.spoil(random);
        }
        query
    }

    /// RD and nothing else.
    pub(crate) fn plain(host: &[u8], kind: u16, client: [u8; 4]) -> Self {
        let mut packet = numbers(&[7, RD, 1, 0, 0, 0]);
        packet.extend(host);
        packet.extend(numbers(&[kind, 1]));
        Self {
            packet,
            client: Client {
                address: IpAddr::from(client),
                transport: Transport::Datagram,
                is_encrypted: false,
            },
        }
    }

    fn write(&mut self, host: &[u8], theme: &Theme, random: &mut StdRng) {
        let edns = theme.signed || random.random_bool(0.7);
        let mut flags = 0;
        let (recursive, authentic) = (random.random_bool(0.94), random.random_bool(0.2));
        for (bit, set) in [(RD, recursive), (AD, authentic), (CD, theme.unchecked)] {
            flags |= if set { bit } else { 0 };
        }
        if random.random_bool(0.1) {
            // AA, TC, RA, Z and the RCODE mean nothing in a query.
            flags |= random.random::<u16>() & 0x06cf;
        }
        self.packet = numbers(&[random.random(), flags, 1, 0, 0, u16::from(edns)]);
        let shouts = random.random_bool(0.3);
        for octet in host {
            let upper = shouts && random.random();
            self.packet.push(if upper {
                octet.to_ascii_uppercase()
            } else {
                *octet
            });
        }
        self.packet.extend(numbers(&[theme.kind, 1]));
        if edns {
            self.packet.extend(opt(theme.signed, random));
        }
    }

    /// Makes it odd or wrong in one way.
    fn spoil(&mut self, random: &mut StdRng) {
        let packet = &mut self.packet;
        let question_end = skip_name(packet, 12) + 4;
        match random.random_range(0..20) {
            0 => packet.truncate(random.random_range(0..packet.len())),
            1..3 => {
                let at = random.random_range(0..packet.len());
                packet[at] = random.random();
            }
            3 => packet[2] |= 0x80,
            4 => packet[2] |= random.random_range(1..16) << 3,
            5 => packet[4..6].copy_from_slice(&numbers(&[*[0, 2, 256].choose(random).unwrap()])),
            6 => packet[question_end - 2..question_end].copy_from_slice(&numbers(&[*[
                0, 3, 4, 254, 255,
            ]
            .choose(random)
            .unwrap()])),
            7 => packet[12] = 0xc0,
            8 => packet[12] = 0x41,
            9 => packet.extend(b"trailing"),
            10 | 11 => self.add(&opt(false, random)),
            12 => self.add(&[&[1, b'o'], &opt(false, random)[..]].concat()),
            13 => {
                let version = numbers(&[OPT, 1232, random.random_range(1..256), 0, 0]);
                packet.truncate(question_end);
                packet[11] = 0;
                self.add(&[&[0], &version[..]].concat());
            }
            14 => {
                // A cookie of a wrong length, or an option that runs past the end.
                let options = *[&[0, 10, 0, 3, 1, 2, 3][..], &[0, 3, 0, 9, 1]]
                    .choose(random)
                    .unwrap();
                packet.truncate(question_end);
                packet[11] = 0;
                let length = u16::try_from(options.len()).unwrap();
                self.add(&[&[0], &numbers(&[OPT, 1232, 0, 0, length])[..], options].concat());
            }
            15 => {
                // A record where none belongs, but does no harm.
                let record = [&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4][..], &[1; 4]].concat();
                self.add(&record);
            }
            16 => {
                let record = [&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4][..], &[1; 4]].concat();
                packet.splice(question_end..question_end, record);
                packet[7] = 1;
            }
            17 => packet[11] = packet[11].wrapping_add(1),
            18 => {
                let labels = [&[63][..], &[b'l'; 63]].concat().repeat(4);
                packet.splice(12..12, labels);
            }
            _ => packet[4..12].fill(0xff),
        }
    }

    /// One more additional record.
    fn add(&mut self, record: &[u8]) {
        self.packet[11] += 1;
        self.packet.extend(record);
    }
}

/// An OPT record with the sizes and options that are seen.
fn opt(signed: bool, random: &mut StdRng) -> Vec<u8> {
    const SIZES: [u16; 14] = [
        0, 100, 511, 512, 513, 600, 800, 1000, 1220, 1232, 1232, 1400, 4096, 65_535,
    ];
    let options = [
        Vec::new(),
        Vec::new(),
        Vec::new(),
        option(10, b"8 octets"),
        option(10, &[7; 24]),
        option(3, b""),
        option(8, &[0, 1, 24, 0, 192, 0, 2]),
        option(11, b""),
        [option(11, b""), option(12, &[0; 60])].concat(),
        option(15, &[0, 1]),
        option(65_001, b"local"),
    ];
    let options = options.choose(random).unwrap();
    let mut flags = if signed { 0x8000 } else { 0 };
    if random.random_bool(0.05) {
        flags |= random.random::<u16>() & 0x7fff;
    }
    let length = u16::try_from(options.len()).unwrap();
    let size = *SIZES.choose(random).unwrap();
    [&[0], &numbers(&[OPT, size, 0, flags, length])[..], options].concat()
}

/// Some that rules know, and one that may not ask.
fn client(random: &mut StdRng) -> Client {
    const ADDRESSES: [&str; 10] = [
        "127.0.0.1",
        "127.0.0.1",
        "127.0.0.1",
        "::1",
        "10.1.2.3",
        "10.1.2.3",
        "192.168.7.9",
        "192.168.8.9",
        "fd00::7",
        "169.254.3.4",
    ];
    let address = if random.random_bool(0.02) {
        STRANGER
    } else {
        ADDRESSES.choose(random).unwrap().parse().unwrap()
    };
    let transport = *[Transport::Datagram, Transport::Datagram, Transport::Stream]
        .choose(random)
        .unwrap();
    Client {
        address,
        transport,
        is_encrypted: false,
    }
}

/// Outside `access`.
pub(crate) const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
