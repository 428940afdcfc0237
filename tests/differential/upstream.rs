//! What upstreams say: a function from question and age to a packet, and how long it may be kept.

use crate::answers::Draft;
use crate::hosts::{Hosts, Quirk};
use crate::packet::{
    A, AA, AD, Asked, CD, CNAME, Compression, DNAME, Heard, NS, Part, QR, RA, RD, Record, TC,
    Writer, name, number_at, numbers, option,
};
use rand::RngExt;
use rand::seq::IndexedRandom;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// What is said to one question, at age 0.
pub(crate) struct Answer {
    /// Id 0, no flag of the query echoed; OPT included.
    octets: Vec<u8>,
    ttls: Vec<usize>,
    question_end: usize,
    /// Validated: AD for who asks for it.
    authentic: bool,
    pub(crate) meaning: Meaning,
    /// The smallest TTL of what is kept.
    smallest: Option<u32>,
    /// MINIMUM of the SOA that denies.
    minimum: Option<u32>,
    has_servers: bool,
    /// Its ANSWER section begins with a link.
    pub(crate) has_chain: bool,
    quirk: Quirk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Data,
    NoData,
    NxDomain,
    Failure,
}

/// The servers behind both sides.
pub(crate) struct Upstreams {
    pub(crate) hosts: Hosts,
    answers: RefCell<HashMap<Asked, Rc<Answer>>>,
    /// Every answer is SERVFAIL.
    pub(crate) are_down: bool,
}

impl Upstreams {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            hosts: Hosts::new(seed),
            answers: RefCell::default(),
            are_down: false,
        }
    }

    /// What is said to a question.
    pub(crate) fn answer(&self, asked: &Asked) -> Rc<Answer> {
        if let Some(answer) = self.answers.borrow().get(asked) {
            return answer.clone();
        }
        let answer = Rc::new(Answer::write(Draft::new(&self.hosts, asked), asked));
        self.answers
            .borrow_mut()
            .insert(asked.clone(), answer.clone());
        answer
    }

    /// What is said to a question, without the header's flags.
    pub(crate) fn packet(&self, asked: &Asked) -> Vec<u8> {
        self.answer(asked).octets.clone()
    }

    /// What comes back for a query of ours; `weak` is a server that some names are too much for.
    pub(crate) fn say(&self, heard: &Heard, age: u32, (weak, stream): (bool, bool)) -> Reply {
        let answer = self.answer(&heard.asked);
        let short = |flags, end| Reply {
            packet: answer.short(heard, flags, end),
            is_whole: false,
        };
        if self.are_down || answer.quirk == Quirk::Flaky && weak {
            return short(2, answer.question_end);
        }
        if answer.quirk == Quirk::NoEdns && heard.edns {
            return short(1, 12);
        }
        if !stream && answer.octets.len() > 1232 {
            return short(TC, answer.question_end);
        }
        Reply {
            packet: answer.whole(heard, age),
            is_whole: true,
        }
    }
}

/// What comes back from a server.
pub(crate) struct Reply {
    pub(crate) packet: Vec<u8>,
    /// It is the answer.
    pub(crate) is_whole: bool,
}

impl Answer {
    fn write(mut draft: Draft<'_>, asked: &Asked) -> Self {
        let dice = &mut draft.dice;
        let compression = *[
            Compression::None,
            Compression::Usual,
            Compression::Usual,
            Compression::Everywhere,
        ]
        .choose(dice)
        .unwrap();
        let flags = draft.rcode & 0xf | if dice.random_bool(0.2) { AA } else { 0 };
        let opt_first = dice.random_bool(0.1) && !draft.is_opaque;
        let stray = dice.random_bool(0.05) && draft.meaning == Meaning::Data && !draft.is_opaque;
        let options = draft.error.map_or_else(Vec::new, |(code, text)| {
            option(15, &[&code.to_be_bytes(), text.as_bytes()].concat())
        });
        let mut writer = Writer::new(flags, &asked.name, asked.kind, compression);
        let question_end = writer.octets.len();
        let mut smallest = None;
        for (section, records) in draft.sections.iter().enumerate() {
            if section == 2 && opt_first {
                writer.opt(draft.rcode >> 4, 0, &options);
            }
            for record in records {
                smallest =
                    Some(smallest.map_or(record.ttl, |smallest: u32| smallest.min(record.ttl)));
                writer.record(section + 1, record);
            }
            if section == 0 && stray {
                writer.record(1, &astray());
            }
        }
        if !opt_first {
            writer.opt(draft.rcode >> 4, 0, &options);
        }
        if dice.random_bool(0.03) {
            writer.octets.extend(b"behind the last record");
        }
        Self {
            question_end,
            authentic: draft.authentic,
            meaning: draft.meaning,
            smallest,
            minimum: draft.minimum,
            has_servers: draft.sections[1].iter().any(|record| record.kind == NS),
            has_chain: matches!(draft.sections[0].first(), Some(first) if [CNAME, DNAME].contains(&first.kind)),
            quirk: draft.quirk,
            octets: writer.octets,
            ttls: writer.ttls,
        }
    }

