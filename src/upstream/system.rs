//! The name servers that the system itself uses, for when the configuration names none.
//!
//! They stand in `/etc/resolv.conf`, or where systemd-resolved keeps its own if that file only
//! leads back to its stub. Our own listeners are left out: after an administrator made us the
//! system's name server, they would be our upstream.

use hickory_resolver::system_conf::parse_resolv_conf;
use rustix::net::{AddressFamily, SocketType, netdevice, socket};
use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::Path;

/// Where every Unix keeps its name servers.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Where systemd-resolved writes down the ones behind its stub.
pub const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

/// Why the system has no name server for us. Its text says what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemError {
    /// The file cannot be read.
    Unreadable(io::ErrorKind),
    /// No line of it names a server that we could ask.
    NoServer,
    /// All it names are our own listeners.
    OnlyOurselves,
}

impl fmt::Display for SystemError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(kind) => write!(formatter, "{RESOLV_CONF} cannot be read ({kind})")?,
            Self::NoServer => write!(formatter, "{RESOLV_CONF} names no usable name server")?,
            Self::OnlyOurselves => write!(formatter, "{RESOLV_CONF} names only our own listeners")?,
        }
        formatter.write_str(": write the name servers to ask, as in `upstreams: [192.0.2.53]`")
    }
}

impl std::error::Error for SystemError {}

/// The system's name servers as they are now; `own` are our listeners.
pub fn read(own: &[SocketAddr]) -> Result<Vec<SocketAddr>, SystemError> {
    read_from(Path::new(RESOLV_CONF), Path::new(RESOLVED), own)
}

/// The same, from files at other places.
fn read_from(
    resolv_conf: &Path,
    resolved: &Path,
    own: &[SocketAddr],
) -> Result<Vec<SocketAddr>, SystemError> {
    let text = fs::read(resolv_conf).map_err(|error| SystemError::Unreadable(error.kind()))?;
    let resolved = fs::read(resolved).ok();
    // A comment in another encoding is no reason to fail.
    let text = String::from_utf8_lossy(&text);
    let resolved = resolved.as_deref().map(String::from_utf8_lossy);
    choose(&text, resolved.as_deref(), own, interface_index)
}

fn interface_index(name: &str) -> Option<u32> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
    netdevice::name_to_index(&socket, name).ok()
}

/// The servers that a text in the form of resolv.conf names, as every resolver of the C library takes them: three at
/// most, none twice, those left out that cannot be asked.
pub fn named_in(text: &str) -> Vec<SocketAddr> {
    name_servers(text, &interface_index)
}

/// How many name servers every resolver of the C library takes.
const SERVERS: usize = 3;

/// Chooses from the texts of both files; `interface` gives the index of a network interface.
pub fn choose(
    resolv_conf: &str,
    resolved: Option<&str>,
    own: &[SocketAddr],
    interface: impl Fn(&str) -> Option<u32>,
) -> Result<Vec<SocketAddr>, SystemError> {
    let mut servers = name_servers(resolv_conf, &interface);
    if !servers.is_empty() && servers.iter().all(is_stub) {
        // Without that file the stub is somebody else's, and as good as any server.
        if let Some(text) = resolved {
            servers = name_servers(text, &interface);
        }
    }
    if servers.is_empty() {
        return Err(SystemError::NoServer);
    }
    servers.retain(|server| !own.iter().any(|own| reaches(server, own)));
    if servers.is_empty() {
        return Err(SystemError::OnlyOurselves);
    }
    Ok(servers)
}

/// systemd-resolved's stub, or its proxy, which passes queries on as they are.
fn is_stub(server: &SocketAddr) -> bool {
    let stubs = [Ipv4Addr::new(127, 0, 0, 53), Ipv4Addr::new(127, 0, 0, 54)];
    stubs.iter().any(|stub| server.ip() == *stub)
}

/// Whether a query to `server` would come in at our listener `own`.
fn reaches(server: &SocketAddr, own: &SocketAddr) -> bool {
    let same_host = if own.ip().is_unspecified() {
        server.ip().is_loopback() && server.is_ipv4() == own.is_ipv4()
    } else {
        server.ip() == own.ip()
    };
    same_host && server.port() == own.port()
}

fn name_servers(text: &str, interface: &impl Fn(&str) -> Option<u32>) -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    let found = text.lines().filter_map(|line| name_server(line, interface));
    for server in found.take(SERVERS) {
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    servers
}

/// The server that a line names, if it names one that can be asked.
fn name_server(line: &str, interface: &impl Fn(&str) -> Option<u32>) -> Option<SocketAddr> {
    let mut words = line.split_whitespace();
    if words.next() != Some("nameserver") {
        return None;
    }
    // One line at a time: hickory refuses a whole file for one search domain that is no name.
    let (parsed, _) = parse_resolv_conf(line).ok()?;
    let address = parsed.name_servers().first()?.ip;
    // It forgets the zone, and without one a link-local address leads nowhere.
    let zone = words
        .next()
        .and_then(|word| word.split_once('%'))
        .map(|(_, zone)| zone);
    match (address, zone) {
        // As the C library understands them, the unspecified addresses are this host.
        (IpAddr::V4(Ipv4Addr::UNSPECIFIED), _) => Some(at_port_53(Ipv4Addr::LOCALHOST.into())),
        (IpAddr::V6(Ipv6Addr::UNSPECIFIED), _) => Some(at_port_53(Ipv6Addr::LOCALHOST.into())),
        (IpAddr::V6(address), Some(zone)) => {
            let index = zone.parse().ok().or_else(|| interface(zone))?;
            Some(SocketAddrV6::new(address, 53, 0, index).into())
        }
        (IpAddr::V6(address), None) if address.is_unicast_link_local() => None,
        (address, _) => Some(at_port_53(address)),
    }
}

