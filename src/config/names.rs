//! Values that hold a domain name or stand for a set of them, and the name of a rule.
//!
//! Names are kept in lower case: they are compared, never shown back to a client.

use super::values::quoted;
use crate::message::Name;
use rustls::pki_types::ServerName;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A set of domain names, as a rule lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// `a.example`: that name only.
    Exact(Name),
    /// `*.a.example`: every name below it, not itself.
    Below(Name),
    /// `.a.example`: itself and every name below; `.` is every name.
    AtOrBelow(Name),
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Err("\"*\" has no name behind it: write \".\" for every name".to_owned());
        }
        if let Some(parent) = text.strip_prefix("*.") {
            return name(parent, text).map(Self::Below);
        }
        match text.strip_prefix('.') {
            Some("") => Ok(Self::AtOrBelow(Name::ROOT)),
            Some(apex) => name(apex, text).map(Self::AtOrBelow),
            None => name(text, text).map(Self::Exact),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => out.write_str(&bare(name)),
            Self::Below(name) => write!(out, "*.{}", bare(name)),
            Self::AtOrBelow(name) if name.is_root() => out.write_str("."),
            Self::AtOrBelow(name) => write!(out, ".{}", bare(name)),
        }
    }
}

/// A domain name that stands for itself and all below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Zone(pub(super) Name);

impl FromStr for Zone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("*.").or_else(|| text.strip_prefix('.')) {
            Some(zone) if !zone.is_empty() => Err(format!(
                "{} is a pattern: a zone holds all below it, write {}",
                quoted(text),
                quoted(zone)
            )),
            _ => name(text, text).map(Self),
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_root() {
            return out.write_str(".");
        }
        out.write_str(&bare(&self.0))
    }
}

/// The name of a server, as its certificate holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host(pub(super) Name);

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('*') {
            return Err(format!(
                "{} stands for many names: write one that the certificate holds, as \"dns.example\"",
                quoted(text)
            ));
        }
        let name = name(text, text)?;
        match ServerName::try_from(bare(&name)) {
            Ok(_) => Ok(Self(name)),
            Err(_) => Err(format!(
                "{} is no name of a server, as \"dns.example\"",
                quoted(text)
            )),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&bare(&self.0))
    }
}

/// Reads the name inside `whole`, and says in its words what is wrong with it.
fn name(text: &str, whole: &str) -> Result<Name, String> {
    let shown = quoted(whole);
    if text.contains("://") {
        return Err(format!("{shown} is a URL: write its host name alone"));
    }
    if text.parse::<IpAddr>().is_ok() {
        return Err(format!("{shown} is an address, and a host name is wanted"));
    }
    if text.contains('*') {
        return Err(format!(
            "{shown} has a `*` inside: it may stand only first, as in \"*.example.com\""
        ));
    }
    if text.contains('/') {
        return Err(format!("{shown} has a `/`, which no host name has"));
    }
    if text == "." && whole != text {
        return Err(format!("{shown} is no domain name: it has no label"));
    }
    Name::parse(text)
        .map(|name| name.lower())
        .map_err(|error| format!("{shown} is no domain name: {error}"))
}

/// The name without the dot of the root.
fn bare(name: &Name) -> String {
    let mut text = name.to_string();
    if text.len() > 1 {
        text.pop();
    }
    text
}

/// What a rule is called in logs, metrics and the text of an extended DNS error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RuleName(pub(super) String);

impl FromStr for RuleName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        if text.chars().all(allowed) && (1..=64).contains(&text.len()) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "{} is no rule name: 1 to 64 of A-Z a-z 0-9 . _ -",
            quoted(text)
        ))
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Host, Pattern, RuleName, Zone};

    #[test]
    fn patterns_are_read_and_written() {
        let table = [
            ("registry-1.docker.io", "registry-1.docker.io"),
            ("Registry-1.Docker.IO.", "registry-1.docker.io"),
            ("*.docker.com", "*.docker.com"),
            (".docker.io", ".docker.io"),
            (".", "."),
            ("_dmarc.example.com", "_dmarc.example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
        ];
        for (text, expected) in table {
            assert_eq!(
                text.parse::<Pattern>().unwrap().to_string(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn servers_have_names_that_certificates_hold() {
        let table = [
            ("DNS.Example.", "dns.example"),
            ("dns", "dns"),
            (".", "\".\" is no name of a server, as \"dns.example\""),
            (
                "a b.example",
                "\"a b.example\" is no domain name: a character cannot stand in a name",
            ),
            (
                "192.0.2.1",
                "\"192.0.2.1\" is an address, and a host name is wanted",
            ),
            (
                "*.example",
                "\"*.example\" stands for many names: write one that the certificate holds, as \"dns.example\"",
            ),
        ];
        for (text, expected) in table {
            let shown = text.parse::<Host>();
            let shown = shown.map_or_else(|error| error, |host| host.to_string());
            assert_eq!(shown, expected);
        }
    }

    #[test]
    fn bad_patterns_say_what_to_write() {
        let table = [
            ("*", "\"*\" has no name behind it"),
            ("a.*.b", "may stand only first"),
            ("*docker.io", "may stand only first"),
            ("https://registry-1.docker.io/", "is a URL"),
            ("docker.io/library", "has a `/`"),
            ("192.0.2.1", "is an address"),
            ("2001:db8::1", "is an address"),
            ("a..b", "is no domain name"),
            ("..a", "is no domain name"),
            ("", "is no domain name"),
            ("*.", "is no domain name"),
            ("*..", "is no domain name"),
            ("..", "is no domain name"),
            ("a b", "is no domain name"),
        ];
        for (text, part) in table {
            let error = text.parse::<Pattern>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!("x".repeat(64).parse::<Pattern>().is_err());
    }

    #[test]
    fn a_zone_is_a_name_and_no_pattern() {
        assert_eq!(
            "Cluster.Local.".parse::<Zone>().unwrap().to_string(),
            "cluster.local"
        );
        assert_eq!(".".parse::<Zone>().unwrap().to_string(), ".");
        for text in [".cluster.local", "*.cluster.local"] {
            let error = text.parse::<Zone>().unwrap_err();
            assert!(error.ends_with("write \"cluster.local\""), "{error}");
        }
    }

    #[test]
    fn rule_names_fit_a_metric_label() {
        assert!("my-cdn_2.v1".parse::<RuleName>().is_ok());
        for text in ["", "a b", "ä", "\"", &"x".repeat(65)] {
            assert!(text.parse::<RuleName>().is_err(), "{text}");
        }
    }
}
