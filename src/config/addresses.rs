//! Values that hold an address: where we hear, whom we ask, who may ask us.

use super::server::{Protocol, Server};
use super::values::quoted;
use ipnet::{IpNet, Ipv6Net};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

/// An address and a port of this host, and what is spoken there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listen(pub(super) SocketAddr, pub(super) Over);

/// What carries messages of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// UDP and TCP.
    Plain,
    /// DNS over TLS (RFC 7858).
    Tls,
}

/// How an address begins where TLS is spoken.
const TLS: &str = "tls://";

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(place) = text.strip_prefix(TLS) {
            return with_port(place, DOT_PORT)
                .map(|socket| Self(socket, Over::Tls))
                .ok_or_else(|| {
                    format!(
                        "{} is no address behind {TLS}, as \"tls://0.0.0.0:853\" or \"tls://[::1]\"",
                        quoted(text)
                    )
                });
        }
        if let Ok(socket) = text.parse() {
            return Ok(Self(socket, Over::Plain));
        }
        let shown = quoted(text);
        if text.contains("://") {
            return Err(format!(
                "{shown} asks for a transport that is not spoken: write an address for UDP and TCP, as \
                 \"127.0.0.1:53\", or \"tls://127.0.0.1:853\""
            ));
        }
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

impl fmt::Display for Listen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1 == Over::Tls {
            out.write_str(TLS)?;
        }
        self.0.fmt(out)
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

/// The port of DNS over TLS (RFC 7858 §3.1).
const DOT_PORT: u16 = 853;

/// The port of a name server that is written without one.
const DNS_PORT: u16 = 53;

/// A name server to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Upstream(pub(super) Server);

impl FromStr for Upstream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            return Ok(Self(Server::Encrypted(Arc::new(text.parse()?))));
        }
        text.parse()
            .map(|Plain(address)| Self(Server::Plain(address)))
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Server::Plain(address) => Plain(*address).fmt(out),
            Server::Encrypted(server) => server.fmt(out),
        }
    }
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(|Upstream(server)| server)
    }
}

/// The address of a name server that is asked in clear text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plain(pub(super) SocketAddr);

impl FromStr for Plain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shown = quoted(text);
        let bracketed = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let alone = match bracketed {
            Some(inside) => inside.parse().map(IpAddr::V6),
            None => text.parse(),
        };
        let socket = alone
            .map(|address| SocketAddr::new(address, DNS_PORT))
            .or_else(|_| text.parse());
        match socket {
            Ok(socket) if socket.port() == 0 => {
                Err(format!("{shown} has port 0, which nobody can ask"))
            }
            Ok(socket) => Ok(Self(socket)),
            Err(_) => Err(format!(
                "{shown} is no address, as \"192.0.2.53\" or \"[2001:db8::1]:53\""
            )),
        }
    }
}

impl fmt::Display for Plain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.port() == DNS_PORT {
            return self.0.ip().fmt(out);
        }
        self.0.fmt(out)
    }
}

/// A network of either family; a bare address is the network of that one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Net(pub(super) IpNet);

impl FromStr for Net {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shown = quoted(text);
        let net = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => text.parse::<IpNet>().map_err(|_| {
                format!("{shown} is no network, as \"10.0.0.0/8\", \"fc00::/7\" or one address")
            })?,
        };
        if net.addr() != net.network() {
            return Err(format!(
                "{shown} has bits beyond its /{}: write \"{}\"",
                net.prefix_len(),
                net.trunc()
            ));
        }
        Ok(Self(net))
    }
}

impl fmt::Display for Net {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            return self.0.addr().fmt(out);
        }
        self.0.fmt(out)
    }
}

/// A network of IPv6 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Net6(pub(super) Ipv6Net);

impl FromStr for Net6 {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<Net>()?.0 {
            IpNet::V6(net) => Ok(Self(net)),
            IpNet::V4(_) => Err(format!(
                "{} is IPv4: rules take away only IPv6 addresses, as \"2600:1f18::/32\"",
                quoted(text)
            )),
        }
    }
}

impl fmt::Display for Net6 {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        Net(IpNet::V6(self.0)).fmt(out)
    }
}

