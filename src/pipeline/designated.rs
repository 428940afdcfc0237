//! What `_dns.resolver.arpa` tells: where we hear over encrypted transports (RFC 9462 §4, RFC 9461).
//!
//! Listeners that differ by their address alone share a record. A wildcard address is no hint: clients then
//! look up the name, as they would that of any server.

use crate::config::{Config, Listener, Over};
use crate::message::{self, Name};
use std::net::{IpAddr, SocketAddr};

/// RDATA of SVCB records, the first to be preferred; none where nothing is to be told.
pub(super) fn services(config: &Config, heard: &[Listener]) -> Box<[Vec<u8>]> {
    let Some(name) = config.tls.as_ref().and_then(|tls| tls.name.as_ref()) else {
        return Box::default();
    };
    let mut services: Vec<Service> = Vec::new();
    for Listener { address, over } in heard {
        let service = services
            .iter_mut()
            .find(|service| service.is(over, *address));
        match service {
            Some(service) => service.hint(address.ip()),
            None => services.push(Service::new(over, *address)),
        }
    }
    let records = services.iter().zip(1..);
    records
        .filter_map(|(service, priority)| service.rdata(priority, name))
        .collect()
}

/// A transport at a port.
struct Service<'a> {
    over: &'a Over,
    port: u16,
    ipv4: Vec<u8>,
    ipv6: Vec<u8>,
}

impl<'a> Service<'a> {
    fn new(over: &'a Over, address: SocketAddr) -> Self {
        let mut service = Self {
            over,
            port: address.port(),
            ipv4: Vec::new(),
            ipv6: Vec::new(),
        };
        service.hint(address.ip());
        service
    }

    fn is(&self, over: &Over, address: SocketAddr) -> bool {
        self.over == over && self.port == address.port()
    }

    fn hint(&mut self, address: IpAddr) {
        match address {
            _ if address.is_unspecified() => {}
            IpAddr::V4(address) => self.ipv4.extend(address.octets()),
            IpAddr::V6(address) => self.ipv6.extend(address.octets()),
        }
    }

    fn rdata(&self, priority: u16, name: &Name) -> Option<Vec<u8>> {
        let (alpn, path): (&[u8], _) = match self.over {
            Over::Tls => (b"\x03dot", None),
            Over::Https(path) => (b"\x02h2", Some(format!("{path}{{?dns}}"))),
            Over::Quic => (b"\x03doq", None),
        };
        let mut params = vec![
            (ALPN, alpn.to_vec()),
            (PORT, self.port.to_be_bytes().to_vec()),
        ];
        let hints = [(IPV4HINT, &self.ipv4), (IPV6HINT, &self.ipv6)];
        let hints = hints
            .into_iter()
            .filter(|(_, addresses)| !addresses.is_empty());
        params.extend(hints.map(|(key, addresses)| (key, addresses.clone())));
        params.extend(path.map(|path| (DOHPATH, path.into_bytes())));
        message::service(priority, name, &params)
    }
}

// SvcParamKeys (RFC 9460 §14.3.2, RFC 9461 §5).
const ALPN: u16 = 1;
const PORT: u16 = 3;
const IPV4HINT: u16 = 4;
const IPV6HINT: u16 = 6;
const DOHPATH: u16 = 7;
