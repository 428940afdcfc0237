//! What the programs of this host depend on when they look a name up: files, services, and the programs themselves.
//! It changes nothing, and needs no rights.

use super::dns::STUBS;
use super::puller::{Puller, Resolver, pullers};
use crate::attach::{Canary, Kubernetes, Standing, System, Writer};
use crate::config::Config;
use crate::upstream::system::{RESOLV_CONF, RESOLVED, named_in};
use schemars::JsonSchema;
use serde::Serialize;
use std::env;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the programs of this host depend on.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Surroundings {
    /// `/etc/resolv.conf`.
    pub resolv_conf: ResolvConf,
    /// The name servers behind systemd-resolved; none where programs do not ask it.
    pub resolved: Option<Vec<IpAddr>>,
    /// Where the C library looks names up, in its order: the line `hosts` of `/etc/nsswitch.conf`.
    pub nsswitch: Vec<String>,
    /// The lines of `/etc/gai.conf` that are in force.
    pub gai_conf: Vec<String>,
    /// Programs that pull images.
    pub pullers: Vec<Puller>,
    /// The Kubernetes of this host: `k3s`, `rke2` or `kubelet`.
    pub kubernetes: Option<String>,
    /// Whether this is a pod: what is seen then is not what the node's pulls depend on.
    pub pod: bool,
    /// Of unsix itself.
    pub unsix: Unsix,
    /// What follows from all that.
    pub notes: Vec<String>,
}

/// `/etc/resolv.conf`.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct ResolvConf {
    /// The name servers that programs ask.
    pub servers: Vec<IpAddr>,
    /// Who writes it, where that is known: `systemd-resolved`, `NetworkManager` or `dhcpcd`.
    pub writer: Option<String>,
    /// The words of its `options`.
    pub options: Vec<String>,
    /// Why it cannot be read.
    pub error: Option<String>,
}

/// Of unsix itself.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Unsix {
    /// The version of the one that answers at `listen` of the configuration.
    pub version: Option<String>,
    /// What leads this host's questions to it: `resolved`, `redirect`, `none`, or `unknown` to who is not root.
    pub attached: String,
    /// The configuration file; none where every option is at its default.
    pub config: Option<String>,
    /// Whether systemd has a unit of it.
    pub unit: bool,
}

impl Surroundings {
    /// Looks around.
    pub(super) async fn look(config: &Config, file: Option<PathBuf>) -> Self {
        let system = System::look();
        let text = read(RESOLV_CONF);
        let mut found = Self {
            resolv_conf: ResolvConf::read(text, system.writer),
            nsswitch: hosts_of(&read("/etc/nsswitch.conf").unwrap_or_default()),
            gai_conf: in_force(&read("/etc/gai.conf").unwrap_or_default()),
            kubernetes: system.kubernetes.map(|one| label(one).to_owned()),
            pod: env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
            unsix: Unsix::look(config, file).await,
            ..Self::default()
        };
        let asks_stub = found.resolv_conf.servers.iter().any(is_stub);
        found.resolved = asks_stub.then(|| {
            let behind = named_in(&read(RESOLVED).unwrap_or_default());
            behind.iter().map(std::net::SocketAddr::ip).collect()
        });
        found.pullers = pullers(Path::new("/proc"), &found.nsswitch);
        found.notes = found.notes();
        found
    }

