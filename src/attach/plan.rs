//! Which way in, for which names, through which addresses. No IO.

use super::fault::Fault;
use super::host::{Host, ResolvConf};
use crate::config::{self, Cname, Config};
use crate::message::Name;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What was asked for on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// `resolved` if it is active, else `redirect` if nftables is there, else `print`
    Auto,
    /// Routing domains of systemd-resolved: only the zones of the rules come to unsix
    Resolved,
    /// An nftables table: all of the host's questions to the servers of its resolv.conf do
    Redirect,
    /// Change nothing, and say what to do on this system
    Print,
}

/// What to attach, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The way in.
    pub way: Way,
    /// Where the canary is asked while nothing is attached.
    pub front: SocketAddr,
    /// The name whose TXT record the daemon answers itself.
    pub canary: Name,
    /// Hosts that lose their IPv6 addresses; the first that does so now is asked for.
    pub witnesses: Vec<Name>,
}

/// A way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// A link with routing domains.
    Resolved {
        /// The link's address, at which the daemon listens.
        address: Ipv4Addr,
        /// The routing domains.
        zones: Vec<Name>,
        /// Rules whose hosts' CNAMEs lead out of these zones to where systemd-resolved asks others.
        leaking: Vec<String>,
    },
    /// Questions to these servers go to the daemon.
    Redirect {
        /// The servers of the host's resolv.conf.
        servers: Vec<IpAddr>,
        /// Where those of IPv4 go.
        ipv4: Option<SocketAddr>,
        /// Where those of IPv6 go.
        ipv6: Option<SocketAddr>,
    },
    /// Nothing is attached.
    Print,
}

/// The plan for this host, or why there is none.
///
/// # Errors
/// A [`Fault`] for the first thing that is in the way.
pub fn plan(mode: Mode, config: &Config, host: &Host) -> Result<Plan, Fault> {
    if config.zones().is_empty() {
        return Err(Fault::NoZone);
    }
    for address in &config.listen {
        if let Some((_, owner)) = FOREIGN.iter().find(|(ip, _)| address.ip() == *ip) {
            return Err(Fault::Foreign(*address, owner));
        }
    }
    // Without rights nothing can be told of the host: first of all.
    if mode != Mode::Print {
        rights(host)?;
    }
    let way = match choose(mode, host) {
        Mode::Resolved => {
            resolved_is_there(host)?;
            servers(config, host)?;
            Way::Resolved {
                address: link_address(config)?,
                zones: config.zones(),
                leaking: leaking(config),
            }
        }
        Mode::Redirect => redirect(config, host)?,
        Mode::Auto | Mode::Print => Way::Print,
    };
    Ok(Plan {
        way,
        front: front_of(config).ok_or(Fault::NoListener(NO_FRONT))?,
        canary: config.canary(),
        witnesses: config.witnesses(),
    })
}

fn rights(host: &Host) -> Result<(), Fault> {
    match (host.uid, host.net_admin) {
        (0, true) => Ok(()),
        (0, false) => Err(Fault::NoNetAdmin),
        _ => Err(Fault::NotRoot),
    }
}

fn choose(mode: Mode, host: &Host) -> Mode {
    match mode {
        Mode::Auto if host.resolved.is_ok() && asks_resolved(host) => Mode::Resolved,
        Mode::Auto if host.nftables.is_ok() => Mode::Redirect,
        Mode::Auto => Mode::Print,
        mode => mode,
    }
}

/// Whether programs that read resolv.conf ask systemd-resolved: then it is active, not merely running.
fn asks_resolved(host: &Host) -> bool {
    let stub = |server: &SocketAddr| server.ip() == STUB || server.ip() == PROXY;
    matches!(&host.resolv_conf, ResolvConf::Servers(servers) if servers.iter().any(stub))
}

fn resolved_is_there(host: &Host) -> Result<(), Fault> {
    if let Err(why) = &host.resolved {
        return Err(Fault::NoResolved(why.clone()));
    }
    let tun = host.tun.map_err(io::Error::from_raw_os_error);
    tun.map_err(Fault::NoTun)
}

fn redirect(config: &Config, host: &Host) -> Result<Way, Fault> {
    let nftables = host.nftables.map_err(io::Error::from_raw_os_error);
    nftables.map_err(Fault::NoNftables)?;
    let servers = servers(config, host)?;
    let ipv4 = front(config, IpAddr::is_ipv4);
    let ipv6 = front(config, IpAddr::is_ipv6);
    if ipv4.is_none() && servers.iter().any(IpAddr::is_ipv4) {
        return Err(Fault::NoListener(NO_IPV4));
    }
    if ipv6.is_none() && servers.iter().any(IpAddr::is_ipv6) {
        return Err(Fault::NoListener(NO_IPV6));
    }
    Ok(Way::Redirect {
        servers,
        ipv4,
        ipv6,
    })
}

