//! Batches of datagrams: `recvmmsg`, `sendmmsg`, packet information and segments.
//!
//! One system call moves up to [`BATCH`] datagrams, and on a wildcard listener each reply leaves from
//! the address that was asked (`IP_PKTINFO`, RFC 3542 §6). Datagrams of one length to one peer go through the
//! kernel as one and are cut apart at its end (`UDP_SEGMENT`). No safe wrapper does any of it without allocating
//! for each call. The rule that keeps it sound: every pointer handed to the kernel is made anew, right
//! before the call, from buffers that the same value owns and nobody else can touch meanwhile; what the
//! kernel wrote is read back only within the lengths it gave.

#![expect(
    unsafe_code,
    reason = "recvmmsg, sendmmsg, IP_PKTINFO and UDP_SEGMENT have no safe wrapper that does not allocate"
)]

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Datagrams in one system call.
pub(crate) const BATCH: usize = 64;
/// Room for one packet-information message, aligned as control messages have to be.
type Control = [u64; 8];

/// Which address of ours a datagram was sent to; only wildcard listeners need to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Local {
    pub(crate) address: Option<IpAddr>,
    pub(crate) interface: u32,
}

/// Datagrams received.
pub(crate) struct Inbound {
    /// One after the other; pages that nothing was written to take no memory.
    packets: Box<[u8]>,
    longest: usize,
    peers: Box<[libc::sockaddr_storage]>,
    controls: Box<[Control]>,
    headers: Box<[libc::mmsghdr]>,
    vectors: Box<[libc::iovec]>,
    count: usize,
}

// SAFETY: the pointers in `headers` and `vectors` are written before each call and used by that call alone.
unsafe impl Send for Inbound {}

impl Inbound {
    /// Room for a batch of datagrams of so many octets; none of a longer one is handed out.
    pub(crate) fn new(longest: usize) -> Self {
        Self {
            packets: vec![0; longest * BATCH].into_boxed_slice(),
            longest,
            peers: vec![no_address(); BATCH].into_boxed_slice(),
            controls: vec![[0; 8]; BATCH].into_boxed_slice(),
            headers: vec![no_header(); BATCH].into_boxed_slice(),
            vectors: vec![no_vector(); BATCH].into_boxed_slice(),
            count: 0,
        }
    }

    /// Receives what is there, at most `most` and a batch, without waiting. Zero: nothing was there.
    ///
    /// # Errors
    /// What the socket had to tell; of a peer's refusal too, if it asked for that.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
        let most = most.min(BATCH);
        self.count = 0;
        let buffers = self
            .packets
            .chunks_exact_mut(self.longest)
            .zip(&mut *self.peers)
            .zip(&mut *self.controls);
        let slots = self.headers.iter_mut().zip(&mut *self.vectors);
        for ((header, vector), ((packet, peer), control)) in slots.zip(buffers).take(most) {
            *vector = libc::iovec {
                iov_base: packet.as_mut_ptr().cast(),
                iov_len: packet.len(),
            };
            header.msg_hdr.msg_name = ptr::from_mut(peer).cast();
            header.msg_hdr.msg_namelen = length_of::<libc::sockaddr_storage>();
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = size_of::<Control>();
            header.msg_hdr.msg_flags = 0;
        }
        // SAFETY: the first `most` of the BATCH entries point at buffers of `self` with their true lengths.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                most as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        match usize::try_from(count) {
            Ok(count) => {
                self.count = count.min(most);
                Ok(self.count)
            }
            Err(_) => match io::Error::last_os_error() {
                error if is_nothing(&error) => Ok(0),
                error => Err(error),
            },
        }
    }

    /// What the last call received: packet, peer, and the address of ours that was asked.
    pub(crate) fn packets(&self) -> impl Iterator<Item = (&[u8], SocketAddr, Local)> {
        let packets = self.packets.chunks_exact(self.longest);
        let headers = self.headers.iter().zip(packets).zip(&*self.peers);
        headers
            .take(self.count)
            .filter_map(|((header, packet), peer)| {
                let packet = packet.get(..header.msg_len as usize)?;
                let cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
                let peer = read_address(peer)?;
                (!cut).then(|| (packet, peer, read_local(&header.msg_hdr)))
            })
    }
}

/// Datagrams to send.
pub(crate) struct Outbound {
    slots: Vec<Slot>,
    headers: Box<[libc::mmsghdr]>,
    vectors: Box<[libc::iovec]>,
    count: usize,
}

// SAFETY: as for `Inbound`.
unsafe impl Send for Outbound {}

struct Slot {
    packet: Vec<u8>,
    peer: libc::sockaddr_storage,
    peer_length: libc::socklen_t,
    control: Control,
    control_length: usize,
}

