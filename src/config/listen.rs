//! Where we hear, and what is spoken there.

use super::server::{Protocol, Server};
use super::values::quoted;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

/// An address and a port of this host, and what is spoken there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Listen {
    /// DNS over UDP and TCP.
    Plain(SocketAddr),
    /// DNS over one of the transports that are encrypted.
    Encrypted(Listener),
}

/// Where clients are heard over an encrypted transport, and over nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address and the port; port 0: the kernel chooses.
    pub address: SocketAddr,
    /// What is spoken there.
    pub over: Over,
}

/// An encrypted transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Over {
    /// DNS over TLS (RFC 7858).
    Tls,
    /// DNS over HTTPS (RFC 8484) at this path.
    Https(Arc<str>),
    /// DNS over QUIC (RFC 9250).
    Quic,
}

impl Over {
    /// How an address begins where it is spoken.
    pub fn scheme(&self) -> &'static str {
        match self {
            Self::Tls => TLS,
            Self::Https(_) => HTTPS,
            Self::Quic => QUIC,
        }
    }

    /// The port where none is written.
    fn port(&self) -> u16 {
        match self {
            Self::Tls | Self::Quic => 853,
            Self::Https(_) => 443,
        }
    }

    /// Whether who asks by that protocol would be answered.
    fn is_asked_by(&self, protocol: &Protocol) -> bool {
        match (self, protocol) {
            (Self::Tls, Protocol::Tls) => true,
            #[cfg(feature = "doh")]
            (Self::Https(path), Protocol::Https(theirs)) => **path == **theirs,
            #[cfg(feature = "doq")]
            (Self::Quic, Protocol::Quic) => true,
            _ => false,
        }
    }

    /// Whether it has datagrams below, and not connections of TCP.
    pub fn is_datagrams(&self) -> bool {
        *self == Self::Quic
    }
}

impl Listen {
    /// Where it is.
    pub(super) fn address(&self) -> SocketAddr {
        match self {
            Self::Plain(address) => *address,
            Self::Encrypted(encrypted) => encrypted.address,
        }
    }

    /// The plain one.
    pub(super) fn plain(&self) -> Option<SocketAddr> {
        match self {
            Self::Plain(address) => Some(*address),
            Self::Encrypted(_) => None,
        }
    }

    /// The encrypted one.
    pub(super) fn encrypted(&self) -> Option<&Listener> {
        match self {
            Self::Plain(_) => None,
            Self::Encrypted(encrypted) => Some(encrypted),
        }
    }

    /// The protocol below of which both need the same port, if there is any.
    pub(super) fn collides(&self, other: &Self) -> Option<&'static str> {
        let is_same = self.address() == other.address() && self.address().port() != 0;
        let datagrams = |one: &Self| one.encrypted().map(|one| one.over.is_datagrams());
        match (datagrams(self), datagrams(other)) {
            _ if !is_same => None,
            (Some(true), None | Some(true)) | (None, Some(true)) => Some("UDP"),
            (Some(true), Some(false)) | (Some(false), Some(true)) => None,
            _ => Some("TCP"),
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((scheme, rest)) = text.split_once("://") {
            return encrypted(text, scheme, rest).map(Self::Encrypted);
        }
        if let Ok(socket) = text.parse() {
            return Ok(Self::Plain(socket));
        }
        let shown = quoted(text);
        Err(match text.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => format!("{shown} has no port: write \"{address}:53\""),
            Ok(IpAddr::V6(address)) => format!("{shown} has no port: write \"[{address}]:53\""),
            Err(_) if text.starts_with(':') => {
                format!("{shown} has no address: write \"0.0.0.0{text}\", \"[::]{text}\" or both")
            }
            Err(_) => {
                format!("{shown} is no address with a port, as \"127.0.0.1:53\" or \"[::1]:53\"")
            }
        })
    }
}