/// Rules in force that leave CNAMEs in sight.
fn leaking(config: &Config) -> Vec<String> {
    let rules = config.rules.iter().filter(|rule| {
        rule.mode == config::Mode::Enforce && !rule.hosts.is_empty() && rule.cname != Cname::Flatten
    });
    rules.map(|rule| rule.name.clone()).collect()
}

/// The servers of resolv.conf, all of them: a resolver may ask any, and some ask all at once.
fn servers(config: &Config, host: &Host) -> Result<Vec<IpAddr>, Fault> {
    let servers = match &host.resolv_conf {
        ResolvConf::Servers(servers) if servers.is_empty() => return Err(Fault::EmptyResolvConf),
        ResolvConf::Servers(servers) => servers,
        ResolvConf::Unreadable(target, kind) => {
            return Err(Fault::NoResolvConf(target.clone(), *kind));
        }
    };
    if let Some(server) = leads_to_us(config, &host.resolv_conf) {
        return Err(Fault::LeadsToUs(server));
    }
    Ok(servers.iter().map(SocketAddr::ip).collect())
}

/// The first server of resolv.conf that is a daemon of this configuration.
pub fn leads_to_us(config: &Config, resolv_conf: &ResolvConf) -> Option<SocketAddr> {
    let ResolvConf::Servers(servers) = resolv_conf else {
        return None;
    };
    let ours: Vec<_> = config.listen.iter().copied().map(reached).collect();
    servers.iter().copied().find(|server| ours.contains(server))
}

/// The listener at which the daemon of a configuration is asked how it is.
pub(super) fn front_of(config: &Config) -> Option<SocketAddr> {
    front(config, IpAddr::is_ipv4).or_else(|| front(config, IpAddr::is_ipv6))
}

/// The first listener of a family that is there before anything is attached.
fn front(config: &Config, family: impl Fn(&IpAddr) -> bool) -> Option<SocketAddr> {
    let there = |address: &SocketAddr| {
        family(&address.ip()) && !is_link_local(address) && address.port() != 0
    };
    let found = config.listen.iter().copied().find(there);
    found.map(reached)
}

/// The listener for our link: a link-local address at port 53, or every address.
fn link_address(config: &Config) -> Result<Ipv4Addr, Fault> {
    let at_53 = || config.listen.iter().filter(|address| address.port() == 53);
    let link_local = at_53().find_map(|address| match address.ip() {
        IpAddr::V4(ip) if ip.is_link_local() => Some(ip),
        _ => None,
    });
    let everywhere = at_53().any(|address| address.ip() == Ipv4Addr::UNSPECIFIED);
    match link_local {
        Some(ip) => Ok(ip),
        None if everywhere => Ok(LINK_ADDRESS),
        None => Err(Fault::NoListener(NO_LINK_ADDRESS)),
    }
}

fn is_link_local(address: &SocketAddr) -> bool {
    matches!(address.ip(), IpAddr::V4(ip) if ip.is_link_local())
}

/// A wildcard listener is reached by loopback.
fn reached(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The address of our link where `listen` takes every address.
const LINK_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 6, 53);

/// Addresses that others are known to use.
const FOREIGN: [(IpAddr, &str); 6] = [
    (STUB, "systemd-resolved's"),
    (PROXY, "systemd-resolved's proxy's"),
    (v4(169, 254, 20, 10), "NodeLocal DNSCache's"),
    (v4(169, 254, 10, 10), "AKS LocalDNS's"),
    (v4(169, 254, 10, 11), "AKS LocalDNS's"),
    (v4(169, 254, 116, 108), "Talos' host DNS's"),
];

const STUB: IpAddr = v4(127, 0, 0, 53);
const PROXY: IpAddr = v4(127, 0, 0, 54);

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

pub(super) const NO_FRONT: &str = "listen: unsix is asked how it is at an address that is always there: add \"127.0.6.53:53\", and restart unsix";
const NO_LINK_ADDRESS: &str = "listen: systemd-resolved reaches unsix at a link-local address: add \"169.254.6.53:53\", and restart unsix";
const NO_IPV4: &str = "listen: /etc/resolv.conf names an IPv4 server, and unsix listens on no IPv4 address to lead its questions to: add \"127.0.6.53:53\", and restart unsix";
const NO_IPV6: &str = "listen: /etc/resolv.conf names an IPv6 server, and unsix listens on no IPv6 address to lead its questions to: add \"[::1]:5300\", and restart unsix";

#[cfg(test)]
mod tests;
