//! The servers: knot, unbound before or behind us, and unsix itself.
//!
//! Each listens on loopback, on a port found free, and is ready when it is handed out.

use crate::Fallible;
use crate::needs::{find, resolved};
use crate::packet::Query;
use crate::process::{Folder, Process, command, wait_for};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Whether a server is up is asked with a question that each can answer.
const HELLO: Query<'static> = Query {
    name: "quay.io",
    kind: 6,
    edns: None,
};

/// The Internet as far as these tests need it, started when first looked at.
#[derive(Default)]
pub(crate) struct World {
    knot: OnceLock<Fallible<Server>>,
    resolver: OnceLock<Fallible<Server>>,
}

impl World {
    /// The authoritative server.
    pub(crate) fn knot(&self) -> Fallible<SocketAddr> {
        let server = self.knot.get_or_init(Server::knot).as_ref();
        Ok(server.map_err(Clone::clone)?.address)
    }

    /// The provider's resolver: what unsix has for an upstream in the field.
    pub(crate) fn resolver(&self) -> Fallible<SocketAddr> {
        let knot = self.knot()?;
        let start = || Server::unbound(include_str!("config/recursive.conf"), knot);
        let server = self.resolver.get_or_init(start).as_ref();
        Ok(server.map_err(Clone::clone)?.address)
    }
}

/// A server of somebody else's.
pub(crate) struct Server {
    _process: Process,
    _folder: Folder,
    pub(crate) address: SocketAddr,
}

impl Server {
    fn knot() -> Fallible<Self> {
        let template = include_str!("config/knot.conf");
        Self::start("knotd", &["-c"], template, None)
    }

    /// unbound, asking `upstream`.
    pub(crate) fn unbound(template: &str, upstream: SocketAddr) -> Fallible<Self> {
        Self::start("unbound", &["-d", "-c"], template, Some(upstream))
    }

    /// dnsdist, in front of `behind`.
    pub(crate) fn dnsdist(template: &str, behind: SocketAddr) -> Fallible<Self> {
        Self::start("dnsdist", &["--supervised", "-C"], template, Some(behind))
    }

    /// haproxy, in front of `behind`.
    pub(crate) fn haproxy(template: &str, behind: SocketAddr) -> Fallible<Self> {
        Self::start("haproxy", &["-db", "-f"], template, Some(behind))
    }

    /// stubby, asking `upstream` over TLS; `template` is its configuration.
    pub(crate) fn stubby(template: &str, upstream: SocketAddr) -> Fallible<Self> {
        Self::start("stubby", &["-C"], template, Some(upstream))
    }

    fn start(
        program: &str,
        options: &[&str],
        template: &str,
        upstream: Option<SocketAddr>,
    ) -> Fallible<Self> {
        let folder = Folder::new()?;
        let address = free_address()?;
        let zones = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/zones");
        let upstream = upstream.map_or(0, |upstream| upstream.port());
        let text = template
            .replace("{folder}", &folder.path().display().to_string())
            .replace("{zones}", &zones.display().to_string())
            .replace("{port}", &address.port().to_string())
            .replace("{upstream}", &upstream.to_string());
        // stubby reads its own language under this name alone; the others do not look at it.
        let file = folder.write("config.yml", &text)?;
        let mut server = command(&find(program).ok_or_else(|| format!("no {program}"))?);
        Self::run(server.args(options).arg(file), folder, address)
    }

    /// systemd-resolved, asking `upstream`. Only for a test that runs alone: its address is always the same.
    pub(crate) fn resolved(upstream: SocketAddr) -> Fallible<Self> {
        Self::resolved_as(&upstream.port().to_string(), None)
    }

    /// The same over TLS, where it trusts who is vouched for by `ca` and has that name.
    pub(crate) fn resolved_over_tls(upstream: SocketAddr, name: &str, ca: &Path) -> Fallible<Self> {
        Self::resolved_as(&format!("{}#{name}", upstream.port()), Some(ca))
    }

    fn resolved_as(upstream: &str, ca: Option<&Path>) -> Fallible<Self> {
        let folder = Folder::new()?;
        let script = folder.write("resolved.sh", include_str!("config/resolved.sh"))?;
        let mut unshare = command(&find("unshare").ok_or("no unshare")?);
        unshare.args(["--mount", "--", "sh"]).arg(script);
        unshare.arg(resolved().ok_or("no systemd-resolved")?);
        unshare.arg(upstream);
        unshare.arg(if ca.is_some() { "yes" } else { "no" });
        unshare.envs(ca.map(|ca| ("SSL_CERT_FILE", ca)));
        Self::run(
            &mut unshare,
            folder,
            SocketAddr::from(([127, 0, 0, 53], 53)),
        )
    }

