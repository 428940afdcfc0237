//! Holds a reply against what its scenario awaits: every section, every flag, every extended error.

use super::Fallible;
use super::awaited::Awaited;
use super::records::Record;
use super::script::{Expected, Presence};
use super::values::{Flag, bits, flag_words, rcode_number};
use super::wire::Message;
use std::time::Duration;
use unsix::config::Config;
use unsix::pipeline::Tally;

/// Header bits that a scenario speaks of.
const SPOKEN_OF: &[Flag] = &[Flag::Aa, Flag::Tc, Flag::Rd, Flag::Ra, Flag::Ad, Flag::Cd];

/// Everything known about a reply.
pub(crate) struct Given<'a> {
    pub(crate) message: &'a Message,
    pub(crate) packet: &'a [u8],
    /// What upstream last said to this very question.
    pub(crate) upstream: Option<&'a [u8]>,
    /// Header bits of the query.
    pub(crate) asked: u16,
    pub(crate) took: Duration,
    pub(crate) tally: Tally,
    pub(crate) config: &'a Config,
}

/// Complains about each difference.
pub(crate) fn compare(
    given: &Given<'_>,
    expected: &Expected,
    faults: &mut Vec<String>,
) -> Fallible<()> {
    let message = given.message;
    if message.rcode() != rcode_number(&expected.rcode)? {
        faults.push(format!("RCODE {}, not {}", message.rcode(), expected.rcode));
    }
    let flags = message.flags & bits(SPOKEN_OF);
    let awaited = match &expected.flags {
        Some(flags) => bits(flags),
        None => Flag::Ra.bit() | given.asked & bits(&[Flag::Rd, Flag::Cd]),
    };
    if flags != awaited {
        faults.push(format!(
            "flags {}, not {}",
            flag_words(flags),
            flag_words(awaited)
        ));
    }
    section("answer", &message.answer, &expected.answer, faults)?;
    section("authority", &message.authority, &expected.authority, faults)?;
    section(
        "additional",
        &message.additional,
        &expected.additional,
        faults,
    )?;
    options(message, expected, faults);
    times(given.took, expected, faults);
    tally(given, expected, faults)?;
    if expected.bytes.is_some() {
        match given.upstream {
            None => faults.push("upstream was never asked this".to_owned()),
            Some(upstream) if body(upstream)? == body(given.packet)? => {}
            Some(_) => faults.push("not octet by octet what upstream said".to_owned()),
        }
    }
    Ok(())
}

fn section(
    name: &str,
    given: &[Record],
    lines: &[String],
    faults: &mut Vec<String>,
) -> Fallible<()> {
    let mut awaited = Vec::new();
    for line in lines {
        awaited.extend(Awaited::parse_all(line)?);
    }
    let same = given
        .iter()
        .zip(&awaited)
        .all(|(given, awaited)| awaited.is(given));
    if given.len() != awaited.len() || !same {
        faults.push(format!(
            "{name}:\n    awaited {}\n    given   {}",
            list(&awaited),
            list(given)
        ));
    }
    Ok(())
}

fn list<T: ToString>(records: &[T]) -> String {
    let lines: Vec<String> = records.iter().take(20).map(ToString::to_string).collect();
    format!("{}: {}", records.len(), lines.join("\n            "))
}

fn options(message: &Message, expected: &Expected, faults: &mut Vec<String>) {
    let present = !message.opt.is_empty();
    if expected
        .opt
        .is_some_and(|awaited| (awaited == Presence::Present) != present)
    {
        faults.push(format!("OPT must be {:?}", expected.opt));
    }
    let options = message.opt.iter().flat_map(|opt| &opt.options);
    let (errors, others): (Vec<_>, Vec<_>) = options.partition(|(code, _)| *code == 15);
    let codes: Vec<u16> = others.iter().map(|(code, _)| *code).collect();
    if codes != expected.options {
        faults.push(format!(
            "EDNS options {codes:?}, not {:?}",
            expected.options
        ));
    }
    let errors: Vec<String> = errors
        .iter()
        .map(|(_, octets)| error_text(octets))
        .collect();
    // A code alone says nothing about the text.
    let same = |(given, awaited): (&String, &String)| {
        given == awaited || given.split(' ').next() == Some(awaited.as_str())
    };
    if errors.len() != expected.ede.len() || !errors.iter().zip(&expected.ede).all(same) {
        faults.push(format!(
            "extended errors {errors:?}, not {:?}",
            expected.ede
        ));
    }
}

fn error_text(octets: &[u8]) -> String {
    let (code, text) = octets.split_at(octets.len().min(2));
    let code = code
        .iter()
        .fold(0, |sum, &octet| sum << 8 | u16::from(octet));
    format!("{code} {}", String::from_utf8_lossy(text))
        .trim_end()
        .to_owned()
}

fn times(took: Duration, expected: &Expected, faults: &mut Vec<String>) {
    if let Some(within) = expected.within.filter(|within| took > within.0) {
        faults.push(format!("took {took:?}, more than {:?}", within.0));
    }
    let far = |after: Duration| took.abs_diff(after) > Duration::from_millis(1);
    if let Some(after) = expected.after.filter(|after| far(after.0)) {
        faults.push(format!("took {took:?}, not {:?}", after.0));
    }
}

fn tally(given: &Given<'_>, expected: &Expected, faults: &mut Vec<String>) -> Fallible<()> {
    let tally = given.tally;
    if tally.rcode.0 != given.message.rcode() {
        faults.push(format!("counted under RCODE {}", tally.rcode.0));
    }
    let source = format!("{:?}", tally.source).to_lowercase();
    if expected
        .source
        .as_ref()
        .is_some_and(|awaited| *awaited != source)
    {
        faults.push(format!("counted under {source}, not {:?}", expected.source));
    }
    let name = |index: Option<u8>| -> Fallible<Option<&str>> {
        let Some(index) = index else { return Ok(None) };
        let rule = given
            .config
            .rules
            .get(usize::from(index))
            .ok_or("no such rule")?;
        Ok(Some(rule.name.as_str()))
    };
    for (what, index, awaited) in [
        ("rule", tally.rule, &expected.rule),
        ("reported", tally.reported, &expected.reported),
    ] {
        let rule = name(index)?;
        if awaited
            .as_deref()
            .is_some_and(|awaited| Some(awaited) != rule)
        {
            faults.push(format!("{what} {rule:?}, not {awaited:?}"));
        }
    }
    Ok(())
}

/// The octets between question and OPT, TTLs blanked.
fn body(packet: &[u8]) -> Fallible<Vec<u8>> {
    let message = Message::read(packet)?;
    let mut octets = packet.to_vec();
    for at in message.ttls_at {
        if let Some(ttl) = octets.get_mut(at..at + 4) {
            ttl.fill(0);
        }
    }
    Ok(octets
        .get(message.question_end..message.body_end)
        .unwrap_or_default()
        .to_vec())
}
