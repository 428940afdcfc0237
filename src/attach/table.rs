//! The nftables table that leads questions to the daemon. It belongs to the netlink socket that made it.
//!
//! `flags owner` has the kernel take the table away when that socket closes, however the process ends, and refuse
//! everybody else who would change it. So the messages are written here and not handed to the `nft` program: there is
//! no second process to outlive us, and an image needs no other program. As nft would print it:
//!
//! ```text
//! table inet unsix {
//!     flags owner
//!     chain out {
//!         type nat hook output priority -150; policy accept;
//!         meta skuid 998 return
//!         ip daddr 192.0.2.53 udp dport 53 dnat ip to 127.0.6.53:53
//!         ip daddr 192.0.2.53 tcp dport 53 dnat ip to 127.0.6.53:53
//!     }
//! }
//! ```

use super::fault::Fault;
use netlink_bindings::nftables::{
    Chained, ChainedFinal, CmpOps, MetaKeys, Nfgenmsg, PayloadBase, PushExprListAttrs, Registers,
    Request, TableFlags, VerdictCode,
};
use netlink_bindings::traits::{LookupFn, NetlinkChained, Pusher};
use netlink_socket2::{NetlinkSocket, ReplyError};
use std::ffi::CStr;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// A redirection: questions to `server` go to `target` instead, of the same family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) server: IpAddr,
    pub(super) target: SocketAddr,
}

/// The table; dropping it takes it away.
pub(super) struct Table {
    _owner: NetlinkSocket,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Table")
    }
}

impl Table {
    /// Makes the table, in one transaction: all of it stands, or none. Questions of user `spared` go on as before.
    ///
    /// # Errors
    /// Somebody else's table has our name, or the kernel takes none.
    pub(super) fn make(turns: &[Turn], spared: u32) -> Result<Self, Fault> {
        let mut socket = NetlinkSocket::new();
        let count = u32::try_from(2 * turns.len() + 5).unwrap_or(u32::MAX);
        let mut batch = Chained::new(socket.reserve_seq(count));
        batch.request().op_batch_begin_do(&batch_header());
        let table = batch.request().set_create().set_excl();
        let mut table = table.op_newtable_do(&header());
        table
            .encode()
            .push_name(NAME)
            .push_flags(TableFlags::Owner as u32);
        drop(table);
        write_chain(&mut batch);
        write_spare(&mut batch, spared);
        for turn in turns {
            for protocol in [libc::IPPROTO_UDP, libc::IPPROTO_TCP] {
                write_turn(&mut batch, turn, protocol);
            }
        }
        batch.request().op_batch_end_do(&batch_header());
        let batch = Batch(batch.finalize());
        let mut replies = socket.request_chained(&batch).map_err(Fault::NoNftables)?;
        replies.recv_all().map_err(|error| {
            let error = plain(&error);
            match error.raw_os_error() {
                // EPERM: it has an owner. Our own rights were looked at before.
                Some(libc::EEXIST | libc::EPERM | libc::EBUSY) => Fault::TableStands,
                _ => Fault::NoNftables(error),
            }
        })?;
        drop(replies);
        Ok(Self { _owner: socket })
    }
}

/// Whether the kernel has nftables at all.
pub(super) fn probe() -> io::Result<()> {
    let mut socket = NetlinkSocket::new();
    let request = Request::new().op_getgen_do(&Nfgenmsg::new());
    let mut reply = socket.request(&request)?;
    reply.recv_one().map(drop).map_err(|error| plain(&error))
}

