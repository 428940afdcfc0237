//! Each system's own words stand in its advice.

use super::super::host::System;
use super::*;

fn advised(config: &str, system: System) -> String {
    let host = Host {
        uid: 1000,
        net_admin: false,
        tun: Ok(()),
        nftables: Ok(()),
        resolved: Ok(()),
        resolv_conf: ResolvConf::Servers(vec!["192.0.2.53:53".parse().unwrap()]),
        system,
    };
    advice(&Config::read(config).unwrap(), &host)
}

#[test]
fn each_system_is_told_in_its_own_words() {
    let by = |writer| System {
        writer,
        ..System::default()
    };
    let on = |kubernetes| System {
        kubernetes: Some(kubernetes),
        ..System::default()
    };
    let talos = System {
        talos: true,
        kubernetes: Some(Kubernetes::Kubelet),
        ..System::default()
    };
    #[rustfmt::skip]
    let cases: [(System, &[&str]); 8] = [
        (by(Writer::Nobody),         &["cp -L /etc/resolv.conf /etc/resolv.conf.before-unsix", "nameserver 127.0.6.53"]),
        (by(Writer::NetworkManager), &["global-dns-domain-*", "servers=127.0.6.53", "systemctl reload NetworkManager"]),
        (by(Writer::Dhcpcd),         &["static domain_name_servers=127.0.6.53"]),
        (by(Writer::Resolved),       &["DNS=127.0.6.53", "Domains=~docker.io ~docker.com"]),
        (on(Kubernetes::K3s),        &["--resolv-conf", "/etc/rancher/k3s/config.yaml", "nameserver 127.0.6.53"]),
        (on(Kubernetes::Rke2),       &["/etc/rancher/rke2/config.yaml"]),
        (on(Kubernetes::Kubelet),    &["resolvConf: /etc/kubernetes/resolv.conf"]),
        (talos,                      &["talosctl patch machineconfig", "\"nameservers\": [\"127.0.6.53\", \"192.0.2.53\"]"]),
    ];
    for (system, words) in cases {
        let text = advised(
            "{listen: ['127.0.6.53:53'], upstreams: [192.0.2.53]}",
            system,
        );
        for word in words.iter().chain(&["# Undo: ", "Nothing was changed"]) {
            assert!(text.contains(word), "{word}\n{text}");
        }
        assert!(!text.contains("listen:"), "{text}");
    }
}

#[test]
fn what_the_configuration_lacks_is_told_first() {
    let text = advised("{}", System::default());
    assert!(text.contains("listen: [\"127.0.6.53:53\"]"), "{text}");
    assert!(text.contains("upstreams: [192.0.2.53]"), "{text}");
}