/// What stands behind a scheme.
fn encrypted(text: &str, scheme: &str, rest: &str) -> Result<Listener, String> {
    let shown = quoted(text);
    let (place, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let over = match scheme {
        "tls" => Over::Tls,
        "https" => Over::Https(path_of(path, &shown)?),
        "quic" => Over::Quic,
        _ => {
            return Err(format!(
                "{shown} asks for a transport that is not spoken: write an address for UDP and TCP, as \
                 \"127.0.0.1:53\", or one with tls://, https:// or quic:// before it"
            ));
        }
    };
    let missing = match over {
        Over::Https(_) if !cfg!(feature = "doh") => Some("doh"),
        Over::Quic if !cfg!(feature = "doq") => Some("doq"),
        _ => None,
    };
    if let Some(feature) = missing {
        return Err(format!(
            "{shown} is not spoken by this build of unsix: it was made without the feature `{feature}`"
        ));
    }
    let has_path = !matches!(path, "" | "/") && !matches!(over, Over::Https(_));
    match with_port(place, over.port()).filter(|_| !has_path) {
        Some(address) => Ok(Listener { address, over }),
        None => {
            let (scheme, port) = (over.scheme(), over.port());
            Err(format!(
                "{shown} is no address behind {scheme}, as \"{scheme}0.0.0.0:{port}\" or \"{scheme}[::1]\""
            ))
        }
    }
}

/// The path of a URI template (RFC 8484 §4.1), without its variable.
fn path_of(path: &str, shown: &str) -> Result<Arc<str>, String> {
    let path = path.strip_suffix("{?dns}").unwrap_or(path);
    let is_plain =
        |octet: u8| octet.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&octet);
    match path {
        "" => Ok(PATH.into()),
        path if path.bytes().all(is_plain) => Ok(path.into()),
        _ => Err(format!(
            "{shown} has a path that no URL can have as it stands: write one as \"{PATH}\""
        )),
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", self.over.scheme(), self.address)?;
        match &self.over {
            Over::Https(path) => out.write_str(path),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(address) => address.fmt(out),
            Self::Encrypted(encrypted) => encrypted.fmt(out),
        }
    }
}

/// An address with its port, or with this one where none is written.
fn with_port(text: &str, port: u16) -> Option<SocketAddr> {
    let alone = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let alone = alone
        .parse()
        .map(|address: IpAddr| SocketAddr::new(address, port));
    alone.or_else(|_| text.parse()).ok()
}

/// Whether a packet sent to that upstream would come in here.
pub(super) fn leads_to(upstream: &Server, listen: &Listen) -> bool {
    let server = match (upstream, listen.encrypted()) {
        (Server::Plain(server), None) => Some(*server),
        (Server::Encrypted(server), Some(ours)) if ours.over.is_asked_by(&server.protocol) => {
            server.ip().map(|ip| SocketAddr::new(ip, server.port))
        }
        _ => None,
    };
    let Some(upstream) = server.filter(|server| server.port() == listen.address().port()) else {
        return false;
    };
    let (server, ours) = (upstream.ip().to_canonical(), listen.address().ip());
    if server == ours {
        return true;
    }
    // `[::]` may hear IPv4 too, and a packet to the unspecified address goes to this host.
    let heard = ours == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        || (ours.is_unspecified() && server.is_ipv4())
        || (server.is_unspecified() && ours.is_loopback() && server.is_ipv4() == ours.is_ipv4());
    heard && (server.is_loopback() || server.is_unspecified())
}

const TLS: &str = "tls://";
const HTTPS: &str = "https://";
const QUIC: &str = "quic://";
/// The path that most servers have.
const PATH: &str = "/dns-query";

#[cfg(test)]
mod tests {
    use super::super::addresses::Upstream;
    use super::{Listen, leads_to};

    fn shown(text: &str) -> String {
        text.parse::<Listen>()
            .map_or_else(|error| error, |value| value.to_string())
    }

