//! A host and its port, as they are written on the command line.

use crate::message::Name;
use std::net::IpAddr;
use std::str::FromStr;

/// A host to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// As it was written.
    pub(super) host: String,
    /// The same for the rules.
    pub(super) name: Name,
    /// The port.
    pub(super) port: u16,
}

impl Target {
    /// As people write it.
    pub(super) fn shown(&self) -> String {
        match self.port {
            HTTPS => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('/') {
            let why = "this is a URL or an image: write the host alone, as in registry-1.docker.io";
            return Err(why.to_owned());
        }
        let bare = |text: &str| text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !bare(text) => (host, Some(port)),
            _ => (text, None),
        };
        if bare(host) {
            return Err("no DNS leads to an address: write a name".to_owned());
        }
        let name = Name::parse(host).map_err(|error| format!("`{host}` is no name: {error}"))?;
        let port = port.map_or(Ok(HTTPS), |port| match port.parse() {
            Ok(0) | Err(_) => Err(format!("`{port}` is no port: write 1 to 65535")),
            Ok(port) => Ok(port),
        })?;
        Ok(Self {
            host: host.to_owned(),
            name,
            port,
        })
    }
}

const HTTPS: u16 = 443;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_a_port_and_is_a_name() {
        #[rustfmt::skip]
        let cases = [
            ("registry-1.docker.io",      Ok(("registry-1.docker.io", 443))),
            ("localhost:8443",            Ok(("localhost", 8443))),
            ("a.example.:1",              Ok(("a.example.", 1))),
            ("a.example:0",               Err("`0` is no port")),
            ("a.example:https",           Err("`https` is no port")),
            ("a..example",                Err("`a..example` is no name")),
            ("192.0.2.1",                 Err("no DNS leads to an address")),
            ("192.0.2.1:443",             Err("no DNS leads to an address")),
            ("2001:db8::1",               Err("no DNS leads to an address")),
            ("[2001:db8::1]:443",         Err("no DNS leads to an address")),
            ("https://a.example",         Err("this is a URL or an image")),
            ("docker.io/library/hello",   Err("this is a URL or an image")),
        ];
        for (text, want) in cases {
            match (text.parse::<Target>(), want) {
                (Ok(target), Ok((host, port))) => {
                    assert_eq!((target.host.as_str(), target.port), (host, port));
                }
                (Err(said), Err(words)) => assert!(said.starts_with(words), "{text}: {said}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }
}
