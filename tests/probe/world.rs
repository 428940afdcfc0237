//! Probes, and a server of another kind.
//!
//! Everything here runs inside the namespaces that `main.rs` made.

use crate::daemon::network::{FAR, FAR6, PORT, names};
use crate::daemon::until;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use unsix::probe::{Finding, Limits, Target, probe};

const HOST: &str = "registry.example";

/// Shorter than people wait. But a veth delivers within the call that sends, when the kernel cannot pass on yet what a router
/// says of a SYN: it takes the second one, a second later.
pub(crate) const LIMITS: Limits = Limits {
    connect: Duration::from_millis(1500),
    tls: Duration::from_millis(2000),
    beside: Duration::from_millis(500),
};

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