/// Whether a table of our name stands.
pub(super) fn stands() -> io::Result<bool> {
    let mut socket = NetlinkSocket::new();
    let mut request = Request::new().op_gettable_do(&header());
    request.encode().push_name(NAME);
    let mut reply = socket.request(&request)?;
    match reply.recv_one().map_err(|error| plain(&error)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The error behind a reply, its number kept.
pub(super) fn plain(error: &ReplyError) -> io::Error {
    match error.as_io_error().raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::other(error.to_string()),
    }
}

fn write_chain(batch: &mut Chained<'_>) {
    let mut chain = batch.request().set_create().op_newchain_do(&header());
    let named = chain.encode().push_table(NAME).push_name(CHAIN);
    named
        .nested_hook()
        .push_num(HOOK_OUTPUT)
        .push_priority(BEFORE_ALL_NAT)
        .end_nested()
        .push_policy(VerdictCode::Accept as u32)
        .push_type(c"nat");
}

/// `meta skuid UID return`.
fn write_spare(batch: &mut Chained<'_>, uid: u32) {
    let rule = batch.request().set_create().set_append();
    let mut rule = rule.op_newrule_do(&header());
    let named = rule.encode().push_table(NAME).push_chain(CHAIN);
    meta_is(
        named.nested_expressions(),
        MetaKeys::Skuid,
        &uid.to_ne_bytes(),
    )
    .nested_elem()
    .nested_data_immediate()
    .push_dreg(Registers::RegVerdict as u32)
    .nested_data()
    .nested_verdict()
    .push_code(VerdictCode::Return as u32);
}

/// `ip daddr SERVER udp dport 53 dnat ip to TARGET`, or the same for IPv6 or TCP.
fn write_turn(batch: &mut Chained<'_>, turn: &Turn, protocol: libc::c_int) {
    let (family, at, server, target) = match (turn.server, turn.target.ip()) {
        (IpAddr::V4(server), IpAddr::V4(target)) => (
            libc::AF_INET,
            16,
            server.octets().to_vec(),
            target.octets().to_vec(),
        ),
        (IpAddr::V6(server), IpAddr::V6(target)) => (
            libc::AF_INET6,
            24,
            server.octets().to_vec(),
            target.octets().to_vec(),
        ),
        // A plan has a target of each server's family.
        _ => return,
    };
    let rule = batch.request().set_create().set_append();
    let mut rule = rule.op_newrule_do(&header());
    let named = rule.encode().push_table(NAME).push_chain(CHAIN);
    let list = named.nested_expressions();
    let list = meta_is(list, MetaKeys::Nfproto, &low_octet(family));
    let list = payload_is(list, PayloadBase::NetworkHeader, at, &server);
    let list = meta_is(list, MetaKeys::L4Proto, &low_octet(protocol));
    let list = payload_is(
        list,
        PayloadBase::TransportHeader,
        2,
        &DNS_PORT.to_be_bytes(),
    );
    let list = load(list, Registers::Reg1, &target);
    let list = load(list, Registers::Reg2, &turn.target.port().to_be_bytes());
    list.nested_elem()
        .nested_data_nat()
        .push_type(NAT_OF_DESTINATION)
        .push_family(u32::try_from(family).unwrap_or_default())
        .push_reg_addr_min(Registers::Reg1 as u32)
        .push_reg_proto_min(Registers::Reg2 as u32);
}

/// Goes on if a packet's meta information is this.
fn meta_is<P: Pusher>(list: Expressions<P>, key: MetaKeys, value: &[u8]) -> Expressions<P> {
    let list = list
        .nested_elem()
        .nested_data_meta()
        .push_dreg(Registers::Reg1 as u32)
        .push_key(key as u32)
        .end_nested()
        .end_nested();
    is(list, value)
}

/// Goes on if these octets of a packet are this.
fn payload_is<P: Pusher>(
    list: Expressions<P>,
    base: PayloadBase,
    at: u32,
    value: &[u8],
) -> Expressions<P> {
    let list = list
        .nested_elem()
        .nested_data_payload()
        .push_dreg(Registers::Reg1 as u32)
        .push_base(base as u32)
        .push_offset(at)
        .push_len(u32::try_from(value.len()).unwrap_or_default())
        .end_nested()
        .end_nested();
    is(list, value)
}

/// Goes on if the first register holds this.
fn is<P: Pusher>(list: Expressions<P>, value: &[u8]) -> Expressions<P> {
    list.nested_elem()
        .nested_data_cmp()
        .push_sreg(Registers::Reg1 as u32)
        .push_op(CmpOps::Eq as u32)
        .nested_data()
        .push_value(value)
        .end_nested()
        .end_nested()
        .end_nested()
}

/// Puts a value into a register.
fn load<P: Pusher>(list: Expressions<P>, register: Registers, value: &[u8]) -> Expressions<P> {
    list.nested_elem()
        .nested_data_immediate()
        .push_dreg(register as u32)
        .nested_data()
        .push_value(value)
        .end_nested()
        .end_nested()
        .end_nested()
}

type Expressions<P> = PushExprListAttrs<P>;

/// A transaction, whose first and last message the kernel never acknowledges.
struct Batch<'a>(ChainedFinal<'a>);

impl NetlinkChained for Batch<'_> {
    fn protonum(&self) -> u16 {
        self.0.protonum()
    }

    fn payload(&self) -> &[u8] {
        self.0.payload()
    }

    fn chain_len(&self) -> usize {
        self.0.chain_len()
    }

    fn get_index(&self, seq: u32) -> Option<usize> {
        self.0.get_index(seq)
    }

    fn name(&self, index: usize) -> &'static str {
        self.0.name(index)
    }

    fn lookup(&self, index: usize) -> LookupFn {
        self.0.lookup(index)
    }

    // The library tells them by the addresses of functions, which an optimizer may merge or double.
    fn supports_ack(&self, index: usize) -> Option<bool> {
        (index < self.chain_len()).then(|| index != 0 && index + 1 != self.chain_len())
    }
}

fn header() -> Nfgenmsg {
    let mut header = Nfgenmsg::new();
    header.nfgen_family = NFPROTO_INET;
    header
}

fn batch_header() -> Nfgenmsg {
    let mut header = Nfgenmsg::new();
    header.set_res_id(SUBSYSTEM);
    header
}

fn low_octet(number: libc::c_int) -> [u8; 1] {
    let [octet, ..] = number.to_le_bytes();
    [octet]
}

const NAME: &CStr = c"unsix";
const CHAIN: &CStr = c"out";
/// NF_INET_LOCAL_OUT.
const HOOK_OUTPUT: u32 = 3;
/// Kubernetes and Docker turn their own addresses at -100: what is said to a name server goes to us before.
const BEFORE_ALL_NAT: i32 = -150;
/// NFT_NAT_DNAT.
const NAT_OF_DESTINATION: u32 = 1;
/// IPv4 and IPv6 in one table.
const NFPROTO_INET: u8 = 1;
/// NFNL_SUBSYS_NFTABLES.
const SUBSYSTEM: u16 = 10;
const DNS_PORT: u16 = 53;