    /// There are records, and every server tells them.
    pub(crate) fn is_good(&self) -> bool {
        self.meaning == Meaning::Data && matches!(self.quirk, Quirk::None | Quirk::NoEdns)
    }

    /// It comes later than a good A waits for it.
    pub(crate) fn is_slow(&self) -> bool {
        self.quirk == Quirk::SixSlow
    }

    /// Id and flags of a reply to this query.
    fn head(&self, heard: &Heard, flags: u16, packet: &mut [u8]) {
        let flags = QR | RA | heard.flags & (RD | CD) | flags;
        packet[..4].copy_from_slice(&numbers(&[heard.id, flags]));
    }

    /// The answer to this query, so many seconds after the TTLs began to count.
    fn whole(&self, heard: &Heard, age: u32) -> Vec<u8> {
        let mut packet = self.octets.clone();
        let wants = heard.asked.signed || heard.flags & AD != 0;
        let authentic = if self.authentic && wants { AD } else { 0 };
        let flags = number_at(&packet, 2) | authentic;
        self.head(heard, flags, &mut packet);
        for &at in &self.ttls {
            let ttl = u32::from_be_bytes(packet[at..at + 4].try_into().unwrap());
            let left = ttl.saturating_sub(self.counted(age));
            packet[at..at + 4].copy_from_slice(&left.to_be_bytes());
        }
        packet
    }

    /// A reply without records, up to its question or without one.
    fn short(&self, heard: &Heard, flags: u16, end: usize) -> Vec<u8> {
        let mut packet = self.octets[..end].to_vec();
        self.head(heard, flags, &mut packet);
        packet[4..12].fill(0);
        packet[5] = u8::from(end > 12);
        packet
    }

    /// Seconds that its TTLs have counted down: a while after the smallest is 0 they begin anew, later than
    /// `min_ttl` lets anybody keep them.
    fn counted(&self, age: u32) -> u32 {
        let period = self.smallest.unwrap_or(0).saturating_add(LONGEST_MIN_TTL);
        age % period
    }

    /// Seconds for which it may be kept when it is said at this age (answers.md 9); none: not at all.
    pub(crate) fn life(&self, age: u32, [min_ttl, max_ttl]: [u32; 2]) -> Option<u32> {
        let smallest = self
            .smallest
            .map(|ttl| ttl.saturating_sub(self.counted(age)));
        let ttl = match self.meaning {
            Meaning::Failure => None,
            Meaning::Data => smallest,
            Meaning::NoData | Meaning::NxDomain => match self.minimum {
                Some(minimum) => smallest.map(|ttl| ttl.min(minimum)),
                None => smallest.filter(|_| self.has_servers && self.meaning == Meaning::NoData),
            },
        };
        let longest = match self.meaning {
            Meaning::Data => max_ttl,
            _ => max_ttl.min(3 * 3600),
        };
        ttl.filter(|ttl| *ttl > 0)
            .map(|ttl| ttl.max(min_ttl).min(longest))
    }
}

/// A record of ANSWER that is on nobody's way.
fn astray() -> Record {
    Record {
        owner: name("stray.free.test"),
        kind: A,
        class: 1,
        ttl: 1,
        rdata: vec![Part::Octets(vec![192, 0, 2, 99])],
    }
}

/// `min_ttl` of any of the configurations.
const LONGEST_MIN_TTL: u32 = 30;