    fn run(server: &mut Command, folder: Folder, address: SocketAddr) -> Fallible<Self> {
        let mut process = Process::start(server, &folder.path().join("said"))?;
        // A load balancer of connections knows no datagrams.
        let is_up = || HELLO.is_heard(address) || HELLO.over_tcp(address).is_ok();
        let up = wait_for(20, || match process.ended()? {
            Some(status) => Err(format!("{status}")),
            None => Ok(is_up().then_some(())),
        });
        up.map_err(|error| format!("{server:?}: {error}\n{}", process.said()))?;
        Ok(Self {
            _process: process,
            _folder: folder,
            address,
        })
    }
}

/// The program under test.
pub(crate) struct Unsix {
    process: Process,
    _folder: Folder,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
}

impl Unsix {
    /// Starts it before an upstream, with the lines of configuration that a test is about.
    pub(crate) fn start(upstream: SocketAddr, lines: &str) -> Fallible<Self> {
        let program = command(Path::new(env!("CARGO_BIN_EXE_unsix")));
        Self::start_as(program, "127.0.0.1:0", upstream, lines)
    }

    /// Starts it on an address of the test's choice.
    pub(crate) fn start_on(listen: &str, upstream: SocketAddr) -> Fallible<Self> {
        let program = command(Path::new(env!("CARGO_BIN_EXE_unsix")));
        Self::start_as(program, listen, upstream, "")
    }

    /// Starts it in the environment that the command brings.
    pub(crate) fn start_as(
        mut program: Command,
        listen: &str,
        upstream: SocketAddr,
        lines: &str,
    ) -> Fallible<Self> {
        let folder = Folder::new()?;
        let admin = free_address()?;
        let text = format!(
            "listen: [\"{listen}\"]\nupstreams: [\"{upstream}\"]\nadmin: {{listen: \"{admin}\"}}\n{lines}\n"
        );
        let file = folder.write("unsix.yaml", &text)?;
        let mut process = Process::start(
            program.arg("run").arg("--config").arg(file),
            &folder.path().join("said"),
        )?;
        let up = wait_for(20, || match process.ended()? {
            Some(status) => Err(format!("{status}")),
            None => Ok(listening(&process.said())),
        });
        let address = up.map_err(|error| format!("unsix: {error}\n{}", process.said()))?;
        Ok(Self {
            process,
            _folder: folder,
            address,
            admin,
        })
    }

    /// The sum of all samples on the metrics page that begin so.
    pub(crate) fn metric(&self, begin: &str) -> Fallible<u64> {
        let page = self
            .page("/metrics")
            .map_err(|error| format!("the admin page: {error}"))?;
        let samples = page.lines().filter(|line| line.starts_with(begin));
        let values: Vec<u64> = samples
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect();
        match values.is_empty() {
            true => Err(format!("no metric begins with {begin}\n{page}")),
            false => Ok(values.iter().sum()),
        }
    }

    fn page(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.admin)?;
        stream.set_read_timeout(Some(std::time::Duration::from_secs(5)))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: unsix\r\nConnection: close\r\n\r\n"
        )?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        Ok(page)
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(&mut self) -> Fallible<ExitStatus> {
        self.process.terminate()
    }

    /// Its log, for messages.
    pub(crate) fn said(&self) -> String {
        self.process.said()
    }
}

/// The address in the log, once all stands.
fn listening(log: &str) -> Option<SocketAddr> {
    let address = log.split("listening address=").nth(1)?;
    log.contains("INFO ready")
        .then(|| address.split_whitespace().next()?.parse().ok())?
}

/// An address whose port nobody has, over UDP and TCP.
///
/// Below the ports that systems give to clients (32768 by default), so that none of the many sockets
/// opened meanwhile takes it; counted on, so that no two servers of ours get the same.
pub(crate) fn free_address() -> Fallible<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 10_000).unwrap_or_default();
    for _ in 0..10_000 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (start + step % 10_000) % 10_000;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err("no port is free".to_owned())
}
