//! The daemon in a network of its own: port 53, the addresses that samples name, a host without IPv6.
//!
//! This program starts itself again inside, for the one test that needs it. Where no such network can be
//! had, the test is ignored and its name says why; it never passes unrun.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod daemon;

use daemon::client::{Client, ask};
use daemon::files::Folder;
use daemon::namespace::Test;
use daemon::ports::guess_ports_and_ids;
use daemon::program::Program;
use daemon::samples::{sample, serves};
use daemon::upstream::{Upstream, at_once, usual};
use daemon::{http, wire};
use libtest_mimic::Arguments;
use socket2::{Domain, Socket, Type};
use std::fs::{self, Permissions};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, ExitCode};

#[rustfmt::skip]
const TESTS: &[Test] = &[
    Test { name: "host", setup: ADDRESSES, run: host },
    Test { name: "node", setup: NAMED, run: node },
    Test { name: "coredns", setup: NAMED, run: coredns },
    Test { name: "sidecar", setup: NAMED, run: sidecar },
    Test { name: "node_cache", setup: NAMED, run: node_cache },
    Test { name: "the_right_to_port_53_comes_from_the_programs_file", setup: OTHER_USER, run: right_of_the_file },
    Test { name: "without_ipv6_one_warning_and_it_serves", setup: NO_IPV6, run: without_ipv6 },
    Test { name: "without_a_usable_name_server_the_start_says_what_to_write", setup: NO_NAME_SERVER, run: without_name_server },
    Test { name: "a_link_local_address_is_listened_on_before_it_exists", setup: "true", run: link_local },
    Test { name: "ports_and_ids_of_queries_to_an_upstream_elsewhere_are_not_to_be_guessed", setup: ADDRESSES, run: ports_and_ids },
];

/// The addresses that the samples name, all on this host.
const ADDRESSES: &str = "ip address add 192.0.2.53/32 dev lo && ip address add 192.0.2.54/32 dev lo \
    && ip address add 10.96.0.10/32 dev lo && ip address add 10.0.0.7/32 dev lo";

/// The same, and a resolv.conf that names the first two.
const NAMED: &str = "ip address add 192.0.2.53/32 dev lo && ip address add 192.0.2.54/32 dev lo \
    && ip address add 10.96.0.10/32 dev lo && ip address add 10.0.0.7/32 dev lo \
    && mount --make-rprivate / && mount -t tmpfs none /mnt \
    && printf 'nameserver 192.0.2.53\nnameserver 192.0.2.54\n' > /mnt/resolv.conf \
    && mount --bind /mnt/resolv.conf /etc/resolv.conf";

/// Who is root of a user namespace alone cannot become somebody else.
const OTHER_USER: &str =
    "setpriv --reuid=65532 --regid=65532 --clear-groups true && command -v setcap >/dev/null";

const NO_ROOT: &str = "setpriv --reuid=65532 --regid=65532 --clear-groups";

const NO_IPV6: &str = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6";

const NO_NAME_SERVER: &str = "mount --make-rprivate / && mount --bind /dev/null /etc/resolv.conf";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = TESTS.iter().map(Test::trial).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// An upstream on port 53, beside a listener on every address: what is bound closer hears first.
fn upstream(address: &str) -> Upstream {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    let address = SocketAddr::new(address.parse().unwrap(), 53);
    socket.bind(&address.into()).unwrap();
    Upstream::on(socket.into(), None, |asked| at_once(usual(&asked.packet)))
}

fn host() {
    let (first, _second) = (upstream("192.0.2.53"), upstream("192.0.2.54"));
    let program = Program::serve(&sample("host.yaml"));
    assert_eq!(program.address(), "127.0.6.53:53".parse().unwrap());
    serves(program.address(), "127.0.0.1");
    assert!(
        !first.asked("www.example.").is_empty(),
        "the first one is asked"
    );
    assert_eq!(program.count(" WARN "), 0);
}

fn node() {
    let (first, _second) = (upstream("192.0.2.53"), upstream("192.0.2.54"));
    let program = Program::serve(&sample("node.yaml"));
    serves(program.address(), "127.0.0.1");
    // As what is redirected comes: from an address of the node.
    serves("127.0.6.53:53".parse().unwrap(), "192.0.2.54");
    assert!(!first.asked("www.example.").is_empty());
    assert_eq!(
        http::get("127.0.0.1:9353".parse().unwrap(), "/ready").0,
        200
    );
    assert_eq!(program.count(" WARN "), 0);
}

fn coredns() {
    let (first, _second) = (upstream("192.0.2.53"), upstream("192.0.2.54"));
    let program = Program::serve(&sample("coredns.yaml"));
    serves("10.0.0.7:5300".parse().unwrap(), "10.0.0.7");
    assert!(!first.asked("www.example.").is_empty());
    let outside = Client::from("192.0.2.54", "10.0.0.7:5300".parse().unwrap());
    let reply = outside.ask(&wire::query(4, "www.example", wire::A));
    assert_eq!(
        wire::rcode_of(&reply),
        wire::REFUSED,
        "a client outside the pods' networks"
    );
    assert_eq!(http::get("10.0.0.7:9353".parse().unwrap(), "/ready").0, 200);
    assert_eq!(program.count(" ERROR "), 0);
}

