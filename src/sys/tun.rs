//! The two system calls that make a TUN link and bring it up.
//!
//! No netlink message makes a TUN link, and the crates that do bring a network stack along, or write device nodes. The
//! rule that keeps it sound: the kernel gets a pointer to one `Request`, as large as its `struct ifreq`, for the
//! length of the call alone.

#![expect(
    unsafe_code,
    reason = "TUNSETIFF and SIOCSIFFLAGS have no safe wrapper"
)]

use rustix::ioctl::{Opcode, Updater, ioctl};
use std::fs::File;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;

/// The head of `struct ifreq` as both calls read it: a name and flags.
#[repr(C, align(8))]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    flags: u16,
    rest: [u8; 22],
}

const _: () = assert!(size_of::<Request>() >= size_of::<libc::ifreq>());

/// Opens the device that makes links.
pub(crate) fn open() -> io::Result<File> {
    File::options().read(true).write(true).open("/dev/net/tun")
}

/// Makes a link of this name; it goes with the file. One that stands already is not joined: it would stay.
pub(crate) fn create(name: &str) -> io::Result<File> {
    let file = open()?;
    call::<{ libc::TUNSETIFF as Opcode }>(
        &file,
        name,
        libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_TUN_EXCL,
    )?;
    Ok(file)
}

/// Brings a link up: point to point, without ARP and without multicast, so that nobody looks for neighbors on it.
pub(crate) fn bring_up(name: &str) -> io::Result<()> {
    let any = UdpSocket::bind("127.0.0.1:0")?;
    call::<{ libc::SIOCSIFFLAGS as Opcode }>(&any, name, libc::IFF_UP | libc::IFF_NOARP)
}

fn call<const CODE: Opcode>(on: impl AsFd, name: &str, flags: libc::c_int) -> io::Result<()> {
    let mut request = Request {
        name: [0; libc::IFNAMSIZ],
        flags: u16::try_from(flags).map_err(io::Error::other)?,
        rest: [0; 22],
    };
    // The last octet stays zero.
    for (place, octet) in request
        .name
        .iter_mut()
        .zip(name.bytes().take(libc::IFNAMSIZ - 1))
    {
        *place = octet;
    }
    // SAFETY: both codes take a pointer to a `struct ifreq`, which may be read and written and is not kept.
    unsafe { ioctl(on, Updater::<CODE, Request>::new(&mut request)) }?;
    Ok(())
}
