//! Opens the sockets that clients reach.

use socket2::{Domain, Protocol, Socket, Type};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;

/// The sockets of one address: a datagram socket for each worker, and one for streams.
#[derive(Debug)]
pub struct Bound {
    /// Where they really stand, the port that the kernel chose included.
    pub address: SocketAddr,
    /// One for each worker; the kernel spreads clients over them by their addresses (`SO_REUSEPORT`).
    pub datagrams: Vec<UdpSocket>,
    /// For TCP.
    pub streams: TcpListener,
}

/// Why an address cannot be listened on.
#[derive(Debug)]
pub enum BindError {
    /// This host has no such address family.
    NoSuchFamily(SocketAddr),
    /// Somebody else listens there.
    Busy(SocketAddr, &'static str),
    /// Anything else.
    Other(SocketAddr, io::Error),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchFamily(address) => {
                let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
                write!(f, "cannot listen on {address}: this host has no {family}")
            }
            Self::Busy(address, protocol) => write!(
                f,
                "cannot listen on {address}: another process has {protocol} port {}: stop it (`ss -lp sport = {}`) or change `listen`",
                address.port(),
                address.port()
            ),
            Self::Other(address, error) if error.kind() == io::ErrorKind::PermissionDenied => {
                write!(
                    f,
                    "cannot listen on {address}: ports below 1024 need root or CAP_NET_BIND_SERVICE: give it, or change `listen`"
                )
            }
            Self::Other(address, error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                write!(
                    f,
                    "cannot listen on {address}: no interface of this host has that address"
                )
            }
            Self::Other(address, error) => write!(f, "cannot listen on {address}: {error}"),
        }
    }
}

impl std::error::Error for BindError {}

/// Whether an address may be listened on before this host has it: an IPv4 link-local one, which
/// `unsix attach` or the administrator gives to a link later (`IP_FREEBIND`).
pub fn is_awaited(address: SocketAddr) -> bool {
    matches!(address.ip(), IpAddr::V4(v4) if v4.is_link_local())
}

/// Listens on an address with that many datagram sockets.
///
/// # Errors
/// See [`BindError`].
pub fn bind(address: SocketAddr, workers: usize) -> Result<Bound, BindError> {
    let mut left = CHOICES;
    loop {
        match try_bind(address, workers) {
            // The port that the kernel chose for UDP was taken for TCP.
            Err(BindError::Busy(..)) if address.port() == 0 && left > 0 => left -= 1,
            done => return done,
        }
    }
}

fn try_bind(address: SocketAddr, workers: usize) -> Result<Bound, BindError> {
    let fail = |protocol: &'static str| {
        move |error: io::Error| match error.raw_os_error() {
            Some(libc::EADDRINUSE) => BindError::Busy(address, protocol),
            Some(libc::EAFNOSUPPORT) => BindError::NoSuchFamily(address),
            Some(libc::EADDRNOTAVAIL) if !has_family(address) => BindError::NoSuchFamily(address),
            _ => BindError::Other(address, error),
        }
    };
    // Without SO_REUSEPORT first: with it, a second daemon would share the port in silence.
    let alone = open(address, Type::DGRAM, Share::Alone).map_err(fail("UDP"))?;
    let address = local_address(&alone).map_err(fail("UDP"))?;
    drop(alone);
    let streams = open(address, Type::STREAM, Share::Alone).map_err(fail("TCP"))?;
    streams.listen(BACKLOG).map_err(fail("TCP"))?;
    let mut datagrams = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket: UdpSocket = open(address, Type::DGRAM, Share::Workers)
            .map_err(fail("UDP"))?
            .into();
        if address.ip().is_unspecified() {
            crate::sys::ask_for_local_address(socket.as_fd(), address).map_err(fail("UDP"))?;
        }
        crate::sys::do_not_discover_mtu(socket.as_fd(), address).map_err(fail("UDP"))?;
        datagrams.push(socket);
    }
    Ok(Bound {
        address,
        datagrams,
        streams: streams.into(),
    })
}

/// Whether several sockets stand on one address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Share {
    Alone,
    Workers,
}

fn open(address: SocketAddr, kind: Type, share: Share) -> io::Result<Socket> {
    let protocol = if kind == Type::DGRAM {
        Protocol::UDP
    } else {
        Protocol::TCP
    };
    let socket = Socket::new(
        Domain::for_address(address),
        kind.nonblocking().cloexec(),
        Some(protocol),
    )?;
    if address.is_ipv6() {
        // `[::]` and `0.0.0.0` may stand beside each other.
        socket.set_only_v6(true)?;
    }
    match (kind, share) {
        (Type::STREAM, _) => socket.set_reuse_address(true)?,
        (_, Share::Workers) => socket.set_reuse_port(true)?,
        (_, Share::Alone) => {}
    }
    if is_awaited(address) {
        socket.set_freebind_v4(true)?;
    }
    if share == Share::Workers {
        // A burst waits in the kernel rather than be lost; it grants as much as it allows.
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn local_address(socket: &Socket) -> io::Result<SocketAddr> {
    let address = socket.local_addr()?.as_socket();
    address.ok_or_else(|| io::Error::other("the kernel gave an address of no known family"))
}

/// Whether this host can use addresses of the same family at all.
fn has_family(address: SocketAddr) -> bool {
    address.is_ipv4() || UdpSocket::bind((IpAddr::V6(Ipv6Addr::LOCALHOST), 0)).is_ok()
}

/// Tries to find a port that is free for UDP and TCP both.
const CHOICES: usize = 16;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// Octets of datagrams that wait to be read.
const RECEIVE_BUFFER: usize = 1 << 20;