impl Outbound {
    /// Room for a batch.
    pub(crate) fn new() -> Self {
        let slot = || Slot {
            packet: Vec::with_capacity(512),
            peer: no_address(),
            peer_length: 0,
            control: [0; 8],
            control_length: 0,
        };
        Self {
            slots: std::iter::repeat_with(slot).take(BATCH).collect(),
            headers: vec![no_header(); BATCH].into_boxed_slice(),
            vectors: vec![no_vector(); BATCH].into_boxed_slice(),
            count: 0,
        }
    }

    /// The buffer for the next datagram; [`Self::commit`] adds it. A full batch is sent first.
    pub(crate) fn next(&mut self, socket: BorrowedFd<'_>) -> &mut Vec<u8> {
        if self.count == BATCH {
            self.send(socket);
        }
        let slot = self.slots.get_mut(self.count);
        &mut slot
            .expect("there are BATCH slots, and fewer are taken")
            .packet
    }

    /// Adds what was written to the last buffer of [`Self::next`].
    pub(crate) fn commit(&mut self, peer: SocketAddr, local: Local) {
        if let Some(slot) = self.slots.get_mut(self.count) {
            slot.peer_length = write_address(&mut slot.peer, peer);
            slot.control_length = write_local(&mut slot.control, local);
            self.count += 1;
        }
    }

    /// Sends the batch. What the kernel does not take is lost, as datagrams are; gives how many went.
    pub(crate) fn send(&mut self, socket: BorrowedFd<'_>) -> usize {
        let slots = self.slots.iter_mut().take(self.count);
        for (slot, (header, vector)) in slots.zip(self.headers.iter_mut().zip(&mut *self.vectors)) {
            *vector = libc::iovec {
                iov_base: slot.packet.as_mut_ptr().cast(),
                iov_len: slot.packet.len(),
            };
            header.msg_hdr.msg_name = ptr::from_mut(&mut slot.peer).cast();
            header.msg_hdr.msg_namelen = slot.peer_length;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            let none = slot.control_length == 0;
            header.msg_hdr.msg_control = if none {
                ptr::null_mut()
            } else {
                slot.control.as_mut_ptr().cast()
            };
            header.msg_hdr.msg_controllen = slot.control_length;
        }
        let (mut done, mut went) = (0, 0);
        while done < self.count {
            let Some(rest) = self.headers.get_mut(done..self.count) else {
                break;
            };
            // SAFETY: `rest` are headers that the loop above pointed at buffers of `self`.
            let sent = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    rest.as_mut_ptr(),
                    rest.len() as libc::c_uint,
                    libc::MSG_DONTWAIT as _,
                )
            };
            match usize::try_from(sent) {
                Ok(sent) if sent > 0 => {
                    done += sent;
                    went += sent;
                }
                // The first datagram of the rest cannot go (a peer without a route): the others still may.
                _ => done += 1,
            }
        }
        self.count = 0;
        went
    }
}

/// Sends datagrams of this length, one behind the other in `octets`, from a connected socket: at most [`BATCH`].
///
/// # Errors
/// The kernel sent none of them; `EINVAL` and `EIO` where it or the interface cannot cut.
pub(crate) fn send_segments(socket: BorrowedFd<'_>, octets: &[u8], length: u16) -> io::Result<()> {
    let mut control: Control = [0; 8];
    let mut vector = libc::iovec {
        iov_base: octets.as_ptr().cast_mut().cast(),
        iov_len: octets.len(),
    };
    let mut header = no_header().msg_hdr;
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = write_control(&mut control, libc::SOL_UDP, libc::UDP_SEGMENT, length);
    // SAFETY: the header points at `octets`, which sendmsg only reads, and at locals that outlive the call.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &header, libc::MSG_DONTWAIT) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Asks the kernel to say which address each datagram was sent to.
pub(crate) fn ask_for_local_address(
    socket: BorrowedFd<'_>,
    wildcard: SocketAddr,
) -> io::Result<()> {
    let (level, option) = match wildcard {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_PKTINFO),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
    };
    set_option(socket, level, option, 1)
}

/// Asks the kernel to tell of refusals and missing routes although the socket is not connected to `server`.
pub(crate) fn ask_for_errors(socket: BorrowedFd<'_>, server: SocketAddr) -> io::Result<()> {
    let (level, option) = match server {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_RECVERR),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
    };
    set_option(socket, level, option, 1)
}

/// Never fragments what we send by path MTU guesses that a stranger can forge (RFC 9715 §3.1).
pub(crate) fn do_not_discover_mtu(socket: BorrowedFd<'_>, address: SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::V4(_) => set_option(
            socket,
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            libc::IP_PMTUDISC_OMIT,
        ),
        SocketAddr::V6(_) => set_option(
            socket,
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_OMIT,
        ),
    }
}

