//! A host of a test's own: its network with a provider behind a wire, its /etc and /run, its servers and its unsix.
//!
//! Everything here runs inside the namespaces that `main.rs` made; nothing of the machine's own is written.

use crate::daemon::client::{Client, Connection};
use crate::daemon::program::Program;
use crate::daemon::{namespace, until, wire};
use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

/// A host between two others: `uplink` leads to the provider, whose name server is knot with what Docker Hub publishes.
pub(crate) const SETUP: &str = "mount --make-rprivate / && mount -t tmpfs none /run \
    && mkdir -p /run/netns /run/etc /run/host /run/knot && cp -a /etc/. /run/etc && mount --bind /run/etc /etc \
    && rm -f /etc/resolv.conf && echo 'hosts: files dns' > /etc/nsswitch.conf \
    && ip netns add provider && ip link add uplink type veth peer name provider netns provider \
    && ip address add 192.0.2.10/24 dev uplink && ip address add 2001:db8:1::10/64 dev uplink nodad \
    && ip link set uplink up && ip -n provider link set lo up && ip -n provider link set provider up \
    && ip -n provider address add 192.0.2.1/24 dev provider \
    && ip -n provider address add 2001:db8:1::1/64 dev provider nodad \
    && ip route add default via 192.0.2.1 && ip route add default via 2001:db8:1::1 \
    && ip -n provider address add 198.51.100.53/32 dev lo \
    && ip -n provider address add 198.51.100.54/32 dev lo \
    && ip -n provider address add 2001:db8:53::53/128 dev lo nodad";

/// The provider's name server.
pub(crate) const PROVIDER: &str = "198.51.100.53";
pub(crate) const PROVIDER6: &str = "2001:db8:53::53";
/// Another address of it, which no resolv.conf names.
pub(crate) const ANOTHER: &str = "198.51.100.54";
/// A host that the rule is for, and one that it is not for; both have both families.
pub(crate) const LISTED: &str = "registry-1.docker.io";
pub(crate) const OTHER: &str = "quay.io";

/// The user of the daemon, who is nobody else here.
const USER: &str = "4253";

/// A server that ends with the test, and tells what it said if that failed.
pub(crate) struct Server {
    child: Child,
    log: String,
}

impl Server {
    pub(crate) fn start(command: &mut Command, log: &str) -> Self {
        let out = File::create(log).unwrap();
        let err = out.try_clone().unwrap();
        let command = command.stdin(Stdio::null()).stdout(out).stderr(err);
        Self {
            child: command.spawn().unwrap(),
            log: log.to_owned(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let said = fs::read(&self.log).unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            let last: Vec<&str> = said.lines().rev().take(20).collect();
            eprintln!("{}, latest line first: {last:#?}", self.log);
        }
    }
}

/// Writes a file of the host's.
pub(crate) fn write(path: &str, text: &str) {
    assert!(
        namespace::is_inside(),
        "the machine's own files are left alone"
    );
    fs::write(path, text).unwrap();
}

/// The provider's name server: knot, with the zones that the tests with real servers have.
pub(crate) fn provider() -> Server {
    let zones = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/zones");
    let listen = [PROVIDER, ANOTHER, PROVIDER6].map(|one| format!("{one}@53"));
    let listen = listen.join("\n    listen: ");
    let config = include_str!("../real/config/knot.conf")
        .replace("127.0.0.1@{port}", &listen)
        .replace("{folder}", "/run/knot")
        .replace("{zones}", &zones.display().to_string());
    write("/run/knot/knot.conf", &config);
    let mut knot = Command::new("ip");
    knot.args([
        "netns",
        "exec",
        "provider",
        "knotd",
        "-c",
        "/run/knot/knot.conf",
    ]);
    let server = Server::start(&mut knot, "/run/knot/said");
    until("the provider answers", || {
        let client = Client::from("192.0.2.10", at(PROVIDER));
        let short = Some(std::time::Duration::from_millis(200));
        client.socket.set_read_timeout(short).unwrap();
        client.send(&wire::query(1, OTHER, wire::A));
        client.receive()
    });
    server
}

/// systemd-resolved as it comes, with a bus of its own, asking the provider.
pub(crate) fn systemd_resolved(program: &Path) -> [Server; 2] {
    for (file, line) in [
        (
            "/etc/passwd",
            "systemd-resolve:x:996:996::/:/usr/sbin/nologin\n",
        ),
        ("/etc/group", "systemd-resolve:x:996:\n"),
    ] {
        let text = fs::read_to_string(file).unwrap();
        let others = text
            .lines()
            .filter(|line| !line.starts_with("systemd-resolve:"));
        let others: String = others.map(|line| format!("{line}\n")).collect();
        write(file, &(others + line));
    }
    fs::create_dir_all("/run/systemd/resolve").unwrap();
    std::os::unix::fs::chown("/run/systemd/resolve", Some(996), Some(996)).unwrap();
    fs::create_dir_all("/run/dbus").unwrap();
    fs::create_dir_all("/etc/systemd").unwrap();
    write(
        "/etc/systemd/resolved.conf",
        &format!("[Resolve]\nDNS={PROVIDER}\nFallbackDNS=\nDNSSEC=no\nLLMNR=no\nMulticastDNS=no\n"),
    );
    write("/run/dbus/bus.conf", include_str!("bus.conf"));
    let bus = Server::start(
        Command::new("dbus-daemon").args([
            "--config-file=/run/dbus/bus.conf",
            "--nofork",
            "--nopidfile",
        ]),
        "/run/dbus/said",
    );
    until("the bus", || {
        Path::new("/run/dbus/system_bus_socket")
            .exists()
            .then_some(())
    });
    let mut resolved = Command::new(program);
    resolved.env("SYSTEMD_LOG_TARGET", "console");
    let resolved = Server::start(&mut resolved, "/run/host/resolved");
    write(
        "/etc/resolv.conf",
        "nameserver 127.0.0.53\noptions timeout:2 attempts:1\n",
    );
    until("systemd-resolved resolves", || lookup(OTHER).ok());
    [bus, resolved]
}

/// Programs ask these.
pub(crate) fn ask_servers(servers: &[&str]) {
    let lines: String = servers
        .iter()
        .map(|one| format!("nameserver {one}\n"))
        .collect();
    write(
        "/etc/resolv.conf",
        &(lines + "options timeout:1 attempts:1\n"),
    );
}

/// A configuration file of this text, readable for everyone.
pub(crate) fn config(text: &str) -> PathBuf {
    static COUNT: AtomicU16 = AtomicU16::new(0);
    let path = format!("/run/host/unsix-{}.yaml", COUNT.fetch_add(1, Relaxed));
    write(&path, text);
    path.into()
}

/// What most tests run with.
pub(crate) fn usual() -> PathBuf {
    config(
        "listen: ['127.0.6.53:53', '[::1]:5300', '169.254.6.53:53']\nadmin: off\nthreads: 1\n\
         access: {allow: ['0.0.0.0/0', '::/0']}\n",
    )
}

/// A copy of the program where every user can reach it.
fn program() -> &'static str {
    const COPY: &str = "/run/host/unsix";
    if !Path::new(COPY).exists() {
        fs::copy(env!("CARGO_BIN_EXE_unsix"), COPY).unwrap();
    }
    COPY
}

