//! A pipeline in process, its cache filled by a scripted upstream: what the hot path is measured on.
//!
//! No socket, no thread, no clock, and a fixed seed: two runs do the same, instruction by instruction.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use unsix::config::Config;
use unsix::message::{Ask, Kind, Name, Question, Transport, write_query};
use unsix::pipeline::{
    Action, Client, Duty, Event, Fetches, Origin, Outcome, Pipeline, Settings, Via,
};
use unsix::time::Moment;

/// A pipeline and who asks it.
pub(crate) struct Warm {
    pipeline: Arc<Pipeline>,
    settings: Arc<Settings>,
}

/// The moment at which everything was learned and is asked.
pub(crate) const NOW: Moment = Moment::from_micros(1_000_000);

const CLIENT: Client = Client {
    address: IpAddr::V4(Ipv4Addr::LOCALHOST),
    transport: Transport::Datagram,
    is_encrypted: false,
};

impl Warm {
    /// Under these rules, knows the answers to these queries, and what the rules make of them.
    pub(crate) fn new(rules: &str, queries: &[Vec<u8>]) -> Self {
        let config = Config::read(rules).expect("a configuration of ours is valid");
        let upstream = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 53), 53));
        let pipeline = Arc::new(Pipeline::new(&config, &[upstream.into()], 1));
        let mut fetches = Fetches::new(Arc::clone(&pipeline), [1; 32], Duty::Plain);
        let warm = Self {
            settings: pipeline.settings(),
            pipeline,
        };
        let mut reply = Vec::new();
        for query in queries {
            learn(&mut fetches, query, &mut Vec::new());
            // The first reply makes what the next ones copy.
            warm.ask(query, &mut reply);
        }
        warm
    }

    /// Asks it as a worker does.
    pub(crate) fn ask(&self, query: &[u8], reply: &mut Vec<u8>) -> Outcome {
        self.pipeline
            .answer_now(&self.settings, query, CLIENT, NOW, reply)
    }
}

/// Has every query that this one leads to answered; gives how many replies went out.
fn learn(fetches: &mut Fetches, query: &[u8], actions: &mut Vec<Action>) -> usize {
    let origin = Origin {
        client: CLIENT,
        peer: (Ipv4Addr::LOCALHOST, 5353).into(),
        via: Via::Connection(1),
    };
    let mut replies = 0;
    fetches.ask(query, origin, NOW, actions);
    while let Some(action) = actions.pop() {
        match action {
            Action::Send {
                exchange,
                packet: query,
                ..
            } => {
                let packet = &answer(&query, &[]);
                fetches.recycle(query);
                fetches.on(Event::Packet { exchange, packet }, NOW, actions);
            }
            Action::Reply { reply, .. } => {
                fetches.recycle(reply);
                replies += 1;
            }
            Action::Release { .. } | Action::Note(_) => {}
        }
    }
    replies
}

/// Names that nobody has asked before, each answered by the upstream at once.
pub(crate) struct Misses {
    warm: Warm,
    fetches: Fetches,
    query: Vec<u8>,
    number: u64,
    reply: Vec<u8>,
    actions: Vec<Action>,
}

impl Misses {
    /// None asked yet.
    pub(crate) fn new() -> Self {
        let warm = Warm::new("{}", &[]);
        Self {
            fetches: Fetches::new(Arc::clone(&warm.pipeline), [1; 32], Duty::Plain),
            warm,
            query: query(&format!("{:0DIGITS$}.bench.test", 0), Kind::A),
            number: 0,
            reply: Vec::new(),
            actions: Vec::new(),
        }
    }

    /// Asks the next one; gives how many replies went out: one.
    pub(crate) fn next(&mut self) -> usize {
        self.number += 1;
        let mut rest = self.number;
        let label = self.query.iter_mut().skip(HEADER + 1).take(DIGITS);
        for digit in label.rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        match self.warm.ask(&self.query, &mut self.reply) {
            Outcome::Fetch => learn(&mut self.fetches, &self.query, &mut self.actions),
            Outcome::Reply { .. } | Outcome::Drop => 0,
        }
    }
}

/// Octets of a missed name's first label.
const DIGITS: usize = 10;

/// A query as clients send it, with an OPT record.
pub(crate) fn query(name: &str, kind: Kind) -> Vec<u8> {
    let ask = Ask {
        question: question(name, kind),
        recursion_desired: true,
        authentic_data: false,
    };
    let mut query = Vec::new();
    write_query(&ask, ID, true, &mut query);
    query
}

/// The id of every query.
pub(crate) const ID: u16 = 7;

/// What such a query asks.
pub(crate) fn question(name: &str, kind: Kind) -> Question {
    Question {
        name: Name::parse(name).expect("a name of ours parses").lower(),
        kind,
        dnssec_ok: false,
        checking_disabled: false,
    }
}

/// The query turned into an answer with one record of the asked type: an address, else this data.
pub(crate) fn answer(query: &[u8], data: &[u8]) -> Vec<u8> {
    let (asked, _opt) = query.split_at(query.len() - OPT);
    let (_, kind_and_class) = asked.split_at(asked.len() - 4);
    let rdata: &[u8] = match kind_and_class {
        [0, 1, ..] => &[192, 0, 2, 1],
        [0, 28, ..] => &[0x20; 16],
        _ => data,
    };
    let length = u16::try_from(rdata.len()).expect("data of ours is short");
    let (_, after) = asked.split_at(HEADER);
    let mut answer = REPLY_HEADER.to_vec();
    for (octet, asked) in answer.iter_mut().zip(asked).take(2) {
        *octet = *asked;
    }
    answer.extend(after);
    answer.extend([0xc0, 12]);
    answer.extend(kind_and_class);
    answer.extend(3600u32.to_be_bytes());
    answer.extend(length.to_be_bytes());
    answer.extend(rdata);
    answer
}

/// Octets of a header, and of an OPT record without options.
const HEADER: usize = 12;
const OPT: usize = 11;
/// QR, RD, RA; one question, one record.
const REPLY_HEADER: [u8; HEADER] = [0, 0, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];

/// A hit that is measured.
pub(crate) struct Case {
    /// What it is called.
    pub(crate) what: &'static str,
    /// The configuration under which it is asked.
    pub(crate) rules: &'static str,
    /// The name that is asked.
    pub(crate) name: &'static str,
    /// The type.
    pub(crate) kind: Kind,
}

impl Case {
    /// The query.
    pub(crate) fn query(&self) -> Vec<u8> {
        query(self.name, self.kind)
    }
}

/// A rule for the addresses of every AAAA record here, for some clients, those here among them.
const RANGED: &str = "rules: [{ addresses: ['2020::/16'], clients: [127.0.0.0/8] }]";
/// The same where no address is in the range.
const BESIDE: &str = "rules: [{ addresses: ['2001:db8::/32'], clients: [127.0.0.0/8] }]";

/// The hits that are measured.
#[rustfmt::skip]
pub(crate) const CASES: &[Case] = &[
    Case { what: "hit",            rules: "{}",   name: "www.quay.io",          kind: Kind::A },
    Case { what: "untouched AAAA", rules: "{}",   name: "www.quay.io",          kind: Kind::AAAA },
    Case { what: "filtered AAAA",  rules: "{}",   name: "registry-1.docker.io", kind: Kind::AAAA },
    Case { what: "ranged AAAA",    rules: RANGED, name: "www.quay.io",          kind: Kind::AAAA },
    Case { what: "AAAA elsewhere", rules: BESIDE, name: "www.quay.io",          kind: Kind::AAAA },
];