fn set_option(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the value is an int that lives through the call, and its length is given.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            ptr::from_ref(&value).cast(),
            length_of::<libc::c_int>(),
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

fn read_address(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that the storage holds a sockaddr_in, and it is large enough.
            let v4: libc::sockaddr_in = unsafe { ptr::read(ptr::from_ref(storage).cast()) };
            let address = Ipv4Addr::from_bits(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(address, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: the same for a sockaddr_in6.
            let v6: libc::sockaddr_in6 = unsafe { ptr::read(ptr::from_ref(storage).cast()) };
            let address = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            let port = u16::from_be(v6.sin6_port);
            Some(SocketAddrV6::new(address, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

fn write_address(storage: &mut libc::sockaddr_storage, address: SocketAddr) -> libc::socklen_t {
    match address {
        SocketAddr::V4(v4) => {
            let written = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: v4.ip().to_bits().to_be(),
                },
                sin_zero: [0; 8],
            };
            // SAFETY: a sockaddr_storage is made to hold any socket address.
            unsafe { ptr::write(ptr::from_mut(storage).cast(), written) };
            length_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(v6) => {
            let written = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr {
                    s6_addr: v6.ip().octets(),
                },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: as above.
            unsafe { ptr::write(ptr::from_mut(storage).cast(), written) };
            length_of::<libc::sockaddr_in6>()
        }
    }
}

/// The packet information among the control messages, if the kernel gave any.
fn read_local(header: &libc::msghdr) -> Local {
    // SAFETY: the header was filled by recvmmsg; the macros stay within msg_controllen.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while let Some(control) = message.as_ref() {
            if (control.cmsg_level, control.cmsg_type) == (libc::IPPROTO_IP, libc::IP_PKTINFO) {
                let info: libc::in_pktinfo = ptr::read_unaligned(libc::CMSG_DATA(message).cast());
                let address = Ipv4Addr::from_bits(u32::from_be(info.ipi_addr.s_addr));
                // The interface is left to routing: an IPv4 address of ours may be asked over any of them.
                return Local {
                    address: Some(address.into()),
                    interface: 0,
                };
            }
            if (control.cmsg_level, control.cmsg_type) == (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) {
                let info: libc::in6_pktinfo = ptr::read_unaligned(libc::CMSG_DATA(message).cast());
                let address = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                let interface = if address.is_unicast_link_local() {
                    info.ipi6_ifindex
                } else {
                    0
                };
                return Local {
                    address: Some(address.into()),
                    interface,
                };
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    Local::default()
}

/// Writes the packet information for a reply; gives its length, zero where none is needed.
fn write_local(control: &mut Control, local: Local) -> usize {
    match local.address {
        None => 0,
        Some(IpAddr::V4(address)) => {
            let source = libc::in_addr {
                s_addr: address.to_bits().to_be(),
            };
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: source,
                ipi_addr: source,
            };
            write_control(control, libc::IPPROTO_IP, libc::IP_PKTINFO, info)
        }
        Some(IpAddr::V6(address)) => {
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr {
                    s6_addr: address.octets(),
                },
                ipi6_ifindex: local.interface,
            };
            write_control(control, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info)
        }
    }
}

fn write_control<T: Copy>(
    control: &mut Control,
    level: libc::c_int,
    kind: libc::c_int,
    data: T,
) -> usize {
    let size = size_of::<T>() as libc::c_uint;
    // SAFETY: CMSG_SPACE only computes; the two packet informations need 32 and 40 of the 64 octets, and
    // the buffer is aligned as a cmsghdr.
    unsafe {
        let space = libc::CMSG_SPACE(size) as usize;
        assert!(
            space <= size_of::<Control>(),
            "packet information fits its buffer"
        );
        let header: *mut libc::cmsghdr = control.as_mut_ptr().cast();
        (*header).cmsg_level = level;
        (*header).cmsg_type = kind;
        (*header).cmsg_len = libc::CMSG_LEN(size) as _;
        ptr::write_unaligned(libc::CMSG_DATA(header).cast(), data);
        space
    }
}

fn no_address() -> libc::sockaddr_storage {
    // SAFETY: all zeros is a sockaddr_storage of no family.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

fn no_header() -> libc::mmsghdr {
    // SAFETY: all zeros is a header without buffers.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

fn no_vector() -> libc::iovec {
    libc::iovec {
        iov_base: ptr::null_mut(),
        iov_len: 0,
    }
}

fn length_of<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}

#[cfg(test)]
mod tests;
