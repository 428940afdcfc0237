//! Values that a file writes as text with a unit, and the one table of all such forms.
//!
//! A form is read by `FromStr` alone: the check of a file, its decoding and the schema's name for
//! it all come from the `forms!` table. Its error text is what the user gets to read.

use super::addresses::{Net, Net6, Plain, Upstream};
use super::files::File;
use super::listen::Listen;
use super::names::{Host, Pattern, RuleName, Zone};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A length of time written with its unit: `250ms`, `2s`, `10m`, `1h`, `1d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span(Duration);

impl Span {
    /// That many seconds.
    pub(super) const fn seconds(count: u64) -> Self {
        Self(Duration::from_secs(count))
    }

    /// That many thousandths of a second.
    pub(super) const fn milliseconds(count: u64) -> Self {
        Self(Duration::from_millis(count))
    }

    /// The length as the rest of the program takes it.
    pub(super) const fn duration(self) -> Duration {
        self.0
    }
}

/// Units of time in milliseconds, the largest first.
const TIME_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        amount(text, &TIME_UNITS, ["s", "ms"], "ms, s, m, h or d").map(Self::milliseconds)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if milliseconds == 0 {
            return out.write_str("0s");
        }
        write_in_largest(out, milliseconds, &TIME_UNITS)
    }
}

/// A number of octets written with its unit: `0B`, `512KiB`, `64MiB`, `2GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Size(u64);

impl Size {
    /// That many times 1,048,576 octets.
    pub(super) const fn mebibytes(count: u64) -> Self {
        Self(count * 1024 * 1024)
    }

    /// The number itself.
    pub(super) const fn octets(self) -> u64 {
        self.0
    }
}

/// Units of memory in octets, the largest first.
const SIZE_UNITS: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = "B, KiB, MiB or GiB, as in \"64MiB\"";
        amount(text, &SIZE_UNITS, ["MiB", "B"], known).map(Self)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return out.write_str("0B");
        }
        write_in_largest(out, self.0, &SIZE_UNITS)
    }
}

/// Reads `10m` in the smallest of these units. `likely` are those that are meant where none is written,
/// `known` names all of them.
fn amount(
    text: &str,
    units: &[(&str, u64)],
    likely: [&str; 2],
    known: &str,
) -> Result<u64, String> {
    let (count, unit) = count_and_unit(text)?;
    let shown = quoted(text);
    if unit.is_empty() {
        let [first, second] = likely.map(|unit| format!("\"{count}{unit}\""));
        return Err(format!("{shown} has no unit: write {first} or {second}"));
    }
    let (_, size) = units
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(|| format!("{shown} has an unknown unit: use {known}"))?;
    count
        .checked_mul(*size)
        .ok_or_else(|| format!("{shown} is too large"))
}

/// Splits `10m` into 10 and `m`.
fn count_and_unit(text: &str) -> Result<(u64, &str), String> {
    let unit = text.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let digits = text.strip_suffix(unit).unwrap_or(text);
    if digits.is_empty() {
        return Err(format!("{} does not begin with a number", quoted(text)));
    }
    if unit.starts_with(['.', ',']) {
        return Err(format!(
            "{} is not a whole number: take a smaller unit",
            quoted(text)
        ));
    }
    let count = digits
        .parse()
        .map_err(|_| format!("{} is too large", quoted(text)))?;
    Ok((count, unit))
}

/// Writes an amount in the largest unit that holds it without a rest.
fn write_in_largest(
    out: &mut fmt::Formatter<'_>,
    amount: u64,
    units: &[(&str, u64)],
) -> fmt::Result {
    match units.iter().find(|(_, size)| amount.is_multiple_of(*size)) {
        Some((unit, size)) => write!(out, "{}{unit}", amount / size),
        None => Ok(()),
    }
}

/// A piece of the file as messages show it: in quotes, escaped, and never endless.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 64;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// What is known of a text that a form could read.
pub(super) struct Reading {
    /// Two texts with one meaning have one canonical form.
    pub(super) canonical: String,
    /// What a range compares: milliseconds, octets.
    pub(super) magnitude: Option<u64>,
}

/// A form that may stand between a smallest and a largest.
trait Measure {
    fn magnitude(&self) -> Option<u64> {
        None
    }
}

impl Measure for Span {
    fn magnitude(&self) -> Option<u64> {
        u64::try_from(self.0.as_millis()).ok()
    }
}

impl Measure for Size {
    fn magnitude(&self) -> Option<u64> {
        Some(self.0)
    }
}

impl Measure for Listen {}
impl Measure for File {}
impl Measure for Upstream {}
impl Measure for Plain {}
impl Measure for Net {}
impl Measure for Net6 {}
impl Measure for Pattern {}
impl Measure for Host {}
impl Measure for Zone {}
impl Measure for RuleName {}

macro_rules! forms {
    ($($type:ident $name:literal $pattern:literal $meaning:literal;)+) => {
        $(
            impl Serialize for $type {
                fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                    to.collect_str(self)
                }
            }

            impl<'de> Deserialize<'de> for $type {
                fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                    String::deserialize(from)?.parse().map_err(D::Error::custom)
                }
            }

            impl JsonSchema for $type {
                fn schema_name() -> Cow<'static, str> {
                    $name.into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!({ "type": "string", "format": $name, "pattern": $pattern })
                }
            }
        )+

        /// Every form: its name in the schema, and how it is written.
        pub(super) const FORMS: &[(&str, &str)] = &[$(($name, $meaning)),+];

        /// Reads a text as the form of that name.
        pub(super) fn read(form: &str, text: &str) -> Result<Reading, String> {
            match form {
                $($name => text.parse::<$type>().map(|value| Reading {
                    canonical: value.to_string(),
                    magnitude: value.magnitude(),
                }),)+
                _ => Err(format!("nobody knows the form {form:?}")),
            }
        }
    };
}

