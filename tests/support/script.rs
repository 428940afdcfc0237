//! A scenario file as it is written, every key of it. `tests/README.md` explains them.

use super::Fallible;
use super::awaited::Awaited;
use super::records::{Record, expand};
use super::values::{Asked, Flag, Over, Span, Steps, Times};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_yaml::Value;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// A configuration file of the product, as YAML.
    #[serde(default)]
    pub(crate) config: Value,
    /// What each upstream is asked, and what it says.
    #[serde(default)]
    pub(crate) upstreams: BTreeMap<SocketAddr, Vec<Line>>,
    pub(crate) steps: BTreeMap<u32, Step>,
}

impl Scenario {
    pub(crate) fn read(text: &str) -> Fallible<Self> {
        let scenario: Self = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        scenario.check_records()?;
        Ok(scenario)
    }

    /// A slip in a record that no step reaches must show as well.
    fn check_records(&self) -> Fallible<()> {
        for line in self.upstreams.values().flatten() {
            Asked::parse(&line.ask)?;
            for say in &line.say {
                let Say::Packet(packet) = say else { continue };
                for record in [&packet.answer, &packet.authority, &packet.additional]
                    .into_iter()
                    .flatten()
                {
                    Record::parse_all(record)?;
                }
            }
        }
        for query in self.steps.values().flat_map(|step| &step.queries) {
            let Some(reply) = &query.reply else { continue };
            for record in [&reply.answer, &reply.authority, &reply.additional]
                .into_iter()
                .flatten()
            {
                Awaited::parse_all(record)?;
            }
        }
        Ok(())
    }
}

/// One question that an upstream awaits.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    #[serde(default = "all_steps")]
    pub(crate) steps: Steps,
    /// `www.example. AAAA`; `{1..9}` makes nine lines; `<word>` stands for any one label.
    pub(crate) ask: String,
    /// Exactly these of rd, ad, cd, do are set; not looked at when absent.
    pub(crate) flags: Option<Vec<Flag>>,
    pub(crate) opt: Option<Presence>,
    #[serde(default)]
    pub(crate) over: Over,
    /// So long after the step's own start, to the millisecond.
    pub(crate) at: Option<Span>,
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) say: Vec<Say>,
    #[serde(default = "ten_milliseconds")]
    pub(crate) after: Span,
    #[serde(default = "once")]
    pub(crate) times: Times,
    /// It is a fault of the scenario if this is never asked.
    #[serde(default = "truth")]
    pub(crate) must: bool,
}

impl Line {
    /// One line for each number of a range in its question.
    pub(crate) fn expand(&self) -> Fallible<Vec<Self>> {
        let asked = expand(&self.ask)?;
        Ok(asked
            .into_iter()
            .map(|ask| Self {
                ask,
                ..self.clone()
            })
            .collect())
    }
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Presence {
    Present,
    Absent,
}

/// What comes back from an upstream.
#[derive(Clone, Debug)]
pub(crate) enum Say {
    Silence,
    Unreachable,
    Packet(Box<Packet>),
}

/// A packet of an upstream; id and question are those of our query unless `wrong` says otherwise.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Packet {
    #[serde(default = "noerror")]
    pub(crate) rcode: String,
    /// Beside QR, RA and the RD and CD of the query.
    #[serde(default)]
    pub(crate) flags: Vec<Flag>,
    #[serde(default)]
    pub(crate) answer: Vec<String>,
    #[serde(default)]
    pub(crate) authority: Vec<String>,
    #[serde(default)]
    pub(crate) additional: Vec<String>,
    /// Default: an OPT if our query had one, DO as there.
    #[serde(default)]
    pub(crate) opt: Option<Presence>,
    /// `15 blocked by policy`, or a list.
    #[serde(default, deserialize_with = "one_or_many_errors")]
    pub(crate) ede: Vec<String>,
    #[serde(default)]
    pub(crate) compress: Compress,
    pub(crate) wrong: Option<Wrong>,
    /// The whole packet but its first two octets, the id.
    pub(crate) raw: Option<String>,
    /// In a list of packets: when this one comes, counted from the question.
    pub(crate) after: Option<Span>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compress {
    None,
    /// Owners, and the names of RFC 1035's types.
    #[default]
    Usual,
    /// Also in SRV, DNAME, SVCB and RRSIG.
    Everywhere,
}

/// What makes a packet no answer to the question.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Wrong {
    Id,
    Name,
    Type,
    Class,
    /// QDCOUNT 0 and no question.
    NoQuestion,
    /// QR=0.
    Qr,
    Opcode,
    /// Two octets.
    Short,
    /// No octet.
    Empty,
    /// The id, then noise.
    Garbage,
    /// Counts of 65535.
    Counts,
    /// The first owner is a pointer to itself.
    Loop,
    /// The last three octets are missing.
    Cut,
}

