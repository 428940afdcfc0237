//! What the host is: our rights, what its kernel and its services offer, whom its programs ask.

use super::{resolved, table};
use crate::sys::tun;
use crate::upstream::system::{RESOLV_CONF, named_in};
use rustix::process::geteuid;
use rustix::thread::{CapabilitySet, capabilities};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// What a plan depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Our effective user.
    pub uid: u32,
    /// Whether we have CAP_NET_ADMIN.
    pub net_admin: bool,
    /// Whether `/dev/net/tun` opens; if not, the error's number.
    pub tun: Result<(), i32>,
    /// Whether the kernel has nftables; if not, the error's number.
    pub nftables: Result<(), i32>,
    /// Whether systemd-resolved is on the system bus; if not, why.
    pub resolved: Result<(), String>,
    /// Whom programs ask.
    pub resolv_conf: ResolvConf,
    /// Who made the system, and what runs on it.
    pub system: System,
}

/// `/etc/resolv.conf` as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolvConf {
    /// The servers that it names; perhaps none.
    Servers(Vec<SocketAddr>),
    /// It cannot be read; where it is a symlink, where to.
    Unreadable(Option<String>, io::ErrorKind),
}

/// What advice depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct System {
    /// `PRETTY_NAME` of os-release.
    pub name: Option<String>,
    /// Talos Linux.
    pub talos: bool,
    /// Which Kubernetes there is.
    pub kubernetes: Option<Kubernetes>,
    /// Who writes `/etc/resolv.conf`.
    pub writer: Writer,
}

/// A Kubernetes whose kubelet hands the host's resolv.conf to pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kubernetes {
    /// k3s.
    K3s,
    /// RKE2.
    Rke2,
    /// Any other with a kubelet's configuration in its usual place.
    Kubelet,
}

/// Who writes `/etc/resolv.conf`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Writer {
    /// Nobody that is known.
    #[default]
    Nobody,
    /// systemd-resolved.
    Resolved,
    /// NetworkManager.
    NetworkManager,
    /// dhcpcd.
    Dhcpcd,
}

impl Host {
    /// Looks around. It changes nothing.
    pub async fn look() -> Self {
        let number = |error: io::Error| error.raw_os_error().unwrap_or_default();
        let effective = capabilities(None).map(|sets| sets.effective);
        Self {
            uid: geteuid().as_raw(),
            net_admin: effective.is_ok_and(|set| set.contains(CapabilitySet::NET_ADMIN)),
            tun: tun::open().map(drop).map_err(number),
            nftables: table::probe().map_err(number),
            resolved: resolved::probe().await,
            resolv_conf: ResolvConf::read(),
            system: System::look(),
        }
    }

    /// Looks again at what changes while all else stays.
    pub fn look_at_resolv_conf(&mut self) {
        self.resolv_conf = ResolvConf::read();
    }
}

impl ResolvConf {
    /// Reads it.
    pub fn read() -> Self {
        match fs::read(RESOLV_CONF) {
            Ok(text) => Self::Servers(named_in(&String::from_utf8_lossy(&text))),
            Err(error) => {
                let target = fs::read_link(RESOLV_CONF).ok();
                let target = target.map(|target| target.display().to_string());
                Self::Unreadable(target, error.kind())
            }
        }
    }
}

impl System {
    /// Looks at files that everyone may read.
    pub fn look() -> Self {
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let is_there = |path: &str| Path::new(path).exists();
        let kubernetes = if is_there("/etc/rancher/k3s") {
            Some(Kubernetes::K3s)
        } else if is_there("/etc/rancher/rke2") {
            Some(Kubernetes::Rke2)
        } else {
            is_there("/var/lib/kubelet/config.yaml").then_some(Kubernetes::Kubelet)
        };
        Self {
            name: value(&release, "PRETTY_NAME"),
            talos: value(&release, "ID").as_deref() == Some("talos"),
            kubernetes,
            writer: Writer::find(
                &fs::read_to_string(RESOLV_CONF).unwrap_or_default(),
                &fs::read_link(RESOLV_CONF)
                    .map_or_else(|_| String::new(), |to| to.display().to_string()),
            ),
        }
    }
}

impl Writer {
    /// From what the file says of itself, and where it really lies.
    fn find(text: &str, target: &str) -> Self {
        let remarks = text.lines().filter(|line| line.starts_with(['#', ';']));
        let remarks: String = remarks.collect::<Vec<_>>().join(" ") + target;
        let signs = [
            ("NetworkManager", Self::NetworkManager),
            ("dhcpcd", Self::Dhcpcd),
            ("systemd-resolved", Self::Resolved),
            ("systemd/resolve", Self::Resolved),
        ];
        let found = signs.iter().find(|(sign, _)| remarks.contains(sign));
        found.map_or(Self::Nobody, |(_, writer)| *writer)
    }
}

/// A value of os-release.
fn value(text: &str, key: &str) -> Option<String> {
    let mut pairs = text.lines().filter_map(|line| line.split_once('='));
    let (_, value) = pairs.find(|(found, _)| *found == key)?;
    Some(value.trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_says_who_wrote_it() {
        #[rustfmt::skip]
        let cases = [
            ("# Generated by NetworkManager\nnameserver 192.0.2.1", "", Writer::NetworkManager),
            ("# Generated by dhcpcd from eth0.dhcp\nnameserver 192.0.2.1", "", Writer::Dhcpcd),
            ("nameserver 192.0.2.1", "../run/NetworkManager/resolv.conf", Writer::NetworkManager),
            ("nameserver 127.0.0.53", "../run/systemd/resolve/stub-resolv.conf", Writer::Resolved),
            ("nameserver 192.0.2.1 # not NetworkManager's", "", Writer::Nobody),
        ];
        for (text, target, writer) in cases {
            assert_eq!(Writer::find(text, target), writer, "{text} {target}");
        }
    }

    #[test]
    fn os_release_is_read_with_and_without_quotes() {
        let text = "PRETTY_NAME=\"Talos (v1.11.0)\"\nID=talos\n";
        assert_eq!(value(text, "ID").as_deref(), Some("talos"));
        assert_eq!(
            value(text, "PRETTY_NAME").as_deref(),
            Some("Talos (v1.11.0)")
        );
        assert_eq!(value(text, "NAME"), None);
    }
}
