//! Connections that the kernel keeps track of: those to name servers are forgotten when their way changes.
//!
//! A socket that asked before keeps its old way for as long as the kernel remembers it, up to two minutes. So on
//! attaching and on letting go these entries are deleted, and the next packet finds its way anew.

use super::table::plain;
use netlink_bindings::conntrack::{IterableConntrackAttrs, Nfgenmsg, OpGetDo, Request};
use netlink_bindings::traits::{NetlinkRequest, Protocol};
use netlink_bindings::utils::ErrorContext;
use netlink_socket2::NetlinkSocket;
use std::io;
use std::net::IpAddr;

/// What the kernel remembers of one connection, as far as it names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flow {
    source: IpAddr,
    server: IpAddr,
    protocol: u8,
    source_port: u16,
    zone: u16,
}

/// Forgets all connections to port 53 of these servers, and gives their number.
pub(super) fn forget(servers: &[IpAddr]) -> io::Result<usize> {
    let mut socket = NetlinkSocket::new();
    let request = Request::new().op_get_dump(&Nfgenmsg::new());
    let mut replies = socket.request(&request)?;
    let mut flows = Vec::new();
    while let Some(reply) = replies.recv() {
        let (_, attributes) = reply.map_err(|error| plain(&error))?;
        // What has no ports, as ICMP, is none of ours.
        if let Ok((flow, DNS_PORT)) = Flow::read(&attributes)
            && servers.contains(&flow.server)
        {
            flows.push(flow);
        }
    }
    for flow in &flows {
        match flow.delete(&mut socket) {
            // It went by itself meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
    }
    Ok(flows.len())
}

impl Flow {
    /// With the port that was asked.
    fn read(attributes: &IterableConntrackAttrs<'_>) -> Result<(Self, u16), ErrorContext> {
        let tuple = attributes.get_tuple_orig()?;
        let (ip, proto) = (tuple.get_tuple_ip()?, tuple.get_tuple_proto()?);
        let source = ip.get_ip_v4_src().map(IpAddr::from);
        let server = ip.get_ip_v4_dst().map(IpAddr::from);
        let flow = Self {
            source: source.or_else(|_| ip.get_ip_v6_src().map(IpAddr::from))?,
            server: server.or_else(|_| ip.get_ip_v6_dst().map(IpAddr::from))?,
            protocol: proto.get_proto_num()?,
            source_port: proto.get_proto_src_port()?,
            zone: attributes.get_zone().unwrap_or_default(),
        };
        Ok((flow, proto.get_proto_dst_port()?))
    }

    fn delete(&self, socket: &mut NetlinkSocket) -> io::Result<()> {
        let mut header = Nfgenmsg::new();
        let family = match self.source {
            IpAddr::V4(_) => libc::AF_INET,
            IpAddr::V6(_) => libc::AF_INET6,
        };
        header.nfgen_family = u8::try_from(family).unwrap_or_default();
        let mut request = Request::new().op_get_do(&header);
        let ip = request.encode().nested_tuple_orig().nested_tuple_ip();
        let ip = match (self.source, self.server) {
            (IpAddr::V4(source), IpAddr::V4(server)) => {
                ip.push_ip_v4_src(source).push_ip_v4_dst(server)
            }
            (IpAddr::V6(source), IpAddr::V6(server)) => {
                ip.push_ip_v6_src(source).push_ip_v6_dst(server)
            }
            _ => return Ok(()),
        };
        let tuple = ip
            .end_nested()
            .nested_tuple_proto()
            .push_proto_num(self.protocol)
            .push_proto_src_port(self.source_port)
            .push_proto_dst_port(DNS_PORT)
            .end_nested()
            .end_nested();
        drop(match self.zone {
            0 => tuple,
            zone => tuple.push_zone(zone),
        });
        let mut reply = socket.request(&Delete(request))?;
        reply.recv_ack().map_err(|error| plain(&error))
    }
}

/// The kernel's specification has no name for deleting: the same attributes under another type of message.
struct Delete<'a>(OpGetDo<'a>);

impl NetlinkRequest for Delete<'_> {
    type ReplyType<'buf> = ();

    fn protocol(&self) -> Protocol {
        Protocol::Raw {
            protonum: NETLINK_NETFILTER,
            request_type: CTNETLINK_DELETE,
        }
    }

    fn flags(&self) -> u16 {
        self.0.flags()
    }

    fn payload(&self) -> &[u8] {
        self.0.payload()
    }

    fn decode_reply(_: &[u8]) {}
}

const NETLINK_NETFILTER: u16 = 12;
/// NFNL_SUBSYS_CTNETLINK and IPCTNL_MSG_CT_DELETE.
const CTNETLINK_DELETE: u16 = (1 << 8) | 2;
const DNS_PORT: u16 = 53;