/// What happens in one step.
#[derive(Debug)]
pub(crate) struct Step {
    /// Time that passes first.
    pub(crate) wait: Option<Span>,
    /// Another configuration, before the queries.
    pub(crate) reload: Option<Value>,
    /// The driver on duty sends its loop probes.
    pub(crate) probe_for_loops: bool,
    /// State changes noted during the step, all of them; not looked at when absent.
    pub(crate) notes: Option<Vec<String>>,
    pub(crate) queries: Vec<Query>,
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut map = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let wait = take(&mut map, "wait").map_err(Error::custom)?;
        let reload = map.remove("reload");
        let probe_for_loops = take(&mut map, "probe_for_loops").map_err(Error::custom)?;
        let notes = take(&mut map, "notes").map_err(Error::custom)?;
        let mut queries: Vec<Query> = take(&mut map, "queries")
            .map_err(Error::custom)?
            .unwrap_or_default();
        if !map.is_empty() {
            // A step with one query writes it without the list.
            let rest = Value::Mapping(map.into_iter().map(|(k, v)| (Value::from(k), v)).collect());
            queries.push(serde_yaml::from_value(rest).map_err(Error::custom)?);
        }
        let probe_for_loops = probe_for_loops.unwrap_or(false);
        Ok(Self {
            wait,
            reload,
            probe_for_loops,
            notes,
            queries,
        })
    }
}

fn take<T: for<'de> Deserialize<'de>>(
    map: &mut BTreeMap<String, Value>,
    key: &str,
) -> Fallible<Option<T>> {
    map.remove(key)
        .map(|value| serde_yaml::from_value(value).map_err(|error| format!("{key}: {error}")))
        .transpose()
}

/// A client's query and what it must get.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    /// `WWW.example. AAAA`, letter case kept; or `raw`.
    #[serde(default)]
    pub(crate) query: String,
    /// The packet itself, id included.
    pub(crate) raw: Option<String>,
    #[serde(default = "internet")]
    pub(crate) class: String,
    #[serde(default)]
    pub(crate) opcode: u8,
    #[serde(default = "recursion")]
    pub(crate) flags: Vec<Flag>,
    #[serde(default, deserialize_with = "edns_of_a_query")]
    pub(crate) edns: Option<EdnsQuery>,
    #[serde(default = "localhost")]
    pub(crate) client: IpAddr,
    #[serde(default)]
    pub(crate) over: Over,
    /// Which driver carries its fetch.
    #[serde(default = "first")]
    pub(crate) driver: usize,
    /// Queries of a range are all sent at once, not each after the reply to the one before.
    #[serde(default)]
    pub(crate) together: bool,
    /// When in the step it comes.
    #[serde(default = "at_once")]
    pub(crate) at: Span,
    #[serde(deserialize_with = "reply_or_none")]
    pub(crate) reply: Option<Expected>,
}

/// The OPT record of a query.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EdnsQuery {
    #[serde(default = "usual_payload")]
    pub(crate) size: u16,
    #[serde(default, rename = "do")]
    pub(crate) dnssec_ok: bool,
    #[serde(default)]
    pub(crate) version: u8,
    /// The other flag bits.
    #[serde(default)]
    pub(crate) z: u16,
    /// `code:hex`.
    #[serde(default)]
    pub(crate) options: Vec<String>,
    /// How many OPT records.
    #[serde(default = "first")]
    pub(crate) count: usize,
    #[serde(default = "root")]
    pub(crate) owner: String,
}

