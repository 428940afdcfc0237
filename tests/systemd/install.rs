//! `unsix install` and `uninstall` on a running system, from a host that is told IPv6 to one that is not, and back.

use crate::daemon::until;
use crate::daemon::upstream::Upstream;
use crate::{configured_servers, systemctl};
use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, ToSocketAddrs, UdpSocket};
use std::path::PathBuf;
use std::process::Command;

/// Who programs ask here.
const SERVER: &str = "127.9.9.9";
/// The program as somebody has downloaded it.
const PROGRAM: &str = "/run/download/unsix";

/// Takes away what the other tests run with, and has a name server that knows every name.
pub(crate) fn prepare() -> Upstream {
    fs::create_dir_all("/run/download").unwrap();
    fs::copy("/usr/local/bin/unsix", PROGRAM).unwrap();
    for line in [
        "umount /usr/local/bin/unsix",
        "rm -r /usr/local/bin/unsix /etc/unsix /etc/systemd/system/unsix*",
    ] {
        assert!(
            Command::new("sh")
                .args(["-c", line])
                .status()
                .unwrap()
                .success(),
            "{line}"
        );
    }
    systemctl(&["daemon-reload"]);
    configured_servers(&[SERVER]);
    let datagrams = UdpSocket::bind((SERVER, 53)).unwrap();
    let streams = TcpListener::bind((SERVER, 53)).unwrap();
    Upstream::on(datagrams, Some(streams), |asked| {
        crate::at_once(crate::usual(&asked.packet))
    })
}

fn unsix(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(PROGRAM).args(arguments).output().unwrap();
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// How many IPv6 addresses programs are told.
pub(crate) fn sixes() -> usize {
    let found = ("registry-1.docker.io", 443).to_socket_addrs().unwrap();
    found.filter(std::net::SocketAddr::is_ipv6).count()
}

/// The folders that an installation writes to.
const WRITTEN: &[&str] = &["/etc/systemd", "/etc/unsix", "/usr/local/bin", "/var/lib"];

/// Paths and sizes below these folders.
pub(crate) fn tree(folders: &[&str]) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut open: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let about = entry.metadata().unwrap();
            let size = if about.is_dir() { 0 } else { about.len() };
            found.insert(entry.path().display().to_string(), size);
            if about.is_dir() {
                open.push(entry.path());
            }
        }
    }
    found
}

/// Fails if anything is not as it was.
#[track_caller]
pub(crate) fn is_as_it_was(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) {
    let left: Vec<_> = after
        .iter()
        .filter(|one| before.get(one.0) != Some(one.1))
        .collect();
    let lost: Vec<_> = before
        .keys()
        .filter(|path| !after.contains_key(*path))
        .collect();
    assert!(
        left.is_empty() && lost.is_empty(),
        "left {left:?}, lost {lost:?}"
    );
}

pub(crate) fn cured_and_back() {
    let _upstream = prepare();
    let before = tree(WRITTEN);
    assert_eq!(sixes(), 1);
    let nobody = ["--reuid", "4254", "--clear-groups", PROGRAM, "install"];
    let nobody = Command::new("setpriv").args(nobody).output().unwrap();
    let said = String::from_utf8(nobody.stderr).unwrap();
    assert_eq!(nobody.status.code(), Some(77), "{said}");
    assert_eq!(
        said,
        "install writes system files: run it as root (`sudo unsix install`)\n"
    );
    let (code, out, err) = unsix(&["install"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    for words in [
        "wrote      /usr/local/bin/unsix\n",
        "started    unsix.socket, unsix.service, unsix-attach.service\n",
        "attached   by redirection: the nftables table inet unsix stands\n",
        "undo       sudo unsix uninstall\n",
    ] {
        assert!(out.contains(words), "no {words:?} in\n{out}");
    }
    assert_eq!(sixes(), 0, "it acts");
    assert_eq!(unsix(&["status"]).0, 0);
    assert_eq!(unsix(&["healthcheck"]).0, 0);
    // Once more, as an upgrade would; then one that cannot be.
    assert_eq!(unsix(&["install"]).0, 0);
    assert_eq!(sixes(), 0);
    let (code, _, err) = unsix(&["install", "--mode", "resolved"]);
    assert!(
        code == 69 && err.contains("everything is as it was before"),
        "{err}"
    );
    until("what was installed before", || (sixes() == 0).then_some(()));
    configured_servers(&["127.0.6.53"]);
    let (code, _, err) = unsix(&["uninstall"]);
    assert!(
        code == 69 && err.contains("put your own name servers back first"),
        "{err}"
    );
    configured_servers(&[SERVER]);
    let (code, out, err) = unsix(&["uninstall"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert_eq!(sixes(), 1);
    is_as_it_was(&before, &tree(WRITTEN));
    let units = systemctl(&["list-units", "--all", "--plain", "--no-legend", "unsix*"]);
    assert_eq!(units, "", "nothing of it is known any more");
}

/// Somebody has the port: what was written is taken back.
pub(crate) fn taken_back() {
    let _upstream = prepare();
    let _busy = UdpSocket::bind("127.0.6.53:53").unwrap();
    let before = tree(WRITTEN);
    let (code, out, err) = unsix(&["install"]);
    assert_eq!((code, out.as_str()), (69, ""), "{err}");
    assert!(
        err.contains("systemctl restart unsix.socket: ")
            && err.contains("everything is as it was before"),
        "{err}"
    );
    is_as_it_was(&before, &tree(WRITTEN));
    assert_eq!(sixes(), 1);
}
