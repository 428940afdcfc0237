//! A network of a test's own: this host, a router whose links are its tests' to narrow and to filter, and a server far away.
//!
//! Everything here runs inside the namespaces that the test program made.

use super::{namespace, until};
use libtest_mimic::{Arguments, Failed, Trial};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};
use std::env;
use std::fs::File;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// `here` - `router` - `far`. Duplicate address detection would keep IPv6 waiting.
pub(crate) const SETUP: &str = "mount --make-rprivate / && mount -t tmpfs none /run && mkdir /run/netns \
    && ip netns add router && ip netns add far \
    && ip link add here type veth peer name left netns router \
    && ip -n router link add right type veth peer name far netns far \
    && ip address add 192.0.2.2/24 dev here && ip address add 2001:db8:a::2/64 dev here nodad \
    && ip -n router address add 192.0.2.1/24 dev left && ip -n router address add 2001:db8:a::1/64 dev left nodad \
    && ip -n router address add 198.51.100.1/24 dev right && ip -n router address add 2001:db8:b::1/64 dev right nodad \
    && ip -n far address add 198.51.100.2/24 dev far && ip -n far address add 2001:db8:b::2/64 dev far nodad \
    && ip link set here up && ip -n router link set left up && ip -n router link set right up \
    && ip -n far link set far up && ip -n far link set lo up \
    && ip netns exec router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 \
    && ip route add default via 192.0.2.1 && ip route add default via 2001:db8:a::1 \
    && ip -n far route add default via 198.51.100.1 && ip -n far route add default via 2001:db8:b::1";

/// The server far away.
pub(crate) const FAR: &str = "198.51.100.2";
pub(crate) const FAR6: &str = "2001:db8:b::2";
pub(crate) const PORT: u16 = 443;

/// A TLS server far away, for both families and for as long as the test lasts. Its first flight is larger than a segment.
pub(crate) fn server() {
    let made = rcgen::generate_simple_self_signed(names()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.into()], key);
    let config = Arc::new(config.unwrap());
    serve(PORT, move |mut stream| {
        let mut server = ServerConnection::new(Arc::clone(&config)).unwrap();
        // How a client leaves is its own affair.
        let _ = server.complete_io(&mut stream);
    });
}

/// Does this with each connection to a port far away, over both families and for as long as the test lasts.
pub(crate) fn serve(port: u16, with: impl Fn(TcpStream) + Clone + Send + 'static) {
    let (ready, is_ready) = mpsc::channel();
    thread::spawn(move || {
        // A socket belongs to the network that its thread was in when it was opened.
        let far = File::open("/run/netns/far").unwrap();
        move_into_link_name_space(far.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        let listener = TcpListener::bind(("::", port)).unwrap();
        ready.send(()).unwrap();
        for stream in listener.incoming().flatten() {
            let with = with.clone();
            thread::spawn(move || with(stream));
        }
    });
    is_ready.recv().unwrap();
}

/// Many, so that a certificate of theirs is large.
pub(crate) fn names() -> Vec<String> {
    (0..80)
        .map(|number| format!("{number}.registry.example"))
        .collect()
}

/// Waits until both families reach the far side: links and neighbors take their time to know each other.
pub(crate) fn settle() {
    const CLOSED: u16 = 1;
    for address in [FAR, FAR6] {
        let address = SocketAddr::new(address.parse::<IpAddr>().unwrap(), CLOSED);
        until("the network stands", || {
            let tried = TcpStream::connect_timeout(&address, Duration::from_millis(100));
            let is_refused = tried.unwrap_err().kind() == ErrorKind::ConnectionRefused;
            is_refused.then_some(())
        });
    }
}

/// Packets larger than any IPv6 link must carry end at the router; `tells` says whether it tells so.
pub(crate) fn narrow(tells: bool) {
    shell("ip -n router link set left mtu 1280 && ip -n router link set right mtu 1280");
    if !tells {
        silence();
    }
}

/// The same without a word, on the way to one address alone.
pub(crate) fn narrow_to(address: &str) {
    shell(&format!(
        "ip -n router -6 route add {address}/128 dev right mtu lock 1280"
    ));
    silence();
}

fn silence() {
    filter("chain out { type filter hook output priority 0; icmpv6 type packet-too-big drop; }");
}

/// What the router does with packets that match, on their way to the server.
pub(crate) fn on_the_way(rule: &str) {
    filter(&format!(
        "chain way {{ type filter hook forward priority 0; iifname left {rule}; }}"
    ));
}

fn filter(chain: &str) {
    assert!(namespace::is_inside(), "the machine's own stays as it is");
    let table = format!("table inet way {{ {chain}\n }}");
    shell(&format!("ip netns exec router nft '{table}'"));
}

/// Runs a command that must succeed.
pub(crate) fn shell(line: &str) {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
}

/// Programs that every such network takes, and the Debian packages that they come with.
const NEEDS: [(&str, &str); 3] = [
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("sysctl", "procps"),
];

/// Runs the tests that the command line asks for, each in a network of its own, which most users can make. What is missing is
/// said in the test's name.
pub(crate) fn run(
    tests: &[(&'static str, fn())],
    needs: &[(&'static str, &'static str)],
) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They wait most of the time.
    arguments.test_threads.get_or_insert(8);
    let missing = if namespace::is_inside() {
        None
    } else {
        missing(needs)
    };
    let trials = tests
        .iter()
        .map(|(name, run)| trial(name, *run, missing.as_ref()));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn trial(name: &'static str, run: fn(), missing: Option<&(String, bool)>) -> Trial {
    let Some((reason, could_be_installed)) = missing.cloned() else {
        return Trial::test(name, move || {
            if namespace::is_inside() {
                settle();
                run();
                return Ok(());
            }
            namespace::run_inside(name, SETUP)
                .map(|_| ())
                .map_err(Failed::from)
        });
    };
    let must = could_be_installed && env::var_os("CI").is_some();
    let name = match must {
        true => name.to_owned(),
        false => format!("{name} [ignored: {reason}]"),
    };
    Trial::test(name, || Err(Failed::from(reason))).with_ignored_flag(!must)
}

/// What these tests lack here, and whether `.ci/run` could bring it.
fn missing(needs: &[(&str, &str)]) -> Option<(String, bool)> {
    let is_here = |program: &str| {
        let path = env::var_os("PATH").unwrap_or_default();
        let servers = ["/usr/sbin", "/sbin"].map(PathBuf::from);
        env::split_paths(&path)
            .chain(servers)
            .any(|folder| folder.join(program).is_file())
    };
    let mut all = NEEDS.iter().chain(needs);
    if let Some((program, package)) = all.find(|(program, _)| !is_here(program)) {
        return Some((format!("no {program}, install {package}"), true));
    }
    let reason = namespace::possible(SETUP).err()?;
    Some((format!("no network of its own: {reason}"), false))
}
