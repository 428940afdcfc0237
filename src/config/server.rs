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
    /// DNS over an encrypted transport, and nothing else.
    Encrypted(Arc<Encrypted>),
}

/// A server that must prove who it is, strictly: what it cannot prove ends the connection (RFC 8310 §5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Encrypted {
    /// What is spoken with it.
    pub protocol: Protocol,
    /// Its address; or its name, which the servers of `bootstrap` resolve.
    pub host: ServerName<'static>,
    /// Its port, that of the protocol unless written.
    pub port: u16,
    /// The name or address that its certificate must hold; none where its key alone counts.
    pub name: Option<ServerName<'static>>,
    /// The file with the only trust roots, in PEM; `None` = the system's.
    pub ca: Option<PathBuf>,
    /// SHA-256 of the public keys (SPKI) that it may have; empty = any.
    pub pins: Vec<Pin>,
}

/// An encrypted transport. Those over HTTP hold the path of their requests, from `/` on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// DNS over TLS (RFC 7858).
    Tls,
    /// DNS over HTTPS (RFC 8484), by HTTP/2.
    #[cfg(feature = "doh")]
    Https(String),
    /// DNS over dedicated QUIC connections (RFC 9250).
    #[cfg(feature = "doq")]
    Quic,
    /// DNS over HTTPS, by HTTP/3 (RFC 9114).
    #[cfg(feature = "h3")]
    Http3(String),
}

/// SHA-256 of a SubjectPublicKeyInfo (RFC 7858 §4.2).
pub type Pin = [u8; 32];

impl Server {
    /// The address of a plain one.
    pub fn plain(&self) -> Option<SocketAddr> {
        match self {
            Self::Plain(address) => Some(*address),
            Self::Encrypted(_) => None,
        }
    }

    /// Its address, where the configuration has one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Plain(address) => Some(address.ip()),
            Self::Encrypted(server) => server.ip(),
        }
    }
}

impl Encrypted {
    /// Its address, where the configuration has one.
    pub fn ip(&self) -> Option<IpAddr> {
        match &self.host {
            ServerName::IpAddress(address) => Some((*address).into()),
            _ => None,
        }
    }
}

impl Protocol {
    /// By its scheme. `path` is what stands behind the host; `text` is all that was written.
    fn read(scheme: &str, path: &str, text: &str) -> Result<Self, String> {
        let protocol = match scheme {
            "tls" => Self::Tls,
            #[cfg(feature = "doh")]
            "https" => Self::Https(path_of_requests(path, text)?),
            #[cfg(feature = "doq")]
            "quic" => Self::Quic,
            #[cfg(feature = "h3")]
            "h3" => Self::Http3(path_of_requests(path, text)?),
            _ => return Err(unspoken(scheme, text)),
        };
        if protocol.path().is_none() && !matches!(path, "" | "/") {
            return Err(format!(
                "{} has a path, {}, which only https:// and h3:// take: leave it out",
                quoted(text),
                quoted(path)
            ));
        }
        Ok(protocol)
    }

    fn scheme(&self) -> &'static str {
        match self {
            Self::Tls => "tls",
            #[cfg(feature = "doh")]
            Self::Https(_) => "https",
            #[cfg(feature = "doq")]
            Self::Quic => "quic",
            #[cfg(feature = "h3")]
            Self::Http3(_) => "h3",
        }
    }

    /// Its port unless another is written: RFC 7858 §3.1, RFC 9250 §4.1.1, and that of HTTPS.
    pub fn port(&self) -> u16 {
        match self.path() {
            None => 853,
            Some(_) => 443,
        }
    }

    /// The path of its requests, where it has such.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Tls => None,
            #[cfg(feature = "doh")]
            Self::Https(path) => Some(path),
            #[cfg(feature = "doq")]
            Self::Quic => None,
            #[cfg(feature = "h3")]
            Self::Http3(path) => Some(path),
        }
    }
}

/// What is wrong with a scheme that this build does not know.
fn unspoken(scheme: &str, text: &str) -> String {
    let shown = quoted(text);
    let left_out = LEAVABLE.iter().find(|(known, _, _)| *known == scheme);
    match left_out {
        Some((_, transport, feature)) => format!(
            "{shown} asks for {transport}, which this build of unsix was made without: take one with the cargo \
             feature \"{feature}\", or write \"tls://\""
        ),
        None => format!(
            "{shown} asks for a transport that is not spoken: write an address, as \"192.0.2.53\", or a server's \
             name behind \"tls://\", \"https://\", \"quic://\" or \"h3://\""
        ),
    }
}

/// Schemes that a build may be without, and the feature that brings each.
const LEAVABLE: [(&str, &str, &str); 3] = [
    ("https", "DNS over HTTPS", "doh"),
    ("quic", "DNS over QUIC", "doq"),
    ("h3", "DNS over HTTP/3", "h3"),
];

/// The path as it stands, or the one that most servers have.
#[cfg(feature = "doh")]
fn path_of_requests(path: &str, text: &str) -> Result<String, String> {
    // RFC 3986 §3.3.
    let is_of_path =
        |octet: u8| octet.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&octet);
    match path {
        "" => Ok("/dns-query".to_owned()),
        path if path.bytes().all(is_of_path) => Ok(path.to_owned()),
        path => Err(format!(
            "{} has the path {}, which no URL can have: write it as \"/dns-query\"",
            quoted(text),
            quoted(path)
        )),
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
            Self::Encrypted(server) => server.fmt(out),
        }
    }
}

