//! The ways in: how the host's questions go without us, and how they come to us.

use crate::daemon::host::resolved;
use crate::daemon::program::Program;
use crate::daemon::until;
use crate::world::{
    PROVIDER, PROVIDER6, Server, ask_servers, attach, config, is_as_before, is_cured, run,
    systemd_resolved, write,
};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Where the daemon listens.
pub(crate) const UNSIX: &str = "127.0.6.53";

/// The samples for a host whose resolv.conf is written by hand, and for one that `unsix attach` leads.
const BY_HAND: &str = include_str!("../../config/host.yaml");
const ATTACHED: &str = include_str!("../../config/node.yaml");

/// A way from a program's question to us.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Way {
    /// resolv.conf names us.
    ResolvConf,
    /// `unsix attach --mode resolved`.
    Resolved,
    /// `unsix attach --mode redirect`.
    Redirect,
    /// resolv.conf names unbound, which forwards everything to us.
    Unbound,
    /// resolv.conf names dnsmasq, which forwards Docker's zones to us.
    Dnsmasq,
}

/// A host whose questions go to the provider, by whatever stands between.
pub(crate) struct Host {
    way: Way,
    between: Vec<Server>,
}

/// What leads them to us. It ends with the test.
pub(crate) struct Led {
    pub(crate) daemon: Program,
    pub(crate) attach: Option<Program>,
}

impl Way {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ResolvConf => "resolv.conf",
            Self::Resolved => "attach, resolved",
            Self::Redirect => "attach, redirect",
            Self::Unbound => "behind unbound",
            Self::Dnsmasq => "behind dnsmasq",
        }
    }

    /// The host before unsix came.
    pub(crate) fn without_us(self) -> Host {
        let between = match self {
            Self::ResolvConf | Self::Redirect => {
                ask_servers(&[PROVIDER, PROVIDER6]);
                Vec::new()
            }
            Self::Resolved => systemd_resolved(&resolved().unwrap()).into(),
            Self::Unbound | Self::Dnsmasq => {
                ask_servers(&["127.0.0.1"]);
                vec![self.forwarder(PROVIDER)]
            }
        };
        until("both families are there", || is_as_before().then_some(()));
        Host { way: self, between }
    }

    /// unbound or dnsmasq on 127.0.0.1, in front of this server.
    fn forwarder(self, server: &str) -> Server {
        fs::create_dir_all("/run/between").unwrap();
        if self == Self::Dnsmasq {
            let zones = format!("--server=/docker.io/docker.com/{server}");
            let mut dnsmasq = Command::new("dnsmasq");
            dnsmasq.args([
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--no-hosts",
            ]);
            dnsmasq.args([
                "--no-resolv",
                "--bind-interfaces",
                "--listen-address=127.0.0.1",
            ]);
            dnsmasq.args(["--user=root", "--pid-file=", "--log-facility=-", &zones]);
            dnsmasq.arg(format!("--server={PROVIDER}"));
            return Server::start(&mut dnsmasq, "/run/between/said");
        }
        let text = include_str!("../real/config/forwarding.conf")
            .replace("127.0.0.1@{upstream}", server)
            .replace("{port}", "53")
            .replace("{folder}", "/run/between");
        write("/run/between/unbound.conf", &text);
        let mut unbound = Command::new("unbound");
        unbound.args(["-d", "-c", "/run/between/unbound.conf"]);
        Server::start(&mut unbound, "/run/between/said")
    }
}

impl Host {
    /// Starts the daemon and leads the host's questions to it.
    pub(crate) fn lead(&mut self) -> Led {
        let (daemon, attach) = match self.way {
            Way::Resolved => attached("resolved"),
            Way::Redirect => attached("redirect"),
            Way::ResolvConf | Way::Unbound | Way::Dnsmasq => (run(&by_hand()), None),
        };
        match self.way {
            Way::Resolved | Way::Redirect => {}
            Way::ResolvConf => ask_servers(&[UNSIX]),
            Way::Unbound | Way::Dnsmasq => {
                // The port must be free before the next one takes it.
                self.between.clear();
                self.between = vec![self.way.forwarder(UNSIX)];
            }
        }
        until("IPv6 is gone where it should", || is_cured().then_some(()));
        Led { daemon, attach }
    }
}

/// The sample for a host, with the provider's name server in it.
pub(crate) fn by_hand() -> PathBuf {
    let ours = format!("\nupstreams: [{PROVIDER}]\n");
    let text = BY_HAND.replace("\nupstreams: [192.0.2.53, 192.0.2.54]\n", &ours);
    assert!(text.contains(&ours) && text.contains(UNSIX), "{text}");
    config(&text)
}

fn attached(mode: &str) -> (Program, Option<Program>) {
    let config = config(ATTACHED);
    let daemon = run(&config);
    let attach = attach(mode, &config);
    attach.says("attached way=");
    (daemon, Some(attach))
}
