//! Everything outside of unsix, on loopback: a name server, two registries, and a client that pulls from them.

use super::Fault;
use super::puller::{Image, Puller};
use super::registry::{self, IsTarpit};
use super::zone::{self, Host};
use crate::message::Name;
use rustix::io::Errno;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::net::{TcpListener, UdpSocket};

/// The registry whose IPv6 is broken, and one that is well.
pub(super) const HUB: &str = "registry-1.docker.io";
pub(super) const OTHER: &str = "quay.io";

/// Each has an IPv4 address of its own; on loopback there is one of IPv6.
pub(super) const HUB_IPV4: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
pub(super) const OTHER_IPV4: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// What runs, until the runtime ends.
pub(super) struct World {
    /// The name server.
    pub(super) server: SocketAddr,
    pub(super) puller: Puller,
    pub(super) hub: Image<'static>,
    pub(super) other: Image<'static>,
    hub_ipv6: IsTarpit,
}

impl World {
    /// Starts all of it on ports of the kernel's choice.
    pub(super) async fn start() -> Result<Self, Fault> {
        let (hub4, hub6) = listen(HUB_IPV4).await?;
        let (other4, other6) = listen(OTHER_IPV4).await?;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let server = socket.local_addr()?;
        let image = |host, path, listener: &TcpListener| {
            let port = listener.local_addr()?.port();
            Ok::<_, io::Error>(Image { host, port, path })
        };
        let hub = image(HUB, "library/hello", &hub4)?;
        let other = image(OTHER, "acme/hello", &other4)?;

        let (tls, roots) = registry::identity(&[HUB, OTHER])?;
        let (well, hub_ipv6) = (IsTarpit::default(), Arc::new(AtomicBool::new(true)));
        for (listener, is_tarpit) in [
            (hub4, &well),
            (hub6, &hub_ipv6),
            (other4, &well),
            (other6, &well),
        ] {
            tokio::spawn(registry::serve(
                listener,
                tls.clone(),
                Arc::clone(is_tarpit),
            ));
        }
        let host = |name, ipv4| {
            let name = Name::parse(name).map_err(io::Error::other)?;
            let ipv6 = Ipv6Addr::LOCALHOST;
            Ok::<_, io::Error>(Host { name, ipv4, ipv6 })
        };
        let hosts = vec![host(HUB, HUB_IPV4)?, host(OTHER, OTHER_IPV4)?];
        tokio::spawn(zone::serve(socket, hosts));
        Ok(Self {
            server,
            puller: Puller::new(server, roots)?,
            hub,
            other,
            hub_ipv6,
        })
    }

    /// The tarpit becomes the registry.
    pub(super) fn heal(&self) {
        self.hub_ipv6.store(false, Relaxed);
    }
}

/// Listens on the same port of both families.
async fn listen(ipv4: Ipv4Addr) -> Result<(TcpListener, TcpListener), Fault> {
    for _ in 0..TRIES {
        let first = bind(ipv4.into(), 0).await?;
        match bind(Ipv6Addr::LOCALHOST.into(), first.local_addr()?.port()).await {
            Err(Fault::System(error)) if error.kind() == ErrorKind::AddrInUse => {}
            second => return Ok((first, second?)),
        }
    }
    Err(Fault::System(ErrorKind::AddrInUse.into()))
}

async fn bind(ip: IpAddr, port: u16) -> Result<TcpListener, Fault> {
    let bound = TcpListener::bind((ip, port)).await;
    bound.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT) => Fault::NoLoopback(ip),
        _ => Fault::System(error),
    })
}

/// Somebody may have the port for the other family.
const TRIES: usize = 16;
