//! Why a host cannot be attached, each with its next step, in one line.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Why a host cannot be attached. Its text says what to do about it.
#[derive(Debug)]
pub enum Fault {
    /// The process has another uid than 0.
    NotRoot,
    /// It has uid 0 without CAP_NET_ADMIN.
    NoNetAdmin,
    /// `/dev/net/tun` cannot be used.
    NoTun(io::Error),
    /// The kernel takes no table of ours.
    NoNftables(io::Error),
    /// systemd-resolved is not to be had.
    NoResolved(String),
    /// Another attach runs, under this process id where that is known.
    Second(Option<i32>),
    /// A link of our name stands already.
    LinkStands,
    /// A table of our name stands already.
    TableStands,
    /// Our link's address is another link's.
    AddressStands(IpAddr),
    /// An address in `listen` is known to be somebody else's.
    Foreign(SocketAddr, &'static str),
    /// `listen` lacks an address that the way needs.
    NoListener(&'static str),
    /// No rule in force names a host.
    NoZone,
    /// `/etc/resolv.conf` cannot be read; a symlink to nothing, where the name is given.
    NoResolvConf(Option<String>, io::ErrorKind),
    /// `/etc/resolv.conf` names no server.
    EmptyResolvConf,
    /// `/etc/resolv.conf` names us.
    LeadsToUs(SocketAddr),
    /// The daemon runs as root, like those whose questions are to be redirected.
    DaemonIsRoot,
    /// The kernel refuses what should work.
    Refused(&'static str, io::Error),
}

/// Whose matter a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The process may not do it.
    Rights,
    /// The host lacks something, or somebody else has it.
    Host,
    /// The configuration, or the host's `resolv.conf`, says something else than it should.
    Configuration,
}

impl Fault {
    /// Whose matter it is.
    pub fn cause(&self) -> Cause {
        match self {
            Self::NotRoot | Self::NoNetAdmin => Cause::Rights,
            Self::NoTun(error) | Self::NoNftables(error) | Self::Refused(_, error)
                if error.kind() == io::ErrorKind::PermissionDenied =>
            {
                Cause::Rights
            }
            Self::Foreign(..)
            | Self::NoListener(_)
            | Self::NoZone
            | Self::NoResolvConf(..)
            | Self::EmptyResolvConf
            | Self::LeadsToUs(_) => Cause::Configuration,
            _ => Cause::Host,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTun(error) => write!(
                f,
                "no link can be made with /dev/net/tun: {error}: load the module (`modprobe tun`), in a pod mount /dev/net/tun, or take `--mode redirect`"
            ),
            Self::NoNftables(error) => write!(
                f,
                "the kernel takes no nftables table of ours: {error}: it needs Linux 5.12 with nf_tables and nft_chain_nat (`modprobe nft_chain_nat`); or take `--mode resolved` or `--mode print`"
            ),
            Self::NoResolved(why) => write!(
                f,
                "systemd-resolved cannot be told: {why}: start it (`systemctl start systemd-resolved`), in a pod mount /run/dbus/system_bus_socket, or take `--mode redirect`"
            ),
            Self::Second(Some(pid)) => write!(
                f,
                "another attach runs as process {pid}: stop it first (`systemctl stop unsix-attach`, or `kill {pid}`)"
            ),
            Self::AddressStands(address) => write!(
                f,
                "{address} is another link's address (`ip address show to {address}`): write another link-local one into `listen`, as \"169.254.7.53:53\""
            ),
            Self::Foreign(address, owner) => write!(
                f,
                "listen: {address} is {owner}: take another, as \"127.0.6.53:53\" or \"169.254.6.53:53\""
            ),
            Self::NoResolvConf(Some(target), _) => write!(
                f,
                "/etc/resolv.conf is a link to {target}, which is not there: start what writes that file, or put your name servers into /etc/resolv.conf"
            ),
            Self::NoResolvConf(None, kind) => write!(
                f,
                "/etc/resolv.conf cannot be read ({kind}): put your name servers into it, as in `nameserver 192.0.2.53`"
            ),
            Self::LeadsToUs(server) => write!(
                f,
                "/etc/resolv.conf names {}, which is unsix itself, so there is nothing to attach: put your own name servers back first, or go on without attach",
                server.ip()
            ),
            Self::Refused(what, error) => write!(f, "{what}: {error}"),
            _ => f.write_str(self.plain()),
        }
    }
}

impl Fault {
    /// The text of those that say the same each time.
    const fn plain(&self) -> &'static str {
        match self {
            Self::NotRoot => {
                "attach needs uid 0, which systemd-resolved asks for: run it as root (`sudo unsix attach`), or look at `unsix attach --mode print`"
            }
            Self::NoNetAdmin => {
                "attach needs CAP_NET_ADMIN, and nothing else: give it (systemd: `CapabilityBoundingSet=CAP_NET_ADMIN`, a pod: `capabilities: {drop: [ALL], add: [NET_ADMIN]}`)"
            }
            Self::LinkStands => {
                "a link unsix0 stands already and is not ours: take it away (`ip link delete unsix0`)"
            }
            Self::TableStands => {
                "an nftables table inet unsix stands already and is not ours: take it away (`nft delete table inet unsix`), or stop whoever owns it (`nft list table inet unsix`)"
            }
            Self::NoZone => {
                "rules: none in force names a host, so there is nothing to attach for: add `- preset: docker-hub`, or `hosts` to a rule in mode enforce"
            }
            Self::EmptyResolvConf => {
                "/etc/resolv.conf names no name server: put yours into it, as in `nameserver 192.0.2.53`"
            }
            Self::DaemonIsRoot => {
                "the daemon runs as root, so its own questions cannot be told from those to redirect: give it a user of its own (systemd: `DynamicUser=yes`, a pod: `runAsUser: 65532`), or take `--mode resolved`"
            }
            Self::NoListener(text) => text,
            _ => "another attach runs: stop it first (`systemctl stop unsix-attach`)",
        }
    }
}

impl std::error::Error for Fault {}
