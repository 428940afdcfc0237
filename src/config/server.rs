//! A name server to ask: where it is, by which transport, and what it must prove.

use super::values::quoted;
use data_encoding::BASE64;
use rustls::pki_types::ServerName;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// A name server, known by all that the configuration says of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Server {
    /// DNS over UDP, and over TCP where an answer fits no datagram.
    Plain(SocketAddr),
    /// DNS over TLS (RFC 7858), and nothing else.
    Tls(Arc<Tls>),
}

/// A server that speaks DNS over TLS, strictly: what it cannot prove ends the connection (RFC 8310 §5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tls {
    /// Its address; or its name, which the servers of `bootstrap` resolve.
    pub host: ServerName<'static>,
    /// Its port, 853 unless written.
    pub port: u16,
    /// The name or address that its certificate must hold; none where its key alone counts.
    pub name: Option<ServerName<'static>>,
    /// The file with the only trust roots, in PEM; `None` = the system's.
    pub ca: Option<PathBuf>,
    /// SHA-256 of the public keys (SPKI) that it may have; empty = any.
    pub pins: Vec<Pin>,
}

/// SHA-256 of a SubjectPublicKeyInfo (RFC 7858 §4.2).
pub type Pin = [u8; 32];

impl Server {
    /// The address of a plain one.
    pub fn plain(&self) -> Option<SocketAddr> {
        match self {
            Self::Plain(address) => Some(*address),
            Self::Tls(_) => None,
        }
    }

    /// Its address, where the configuration has one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Plain(address) => Some(address.ip()),
            Self::Tls(tls) => tls.ip(),
        }
    }
}

impl Tls {
    /// Its address, where the configuration has one.
    pub fn ip(&self) -> Option<IpAddr> {
        match &self.host {
            ServerName::IpAddress(address) => Some((*address).into()),
            _ => None,
        }
    }
}

impl From<SocketAddr> for Server {
    fn from(address: SocketAddr) -> Self {
        Self::Plain(address)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(address) => address.fmt(out),
            Self::Tls(tls) => tls.fmt(out),
        }
    }
}

impl fmt::Display for Tls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip() {
            Some(IpAddr::V6(address)) => write!(out, "{SCHEME}[{address}]")?,
            _ => write!(out, "{SCHEME}{}", self.host.to_str())?,
        }
        if self.port != PORT {
            write!(out, ":{}", self.port)?;
        }
        let mut between = '?';
        let mut parameter = |out: &mut fmt::Formatter<'_>, key: &str, value: &dyn fmt::Display| {
            write!(out, "{between}{key}={value}")?;
            between = '&';
            Ok(())
        };
        if let Some(name) = self.name.as_ref().filter(|name| **name != self.host) {
            parameter(out, "name", &name.to_str())?;
        }
        if let Some(ca) = &self.ca {
            parameter(out, "ca", &ca.display())?;
        }
        for pin in &self.pins {
            parameter(out, "pin", &shown(pin))?;
        }
        Ok(())
    }
}

/// A pin as the configuration writes it.
pub fn shown(pin: &Pin) -> String {
    format!("{HASH}{}", BASE64.encode(pin))
}

impl FromStr for Tls {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix(SCHEME).unwrap_or(text);
        let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, port) = host_and_port(place.strip_suffix('/').unwrap_or(place), text)?;
        let mut tls = Self {
            host,
            port,
            name: None,
            ca: None,
            pins: Vec::new(),
        };
        for parameter in parameters.split('&').filter(|one| !one.is_empty()) {
            tls.take(parameter)?;
        }
        // RFC 7858 §4.2: who pins the key of a bare address asks for that key and no more.
        let by_key = !tls.pins.is_empty() && tls.ca.is_none() && tls.ip().is_some();
        if tls.name.is_none() && !by_key {
            tls.name = Some(tls.host.clone());
        }
        Ok(tls)
    }
}

impl Tls {
    fn take(&mut self, parameter: &str) -> Result<(), String> {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let twice = || Err(format!("has two parameters \"{key}\": write one"));
        match key {
            "name" if self.name.is_some() => return twice(),
            "ca" if self.ca.is_some() => return twice(),
            "name" => {
                let name = ServerName::try_from(value.trim_end_matches('.').to_owned());
                let name = name.map_err(|_| {
                    let shown = quoted(value);
                    format!("\"name\" is {shown}, which no certificate can hold: write a host name")
                })?;
                self.name = Some(name);
            }
            "ca" if value.starts_with('/') => self.ca = Some(value.into()),
            "ca" => {
                let shown = quoted(value);
                return Err(format!(
                    "\"ca\" is {shown}: write the whole path of the file, from / on"
                ));
            }
            "pin" => self.pins.push(pin(value)?),
            _ => {
                let shown = quoted(key);
                return Err(format!(
                    "has an unknown parameter {shown}: there are name, ca and pin"
                ));
            }
        }
        Ok(())
    }
}