fn sidecar() {
    let (first, _second) = (upstream("192.0.2.53"), upstream("192.0.2.54"));
    let program = Program::serve(&sample("sidecar.yaml"));
    assert_eq!(program.address(), "127.0.0.1:5300".parse().unwrap());
    serves(program.address(), "127.0.0.1");
    assert!(!first.asked("www.example.").is_empty());
    assert_eq!(http::get("10.0.0.7:9353".parse().unwrap(), "/live").0, 200);
    assert_eq!(program.count(" WARN "), 0);
}

fn node_cache() {
    let (first, _second) = (upstream("192.0.2.53"), upstream("192.0.2.54"));
    let cluster = upstream("10.96.0.10");
    let program = Program::serve(&sample("node-cache.yaml"));
    let server = "10.0.0.7:5300".parse().unwrap();
    serves(server, "10.0.0.7");
    let client = Client::from("10.0.0.7", server);
    client.ask(&wire::query(2, "api.default.svc.cluster.local", wire::A));
    client.ask(&wire::query(3, "7.0.0.10.in-addr.arpa", 12));
    assert_eq!(cluster.asked_below(".cluster.local.").len(), 1);
    assert_eq!(cluster.asked_below(".in-addr.arpa.").len(), 1);
    assert_eq!(cluster.asked("www.example.").len(), 0);
    assert_eq!(first.asked_below(".cluster.local.").len(), 0);
    assert_eq!(program.count(" WARN "), 0);
}

/// As in the image: no root, and the file permits the capability without making it effective.
fn right_of_the_file() {
    let upstream = Upstream::plain();
    let folder = Folder::new();
    let program = folder.write("unsix", fs::read(env!("CARGO_BIN_EXE_unsix")).unwrap());
    for (path, mode) in [(program.parent().unwrap(), 0o711), (&program, 0o755)] {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let config = format!(
        "listen: [\"127.0.6.53:53\"]\nadmin: off\nupstreams: [\"{}\"]\n",
        upstream.address
    );
    let file = folder.write("unsix.yaml", config);
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let run = |bounding: &str| {
        let program = program.display();
        let script = format!("exec {NO_ROOT} --bounding-set={bounding} {program} \"$@\"");
        Program::start(&file, &script)
    };
    run("-all,+net_bind_service").says("ports below 1024 need root");
    let mut set = Command::new("setcap");
    set.arg("cap_net_bind_service=p").arg(&program);
    assert!(set.status().unwrap().success());
    // It starts all the same where there is no such right to be had.
    run("-all").says("ports below 1024 need root");
    let served = run("-all,+net_bind_service");
    served.says("ready");
    assert_eq!(served.address(), "127.0.6.53:53".parse().unwrap());
}

fn without_ipv6() {
    let upstream = Upstream::plain();
    let folder = Folder::new();
    let both = format!(
        "listen: [\"127.0.0.1:0\", \"[::1]:0\"]\nadmin: {{listen: \"127.0.0.2:0\"}}\nupstreams: [\"{}\"]\n",
        upstream.address
    );
    let program = Program::serve(&folder.write("unsix.yaml", &both));
    assert_eq!(program.count(" WARN "), 1, "{:#?}", program.lines());
    program.says("cannot listen on [::1]:0: this host has no IPv6");
    assert_eq!(
        wire::addresses(&ask(program.address(), "www.example", wire::A)).len(),
        1
    );

    let none = both.replace("\"127.0.0.1:0\", ", "");
    let file = folder.write("none.yaml", none);
    let ended = daemon::program::run(&["run", "--config", file.to_str().unwrap()]);
    assert_eq!(
        (ended.code, ended.err.lines().count()),
        (69, 1),
        "{}",
        ended.err
    );
}

fn without_name_server() {
    let folder = Folder::new();
    let file = folder.write("unsix.yaml", "listen: [\"127.0.0.1:0\"]\nadmin: off\n");
    let ended = daemon::program::run(&["run", "--config", file.to_str().unwrap()]);
    assert_eq!(ended.code, 78, "{ended:?}");
    assert!(
        ended
            .err
            .contains("write the name servers to ask, as in `upstreams: [192.0.2.53]`"),
        "{ended:?}"
    );
}

fn link_local() {
    let upstream = Upstream::plain();
    let folder = Folder::new();
    let config = format!(
        "listen: [\"169.254.6.53:53\", \"127.0.6.53:53\"]\nadmin: off\nupstreams: [\"{}\"]\n",
        upstream.address
    );
    let program = Program::serve(&folder.write("unsix.yaml", &config));
    let link_local = program.address();
    assert_eq!(link_local, "169.254.6.53:53".parse().unwrap());
    let added = Command::new("ip")
        .args(["address", "add", "169.254.6.53/32", "dev", "lo"])
        .status();
    assert!(added.unwrap().success());
    assert_eq!(
        wire::addresses(&ask(link_local, "www.example", wire::A)).len(),
        1
    );

    let elsewhere = config.replace("169.254.6.53", "192.0.2.53");
    let file = folder.write("elsewhere.yaml", elsewhere);
    let ended = daemon::program::run(&["run", "--config", file.to_str().unwrap()]);
    assert_eq!(ended.code, 69, "{ended:?}");
    assert!(
        ended
            .err
            .contains("no interface of this host has that address"),
        "{ended:?}"
    );
}

fn ports_and_ids() {
    let socket = UdpSocket::bind("192.0.2.53:0").unwrap();
    let far = Upstream::on(socket, None, |asked| at_once(usual(&asked.packet)));
    guess_ports_and_ids(&far, 190);
}
