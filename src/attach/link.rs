//! A link of our own with one address. It lives as long as the file that made it is open.

use super::fault::Fault;
use crate::sys::tun;
use netlink_bindings::rt_addr::{Ifaddrmsg, Request};
use netlink_socket2::NetlinkSocket;
use rustix::net::{AddressFamily, SocketType, netdevice::name_to_index, socket};
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// What the link is called.
pub(super) const NAME: &str = "unsix0";

/// The link; dropping it takes it away.
#[derive(Debug)]
pub(super) struct Link {
    _file: File,
    /// Its number.
    pub(super) index: u32,
}

impl Link {
    /// Makes the link with its address.
    ///
    /// # Errors
    /// Somebody else has the name or the address, or the kernel gives no link.
    pub(super) fn make(address: Ipv4Addr) -> Result<Self, Fault> {
        let mut netlink = NetlinkSocket::new();
        if is_taken(&mut netlink, address).map_err(refused)? {
            return Err(Fault::AddressStands(address.into()));
        }
        let file = tun::create(NAME).map_err(|error| match error.raw_os_error() {
            // Another process holds it, or it is a link of another kind.
            Some(libc::EBUSY | libc::EINVAL | libc::EEXIST) => Fault::LinkStands,
            _ => Fault::NoTun(error),
        })?;
        let index = index().map_err(refused)?;
        tun::bring_up(NAME).map_err(refused)?;
        give(&mut netlink, index, address).map_err(refused)?;
        Ok(Self { _file: file, index })
    }
}

fn refused(error: io::Error) -> Fault {
    Fault::Refused("the link unsix0 cannot be set up", error)
}

/// The number of the link of our name.
pub(super) fn index() -> io::Result<u32> {
    let any = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    Ok(name_to_index(&any, NAME)?)
}

/// Whether a link of this host has the address.
fn is_taken(netlink: &mut NetlinkSocket, address: Ipv4Addr) -> io::Result<bool> {
    let family = u8::try_from(libc::AF_INET).unwrap_or_default();
    let wanted = Ifaddrmsg {
        ifa_family: family,
        ..Ifaddrmsg::default()
    };
    let request = Request::new().op_getaddr_dump(&wanted);
    let mut replies = netlink.request(&request)?;
    let mut taken = false;
    while let Some(reply) = replies.recv() {
        let (_, attributes) = reply.map_err(|error| io::Error::other(error.to_string()))?;
        taken |= attributes.get_local().ok() == Some(IpAddr::V4(address));
    }
    Ok(taken)
}

/// Gives a link the address, for this host alone.
fn give(netlink: &mut NetlinkSocket, index: u32, address: Ipv4Addr) -> io::Result<()> {
    let header = Ifaddrmsg {
        ifa_family: u8::try_from(libc::AF_INET).unwrap_or_default(),
        ifa_prefixlen: 32,
        ifa_scope: libc::RT_SCOPE_LINK,
        ifa_index: index,
        ..Ifaddrmsg::default()
    };
    let mut request = Request::new().set_create().op_newaddr_do(&header);
    let attributes = request.encode().push_local(address.into());
    attributes.push_address(address.into());
    let mut reply = netlink.request(&request)?;
    reply
        .recv_ack()
        .map_err(|error| super::table::plain(&error))
}