    /// What follows from the rest.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.pod {
            notes.push("this is a pod: images are pulled by the node, so run doctor there; for programs in pods CoreDNS is the place (deploy/coredns)".to_owned());
        }
        if !self.gai_conf.is_empty() {
            notes.push(self.gai_conf_reaches());
        }
        if self.kubernetes.as_deref() == Some("k3s") && !self.would_k3s_take_it() {
            notes.push("k3s gives pods the name server 8.8.8.8 while /etc/resolv.conf names a loopback or link-local one: --resolv-conf keeps the old servers for them".to_owned());
        }
        let several = self.resolv_conf.servers.len() > 1;
        if several && self.unsix.version.is_some() && self.unsix.attached == "none" {
            notes.push("resolv.conf names several name servers: unsix must be the only one, for some programs ask all at once, and take what comes first".to_owned());
        }
        notes
    }

    fn gai_conf_reaches(&self) -> String {
        let heeds = |wanted| {
            let all = self.pullers.iter();
            let found: Vec<&str> = all
                .filter(|one| one.heeds_gai_conf == Some(wanted))
                .map(|one| one.name.as_str())
                .collect();
            found.join(", ")
        };
        let mut text = format!(
            "/etc/gai.conf has {} in force: curl and other programs of glibc heed it",
            match self.gai_conf.len() {
                1 => "a line".to_owned(),
                count => format!("{count} lines"),
            }
        );
        let (heed, ignore) = (heeds(true), heeds(false));
        if !heed.is_empty() {
            text += &format!(", and so does {heed}");
        }
        text += &match ignore.as_str() {
            "" if heed.is_empty() => {
                "; Go's own resolver and musl, which most pullers use, never do".to_owned()
            }
            "" => String::new(),
            ignore => format!("; {ignore} does not, so pulls go on as without it"),
        };
        text
    }

    /// k3s asks for a global unicast address in each line of the file that it takes.
    fn would_k3s_take_it(&self) -> bool {
        let good = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local() && !ip.is_unspecified(),
            IpAddr::V6(ip) => {
                !ip.is_loopback() && !ip.is_unicast_link_local() && !ip.is_unspecified()
            }
        };
        let takes = |servers: &[IpAddr]| !servers.is_empty() && servers.iter().all(good);
        takes(&self.resolv_conf.servers) || self.resolved.as_deref().is_some_and(takes)
    }

    /// The pullers that ask by a resolver of this kind.
    pub(super) fn pullers_by(&self, resolver: Resolver) -> impl Iterator<Item = &Puller> {
        let all = self.pullers.iter();
        all.filter(move |one| one.resolver == resolver)
    }
}

impl ResolvConf {
    fn read(text: io::Result<String>, writer: Writer) -> Self {
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                return Self {
                    error: Some(error.to_string()),
                    ..Self::default()
                };
            }
        };
        let options = text.lines().filter_map(|line| line.strip_prefix("options"));
        let words = options.flat_map(str::split_whitespace).map(str::to_owned);
        Self {
            servers: named_in(&text)
                .iter()
                .map(std::net::SocketAddr::ip)
                .collect(),
            writer: match writer {
                Writer::Nobody => None,
                Writer::Resolved => Some("systemd-resolved".to_owned()),
                Writer::NetworkManager => Some("NetworkManager".to_owned()),
                Writer::Dhcpcd => Some("dhcpcd".to_owned()),
            },
            options: words.collect(),
            error: None,
        }
    }
}

impl Unsix {
    async fn look(config: &Config, file: Option<PathBuf>) -> Self {
        let identity = match Canary::of(config) {
            Ok(canary) => canary.ask(PATIENCE).await.ok(),
            Err(_) => None,
        };
        let standing = Standing::look();
        let attached = match (standing.link, standing.table) {
            (true, _) => "resolved",
            (false, Ok(true)) => "redirect",
            (false, Ok(false)) => "none",
            (false, Err(_)) if standing.process => "unknown",
            (false, Err(_)) => "none",
        };
        Self {
            version: identity.map(|identity| identity.version),
            attached: attached.to_owned(),
            config: file.map(|file| file.display().to_string()),
            unit: UNITS.iter().any(|unit| Path::new(unit).exists()),
        }
    }
}

/// Where `install` and packages put it.
const UNITS: [&str; 3] = [
    "/etc/systemd/system/unsix.service",
    "/usr/lib/systemd/system/unsix.service",
    "/lib/systemd/system/unsix.service",
];

const fn label(kubernetes: Kubernetes) -> &'static str {
    match kubernetes {
        Kubernetes::K3s => "k3s",
        Kubernetes::Rke2 => "rke2",
        Kubernetes::Kubelet => "kubelet",
    }
}

fn is_stub(server: &IpAddr) -> bool {
    STUBS.iter().any(|stub| server == stub)
}