const fn at_port_53(address: IpAddr) -> SocketAddr {
    SocketAddr::new(address, 53)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(
        text: &str,
        resolved: Option<&str>,
        own: &[&str],
    ) -> Result<Vec<String>, SystemError> {
        let own: Vec<SocketAddr> = own.iter().map(|own| own.parse().unwrap()).collect();
        let interface = |name: &str| (name == "eth0").then_some(2);
        let servers = choose(text, resolved, &own, interface)?;
        Ok(servers.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn resolv_conf_is_read_as_the_c_library_reads_it() {
        #[rustfmt::skip]
        let cases: &[(&str, &str, &[&str])] = &[
            ("one",                 "nameserver 192.0.2.1",                          &["192.0.2.1:53"]),
            ("order is kept",       "nameserver 192.0.2.2\nnameserver 192.0.2.1\n",  &["192.0.2.2:53", "192.0.2.1:53"]),
            ("three at most",       "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4",
                                                                    &["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"]),
            ("once each",           "nameserver 192.0.2.1\nnameserver 192.0.2.1",    &["192.0.2.1:53"]),
            ("both families",       "nameserver 2001:db8::1\nnameserver 192.0.2.1",  &["[2001:db8::1]:53", "192.0.2.1:53"]),
            ("tabs and returns",    "nameserver\t192.0.2.1\r\n",                     &["192.0.2.1:53"]),
            ("comments",            "# nameserver 192.0.2.9\n;x\nnameserver 192.0.2.1 # ours\n", &["192.0.2.1:53"]),
            ("no address",          "nameserver here\nnameserver\nnameserver 192.0.2.1", &["192.0.2.1:53"]),
            ("an odd search line",  "search .. -- a..b\nnameserver 192.0.2.1",       &["192.0.2.1:53"]),
            ("unknown options",     "options x:y edns0\nfrobnicate\nnameserver 192.0.2.1", &["192.0.2.1:53"]),
            ("a zone by name",      "nameserver fe80::1%eth0",                       &["[fe80::1%2]:53"]),
            ("a zone by number",    "nameserver fe80::1%7",                          &["[fe80::1%7]:53"]),
            ("a zone not here",     "nameserver fe80::1%eth9\nnameserver 192.0.2.1", &["192.0.2.1:53"]),
            ("a zone is missing",   "nameserver fe80::1\nnameserver 192.0.2.1",      &["192.0.2.1:53"]),
            ("this host",           "nameserver 0.0.0.0\nnameserver ::",             &["127.0.0.1:53", "[::1]:53"]),
        ];
        for (why, text, want) in cases {
            assert_eq!(chosen(text, None, &[]), Ok(strings(want)), "{why}");
        }
    }

    #[test]
    fn stubs_and_our_own_listeners_are_stepped_over() {
        const STUB: &str = "nameserver 127.0.0.53\n";
        const REAL: &str = "nameserver 192.0.2.1\n";
        const HERE: &str = "nameserver 127.0.0.1\n";
        const NONE: &[&str] = &[];
        type Case<'a> = (&'a str, &'a str, Option<&'a str>, &'a [&'a str], Wanted<'a>);
        type Wanted<'a> = Result<&'a [&'a str], SystemError>;
        #[rustfmt::skip]
        let cases: &[Case<'_>] = &[
            ("behind the stub",        STUB, Some(REAL), NONE, Ok(&["192.0.2.1:53"])),
            ("behind the proxy",       "nameserver 127.0.0.54", Some(REAL), NONE, Ok(&["192.0.2.1:53"])),
            ("a stub of another kind", STUB, None,       NONE, Ok(&["127.0.0.53:53"])),
            ("not only the stub",      "nameserver 127.0.0.53\nnameserver 192.0.2.9", Some(REAL), NONE,
                                                               Ok(&["127.0.0.53:53", "192.0.2.9:53"])),
            ("nothing behind it",      STUB, Some(""),   NONE, Err(SystemError::NoServer)),
            ("we are behind it",       STUB, Some(HERE), &["127.0.0.1:53"], Err(SystemError::OnlyOurselves)),
            ("we and another",         "nameserver 127.0.0.1\nnameserver 192.0.2.1", None, &["127.0.0.1:53"],
                                                               Ok(&["192.0.2.1:53"])),
            ("our other port",         HERE, None, &["127.0.0.1:5300"], Ok(&["127.0.0.1:53"])),
            ("everywhere is here too", HERE, None, &["0.0.0.0:53"], Err(SystemError::OnlyOurselves)),
            ("but not of that family", HERE, None, &["[::]:53"], Ok(&["127.0.0.1:53"])),
            ("empty",                  "",   Some(REAL), NONE, Err(SystemError::NoServer)),
        ];
        for (why, text, resolved, own, want) in cases {
            let want = want.map(strings);
            assert_eq!(chosen(text, *resolved, own), want, "{why}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_its_cure() {
        let nowhere = Path::new("/nonexistent/resolv.conf");
        let error = read_from(nowhere, nowhere, &[]).unwrap_err();
        assert_eq!(error, SystemError::Unreadable(io::ErrorKind::NotFound));
        assert_eq!(
            error.to_string(),
            "/etc/resolv.conf cannot be read (entity not found): \
             write the name servers to ask, as in `upstreams: [192.0.2.53]`"
        );
    }

    #[test]
    fn the_loopback_interface_has_an_index() {
        assert_eq!(interface_index("lo"), Some(1));
        assert_eq!(interface_index("no such interface"), None);
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }
}
