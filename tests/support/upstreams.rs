//! The upstreams of a scenario: what they await to be asked, and what was left over.

use super::Fallible;
use super::records::{kind_text, name_text};
use super::script::{Line, Presence, Query};
use super::values::{Asked, Flag, Over, Times, flag_words};
use super::wire::Message;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

/// A query of ours as an upstream hears it.
pub(crate) struct Heard {
    pub(crate) upstream: SocketAddr,
    pub(crate) over: Over,
    pub(crate) packet: Vec<u8>,
}

impl Heard {
    pub(crate) fn asked(&self) -> Fallible<(Vec<u8>, u16)> {
        Self::question_of(&self.packet)
    }

    /// Lowered name and type of the one question in a packet.
    pub(crate) fn question_of(packet: &[u8]) -> Fallible<(Vec<u8>, u16)> {
        let message = Message::read(packet)?;
        let question = packet.get(12..message.question_end).unwrap_or_default();
        let (name, rest) = question.split_at(question.len().saturating_sub(4));
        let kind = rest
            .iter()
            .take(2)
            .fold(0, |sum, &octet| sum << 8 | u16::from(octet));
        Ok((name.to_ascii_lowercase(), kind))
    }
}

/// All lines of all upstreams.
pub(crate) struct Upstreams {
    lines: BTreeMap<SocketAddr, Vec<Awaited>>,
    /// Labels that stood where a `<word>` stands in the script.
    words: HashMap<String, String>,
}

/// A line and how often it was asked.
struct Awaited {
    line: Line,
    asked: Asked,
    count: u32,
}

impl Upstreams {
    pub(crate) fn new(scripts: &BTreeMap<SocketAddr, Vec<Line>>) -> Fallible<Self> {
        let mut lines = BTreeMap::<SocketAddr, Vec<Awaited>>::new();
        for (upstream, script) in scripts {
            for line in script {
                for line in line.expand()? {
                    let asked = Asked::parse(&line.ask)?;
                    lines.entry(*upstream).or_default().push(Awaited {
                        line,
                        asked,
                        count: 0,
                    });
                }
            }
        }
        Ok(Self {
            lines,
            words: HashMap::new(),
        })
    }

    /// The first line that awaits this question now.
    pub(crate) fn hear(
        &mut self,
        heard: &Heard,
        query: &Message,
        step: u32,
        since: Duration,
    ) -> Fallible<Line> {
        let (name, kind) = heard.asked()?;
        let name = name_text(&name);
        let seen = Seen {
            name: &name,
            kind,
            over: heard.over,
            query,
            step,
            since,
        };
        for awaited in self.lines.entry(heard.upstream).or_default() {
            if awaited.is_asked_by(&seen, &mut self.words) {
                awaited.count += 1;
                return Ok(awaited.line.clone());
            }
        }
        let (kind, over) = (kind_text(kind), format!("{:?}", heard.over).to_lowercase());
        let flags = flag_words(query.flags);
        let dnssec_ok = if has_dnssec_ok(query) { " do" } else { "" };
        let upstream = heard.upstream;
        Err(format!(
            "{upstream} does not await `{name} {kind}` {flags}{dnssec_ok} over {over} after {since:?}"
        ))
    }

    /// Lines that were asked less often than they await.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        for (upstream, lines) in &self.lines {
            for Awaited { line, count, .. } in lines.iter().filter(|awaited| awaited.is_left_over())
            {
                left.push(format!(
                    "{upstream} was asked `{}` {count} times only",
                    line.ask
                ));
            }
        }
        left
    }

    /// The text with the label heard in the place of its `<word>`.
    pub(crate) fn fill(&self, text: &str) -> Fallible<String> {
        let Some((word, rest)) = text.strip_prefix('<').and_then(|rest| rest.split_once('>'))
        else {
            return Ok(text.to_owned());
        };
        let label = self
            .words
            .get(word)
            .ok_or_else(|| format!("<{word}> was never asked"))?;
        Ok(format!("{label}{rest}"))
    }
}

/// A question as it comes in at an upstream.
struct Seen<'a> {
    name: &'a str,
    kind: u16,
    over: Over,
    query: &'a Message,
    step: u32,
    since: Duration,
}

impl Awaited {
    fn is_asked_by(&self, seen: &Seen<'_>, words: &mut HashMap<String, String>) -> bool {
        let line = &self.line;
        let left = match line.times {
            Times::Exactly(times) => self.count < times,
            Times::Any => true,
        };
        let far = |at: Duration| seen.since.abs_diff(at) > Duration::from_millis(1);
        let present = |presence| (presence == Presence::Present) != seen.query.opt.is_empty();
        left && line.steps.covers(seen.step)
            && self.asked.kind == seen.kind
            && line.over == seen.over
            && !line.at.is_some_and(|at| far(at.0))
            && line.opt.is_none_or(present)
            && line
                .flags
                .as_ref()
                .is_none_or(|flags| same_flags(flags, seen.query))
            && same_name(&self.asked.name, seen.name, words)
    }

    fn is_left_over(&self) -> bool {
        let due = match self.line.times {
            Times::Exactly(times) => times,
            Times::Any => 1,
        };
        self.line.must && self.count < due
    }
}

fn same_flags(flags: &[Flag], query: &Message) -> bool {
    [Flag::Rd, Flag::Ad, Flag::Cd]
        .iter()
        .all(|flag| flags.contains(flag) == (query.flags & flag.bit() != 0))
        && flags.contains(&Flag::Do) == has_dnssec_ok(query)
}

fn has_dnssec_ok(query: &Message) -> bool {
    query.opt.first().is_some_and(|opt| opt.flags & 0x8000 != 0)
}

/// `<word>` stands for one label: any at first, the same one from then on.
fn same_name(awaited: &str, name: &str, words: &mut HashMap<String, String>) -> bool {
    let Some((word, rest)) = awaited
        .strip_prefix('<')
        .and_then(|rest| rest.split_once('>'))
    else {
        return awaited.eq_ignore_ascii_case(name);
    };
    let Some((label, _)) = name.split_once('.').filter(|(label, _)| !label.is_empty()) else {
        return false;
    };
    if name.get(label.len()..) != Some(rest) {
        return false;
    }
    words
        .entry(word.to_owned())
        .or_insert_with(|| label.to_owned())
        == label
}

/// One query of many that a line with a range stands for.
pub(crate) fn one_query(query: &Query, text: &str, upstreams: &Upstreams) -> Fallible<Query> {
    Ok(Query {
        query: upstreams.fill(text)?,
        ..query.clone()
    })
}