/// A comment in another encoding is no reason to fail.
fn read(file: &str) -> io::Result<String> {
    fs::read(file).map(|text| String::from_utf8_lossy(&text).into_owned())
}

/// The sources of the line `hosts` of nsswitch.conf, without what to do in which case.
fn hosts_of(nsswitch: &str) -> Vec<String> {
    let lines = nsswitch.lines().map(|line| line.split('#').next());
    let mut hosts = lines.filter_map(|line| line.unwrap_or_default().trim().strip_prefix("hosts:"));
    let words = hosts.next().unwrap_or_default().split_whitespace();
    let sources = words.filter(|word| !word.contains(['[', ']', '=']));
    sources.map(str::to_owned).collect()
}

/// The lines of gai.conf that are no comments.
fn in_force(gai_conf: &str) -> Vec<String> {
    let lines = gai_conf.lines().map(|line| line.split('#').next());
    let lines = lines.map(|line| line.unwrap_or_default().trim());
    let counts = |line: &&str| line.starts_with("precedence") || line.starts_with("label");
    lines.filter(counts).map(str::to_owned).collect()
}

/// The longest that our own daemon may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_the_c_library_reads_them() {
        let nsswitch = "passwd: files\nhosts:  files mdns4_minimal [NOTFOUND=return] resolve [!UNAVAIL=return] dns # x\n";
        assert_eq!(
            hosts_of(nsswitch),
            ["files", "mdns4_minimal", "resolve", "dns"]
        );
        assert!(hosts_of("").is_empty());
        let gai =
            "# precedence ::ffff:0:0/96 100\n\nprecedence ::ffff:0:0/96  100 # IPv4\nreload yes\n";
        assert_eq!(in_force(gai), ["precedence ::ffff:0:0/96  100"]);
        let text = "nameserver 192.0.2.1\noptions edns0 rotate\n";
        let found = ResolvConf::read(Ok(text.to_owned()), Writer::Dhcpcd);
        assert_eq!(found.options, ["edns0", "rotate"]);
        assert_eq!(found.writer.as_deref(), Some("dhcpcd"));
        let error = io::ErrorKind::NotFound.into();
        assert!(ResolvConf::read(Err(error), Writer::Nobody).error.is_some());
    }

    fn with(servers: &[&str], resolved: Option<&[&str]>) -> Surroundings {
        let parse = |all: &[&str]| all.iter().map(|one| one.parse().unwrap()).collect();
        Surroundings {
            resolv_conf: ResolvConf {
                servers: parse(servers),
                ..ResolvConf::default()
            },
            resolved: resolved.map(parse),
            kubernetes: Some("k3s".to_owned()),
            ..Surroundings::default()
        }
    }

    #[test]
    fn k3s_takes_no_loopback_for_pods() {
        let notes = |servers, resolved| with(servers, resolved).notes().len();
        assert_eq!(notes(&["192.0.2.1"], None), 0);
        assert_eq!(notes(&["127.0.6.53"], None), 1);
        assert_eq!(notes(&["127.0.0.53"], Some(&["192.0.2.1"])), 0);
        assert_eq!(notes(&["127.0.0.53"], Some(&["169.254.6.53"])), 1);
    }

    #[test]
    fn a_pod_is_told_that_nodes_pull() {
        let mut found = with(&["192.0.2.1"], None);
        found.pod = true;
        assert!(found.notes()[0].starts_with("this is a pod: images are pulled by the node"));
    }

    #[test]
    fn gai_conf_is_said_to_reach_whom_it_reaches() {
        let mut found = with(&["192.0.2.1"], None);
        found.gai_conf = vec!["precedence ::ffff:0:0/96 100".to_owned()];
        assert!(
            found.notes()[0]
                .ends_with("Go's own resolver and musl, which most pullers use, never do")
        );
        found.pullers = vec![
            Puller::of("containerd", Resolver::Go),
            Puller::of("podman", Resolver::Glibc),
        ];
        assert!(found.notes()[0].ends_with(
            "heed it, and so does podman; containerd does not, so pulls go on as without it"
        ));
    }
}