/// Whether a packet sent to `upstream` would come in at `listen`.
pub(super) fn leads_to(upstream: &Upstream, listen: Listen) -> bool {
    let (server, over) = match &upstream.0 {
        Server::Plain(server) => (Some(*server), Over::Plain),
        Server::Encrypted(server) if server.protocol == Protocol::Tls => {
            let socket = server.ip().map(|ip| SocketAddr::new(ip, server.port));
            (socket, Over::Tls)
        }
        Server::Encrypted(_) => return false,
    };
    let Some(upstream) = server.filter(|_| over == listen.1) else {
        return false;
    };
    let (server, ours) = (upstream.ip().to_canonical(), listen.0.ip());
    if upstream.port() != listen.0.port() {
        return false;
    }
    if server == ours {
        return true;
    }
    // `[::]` may hear IPv4 too, and a packet to the unspecified address goes to this host.
    let heard = ours == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        || (ours.is_unspecified() && server.is_ipv4())
        || (server.is_unspecified() && ours.is_loopback() && server.is_ipv4() == ours.is_ipv4());
    heard && (server.is_loopback() || server.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::{Listen, Net, Net6, Upstream, leads_to};
    use std::fmt::Display;
    use std::str::FromStr;

    fn shown<T: FromStr<Err = String> + Display>(text: &str) -> String {
        text.parse::<T>()
            .map_or_else(|error| error, |value| value.to_string())
    }

    #[test]
    fn listen_addresses() {
        let table = [
            ("127.0.0.1:5300", "127.0.0.1:5300"),
            ("[::1]:53", "[::1]:53"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("tls://127.0.0.1:8853", "tls://127.0.0.1:8853"),
            ("tls://0.0.0.0", "tls://0.0.0.0:853"),
            ("tls://[::]", "tls://[::]:853"),
            ("tls://::1", "tls://[::1]:853"),
            (
                "tls://dns.example",
                "\"tls://dns.example\" is no address behind tls://, as \"tls://0.0.0.0:853\" or \"tls://[::1]\"",
            ),
            (
                "quic://0.0.0.0:853",
                "\"quic://0.0.0.0:853\" asks for a transport that is not spoken: write an address for UDP and TCP, as \
                 \"127.0.0.1:53\", or \"tls://127.0.0.1:853\"",
            ),
            (
                "127.0.0.1",
                "\"127.0.0.1\" has no port: write \"127.0.0.1:53\"",
            ),
            ("::1", "\"::1\" has no port: write \"[::1]:53\""),
            (
                ":53",
                "\":53\" has no address: write \"0.0.0.0:53\", \"[::]:53\" or both",
            ),
            (
                "localhost:53",
                "\"localhost:53\" is no address with a port, as \"127.0.0.1:53\" or \"[::1]:53\"",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(shown::<Listen>(text), expected);
        }
    }

    #[test]
    fn upstream_addresses() {
        let table = [
            ("192.0.2.53", "192.0.2.53"),
            ("192.0.2.53:53", "192.0.2.53"),
            ("192.0.2.54:5353", "192.0.2.54:5353"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:53", "2001:db8::1"),
            ("[2001:db8::1]:54", "[2001:db8::1]:54"),
        ];
        for (text, expected) in table {
            assert_eq!(shown::<Upstream>(text), expected);
        }
        assert_eq!(shown::<Upstream>("tls://9.9.9.9:853"), "tls://9.9.9.9");
        for text in ["doh://dns.example/q", "sdns://x"] {
            assert!(shown::<Upstream>(text).contains("not spoken"), "{text}");
        }
        for text in ["dns.example", "", "9.9.9.9:x"] {
            assert!(shown::<Upstream>(text).contains("is no address"), "{text}");
        }
        assert!(shown::<Upstream>("9.9.9.9:0").contains("port 0"));
    }

    #[test]
    fn networks() {
        let table = [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.7", "10.0.0.7"),
            ("::1", "::1"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            (
                "10.0.0.7/8",
                "\"10.0.0.7/8\" has bits beyond its /8: write \"10.0.0.0/8\"",
            ),
            (
                "10.0.0.0/33",
                "\"10.0.0.0/33\" is no network, as \"10.0.0.0/8\", \"fc00::/7\" or one address",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(shown::<Net>(text), expected);
        }
        assert_eq!(shown::<Net6>("2600:1f18::/32"), "2600:1f18::/32");
        assert!(shown::<Net6>("10.0.0.0/8").contains("is IPv4"));
    }

    #[test]
    fn our_own_address_is_known() {
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
            (
                "tls://127.0.0.1?name=dns.example",
                "tls://0.0.0.0:853",
                true,
            ),
            ("tls://127.0.0.1?name=dns.example", "127.0.0.1:853", false),
            ("tls://dns.example", "tls://0.0.0.0:853", false),
        ];
        for (upstream, listen, expected) in table {
            let found = leads_to(&upstream.parse().unwrap(), listen.parse().unwrap());
            assert_eq!(found, expected, "{upstream} at {listen}");
        }
    }
}
