//! Packets for the tests of this room, written octet by octet, no name compressed unless a test does it.

use super::super::judge::{Judgement, Transport, judge};
use super::super::kind::Kind;
use super::super::name::Name;
use super::super::query::Question;
use super::super::wire::{IN, push_words};
use super::{Answer, Section, Soa};

/// The id every sample carries.
pub(in crate::message) const ID: u16 = 0x1234;

pub(in crate::message) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// The name's octets, as RDATA.
pub(in crate::message) fn wire(text: &str) -> Vec<u8> {
    name(text).wire().to_vec()
}

pub(in crate::message) fn question(text: &str, kind: Kind) -> Question {
    Question {
        name: name(text),
        kind,
        dnssec_ok: false,
        checking_disabled: false,
    }
}

pub(in crate::message) fn soa(owner: &str, minimum: u32) -> Soa {
    Soa {
        owner: name(owner),
        mname: name("ns.example"),
        rname: name("mail.example"),
        serial: 1,
        refresh: 2,
        retry: 3,
        expire: 4,
        minimum,
    }
}

/// RDATA of a SOA.
pub(in crate::message) fn soa_rdata(minimum: u32) -> Vec<u8> {
    let mut rdata = [wire("ns.example"), wire("mail.example")].concat();
    for number in [1, 2, 3, 4, minimum] {
        rdata.extend_from_slice(&number.to_be_bytes());
    }
    rdata
}

/// RDATA of an RRSIG, its signature four octets.
pub(in crate::message) fn rrsig_rdata(covers: Kind, signer: &str) -> Vec<u8> {
    let mut rdata = covers.0.to_be_bytes().to_vec();
    rdata.extend_from_slice(&[8, 2, 0, 0, 0, 60, 0, 0, 0, 9, 0, 0, 0, 1, 0, 7]);
    rdata.extend(wire(signer));
    rdata.extend_from_slice(b"sign");
    rdata
}

/// A packet under construction; sections must be filled in order.
#[derive(Clone)]
pub(in crate::message) struct Packet(pub(in crate::message) Vec<u8>);

impl Packet {
    /// A reply to this question: NOERROR, QR, RD and RA.
    pub(in crate::message) fn to(question: &Question) -> Self {
        let mut octets = Vec::new();
        push_words([ID, 0x8180, 1, 0, 0, 0], &mut octets);
        octets.extend_from_slice(question.name.wire());
        push_words([question.kind.0, IN], &mut octets);
        Self(octets)
    }

    pub(in crate::message) fn flags(mut self, flags: u16) -> Self {
        self.0[2..4].copy_from_slice(&flags.to_be_bytes());
        self
    }

    /// Sets one of the header's counts: 0 for the question, 1 for ANSWER.
    pub(in crate::message) fn count(mut self, section: usize, count: u16) -> Self {
        self.0[4 + 2 * section..][..2].copy_from_slice(&count.to_be_bytes());
        self
    }

    pub(in crate::message) fn answer(
        self,
        owner: &str,
        kind: Kind,
        ttl: u32,
        rdata: &[u8],
    ) -> Self {
        self.record(Section::Answer, (&wire(owner), kind, IN), ttl, rdata)
    }

    pub(in crate::message) fn authority(
        self,
        owner: &str,
        kind: Kind,
        ttl: u32,
        rdata: &[u8],
    ) -> Self {
        self.record(Section::Authority, (&wire(owner), kind, IN), ttl, rdata)
    }

    pub(in crate::message) fn additional(
        self,
        owner: &str,
        kind: Kind,
        ttl: u32,
        rdata: &[u8],
    ) -> Self {
        self.record(Section::Additional, (&wire(owner), kind, IN), ttl, rdata)
    }

    /// An OPT in ADDITIONAL: the upper bits of the RCODE, and its options.
    pub(in crate::message) fn opt(self, rcode: u8, options: &[u8]) -> Self {
        let ttl = u32::from(rcode) << 24;
        self.record(Section::Additional, (&[0], Kind::OPT, 1232), ttl, options)
    }

    /// Any record; its owner may be compressed.
    pub(in crate::message) fn record(
        mut self,
        section: Section,
        (owner, kind, class): (&[u8], Kind, u16),
        ttl: u32,
        rdata: &[u8],
    ) -> Self {
        let count_at = section.count_at();
        let count = u16::from_be_bytes([self.0[count_at], self.0[count_at + 1]]);
        self.0[count_at..count_at + 2].copy_from_slice(&(count + 1).to_be_bytes());
        self.0.extend_from_slice(owner);
        push_words([kind.0, class], &mut self.0);
        self.0.extend_from_slice(&ttl.to_be_bytes());
        push_words([u16::try_from(rdata.len()).unwrap()], &mut self.0);
        self.0.extend_from_slice(rdata);
        self
    }

    pub(in crate::message) fn judge(&self, question: &Question) -> Judgement {
        judge(&self.0, ID, question, Transport::Datagram)
    }

    /// The answer that this must be.
    pub(in crate::message) fn learn(&self, question: &Question) -> Answer {
        match self.judge(question) {
            Judgement::Answer(answer) => std::sync::Arc::unwrap_or_clone(answer),
            other => panic!("{other:?}"),
        }
    }
}

/// `section owner ttl type` of every record.
pub(in crate::message) fn lines(answer: &Answer) -> Vec<String> {
    answer
        .records()
        .map(|record| {
            let section = match record.section {
                Section::Answer => "an",
                Section::Authority => "ns",
                Section::Additional => "ar",
            };
            format!(
                "{section} {} {} {}",
                record.owner(),
                record.ttl,
                record.kind
            )
        })
        .collect()
}