fn pin(text: &str) -> Result<Pin, String> {
    let octets = text.strip_prefix(HASH);
    let octets = octets.and_then(|text| BASE64.decode(text.as_bytes()).ok());
    octets
        .and_then(|octets| Pin::try_from(octets).ok())
        .ok_or_else(|| {
            let shown = quoted(text);
            format!(
                "\"pin\" is {shown}, no SHA-256 of a key: write {HASH} and its 44 letters of Base64"
            )
        })
}

/// `192.0.2.53`, `[2001:db8::1]:8853`, `dns.example:853`.
fn host_and_port(place: &str, text: &str) -> Result<(ServerName<'static>, u16), String> {
    let shown = quoted(text);
    let bracketed = place
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'));
    let (host, port) = match bracketed {
        Some((inside, rest)) => (inside, rest.strip_prefix(':')),
        // More colons are an address without brackets.
        None if place.matches(':').count() > 1 => (place, None),
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let port = match port.map(str::parse) {
        None => PORT,
        Some(Ok(0)) => return Err(format!("{shown} has port 0, which nobody can ask")),
        Some(Ok(port)) => port,
        Some(Err(_)) => return Err(format!("{shown} has no port behind its colon")),
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let host = ServerName::try_from(host).map_err(|_| {
        format!(
            "{shown} names no server: write it as \"tls://192.0.2.53?name=dns.example\" or \
             \"tls://dns.example\""
        )
    })?;
    Ok((host, port))
}

/// How an entry begins.
pub(super) const SCHEME: &str = "tls://";
/// RFC 7858 §3.1.
const PORT: u16 = 853;
const HASH: &str = "sha256/";

#[cfg(test)]
mod tests {
    use super::Tls;

    fn read(text: &str) -> Result<String, String> {
        text.parse::<Tls>().map(|tls| tls.to_string())
    }

    #[test]
    fn what_is_the_same_is_written_the_same() {
        const PIN: &str = "pin=sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let pinned = format!("tls://192.0.2.1?{PIN}");
        #[rustfmt::skip]
        let cases = [
            ("tls://192.0.2.1",                        "tls://192.0.2.1"),
            ("tls://192.0.2.1:853/",                   "tls://192.0.2.1"),
            ("tls://192.0.2.1:8853?name=DNS.example.", "tls://192.0.2.1:8853?name=DNS.example"),
            ("tls://2001:db8::1",                      "tls://[2001:db8::1]"),
            ("tls://[2001:db8::1]:54",                 "tls://[2001:db8::1]:54"),
            ("tls://DNS.Example.:853",                 "tls://dns.example"),
            ("tls://dns.example?name=dns.example",     "tls://dns.example"),
            ("tls://192.0.2.1?ca=/etc/a.pem&name=b",   "tls://192.0.2.1?name=b&ca=/etc/a.pem"),
            (&pinned,                                  &pinned),
        ];
        for (text, want) in cases {
            assert_eq!(read(text).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn a_pinned_address_needs_no_name() {
        let pin = "pin=sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let name = |text: &str| {
            let tls: Tls = text.parse().unwrap();
            tls.name.map(|name| name.to_str().into_owned())
        };
        assert_eq!(name(&format!("tls://192.0.2.1?{pin}")), None);
        let named = format!("tls://192.0.2.1?{pin}&name=a.example");
        assert_eq!(name(&named).as_deref(), Some("a.example"));
        let by_name = format!("tls://dns.example?{pin}");
        assert_eq!(name(&by_name).as_deref(), Some("dns.example"));
        assert_eq!(name("tls://192.0.2.1").as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        #[rustfmt::skip]
        let cases = [
            ("tls://",                       "names no server"),
            ("tls://a b",                    "names no server"),
            ("tls://192.0.2.1/path",         "names no server"),
            ("tls://192.0.2.1:0",            "port 0"),
            ("tls://192.0.2.1:x",            "no port behind its colon"),
            ("tls://192.0.2.1?nom=a",        "unknown parameter \"nom\""),
            ("tls://192.0.2.1?name=",        "no certificate can hold"),
            ("tls://192.0.2.1?name=a&name=b", "two parameters \"name\""),
            ("tls://192.0.2.1?ca=a.pem",     "from / on"),
            ("tls://192.0.2.1?pin=sha256/AA", "44 letters"),
            ("tls://192.0.2.1?pin=md5/AA==", "44 letters"),
        ];
        for (text, want) in cases {
            let error = read(text).unwrap_err();
            assert!(error.contains(want), "{text}: {error}");
        }
    }
}