impl fmt::Display for Encrypted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://", self.protocol.scheme())?;
        match self.ip() {
            Some(IpAddr::V6(address)) => write!(out, "[{address}]")?,
            _ => out.write_str(&self.host.to_str())?,
        }
        if self.port != self.protocol.port() {
            write!(out, ":{}", self.port)?;
        }
        out.write_str(self.protocol.path().unwrap_or_default())?;
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

impl FromStr for Encrypted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // RFC 8484 §4.1.1 has URI templates. What they say of GET we do not need.
        let plain = text.replacen("{?dns}", "", 1);
        let (scheme, rest) = plain.split_once("://").unwrap_or(("", &plain));
        let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let (place, path) = place.split_at(place.find('/').unwrap_or(place.len()));
        let protocol = Protocol::read(scheme, path, text)?;
        let (host, port) = host_and_port(place, scheme, text)?;
        let mut server = Self {
            host,
            port: port.unwrap_or_else(|| protocol.port()),
            protocol,
            name: None,
            ca: None,
            pins: Vec::new(),
        };
        for parameter in parameters.split('&').filter(|one| !one.is_empty()) {
            server.take(parameter)?;
        }
        // RFC 7858 §4.2: who pins the key of a bare address asks for that key and no more.
        let by_key = !server.pins.is_empty() && server.ca.is_none() && server.ip().is_some();
        if server.name.is_none() && !by_key {
            server.name = Some(server.host.clone());
        }
        Ok(server)
    }
}

impl Encrypted {
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
fn host_and_port(
    place: &str,
    scheme: &str,
    text: &str,
) -> Result<(ServerName<'static>, Option<u16>), String> {
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
        None => None,
        Some(Ok(0)) => return Err(format!("{shown} has port 0, which nobody can ask")),
        Some(Ok(port)) => Some(port),
        Some(Err(_)) => return Err(format!("{shown} has no port behind its colon")),
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let host = ServerName::try_from(host).map_err(|_| {
        format!(
            "{shown} names no server: write it as \"{scheme}://192.0.2.53?name=dns.example\" or \
             \"{scheme}://dns.example\""
        )
    })?;
    Ok((host, port))
}

const HASH: &str = "sha256/";

#[cfg(test)]
mod tests {
    use super::Encrypted;

    fn read(text: &str) -> Result<String, String> {
        text.parse::<Encrypted>().map(|server| server.to_string())
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
    #[cfg(feature = "h3")]
    fn each_transport_has_its_port_and_its_path() {
        #[rustfmt::skip]
        let cases = [
            ("https://dns.example",                    "https://dns.example/dns-query"),
            ("https://dns.example:443/dns-query{?dns}", "https://dns.example/dns-query"),
            ("https://192.0.2.1/dns-query?name=a.test", "https://192.0.2.1/dns-query?name=a.test"),
            ("https://[2001:db8::1]:8443/~me/q%20",    "https://[2001:db8::1]:8443/~me/q%20"),
            ("https://dns.example/?ca=/a/b.pem",       "https://dns.example/?ca=/a/b.pem"),
            ("h3://dns.example",                       "h3://dns.example/dns-query"),
            ("h3://192.0.2.1:8443/q{?dns}?name=a",     "h3://192.0.2.1:8443/q?name=a"),
            ("quic://dns.example:853/",                "quic://dns.example"),
            ("quic://[2001:db8::1]:8853",              "quic://[2001:db8::1]:8853"),
        ];
        for (text, want) in cases {
            assert_eq!(read(text).as_deref(), Ok(want), "{text}");
            assert_eq!(read(want).as_deref(), Ok(want), "{text}");
        }
        #[rustfmt::skip]
        let faults = [
            ("https://dns.example/q?dns=AAAB",  "unknown parameter \"dns\""),
            ("https://dns.example/a b",         "no URL can have"),
            ("https://dns.example/q{?name}",    "no URL can have"),
            ("https://me@dns.example/q",        "\"https://dns.example\""),
            ("https:///dns-query",              "names no server"),
            ("quic://dns.example/dns-query",    "only https:// and h3:// take"),
            ("doh://dns.example",               "not spoken"),
        ];
        for (text, want) in faults {
            let error = read(text).unwrap_err();
            assert!(error.contains(want), "{text}: {error}");
        }
    }

    #[test]
    #[cfg(not(feature = "doq"))]
    fn what_this_build_lacks_is_named() {
        let error = read("quic://dns.example").unwrap_err();
        assert!(error.contains("cargo feature \"doq\""), "{error}");
        let error = read("h3://dns.example").unwrap_err();
        assert!(error.contains("cargo feature \"h3\""), "{error}");
    }

    #[test]
    fn a_pinned_address_needs_no_name() {
        let pin = "pin=sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let name = |text: &str| {
            let server: Encrypted = text.parse().unwrap();
            server.name.map(|name| name.to_str().into_owned())
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
            ("tls://192.0.2.1/path",         "has a path"),
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
