//! Plans and their refusals, as tables.

use super::super::fault::Cause;
use super::super::host::System;
use super::*;

const ALL: &str = "listen: ['127.0.6.53:53', '[::1]:5300', '169.254.6.53:53']";

/// A host with everything, whose programs ask these servers.
fn host(servers: &[&str]) -> Host {
    let at_53 = |ip: &&str| SocketAddr::new(ip.parse().unwrap(), 53);
    Host {
        uid: 0,
        net_admin: true,
        tun: Ok(()),
        nftables: Ok(()),
        resolved: Ok(()),
        resolv_conf: ResolvConf::Servers(servers.iter().map(at_53).collect()),
        system: System::default(),
    }
}

fn planned(mode: Mode, config: &str, host: &Host) -> Result<Plan, String> {
    plan(mode, &Config::read(config).unwrap(), host).map_err(|fault| fault.to_string())
}

/// `resolved`, `redirect`, `print`, or why not.
fn way(mode: Mode, config: &str, host: &Host) -> String {
    match planned(mode, config, host) {
        Ok(plan) => match plan.way {
            Way::Resolved { .. } => "resolved".to_owned(),
            Way::Redirect { .. } => "redirect".to_owned(),
            Way::Print => "print".to_owned(),
        },
        Err(fault) => fault,
    }
}

#[test]
fn auto_takes_the_gentlest_way_that_acts() {
    let (stub, direct) = (host(&["127.0.0.53"]), host(&["192.0.2.53"]));
    let off_the_bus = || Err("it is not on the system bus".to_owned());
    let without = |host: &Host, nftables| Host {
        nftables,
        resolved: off_the_bus(),
        ..host.clone()
    };
    #[rustfmt::skip]
    let cases = [
        ("programs ask systemd-resolved",      stub.clone(),                              "resolved"),
        ("it runs, but nobody asks it",        direct.clone(),                            "redirect"),
        ("a stub without its bus",             without(&stub, Ok(())),                    "redirect"),
        ("nothing of both",                    without(&direct, Err(libc::EPROTONOSUPPORT)), "print"),
    ];
    for (why, host, want) in cases {
        assert_eq!(way(Mode::Auto, ALL, &host), want, "{why}");
    }
}

#[test]
fn a_plan_knows_names_and_addresses() {
    let resolved = planned(Mode::Resolved, ALL, &host(&["127.0.0.53"])).unwrap();
    let Way::Resolved {
        address,
        zones,
        leaking,
    } = &resolved.way
    else {
        panic!("{resolved:?}");
    };
    assert_eq!(address.to_string(), "169.254.6.53");
    assert_eq!((zones.len(), leaking.len()), (2, 1));
    let flat = format!("{ALL}\nrules: [{{preset: docker-hub, cname: flatten}}]");
    let flat = planned(Mode::Resolved, &flat, &host(&["127.0.0.53"])).unwrap();
    assert!(matches!(flat.way, Way::Resolved { leaking, .. } if leaking.is_empty()));
    assert_eq!(resolved.front, "127.0.6.53:53".parse().unwrap());
    assert_eq!(resolved.canary.to_string(), "_unsix.docker.io.");

    let servers = ["192.0.2.53", "2001:db8::53"];
    let redirect = planned(Mode::Redirect, ALL, &host(&servers)).unwrap();
    let want = Way::Redirect {
        servers: servers.map(|server| server.parse().unwrap()).to_vec(),
        ipv4: "127.0.6.53:53".parse().ok(),
        ipv6: "[::1]:5300".parse().ok(),
    };
    assert_eq!(redirect.way, want);

    let everywhere = planned(
        Mode::Resolved,
        "listen: ['0.0.0.0:53']",
        &host(&["192.0.2.53"]),
    );
    let everywhere = everywhere.unwrap();
    assert_eq!(everywhere.front, "127.0.0.1:53".parse().unwrap());
    assert!(matches!(
        everywhere.way,
        Way::Resolved {
            address: LINK_ADDRESS,
            ..
        }
    ));
}

