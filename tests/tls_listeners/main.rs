//! Clients over TLS, HTTPS and QUIC: what they get, what they must prove and see proved, and what they cannot do to others.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "functions beside the tests are not exempt"
)]

mod balancers;
mod certificates;
#[path = "../daemon/mod.rs"]
mod daemon;
mod faults;
#[cfg(feature = "doh")]
mod https;
#[cfg(feature = "doq")]
mod quic;
mod serving;

use daemon::authority::Authority;
use daemon::client::Connection;
use daemon::files::Folder;
use daemon::http;
use daemon::tls::Secured;
use daemon::upstream::Upstream;
use daemon::wire;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use socket2::{Domain, Socket, Type};
use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use unsix::config::Config;
use unsix::daemon::{Daemon, Watch};

const NAME: &str = "dns.example";

/// A daemon that hears over TLS, and who vouches for it.
struct World {
    daemon: Daemon,
    watch: Watch,
    upstream: Upstream,
    authority: Authority,
    client: Arc<ClientConfig>,
    folder: Folder,
}

impl World {
    fn new(upstream: Upstream) -> Self {
        Self::with(upstream, RULES)
    }

    /// With these lines in its file.
    fn with(upstream: Upstream, lines: &str) -> Self {
        allow_descriptors();
        let (authority, folder) = (Authority::new(), Folder::new());
        write_pair(&folder, authority.issue(&[NAME]));
        let text = config(&upstream, lines);
        let file = folder.write("unsix.yaml", &text);
        let config = Config::read(&text).unwrap().beside(&file);
        let daemon = Daemon::start(&config, None).unwrap();
        let watch = daemon.watch(Some(file), config);
        let client = Arc::new(authority.trusted_by(&[&TLS13, &TLS12]));
        Self {
            daemon,
            watch,
            upstream,
            authority,
            client,
            folder,
        }
    }

    /// Changes the certificate 20 times; `shown` connects anew and tells which one it saw.
    fn change_certificates(
        &mut self,
        shown: impl Fn(Arc<ClientConfig>) -> CertificateDer<'static>,
    ) {
        let mut seen = HashSet::new();
        for round in 0..20 {
            write_pair(&self.folder, self.authority.issue(&[NAME]));
            // Seen twice, or told: both ways.
            if round % 2 == 0 {
                self.watch.poll();
                self.watch.poll();
            } else {
                self.watch.reload();
            }
            let fresh = Arc::new(self.authority.trusted_by(&[&TLS13]));
            assert!(seen.insert(shown(fresh)), "a new one from round {round} on");
            thread::sleep(daemon::millis(50));
        }
    }

    fn tls(&self) -> SocketAddr {
        self.daemon.encrypted()[0].address
    }

    #[cfg(feature = "doh")]
    fn https(&self) -> SocketAddr {
        self.daemon.encrypted()[1].address
    }

    #[cfg(feature = "doq")]
    fn quic(&self) -> SocketAddr {
        self.daemon.encrypted().last().unwrap().address
    }

    fn connect(&self) -> Connection<Secured> {
        Connection::secured(self.tls(), NAME, &self.client).unwrap()
    }

    fn page(&self, path: &str) -> String {
        http::get(self.daemon.admin_address().unwrap(), path).1
    }

    fn metric(&self, name: &str) -> f64 {
        http::samples(&self.page("/metrics")).unwrap()[name]
    }
}

const RULES: &str = "rules: [{hosts: [hub.example]}]";

fn config(upstream: &Upstream, lines: &str) -> String {
    let https = if cfg!(feature = "doh") {
        ", \"https://127.0.0.1:0\""
    } else {
        ""
    };
    let quic = if cfg!(feature = "doq") {
        ", \"quic://127.0.0.1:0\""
    } else {
        ""
    };
    format!(
        "listen: [\"127.0.0.1:0\", \"tls://127.0.0.1:0\"{https}{quic}]\ntls: {{certificate: cert.pem, key: key.pem}}\n\
         admin: {{listen: \"127.0.0.1:0\"}}\nupstreams: [\"{}\"]\n{lines}\n",
        upstream.address
    )
}

fn write_pair(folder: &Folder, (certificate, key): (String, String)) -> [PathBuf; 2] {
    [
        folder.write("cert.pem", certificate),
        folder.write("key.pem", key),
    ]
}

/// Floods need more than the usual 1,024.
fn allow_descriptors() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}

/// Those that measure times have two cores at best: one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn question(id: u16) -> Vec<u8> {
    wire::query(id, "www.example", wire::A)
}

/// A connection from an address of ours.
fn from(address: Ipv4Addr, server: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
    socket.connect(&server.into()).unwrap();
    socket.into()
}
