//! What to do where nothing is attached: each system's own way to another name server, and back. No IO.

use super::host::{Host, Kubernetes, ResolvConf, Writer};
use crate::config::Config;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The steps for this host and their undo, as text for a person.
pub fn advice(config: &Config, host: &Host) -> String {
    let mut out = String::new();
    let system = host.system.name.as_deref().unwrap_or("this system");
    let servers = match &host.resolv_conf {
        ResolvConf::Servers(servers) => servers.as_slice(),
        ResolvConf::Unreadable(..) => &[],
    };
    let names = |servers: &[SocketAddr]| {
        let all: Vec<String> = servers.iter().map(|one| one.ip().to_string()).collect();
        all.join(", ")
    };
    let asked = match servers {
        [] => "names no name server".to_owned(),
        servers => format!("names {}", names(servers)),
    };
    let us = our_address(config);
    let mut say = |text: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{text}");
    };
    say(&format!(
        "# {system}: /etc/resolv.conf {asked}. Nothing was changed. To lead it to unsix:"
    ));
    if us.is_none() {
        say(
            "\n# unsix listens on no address that a resolv.conf can name. Add one with port 53 and restart it:",
        );
        say("listen: [\"127.0.6.53:53\"]");
    }
    if config.upstreams.is_none() {
        say(
            "\n# unsix would soon learn its upstreams from a file that names it. Write them into its configuration:",
        );
        let known = match servers {
            [] => "192.0.2.53".to_owned(),
            servers => names(servers),
        };
        say(&format!("upstreams: [{known}]"));
    }
    let us = us.unwrap_or(IpAddr::V4(Ipv4Addr::new(127, 0, 6, 53)));
    let (first, last) = (host.system.talos, host.system.kubernetes);
    if let (false, Some(kubernetes)) = (first, last) {
        say(&keep_for_pods(kubernetes));
    }
    say(&match (first, host.system.writer) {
        (true, _) => talos(us, &names(servers)),
        (_, Writer::NetworkManager) => network_manager(us),
        (_, Writer::Dhcpcd) => dhcpcd(us),
        (_, Writer::Resolved) => resolved(us, config),
        (_, Writer::Nobody) => plain(us),
    });
    say(
        "\n# Only one `nameserver` line: some programs ask all at once, and a second one gives the IPv6 addresses back.",
    );
    out
}

/// The address that a resolv.conf can name.
fn our_address(config: &Config) -> Option<IpAddr> {
    let mut at_53 = config.listen.iter().filter(|address| address.port() == 53);
    let ip = at_53
        .find(|address| !matches!(address.ip(), IpAddr::V4(ip) if ip.is_link_local()))?
        .ip();
    Some(match ip {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        ip => ip,
    })
}

fn keep_for_pods(kubernetes: Kubernetes) -> String {
    match kubernetes {
        Kubernetes::K3s => rancher("k3s"),
        Kubernetes::Rke2 => rancher("rke2"),
        Kubernetes::Kubelet => "
# Pods cannot reach a loopback address of the node: the kubelet keeps the old servers for them.
cp -L /etc/resolv.conf /etc/kubernetes/resolv.conf
# in /var/lib/kubelet/config.yaml:  resolvConf: /etc/kubernetes/resolv.conf
systemctl restart kubelet
# Undo: write the former resolvConf again, restart the kubelet."
            .to_owned(),
    }
}

fn rancher(name: &str) -> String {
    format!(
        "
# {name} gives pods a public name server once it sees a loopback address: it keeps the old servers for them (--resolv-conf).
cp -L /etc/resolv.conf /etc/rancher/{name}/resolv.conf
echo 'resolv-conf: /etc/rancher/{name}/resolv.conf' >> /etc/rancher/{name}/config.yaml
systemctl restart '{name}*'
# Undo: take that line out of config.yaml again, restart."
    )
}

fn talos(us: IpAddr, servers: &str) -> String {
    let rest = match servers {
        "" => String::new(),
        servers => format!(", {servers}"),
    };
    format!(
        "
# Talos asks its name servers in order, the next one while unsix is silent; pods follow the node.
talosctl patch machineconfig --patch '{{\"machine\": {{\"network\": {{\"nameservers\": [\"{us}\"{}]}}}}}}'
# Undo: the same patch without \"{us}\".",
        quoted(&rest)
    )
}

/// `, a, b` with each address in quotes.
fn quoted(list: &str) -> String {
    let each = list.split(", ").filter(|one| !one.is_empty());
    each.map(|one| format!(", \"{one}\"")).collect()
}

fn network_manager(us: IpAddr) -> String {
    format!(
        "
# NetworkManager writes /etc/resolv.conf: one name server for all connections.
printf '[global-dns-domain-*]\\nservers={us}\\n' > /etc/NetworkManager/conf.d/unsix.conf
systemctl reload NetworkManager
# Undo: rm /etc/NetworkManager/conf.d/unsix.conf && systemctl reload NetworkManager"
    )
}

fn dhcpcd(us: IpAddr) -> String {
    format!(
        "
# dhcpcd writes /etc/resolv.conf.
echo 'static domain_name_servers={us}' >> /etc/dhcpcd.conf
dhcpcd --rebind
# Undo: take that line out of /etc/dhcpcd.conf again, dhcpcd --rebind"
    )
}

fn resolved(us: IpAddr, config: &Config) -> String {
    let zones: Vec<String> = config.zones().iter().map(routing).collect();
    format!(
        "
# systemd-resolved: the zones of the rules alone. Not on a Kubernetes node, where pods would be given {us}.
mkdir -p /etc/systemd/resolved.conf.d
printf '[Resolve]\\nDNS={us}\\nDomains={}\\nCacheFromLocalhost=yes\\n' > /etc/systemd/resolved.conf.d/unsix.conf
systemctl restart systemd-resolved
# Undo: rm /etc/systemd/resolved.conf.d/unsix.conf && systemctl restart systemd-resolved",
        zones.join(" ")
    )
}

/// A zone as systemd-resolved writes a routing domain.
fn routing(zone: &crate::message::Name) -> String {
    let text = zone.to_string();
    let bare = text.trim_end_matches('.');
    format!("~{}", if bare.is_empty() { "." } else { bare })
}

fn plain(us: IpAddr) -> String {
    format!(
        "
# Nobody is known to write /etc/resolv.conf here: write it yourself.
cp -L /etc/resolv.conf /etc/resolv.conf.before-unsix
printf 'nameserver {us}\\n' > /etc/resolv.conf
# Undo: cp /etc/resolv.conf.before-unsix /etc/resolv.conf"
    )
}

#[cfg(test)]
mod tests;