#[test]
fn a_refusal_names_the_cause_and_the_next_step() {
    let good = host(&["192.0.2.53"]);
    let with = |change: fn(&mut Host)| {
        let mut host = good.clone();
        change(&mut host);
        host
    };
    let unreadable = |target: Option<&str>| Host {
        resolv_conf: ResolvConf::Unreadable(target.map(str::to_owned), io::ErrorKind::NotFound),
        ..good.clone()
    };
    let resolved = Mode::Resolved;
    let redirect = Mode::Redirect;
    #[rustfmt::skip]
    let cases = [
        (Mode::Auto, ALL, with(|h| h.uid = 1000),          Cause::Rights, "uid 0", "sudo unsix attach"),
        (Mode::Auto, ALL, with(|h| h.net_admin = false),   Cause::Rights, "CAP_NET_ADMIN", "add: [NET_ADMIN]"),
        (resolved, ALL, with(|h| h.tun = Err(libc::ENOENT)), Cause::Host, "/dev/net/tun: No such file", "modprobe tun"),
        (resolved, ALL, with(|h| h.tun = Err(libc::EPERM)), Cause::Rights, "/dev/net/tun", "mount /dev/net/tun"),
        (resolved, ALL, with(|h| h.resolved = Err("x".to_owned())), Cause::Host, "systemd-resolved cannot be told: x", "--mode redirect"),
        (redirect, ALL, with(|h| h.nftables = Err(libc::EPROTONOSUPPORT)), Cause::Host, "nftables", "modprobe"),
        (redirect, ALL, host(&[]),                         Cause::Configuration, "names no name server", "nameserver 192.0.2.53"),
        (resolved, ALL, host(&[]),                         Cause::Configuration, "names no name server", "nameserver 192.0.2.53"),
        (redirect, ALL, unreadable(None),                  Cause::Configuration, "cannot be read", "nameserver 192.0.2.53"),
        (redirect, ALL, unreadable(Some("../run/gone")),   Cause::Configuration, "a link to ../run/gone, which is not there", "put your name servers"),
        (redirect, ALL, host(&["127.0.6.53"]),             Cause::Configuration, "127.0.6.53, which is unsix itself", "back"),
        (resolved, ALL, host(&["192.0.2.53", "127.0.6.53"]), Cause::Configuration, "which is unsix itself", "back"),
        (redirect, "listen: ['0.0.0.0:53']", host(&["127.0.0.1"]), Cause::Configuration, "which is unsix itself", "back"),
        (redirect, "listen: ['127.0.6.53:53']", host(&["2001:db8::53"]), Cause::Configuration, "no IPv6 address", "add \"[::1]:5300\""),
        (redirect, "listen: ['[::1]:53']", good.clone(),   Cause::Configuration, "no IPv4 address", "add \"127.0.6.53:53\""),
        (resolved, "{}", good.clone(),                     Cause::Configuration, "link-local", "add \"169.254.6.53:53\""),
        (resolved, "listen: ['169.254.6.53:53']", good.clone(), Cause::Configuration, "always there", "add \"127.0.6.53:53\""),
        (redirect, "rules: []", good.clone(),              Cause::Configuration, "none in force names a host", "docker-hub"),
    ];
    for (mode, config, host, cause, what, step) in cases {
        let refused = plan(mode, &Config::read(config).unwrap(), &host);
        let fault = refused.expect_err(what);
        let text = fault.to_string();
        assert!(text.contains(what) && text.contains(step), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert_eq!(fault.cause(), cause, "{text}");
    }
}

#[test]
fn addresses_of_others_are_never_taken() {
    for (address, _) in FOREIGN {
        let config = format!("listen: ['127.0.6.53:53', '[::1]:53', '{address}:53']");
        for mode in [Mode::Resolved, Mode::Redirect, Mode::Print] {
            let text = way(mode, &config, &host(&["192.0.2.53"]));
            assert!(
                text.starts_with(&format!("listen: {address}:53 is ")),
                "{text}"
            );
        }
    }
}

#[test]
fn printing_needs_no_rights_and_nothing_of_the_host() {
    let bare = Host {
        uid: 1000,
        net_admin: false,
        tun: Err(libc::EACCES),
        nftables: Err(libc::EPERM),
        resolved: Err("no bus".to_owned()),
        resolv_conf: ResolvConf::Unreadable(None, io::ErrorKind::NotFound),
        system: System::default(),
    };
    assert_eq!(way(Mode::Print, ALL, &bare), "print");
}
