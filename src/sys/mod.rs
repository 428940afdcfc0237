//! System calls that have no safe wrapper: the only unsafe code there is.

mod datagrams;
mod descriptors;
pub(crate) mod tun;

pub(crate) use datagrams::{
    BATCH, Inbound, Local, Outbound, ask_for_errors, ask_for_local_address, do_not_discover_mtu,
    send_segments,
};
pub(crate) use descriptors::take_passed;
