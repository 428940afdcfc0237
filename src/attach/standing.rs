//! What of an attachment stands on this host, seen from outside the process that made it. It changes nothing.

use super::{link, table, watch};
use std::fs;
use std::io;

/// What there is of an attachment on this network.
#[derive(Debug)]
pub struct Standing {
    /// Whether an attach runs. Who is no root can claim that too.
    pub process: bool,
    /// Whether the link stands that carries routing domains of systemd-resolved.
    pub link: bool,
    /// Whether the nftables table stands that redirects questions, or why that cannot be seen: the kernel shows it to
    /// CAP_NET_ADMIN alone.
    pub table: io::Result<bool>,
}

impl Standing {
    /// Looks.
    pub fn look() -> Self {
        Self {
            process: is_claimed(),
            link: link::index().is_ok(),
            table: table::stands(),
        }
    }
}

/// By the kernel's list of names: a connection would wait there for an attach that never takes one.
fn is_claimed() -> bool {
    let list = fs::read("/proc/net/unix").unwrap_or_default();
    let list = String::from_utf8_lossy(&list);
    let claim = format!("@{}", watch::NAME);
    list.lines()
        .any(|line| line.split_whitespace().last() == Some(&claim))
}