forms! {
    Span "span" "^[0-9]+(ms|s|m|h|d)$" "A length of time, a whole number and its unit: `250ms`, `2s`, `10m`, `1h`, `1d`.";
    Size "size" "^[0-9]+(B|KiB|MiB|GiB)$" "A number of octets and its unit: `0B`, `512KiB`, `64MiB`, `2GiB`.";
    Listen "socket" "^[^/]+:[0-9]+$|^(tls|https|quic)://.+$" "Address and port, an IPv6 address in brackets: `127.0.0.1:53`, `[::1]:53`. Port 0: the kernel chooses. With `tls://` before it DNS over TLS, port 853 unless written: `tls://0.0.0.0`. With `quic://` DNS over QUIC, port 853. With `https://` DNS over HTTPS, port 443 and path `/dns-query` unless written: `https://0.0.0.0:8443/dns-query`.";
    File "file" "^.+$" "A file; unless it begins with `/`, from the folder that this file is in.";
    Upstream "server" "^[^/]+$|^(tls|https|quic|h3)://.+$" "A name server. Plain: its address, port 53 unless written: `192.0.2.53`, `192.0.2.54:5353`, `2001:db8::1`, `[2001:db8::1]:53`. DNS over TLS: `tls://192.0.2.53?name=dns.example`, `tls://dns.example`, port 853 unless written; DNS over HTTPS by HTTP/2: `https://dns.example/dns-query`, or by HTTP/3: `h3://dns.example/dns-query`, port 443 unless written; DNS over QUIC: `quic://dns.example`, port 853 unless written; parameters: `name` (in its certificate), `ca` (a file of trust roots instead of the system's), `pin` (`sha256/` and Base64 of its key's hash).";
    Plain "plain-server" "^[^/]+$" "The address of a name server, port 53 unless written: `192.0.2.53`, `192.0.2.54:5353`, `2001:db8::1`, `[2001:db8::1]:53`.";
    Pattern "host" "^\\S+$" "`a.example` is that name, `*.a.example` every name below it, `.a.example` both, `.` every name.";
    Host "server-name" "^\\S+$" "The name of a server, as its certificate holds it: `dns.example`.";
    Zone "zone" "^\\S+$" "A domain name; it stands for itself and all below: `cluster.local`, `10.in-addr.arpa`.";
    RuleName "name" "^[A-Za-z0-9._-]{1,64}$" "1 to 64 letters, digits, `.`, `_` or `-`.";
    Net "network" "^[0-9A-Fa-f.:]+(/[0-9]+)?$" "A network, or one address: `10.0.0.0/8`, `fc00::/7`, `192.0.2.7`.";
    Net6 "ipv6-network" "^[0-9A-Fa-f.:]+(/[0-9]+)?$" "An IPv6 network, or one address: `2600:1f18::/32`.";
}

#[cfg(test)]
mod tests {
    use super::{Size, Span};

    #[test]
    fn spans_are_read_and_written() {
        let table = [
            ("0s", Ok("0s")),
            ("0ms", Ok("0s")),
            ("250ms", Ok("250ms")),
            ("1500ms", Ok("1500ms")),
            ("60s", Ok("1m")),
            ("24h", Ok("1d")),
            ("36h", Ok("36h")),
            ("60", Err("\"60\" has no unit: write \"60s\" or \"60ms\"")),
            ("", Err("\"\" does not begin with a number")),
            ("-1s", Err("\"-1s\" does not begin with a number")),
            (
                "1.5s",
                Err("\"1.5s\" is not a whole number: take a smaller unit"),
            ),
            (
                "2sec",
                Err("\"2sec\" has an unknown unit: use ms, s, m, h or d"),
            ),
            (
                "99999999999999999999s",
                Err("\"99999999999999999999s\" is too large"),
            ),
            (
                "9999999999999999999d",
                Err("\"9999999999999999999d\" is too large"),
            ),
        ];
        for (text, expected) in table {
            let read = text.parse::<Span>().map(|span| span.to_string());
            assert_eq!(read.as_deref().map_err(String::as_str), expected, "{text}");
        }
    }

    #[test]
    fn sizes_are_read_and_written() {
        let table = [
            ("0B", Ok("0B")),
            ("64MiB", Ok("64MiB")),
            ("1024KiB", Ok("1MiB")),
            ("1000B", Ok("1000B")),
            ("64", Err("\"64\" has no unit: write \"64MiB\" or \"64B\"")),
            (
                "64MB",
                Err("\"64MB\" has an unknown unit: use B, KiB, MiB or GiB, as in \"64MiB\""),
            ),
            ("99999999999GiB", Err("\"99999999999GiB\" is too large")),
        ];
        for (text, expected) in table {
            let read = text.parse::<Size>().map(|size| size.to_string());
            assert_eq!(read.as_deref().map_err(String::as_str), expected, "{text}");
        }
    }
}