/// The daemon, as a user of its own who may listen on port 53.
pub(crate) fn run(config: &Path) -> Program {
    let program = start_run(config);
    program.says("ready");
    program
}

/// The same without waiting.
pub(crate) fn start_run(config: &Path) -> Program {
    let script = format!(
        "exec setpriv --reuid {USER} --regid {USER} --clear-groups --inh-caps -all,+net_bind_service \
         --ambient-caps -all,+net_bind_service --bounding-set -all,+net_bind_service {} \"$@\"",
        program()
    );
    Program::start(config, &script)
}

/// attach, as root with one capability.
pub(crate) fn attach(mode: &str, config: &Path) -> Program {
    let script = format!(
        "exec setpriv --inh-caps -all --ambient-caps -all --bounding-set -all,+net_admin \
         \"$0\" attach --mode {mode} \"$2\" \"$3\""
    );
    Program::start(config, &script)
}

/// attach that ends by itself: its exit code, what it printed and what it complained of.
pub(crate) fn attach_once(
    before: &[&str],
    mode: &str,
    config: &Path,
) -> (Option<i32>, String, String) {
    let mut command = Command::new("timeout");
    command.arg("20").args(before).arg(program());
    command
        .args(["attach", "--mode", mode, "--config"])
        .arg(config);
    let ended = command.output().unwrap();
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    (
        ended.status.code(),
        text(&ended.stdout),
        text(&ended.stderr),
    )
}

/// Runs a command, and gives what it printed.
pub(crate) fn shell(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// getaddrinfo of the C library, by whatever /etc/resolv.conf says: how many IPv4 and IPv6 addresses?
pub(crate) fn lookup(name: &str) -> std::io::Result<(usize, usize)> {
    let found: Vec<SocketAddr> = (name, 443).to_socket_addrs()?.collect();
    let ipv4 = found.iter().filter(|address| address.is_ipv4()).count();
    Ok((ipv4, found.len() - ipv4))
}

/// Whether the system's own path gives IPv4 alone for the listed host, and both for the other.
pub(crate) fn is_cured() -> bool {
    let (listed, other) = (lookup(LISTED), lookup(OTHER));
    matches!(listed, Ok((1.., 0))) && matches!(other, Ok((1.., 1..)))
}

/// Whether it is as it was before.
pub(crate) fn is_as_before() -> bool {
    [LISTED, OTHER]
        .iter()
        .all(|name| matches!(lookup(name), Ok((1.., 1..))))
}

/// No link, no address, no table of ours.
pub(crate) fn nothing_is_left() {
    until("the kernel has taken it back", || {
        let links = shell(
            "ip -brief link; ip -brief address; nft list ruleset; ls /run/systemd/resolve/netif 2>/dev/null",
        );
        let ours = ["unsix", "169.254.6.53"]
            .iter()
            .any(|word| links.contains(word));
        (!ours && links.contains("uplink")).then_some(())
    });
}

/// How many IPv6 addresses the listed host has for a client that asks this server from this address.
pub(crate) fn sixes(client: &Client) -> usize {
    let reply = client.ask(&wire::query(7, LISTED, wire::AAAA));
    assert_eq!(wire::rcode_of(&reply), 0);
    sixes_in(&reply)
}

/// The same over TCP.
pub(crate) fn sixes_over_tcp(server: &str) -> usize {
    let mut connection = Connection::to(at(server));
    sixes_in(&connection.ask(wire::query(8, LISTED, wire::AAAA)))
}

fn sixes_in(reply: &[u8]) -> usize {
    wire::addresses(reply)
        .iter()
        .filter(|address| address.is_ipv6())
        .count()
}

/// Port 53 of it.
pub(crate) fn at(server: &str) -> SocketAddr {
    SocketAddr::new(server.parse::<IpAddr>().unwrap(), 53)
}
