//! Values that hold an address: whom we ask, and who may ask us.

use super::server::Server;
use super::values::quoted;
use ipnet::{IpNet, Ipv6Net};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

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

#[cfg(test)]
mod tests {
    use super::{Net, Net6, Upstream};
    use std::fmt::Display;
    use std::str::FromStr;

    fn shown<T: FromStr<Err = String> + Display>(text: &str) -> String {
        text.parse::<T>()
            .map_or_else(|error| error, |value| value.to_string())
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
}