/// The whole reply: a section that is not listed must be empty.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    #[serde(default = "noerror")]
    pub(crate) rcode: String,
    /// Exactly these of aa, tc, rd, ra, ad, cd. Default: ra, and the query's rd and cd.
    pub(crate) flags: Option<Vec<Flag>>,
    #[serde(default)]
    pub(crate) answer: Vec<String>,
    #[serde(default)]
    pub(crate) authority: Vec<String>,
    #[serde(default)]
    pub(crate) additional: Vec<String>,
    /// `17` or `17 docker-hub`; a list for several. Absent = no extended error.
    #[serde(default, deserialize_with = "one_or_many_errors")]
    pub(crate) ede: Vec<String>,
    /// Default: present if the query had one.
    pub(crate) opt: Option<Presence>,
    /// Codes of options that must be there beside extended errors; no others may be.
    #[serde(default)]
    pub(crate) options: Vec<u16>,
    /// Longest time it may take.
    pub(crate) within: Option<Span>,
    /// Time it takes, to the millisecond.
    pub(crate) after: Option<Span>,
    /// `upstream`: all octets between question and OPT are those upstream sent, TTLs apart.
    pub(crate) bytes: Option<Whose>,
    /// What it is counted under: cache, upstream, stale, filtered, special, error.
    pub(crate) source: Option<String>,
    /// Name of the rule that it is counted under.
    pub(crate) rule: Option<String>,
    /// Name of the rule in report mode that it is counted under.
    pub(crate) reported: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Whose {
    Upstream,
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Say>, D::Error> {
    let values = match Value::deserialize(deserializer)? {
        Value::Sequence(values) => values,
        value => vec![value],
    };
    values
        .into_iter()
        .map(say)
        .collect::<Fallible<_>>()
        .map_err(Error::custom)
}

fn say(value: Value) -> Fallible<Say> {
    match value.as_str() {
        Some("silence") => Ok(Say::Silence),
        Some("unreachable") => Ok(Say::Unreachable),
        Some(word) => Err(format!("say: `{word}`: silence, unreachable or a packet")),
        None => serde_yaml::from_value(value)
            .map(|packet| Say::Packet(Box::new(packet)))
            .map_err(|error| format!("say: {error}")),
    }
}

fn one_or_many_errors<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let values = match Value::deserialize(deserializer)? {
        Value::Sequence(values) => values,
        value => vec![value],
    };
    let text = |value: &Value| {
        value
            .as_u64()
            .map(|code| code.to_string())
            .or_else(|| value.as_str().map(str::to_owned))
    };
    let texts: Option<_> = values.iter().map(text).collect();
    texts.ok_or_else(|| Error::custom("ede: a code, or a code and its text"))
}

fn edns_of_a_query<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<EdnsQuery>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let value = match value.as_u64() {
        Some(size) => Value::Mapping(
            [(Value::from("size"), Value::from(size))]
                .into_iter()
                .collect(),
        ),
        None => value,
    };
    serde_yaml::from_value(value)
        .map(Some)
        .map_err(Error::custom)
}

fn reply_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Expected>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    if value.as_str() == Some("none") {
        return Ok(None);
    }
    serde_yaml::from_value(value)
        .map(Some)
        .map_err(|error| Error::custom(format!("reply: {error}")))
}

const fn all_steps() -> Steps {
    Steps::ALL
}

const fn ten_milliseconds() -> Span {
    Span::millis(10)
}

const fn at_once() -> Span {
    Span::millis(0)
}

const fn once() -> Times {
    Times::Exactly(1)
}

const fn truth() -> bool {
    true
}

const fn first() -> usize {
    1
}

const fn usual_payload() -> u16 {
    1232
}

const fn localhost() -> IpAddr {
    IpAddr::V4(Ipv4Addr::LOCALHOST)
}

fn recursion() -> Vec<Flag> {
    vec![Flag::Rd]
}

fn noerror() -> String {
    "NOERROR".to_owned()
}

fn internet() -> String {
    "IN".to_owned()
}

fn root() -> String {
    ".".to_owned()
}
