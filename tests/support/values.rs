//! The small values of a scenario file: spans of time, ranges of steps, flags, what is asked.

use super::Fallible;
use super::records::{kind_number, name_wire};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::time::Duration;

/// `250ms`, `61s`, `5m`, `2h`, `1d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    pub(crate) const fn millis(count: u64) -> Self {
        Self(Duration::from_millis(count))
    }

    fn parse(text: &str) -> Fallible<Self> {
        let unit = text.trim_start_matches(|digit: char| digit.is_ascii_digit());
        let count = text.trim_end_matches(unit);
        let count: u64 = count
            .parse()
            .map_err(|_| format!("`{text}` is no span of time"))?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(format!("`{text}` has no unit: ms, s, m, h or d")),
        };
        Ok(Self::millis(count * millis))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(Error::custom)
    }
}

/// `2` or `2-5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Steps {
    first: u32,
    last: u32,
}

impl Steps {
    pub(crate) const ALL: Self = Self {
        first: 0,
        last: u32::MAX,
    };

    pub(crate) fn covers(self, step: u32) -> bool {
        (self.first..=self.last).contains(&step)
    }
}

impl<'de> Deserialize<'de> for Steps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = NumberOrText::deserialize(deserializer)?.text();
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) => Ok(Self { first, last }),
            _ => Err(Error::custom(format!(
                "`{text}` is no range of steps like 2 or 2-5"
            ))),
        }
    }
}

/// How often a line of a script may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    Exactly(u32),
    Any,
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = NumberOrText::deserialize(deserializer)?.text();
        match text.parse() {
            Ok(count) => Ok(Self::Exactly(count)),
            Err(_) if text == "any" => Ok(Self::Any),
            Err(_) => Err(Error::custom(format!("`{text}`: a number or `any`"))),
        }
    }
}

/// A name and a type: `www.example. AAAA`.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// As written, its final dot included.
    pub(crate) name: String,
    pub(crate) kind: u16,
}

impl Asked {
    pub(crate) fn parse(text: &str) -> Fallible<Self> {
        let (name, kind) = text
            .rsplit_once(' ')
            .ok_or_else(|| format!("`{text}` is no name and type"))?;
        Ok(Self {
            name: name.trim().to_owned(),
            kind: kind_number(kind)?,
        })
    }

    pub(crate) fn wire(&self) -> Fallible<Vec<u8>> {
        name_wire(&self.name)
    }
}

/// A bit of the header, or DO.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Flag {
    Qr,
    Aa,
    Tc,
    Rd,
    Ra,
    Z,
    Ad,
    Cd,
    /// Of the OPT record; only in what a script line awaits.
    Do,
}

impl Flag {
    pub(crate) const fn bit(self) -> u16 {
        match self {
            Self::Qr => 1 << 15,
            Self::Aa => 1 << 10,
            Self::Tc => 1 << 9,
            Self::Rd => 1 << 8,
            Self::Ra => 1 << 7,
            Self::Z => 1 << 6,
            Self::Ad => 1 << 5,
            Self::Cd => 1 << 4,
            Self::Do => 0,
        }
    }
}

/// All of them together as header bits.
pub(crate) fn bits(flags: &[Flag]) -> u16 {
    flags.iter().fold(0, |sum, flag| sum | flag.bit())
}

/// The words for the header bits that are set, for messages.
pub(crate) fn flag_words(bits: u16) -> String {
    use Flag::{Aa, Ad, Cd, Qr, Ra, Rd, Tc, Z};
    let words: Vec<String> = [Qr, Aa, Tc, Rd, Ra, Z, Ad, Cd]
        .iter()
        .filter(|flag| bits & flag.bit() != 0)
        .map(|flag| format!("{flag:?}").to_lowercase())
        .collect();
    format!("[{}]", words.join(", "))
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Over {
    #[default]
    Udp,
    Tcp,
}

/// The number of a response code, extended ones included.
pub(crate) fn rcode_number(text: &str) -> Fallible<u16> {
    const NAMES: &[&str] = &[
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET",
        "NXRRSET", "NOTAUTH", "NOTZONE",
    ];
    if let Some(at) = NAMES.iter().position(|name| *name == text) {
        return u16::try_from(at).map_err(|error| error.to_string());
    }
    match text {
        "BADVERS" => Ok(16),
        "BADCOOKIE" => Ok(23),
        _ => text
            .strip_prefix("RCODE")
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| format!("`{text}` is no response code")),
    }
}

/// YAML writes `1` and `1-3` alike; serde does not read them alike.
#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

impl NumberOrText {
    fn text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}