    #[test]
    fn addresses_are_read_and_written() {
        #[rustfmt::skip]
        let table = [
            ("127.0.0.1:5300", "127.0.0.1:5300"),
            ("[::1]:53", "[::1]:53"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("tls://127.0.0.1:8853", "tls://127.0.0.1:8853"),
            ("tls://0.0.0.0", "tls://0.0.0.0:853"),
            ("tls://[::]/", "tls://[::]:853"),
            ("tls://::1", "tls://[::1]:853"),
            ("tls://dns.example", "\"tls://dns.example\" is no address behind tls://, as \"tls://0.0.0.0:853\" or \"tls://[::1]\""),
            ("tls://[::1]/q", "\"tls://[::1]/q\" is no address behind tls://, as \"tls://0.0.0.0:853\" or \"tls://[::1]\""),
            ("h3://0.0.0.0:443", "\"h3://0.0.0.0:443\" asks for a transport that is not spoken: write an address for UDP and TCP, as \"127.0.0.1:53\", or one with tls://, https:// or quic:// before it"),
            ("127.0.0.1", "\"127.0.0.1\" has no port: write \"127.0.0.1:53\""),
            ("::1", "\"::1\" has no port: write \"[::1]:53\""),
            (":53", "\":53\" has no address: write \"0.0.0.0:53\", \"[::]:53\" or both"),
            ("localhost:53", "\"localhost:53\" is no address with a port, as \"127.0.0.1:53\" or \"[::1]:53\""),
        ];
        for (text, expected) in table {
            assert_eq!(shown(text), expected);
        }
    }

    #[cfg(feature = "doh")]
    #[test]
    fn https_has_a_path() {
        #[rustfmt::skip]
        let table = [
            ("https://0.0.0.0", "https://0.0.0.0:443/dns-query"),
            ("https://[::1]:8443/", "https://[::1]:8443/"),
            ("https://127.0.0.1:8443/dns-query{?dns}", "https://127.0.0.1:8443/dns-query"),
            ("https://127.0.0.1/a b", "\"https://127.0.0.1/a b\" has a path that no URL can have as it stands: write one as \"/dns-query\""),
            ("https://127.0.0.1/q?x", "\"https://127.0.0.1/q?x\" has a path that no URL can have as it stands: write one as \"/dns-query\""),
        ];
        for (text, expected) in table {
            assert_eq!(shown(text), expected);
        }
    }

    #[cfg(feature = "doq")]
    #[test]
    fn quic_has_the_port_of_tls() {
        assert_eq!(shown("quic://[::]"), "quic://[::]:853");
        assert!(shown("quic://dns.example").contains("is no address behind quic://"));
    }

    #[cfg(not(feature = "doq"))]
    #[test]
    fn what_was_left_out_is_said() {
        assert!(shown("quic://[::]").ends_with("it was made without the feature `doq`"));
    }

    #[test]
    fn two_need_the_same_port() {
        let table = [
            ("127.0.0.1:853", "tls://127.0.0.1:853", Some("TCP")),
            ("tls://127.0.0.1:853", "tls://127.0.0.1", Some("TCP")),
            ("tls://127.0.0.1:0", "tls://127.0.0.1:0", None),
            ("127.0.0.1:853", "tls://127.0.0.2:853", None),
            #[cfg(feature = "doq")]
            ("quic://127.0.0.1", "tls://127.0.0.1", None),
            #[cfg(feature = "doq")]
            ("quic://127.0.0.1", "127.0.0.1:853", Some("UDP")),
            #[cfg(feature = "doh")]
            ("https://127.0.0.1:853", "tls://127.0.0.1", Some("TCP")),
        ];
        for (one, other, expected) in table {
            let (one, other): (Listen, Listen) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(one.collides(&other), expected, "{one} and {other}");
            assert_eq!(other.collides(&one), expected, "{other} and {one}");
        }
    }

    #[test]
    fn our_own_address_is_known() {
        #[rustfmt::skip]
        let table = [
            ("127.0.0.1:53", "127.0.0.1:53", true),
            ("127.0.0.1:54", "127.0.0.1:53", false),
            ("127.0.0.2", "127.0.0.1:53", false),
            ("127.0.0.2", "0.0.0.0:53", true),
            ("192.0.2.1", "0.0.0.0:53", false),
            ("::1", "[::]:53", true),
            ("127.0.0.1", "[::]:53", true),
            ("::1", "0.0.0.0:53", false),
            ("0.0.0.0", "127.0.0.1:53", true),
            ("::ffff:127.0.0.1", "127.0.0.1:53", true),
            ("0.0.0.0", "192.0.2.1:53", false),
            ("127.0.0.1:853", "tls://127.0.0.1:853", false),
            ("tls://127.0.0.1?name=dns.example", "tls://0.0.0.0:853", true),
            ("tls://127.0.0.1?name=dns.example", "127.0.0.1:853", false),
            ("tls://dns.example", "tls://0.0.0.0:853", false),
            #[cfg(feature = "doh")]
            ("https://127.0.0.1/dns-query?name=dns.example", "https://0.0.0.0", true),
            #[cfg(feature = "doh")]
            ("https://127.0.0.1/other?name=dns.example", "https://0.0.0.0", false),
            #[cfg(feature = "doq")]
            ("quic://127.0.0.1?name=dns.example", "quic://127.0.0.1", true),
            #[cfg(feature = "doq")]
            ("quic://127.0.0.1?name=dns.example", "tls://127.0.0.1", false),
        ];
        for (upstream, listen, expected) in table {
            let upstream: Upstream = upstream.parse().unwrap();
            let found = leads_to(&upstream.0, &listen.parse().unwrap());
            assert_eq!(found, expected, "{} at {listen}", upstream.0);
        }
    }
}
