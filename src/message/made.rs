//! Answers of our own making.
//!
//! They look like an upstream's, so that everything behind treats them alike: NODATA and NXDOMAIN with a
//! SOA that says how long they may be kept, and addresses under the question's own name. None of them
//! is vouched for (AD) or signed.

use super::answer::{Answer, Section, Soa};
use super::edit::{Draft, Head};
use super::kind::{Kind, Rcode};
use super::query::Question;
use super::wire::{HEADER, IN, flag, push_words};

/// A NODATA for `question`, with the CNAME and DNAME records of `chain` if one is given.
///
/// TTL and MINIMUM of its SOA are both `soa.minimum` (RFC 2308 §5); the chain's records keep their TTLs and lose
/// their signatures. `chain` may be an answer to another type of the same name. A reply bounds and ages
/// them by `Ttl::negative`.
pub fn nodata(question: &Question, chain: Option<&Answer>, soa: &Soa) -> Answer {
    denial(question, chain, soa, Rcode::NO_ERROR)
}

/// An NXDOMAIN for `question` with one SOA, its TTL and MINIMUM `soa.minimum`.
pub fn nxdomain(question: &Question, soa: &Soa) -> Answer {
    denial(question, None, soa, Rcode::NX_DOMAIN)
}

/// The same answer to another question type: an NXDOMAIN to A is one to AAAA too (RFC 8020 §2).
pub fn under_kind(answer: &Answer, kind: Kind) -> Answer {
    let mut octets = answer.octets().to_vec();
    if let Some((name, _)) = answer.question() {
        // The question's name is never compressed, so its type stands right behind its octets.
        let kind_at = HEADER + name.wire().len();
        if let Some(place) = octets.get_mut(kind_at..kind_at + 2) {
            place.copy_from_slice(&kind.0.to_be_bytes());
        }
    }
    Answer::ours(octets, answer.rcode(), answer.extended_errors().into())
}

/// Records of the asked type under the question's own name, one for each `rdata`, as many as fit.
pub fn addresses(question: &Question, ttl: u32, rdata: &[&[u8]]) -> Answer {
    let mut message = blank(question, Rcode::NO_ERROR);
    if let Some(mut draft) = Draft::like(&message) {
        let head = Head {
            section: Section::Answer,
            owner: question.name,
            kind: question.kind,
            class: IN,
            ttl,
        };
        for rdata in rdata {
            let written = draft.push(head, |draft| {
                draft.octets(rdata);
                Some(())
            });
            if written.is_none() {
                break;
            }
        }
        message = draft.finish();
    }
    Answer::ours(message, Rcode::NO_ERROR, Box::default())
}

fn denial(question: &Question, chain: Option<&Answer>, soa: &Soa, rcode: Rcode) -> Answer {
    let blank = blank(question, rcode);
    let message = write_denial(&blank, chain, soa)
        // A chain that leaves no room for the SOA is worth less than the SOA.
        .or_else(|| write_denial(&blank, None, soa))
        .unwrap_or(blank);
    Answer::ours(message, rcode, Box::default())
}

fn write_denial(blank: &[u8], chain: Option<&Answer>, soa: &Soa) -> Option<Vec<u8>> {
    let mut draft = Draft::like(blank)?;
    for record in chain.into_iter().flat_map(Answer::records) {
        if record.section == Section::Answer && matches!(record.kind, Kind::CNAME | Kind::DNAME) {
            draft.copy(&record)?;
        }
    }
    let head = Head {
        section: Section::Authority,
        owner: soa.owner,
        kind: Kind::SOA,
        class: IN,
        ttl: soa.minimum,
    };
    draft.push(head, |draft| {
        draft.name(&soa.mname);
        draft.name(&soa.rname);
        for number in [soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum] {
            draft.octets(&number.to_be_bytes());
        }
        Some(())
    })?;
    Some(draft.finish())
}

/// Header and question of a reply without records.
fn blank(question: &Question, rcode: Rcode) -> Vec<u8> {
    let mut octets = Vec::new();
    push_words(
        [0, flag::QR | flag::RA | rcode.0 & 0xf, 1, 0, 0, 0],
        &mut octets,
    );
    octets.extend_from_slice(question.name.wire());
    push_words([question.kind.0, IN], &mut octets);
    octets
}

