//! What is in the way is named in one line with the next step, and nothing half done is left.

use crate::daemon::host::resolved as program;
use crate::daemon::program::Program;
use crate::daemon::until;
use crate::world::{
    PROVIDER, Server, ask_servers, attach, attach_once, config, is_as_before, nothing_is_left,
    provider, run, shell, systemd_resolved, usual, write,
};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

const ROOT: &[&str] = &[];
const NOBODY: &[&str] = &[
    "setpriv",
    "--reuid",
    "65534",
    "--regid",
    "65534",
    "--clear-groups",
];
const POWERLESS: &[&str] = &["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"];
const WITHOUT_TUN: &[&str] = &[
    "unshare",
    "--mount",
    "sh",
    "-c",
    "mount -t tmpfs none /dev/net && exec \"$0\" \"$@\"",
];

const SQUAT: &str = "import socket, time
s = socket.socket(socket.AF_UNIX)
s.bind('\\0unsix-attach')
s.listen()
time.sleep(60)";

/// It ends with this code, and says so much in one line.
#[track_caller]
fn refused(before: &[&str], mode: &str, config: &Path, (code, words): (i32, &[&str])) {
    let (ended, out, err) = attach_once(before, mode, config);
    assert_eq!(ended, Some(code), "{err}");
    let told = err.lines().filter(|line| !line.contains(" INFO "));
    assert_eq!((told.count(), out.as_str()), (1, ""), "{err}");
    for word in words {
        assert!(err.contains(word), "{word} in {err}");
    }
}

pub(crate) fn named() {
    let _provider = provider();
    ask_servers(&[PROVIDER]);
    let usual = usual();
    refused(
        NOBODY,
        "auto",
        &usual,
        (77, &["uid 0", "sudo unsix attach"]),
    );
    refused(POWERLESS, "auto", &usual, (77, &["CAP_NET_ADMIN"]));
    refused(
        ROOT,
        "resolved",
        &usual,
        (69, &["systemd-resolved cannot be told", "--mode redirect"]),
    );
    let (ended, out, err) = attach_once(NOBODY, "print", &usual);
    assert_eq!((ended, err.as_str()), (Some(0), ""));
    assert!(
        out.contains("nameserver 127.0.6.53") && out.contains("# Undo: "),
        "{out}"
    );

    // A daemon that is root asks as those ask whom it should be told from.
    let root = Program::serve(&usual);
    refused(
        ROOT,
        "redirect",
        &usual,
        (69, &["runs as root", "DynamicUser=yes"]),
    );
    drop(root);

    let foreign = config("listen: ['127.0.0.1:53', '169.254.20.10:53']\n");
    refused(
        ROOT,
        "redirect",
        &foreign,
        (78, &["169.254.20.10:53 is NodeLocal DNSCache's"]),
    );
    nothing_is_left();
    assert!(is_as_before());
}

pub(crate) fn resolv_conf() {
    let _provider = provider();
    let usual = usual();
    write("/etc/resolv.conf", "# nobody\n");
    refused(
        ROOT,
        "redirect",
        &usual,
        (78, &["names no name server", "nameserver 192.0.2.53"]),
    );
    ask_servers(&["127.0.6.53"]);
    refused(
        ROOT,
        "redirect",
        &usual,
        (78, &["127.0.6.53, which is unsix itself"]),
    );
    std::fs::remove_file("/etc/resolv.conf").unwrap();
    refused(
        ROOT,
        "redirect",
        &usual,
        (78, &["/etc/resolv.conf cannot be read"]),
    );
    symlink("/run/nowhere/resolv.conf", "/etc/resolv.conf").unwrap();
    refused(
        ROOT,
        "auto",
        &usual,
        (
            78,
            &["a link to /run/nowhere/resolv.conf, which is not there"],
        ),
    );
    std::fs::remove_file("/etc/resolv.conf").unwrap();
    ask_servers(&[PROVIDER]);

    nothing_is_left();
    assert!(is_as_before());
}

pub(crate) fn taken() {
    let _provider = provider();
    let _resolved = systemd_resolved(&program().unwrap());
    let usual = usual();
    refused(
        WITHOUT_TUN,
        "resolved",
        &usual,
        (69, &["/dev/net/tun", "modprobe tun"]),
    );
    let _daemon = run(&usual);

    shell("ip tuntap add unsix0 mode tun");
    refused(
        ROOT,
        "resolved",
        &usual,
        (
            69,
            &["a link unsix0 stands already", "ip link delete unsix0"],
        ),
    );
    assert!(
        shell("ip -brief link").contains("unsix0"),
        "it is not ours to take away"
    );
    shell("ip link delete unsix0");
    nothing_is_left();

    shell("ip address add 169.254.6.53/32 dev uplink");
    refused(
        ROOT,
        "resolved",
        &usual,
        (69, &["169.254.6.53 is another link's address"]),
    );
    shell("ip address delete 169.254.6.53/32 dev uplink");
    nothing_is_left();

    shell("nft add table inet unsix");
    refused(
        ROOT,
        "redirect",
        &usual,
        (
            69,
            &[
                "an nftables table inet unsix stands already",
                "nft delete table",
            ],
        ),
    );
    shell("nft delete table inet unsix");
    nothing_is_left();

    assert!(is_as_before());
}

pub(crate) fn second() {
    let _provider = provider();
    let _resolved = systemd_resolved(&program().unwrap());
    let usual = usual();
    let _daemon = run(&usual);
    // Whoever is not root can hinder nobody.
    let mut squatter = Command::new("setpriv");
    squatter
        .args(NOBODY.get(1..).unwrap())
        .args(["/usr/bin/python3", "-c", SQUAT]);
    let squatter = Server::start(&mut squatter, "/run/host/squatter");
    until("it listens", || {
        shell("grep unsix-attach /proc/net/unix")
            .contains("unsix-attach")
            .then_some(())
    });
    let despite = attach("resolved", &usual);
    despite.says("attached way=resolved");
    drop(despite);
    drop(squatter);

    let first = attach("resolved", &usual);
    first.says("attached way=resolved");
    for mode in ["resolved", "redirect"] {
        refused(
            ROOT,
            mode,
            &usual,
            (69, &["another attach runs as process ", "stop it first"]),
        );
    }
    drop(first);
    nothing_is_left();
    assert!(is_as_before());
}
