//! The sockets that clients reach: those that were passed to us, and all others opened here.

use super::passed::Passed;
use crate::config::Listener;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;

/// The sockets of one address. There are several listeners where several were passed to us.
#[derive(Debug)]
pub struct Bound {
    /// Where they really stand, the port that the kernel chose included.
    pub address: SocketAddr,
    /// For UDP, each with a socket for each worker.
    pub datagrams: Vec<Vec<Ear>>,
    /// For TCP.
    pub streams: Vec<TcpListener>,
}

/// The sockets of one address where an encrypted transport is spoken: those that were passed to us, or our own.
#[derive(Debug)]
pub struct BoundEncrypted {
    /// What is spoken, and where they really stand, the port that the kernel chose included.
    pub at: Listener,
    /// For what is spoken over connections.
    pub streams: Vec<TcpListener>,
    /// For what is spoken over datagrams.
    pub datagrams: Vec<UdpSocket>,
}

/// Where a worker hears datagrams of clients.
#[derive(Debug)]
pub struct Ear {
    /// Its own, so that the kernel spreads clients over the workers by their addresses (`SO_REUSEPORT`), or one
    /// that all of them share, if it was passed to us.
    pub socket: UdpSocket,
    /// Whoever passed it keeps it open: what waits in it when we stop reading is read by the next process.
    pub kept: bool,
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
                    "cannot listen on {address}: ports below 1024 need root or CAP_NET_BIND_SERVICE: give it, have systemd open the port (`ListenDatagram=` and `ListenStream=` of unsix.socket), or change `listen`"
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

/// Listens on an address for that many workers, by the sockets that were passed for it, if any.
///
/// # Errors
/// See [`BindError`].
pub fn bind(address: SocketAddr, workers: usize, passed: &mut Passed) -> Result<Bound, BindError> {
    take_up_rights(address);
    let mut left = CHOICES;
    loop {
        match try_bind(address, workers, passed) {
            // The port that the kernel chose for UDP was taken for TCP.
            Err(BindError::Busy(..)) if address.port() == 0 && left > 0 => left -= 1,
            done => return done,
        }
    }
}

/// The same for an encrypted transport; one socket serves all.
///
/// # Errors
/// See [`BindError`].
pub fn bind_encrypted(at: &Listener, passed: &mut Passed) -> Result<BoundEncrypted, BindError> {
    let (address, mut chosen) = (at.address, at.address);
    take_up_rights(address);
    let (mut streams, mut datagrams) = (Vec::new(), Vec::new());
    if at.over.is_datagrams() {
        let fail = |error| refused(address, "UDP", error);
        datagrams = passed.datagrams(address);
        if datagrams.is_empty() {
            let socket = open(address, Type::DGRAM, Share::Alone).map_err(fail)?;
            chosen = local_address(&socket).map_err(fail)?;
            datagrams.push(socket.into());
        }
        datagrams.iter().try_for_each(enlarge).map_err(fail)?;
    } else {
        let fail = |error| refused(address, "TCP", error);
        streams = passed.streams(address);
        if streams.is_empty() {
            let listener = hear(address).map_err(fail)?;
            chosen = local_address(&listener).map_err(fail)?;
            streams.push(listener.into());
        }
    }
    Ok(BoundEncrypted {
        at: Listener {
            address: chosen,
            over: at.over.clone(),
        },
        streams,
        datagrams,
    })
}

fn take_up_rights(address: SocketAddr) {
    if (1..1024).contains(&address.port()) {
        super::rights::take_up_low_ports();
    }
}

/// What an error of the kernel means for an address.
fn refused(address: SocketAddr, protocol: &'static str, error: io::Error) -> BindError {
    match error.raw_os_error() {
        Some(libc::EADDRINUSE) => BindError::Busy(address, protocol),
        Some(libc::EAFNOSUPPORT) => BindError::NoSuchFamily(address),
        Some(libc::EADDRNOTAVAIL) if !has_family(address) => BindError::NoSuchFamily(address),
        _ => BindError::Other(address, error),
    }
}

/// A listener for connections.
fn hear(address: SocketAddr) -> io::Result<Socket> {
    let listener = open(address, Type::STREAM, Share::Alone)?;
    listener.listen(BACKLOG)?;
    Ok(listener)
}

fn try_bind(address: SocketAddr, workers: usize, passed: &mut Passed) -> Result<Bound, BindError> {
    let fail = |protocol| move |error| refused(address, protocol, error);
    let mut datagrams = Vec::new();
    for socket in passed.datagrams(address) {
        datagrams.push(share(&socket, address, workers).map_err(fail("UDP"))?);
    }
    let mut streams = passed.streams(address);
    let mut chosen = address;
    if datagrams.is_empty() {
        // Without SO_REUSEPORT first: with it, a second daemon would share the port in silence.
        let alone = open(address, Type::DGRAM, Share::Alone).map_err(fail("UDP"))?;
        chosen = local_address(&alone).map_err(fail("UDP"))?;
    }
    if streams.is_empty() {
        streams.push(hear(chosen).map_err(fail("TCP"))?.into());
    }
    if datagrams.is_empty() {
        datagrams.push(each_its_own(chosen, workers).map_err(fail("UDP"))?);
    }
    Ok(Bound {
        address: chosen,
        datagrams,
        streams,
    })
}

/// A socket of its own for each worker.
fn each_its_own(address: SocketAddr, workers: usize) -> io::Result<Vec<Ear>> {
    let open = |_| {
        let socket: UdpSocket = open(address, Type::DGRAM, Share::Workers)?.into();
        prepare(&socket, address)?;
        Ok(Ear {
            socket,
            kept: false,
        })
    };
    (0..workers).map(open).collect()
}

/// One socket that was passed to us, for all workers.
fn share(socket: &UdpSocket, address: SocketAddr, workers: usize) -> io::Result<Vec<Ear>> {
    prepare(socket, address)?;
    let duplicate = |_| {
        Ok(Ear {
            socket: socket.try_clone()?,
            kept: true,
        })
    };
    (0..workers).map(duplicate).collect()
}

/// What every datagram socket needs, whoever has opened it.
fn prepare(socket: &UdpSocket, address: SocketAddr) -> io::Result<()> {
    enlarge(socket)?;
    if address.ip().is_unspecified() {
        crate::sys::ask_for_local_address(socket.as_fd(), address)?;
    }
    crate::sys::do_not_discover_mtu(socket.as_fd(), address)
}

/// A burst waits in the kernel rather than be lost.
fn enlarge(socket: &UdpSocket) -> io::Result<()> {
    let size = SockRef::from(socket);
    // It grants as much as it allows, and tells twice as much.
    if size.recv_buffer_size()? < 2 * RECEIVE_BUFFER {
        size.set_recv_buffer_size(RECEIVE_BUFFER)?;
    }
    Ok(())
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