#[cfg(test)]
mod tests {
    use super::super::answer::Meaning;
    use super::super::answer::sample::{Packet, lines, name, question, rrsig_rdata, soa, wire};
    use super::*;

    const V4: &[u8] = &[192, 0, 2, 1];

    #[test]
    fn a_nodata_says_how_long() {
        let asked = question("www.example", Kind::AAAA);
        let answer = nodata(&asked, None, &soa("Example", 45));
        assert_eq!(lines(&answer), ["ns Example. 45 SOA"]);
        assert_eq!(
            (answer.meaning(), answer.negative_ttl()),
            (Meaning::NoData, Some(45))
        );
        assert_eq!(answer.soa(), Some(soa("Example", 45)));
        assert_eq!(answer.rcode(), Rcode::NO_ERROR);
        assert!(!answer.is_authentic());
    }

    #[test]
    fn a_nodata_can_end_a_chain() {
        let asked = question("www.old.example", Kind::A);
        let chain = Packet::to(&asked)
            .answer("old.example", Kind::DNAME, 9, &wire("new.example"))
            .answer("www.old.example", Kind::CNAME, 8, &wire("www.new.example"))
            .answer(
                "www.old.example",
                Kind::RRSIG,
                8,
                &rrsig_rdata(Kind::CNAME, "example"),
            )
            .answer("www.new.example", Kind::A, 7, V4)
            .additional("ns.example", Kind::A, 6, V4)
            .learn(&asked);
        let asked = question("www.old.example", Kind::AAAA);
        let answer = nodata(&asked, Some(&chain), &soa("www.new.example", 45));
        let want = [
            "an old.example. 9 DNAME",
            "an www.old.example. 8 CNAME",
            "ns www.new.example. 45 SOA",
        ];
        assert_eq!(lines(&answer), want);
        assert_eq!(answer.chain(), [name("www.new.example")]);
        assert_eq!(
            (answer.meaning(), answer.chain_ttl()),
            (Meaning::NoData, Some(8))
        );
        assert_eq!(answer.negative_ttl(), Some(45));
    }

    #[test]
    fn an_nxdomain_is_one_under_any_type() {
        let asked = question("gone.example", Kind::A);
        let answer = nxdomain(&asked, &soa("example", 5));
        assert_eq!(
            (answer.rcode(), answer.meaning()),
            (Rcode::NX_DOMAIN, Meaning::NxDomain)
        );
        let other = under_kind(&answer, Kind::AAAA);
        assert_eq!(other.question(), Some((name("gone.example"), Kind::AAAA)));
        assert_eq!(
            (other.rcode(), other.meaning()),
            (Rcode::NX_DOMAIN, Meaning::NxDomain)
        );
        assert_eq!(other.negative_ttl(), Some(5));
        assert_eq!(lines(&other), lines(&answer));
    }

    #[test]
    fn addresses_stand_under_the_question() {
        let asked = question("localhost", Kind::A);
        let answer = addresses(&asked, 300, &[&[127, 0, 0, 1], &[127, 0, 0, 2]]);
        assert_eq!(
            lines(&answer),
            ["an localhost. 300 A", "an localhost. 300 A"]
        );
        assert_eq!(
            (answer.meaning(), answer.smallest_ttl()),
            (Meaning::Data, Some(300))
        );
        let too_much = addresses(&asked, 300, &[&[1; 4], &[0; 65_530], &[2; 4]]);
        assert_eq!(too_much.records().count(), 1);
    }

    #[test]
    fn a_loop_under_another_type_does_no_harm() {
        let asked = question("a.example", Kind::CNAME);
        let looped = Packet::to(&asked).answer("a.example", Kind::CNAME, 9, &wire("a.example"));
        let answer = under_kind(&looped.learn(&asked), Kind::AAAA);
        assert_eq!(
            (answer.meaning(), answer.chain()),
            (Meaning::NoData, &[][..])
        );
    }
}
