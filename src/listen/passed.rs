//! Sockets that whoever started us has opened and keeps: `unsix.socket` under systemd (`sd_listen_fds(3)`).
//!
//! They outlive this process, and with them what waits in them: the next process answers it. So a restart
//! loses no query, and port 53 takes no capability.

use crate::config::Listener;
use socket2::{Socket, Type};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

/// All that were passed and that nobody has taken yet.
#[derive(Debug, Default)]
pub struct Passed(Vec<Given>);

#[derive(Debug)]
struct Given {
    /// What the one who passed it calls it: `unsix.socket`.
    name: String,
    protocol: Protocol,
    address: SocketAddr,
    socket: Socket,
}

/// What a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Udp,
    Tcp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

impl Passed {
    /// Takes the sockets that the environment of this process tells of; none the second time. To be called
    /// before anything else is opened.
    ///
    /// # Errors
    /// The environment makes no sense, or one of them is no socket that clients can reach over UDP or TCP.
    pub(crate) fn take() -> io::Result<Self> {
        let descriptors = crate::sys::take_passed()?;
        let sockets = descriptors.into_iter().map(|(descriptor, name)| {
            known(descriptor, &name).map_err(|error| {
                let error = format!("what `{name}` passes cannot be used: {error}");
                io::Error::new(io::ErrorKind::InvalidInput, error)
            })
        });
        sockets.collect::<io::Result<_>>().map(Self)
    }

    /// One line for each socket that `listen` does not have, and for each address of it that is not among the sockets.
    pub(crate) fn compare(&self, listen: &[SocketAddr], encrypted: &[Listener]) -> Vec<String> {
        let Some(any) = self.0.first() else {
            return Vec::new();
        };
        let plain = listen
            .iter()
            .flat_map(|address| [(Protocol::Udp, *address), (Protocol::Tcp, *address)]);
        let encrypted = encrypted.iter().map(|one| match one.over.is_datagrams() {
            true => (Protocol::Udp, one.address),
            false => (Protocol::Tcp, one.address),
        });
        let awaited: Vec<_> = plain.chain(encrypted).collect();
        let is_strange = |one: &&Given| !awaited.contains(&(one.protocol, one.address));
        let strangers = self.0.iter().filter(is_strange);
        let mut lines: Vec<String> = strangers
            .map(|Given { name, protocol, address, .. }| {
                format!("{name} passes {protocol} {address}, which is not in `listen`: nobody is answered there: add it to `listen`, or take it out of {name}")
            })
            .collect();
        for (protocol, address) in awaited {
            let is_it = |one: &Given| (one.protocol, one.address) == (protocol, address);
            if !self.0.iter().any(is_it) {
                lines.push(format!(
                    "{protocol} {address} of `listen` is not passed by {}: it is opened here, and what waits there is lost at a restart: add it to {}",
                    any.name, any.name
                ));
            }
        }
        lines
    }

    /// The UDP sockets of that address.
    pub(super) fn datagrams(&mut self, address: SocketAddr) -> Vec<UdpSocket> {
        self.all(Protocol::Udp, address).map(Into::into).collect()
    }

    /// The TCP listeners of that address.
    pub(super) fn streams(&mut self, address: SocketAddr) -> Vec<TcpListener> {
        self.all(Protocol::Tcp, address).map(Into::into).collect()
    }

    fn all(&mut self, protocol: Protocol, address: SocketAddr) -> impl Iterator<Item = Socket> {
        let is_it = move |one: &mut Given| (one.protocol, one.address) == (protocol, address);
        self.0.extract_if(.., is_it).map(|given| given.socket)
    }
}

/// What a descriptor is, ready for use. Nobody else may have unset `O_NONBLOCK` since.
fn known(descriptor: OwnedFd, name: &str) -> io::Result<Given> {
    let no_use = |why: &'static str| io::Error::new(io::ErrorKind::InvalidInput, why);
    let socket = Socket::from(descriptor);
    let address = socket.local_addr()?;
    let address = address
        .as_socket()
        .ok_or_else(|| no_use("it is no socket of IPv4 or IPv6"))?;
    let protocol = match socket.r#type()? {
        Type::DGRAM if socket.peer_addr().is_ok() => {
            return Err(no_use("it is connected to one peer"));
        }
        Type::DGRAM => Protocol::Udp,
        Type::STREAM if socket.is_listener()? => Protocol::Tcp,
        Type::STREAM => {
            return Err(no_use(
                "it is one connection: `Accept=yes` is not for unsix",
            ));
        }
        _ => return Err(no_use("it speaks neither UDP nor TCP")),
    };
    socket.set_nonblocking(true)?;
    Ok(Given {
        name: name.to_owned(),
        protocol,
        address,
        socket,
    })
}
