//! A network of a test's own: this host, a router whose links are its tests' to narrow and to filter, and a server far away.
//!
//! Everything here runs inside the namespaces that `main.rs` made.

use crate::daemon::{namespace, until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;
use unsix::probe::{Finding, Limits, Target, probe};

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
const HOST: &str = "registry.example";

/// Shorter than people wait. But a veth delivers within the call that sends, when the kernel cannot pass on yet what a router
/// says of a SYN: it takes the second one, a second later.
pub(crate) const LIMITS: Limits = Limits {
    connect: Duration::from_millis(1500),
    tls: Duration::from_millis(2000),
    beside: Duration::from_millis(500),
};

/// A TLS server far away, for both families and for as long as the test lasts. Its first flight is larger than a segment.
pub(crate) fn server() {
    let made = rcgen::generate_simple_self_signed(names()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.into()], key);
    let config = Arc::new(config.unwrap());
    let (ready, is_ready) = mpsc::channel();
    thread::spawn(move || {
        // A socket belongs to the network that its thread was in when it was opened.
        let far = File::open("/run/netns/far").unwrap();
        move_into_link_name_space(far.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        let listener = TcpListener::bind(("::", PORT)).unwrap();
        ready.send(()).unwrap();
        for mut stream in listener.incoming().flatten() {
            let mut server = ServerConnection::new(Arc::clone(&config)).unwrap();
            // How a client leaves is its own affair.
            thread::spawn(move || server.complete_io(&mut stream).map(drop));
        }
    });
    is_ready.recv().unwrap();
}

/// Another server, which serves one client after the other.
pub(crate) struct Openssl(Child);

impl Openssl {
    pub(crate) fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(names()).unwrap();
        fs::write("/run/cert", made.cert.pem()).unwrap();
        fs::write("/run/key", made.signing_key.serialize_pem()).unwrap();
        let mut openssl = Command::new("ip");
        openssl.args(["netns", "exec", "far", "openssl", "s_server", "-quiet"]);
        openssl.args(["-accept", "443", "-cert", "/run/cert", "-key", "/run/key"]);
        let openssl = openssl.stdin(Stdio::piped()).stdout(Stdio::null());
        let server = Self(openssl.spawn().unwrap());
        until("openssl", || TcpStream::connect((FAR6, PORT)).ok());
        server
    }
}

impl Drop for Openssl {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn names() -> Vec<String> {
    (0..80).map(|number| format!("{number}.{HOST}")).collect()
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
        filter(
            "chain out { type filter hook output priority 0; icmpv6 type packet-too-big drop; }",
        );
    }
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

/// Probes port 443 there.
pub(crate) fn probed(address: &str) -> Finding {
    probed_at(address, PORT)
}

/// Probes another port.
pub(crate) fn probed_at(address: &str, port: u16) -> Finding {
    runtime().block_on(attempt(address, port)).unwrap()
}

/// Probes port 443 of the far side while this process may open nothing more.
pub(crate) fn probed_without_descriptors() -> io::Result<Finding> {
    let runtime = runtime();
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = Some(0);
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
    runtime.block_on(attempt(FAR, PORT))
}

fn runtime() -> tokio::runtime::Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap()
}

async fn attempt(address: &str, port: u16) -> io::Result<Finding> {
    let address = SocketAddr::new(address.parse::<IpAddr>().unwrap(), port);
    probe(Target::new(address, HOST), LIMITS).await
}
