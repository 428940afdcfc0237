//! A started server: its files written, its process pinned to a core and ready when it has answered a query. Dropping ends it.

use crate::clock::now;
use crate::machine::{Usage, pin, pin_process};
use crate::peer::Peer;
use crate::scenario::Rules;
use crate::wire::{CERTIFICATE, KEY};
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a server is started for.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Where it listens.
    pub(crate) listen: Ipv4Addr,
    /// Whom it asks; nobody, if it is itself an upstream.
    pub(crate) upstream: SocketAddr,
    /// The scenario, whose encrypted carrier it may have to speak.
    pub(crate) scenario: &'a str,
    /// What it filters.
    pub(crate) rules: Rules,
    /// How many threads serve.
    pub(crate) threads: usize,
    /// MiB of its cache.
    pub(crate) cache_mib: u32,
    /// The cores it runs on.
    pub(crate) cores: &'a [usize],
    /// The core we run on.
    pub(crate) ours: usize,
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    /// Where it is asked.
    pub(crate) address: SocketAddr,
    /// The same over an encrypted carrier.
    pub(crate) encrypted: SocketAddr,
    folder: PathBuf,
    /// From its start to its first answer.
    pub(crate) start: Duration,
}

impl Server {
    /// Starts it and waits until it answers.
    pub(crate) fn start(peer: &Peer, place: Place<'_>) -> io::Result<Self> {
        let about = |error: io::Error| io::Error::other(format!("{}: {error}", peer.name));
        let program = peer
            .find()
            .ok_or_else(|| about(io::ErrorKind::NotFound.into()))?;
        let port = free_port(place.listen)?;
        let encrypted_port = free_port(place.listen)?;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("compare-{}", std::process::id()))
            .join(format!("{}-{port}", peer.name));
        fs::create_dir_all(&folder)?;
        let ports = [port, encrypted_port];
        let fill = |text: &str| fill(peer, place, ports, &folder, text);
        for (name, text) in crate::wire::identity() {
            fs::write(folder.join(name), text)?;
        }
        for (name, text) in &peer.files {
            fs::write(folder.join(name), fill(text))?;
        }
        let log = File::create(folder.join(LOG))?;
        let mut command = Command::new(program);
        command
            .args(peer.run.iter().map(|argument| fill(argument)))
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let started = now();
        // A process is born where its parent runs: so all its threads are there from the first instruction on.
        pin(place.cores)?;
        let child = command.spawn();
        pin(&[place.ours])?;
        let mut server = Self {
            child: child.map_err(about)?,
            address: (reachable(place.listen), port).into(),
            encrypted: (reachable(place.listen), encrypted_port).into(),
            folder,
            start: Duration::ZERO,
        };
        server.wait_until_ready(started).map_err(about)?;
        pin_process(server.child.id(), place.cores).map_err(about)?;
        Ok(server)
    }

    /// CPU time and memory so far.
    pub(crate) fn usage(&self) -> io::Result<Usage> {
        Usage::of(self.child.id())
    }

    /// What went wrong in a run; of a server that has ended, with its last words.
    pub(crate) fn blame(&mut self, error: io::Error) -> io::Error {
        match self.child.try_wait() {
            Ok(Some(status)) => io::Error::other(format!(
                "{error}: it ended ({status}); it said:\n{}",
                self.last_words()
            )),
            _ => error,
        }
    }

    fn wait_until_ready(&mut self, started: Instant) -> io::Result<()> {
        while !answers(self.address)? {
            let ended = self.child.try_wait()?.is_some();
            if ended || started.elapsed() > READY {
                let why = if ended { "ended" } else { "does not answer" };
                return Err(io::Error::other(format!(
                    "it {why} after its start; it said:\n{}",
                    self.last_words()
                )));
            }
        }
        self.start = started.elapsed();
        Ok(())
    }

    fn last_words(&self) -> String {
        let log = fs::read(self.folder.join(LOG)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<_> = log.lines().collect();
        let last = lines.len().saturating_sub(LAST_LINES);
        lines.get(last..).unwrap_or_default().join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, and its folder may be gone: nothing is left to be done then.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

const LOG: &str = "output.log";
/// Lines of it that are shown where something went wrong.
const LAST_LINES: usize = 40;
/// The longest a start may take.
const READY: Duration = Duration::from_secs(15);

/// Who listens everywhere is asked over loopback.
fn reachable(listen: Ipv4Addr) -> Ipv4Addr {
    if listen.is_unspecified() {
        Ipv4Addr::LOCALHOST
    } else {
        listen
    }
}

/// A port that nobody had a moment ago, over UDP and TCP.
fn free_port(address: Ipv4Addr) -> io::Result<u16> {
    for _ in 0..100 {
        let port = UdpSocket::bind((address, 0))?.local_addr()?.port();
        if TcpListener::bind((address, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// Puts the values in the places of their placeholders.
fn fill(
    peer: &Peer,
    place: Place<'_>,
    [port, encrypted_port]: [u16; 2],
    folder: &Path,
    text: &str,
) -> String {
    let each =
        |template: &Option<String>, placeholder: &str, values: &mut dyn Iterator<Item = String>| {
            let template = template.as_deref().unwrap_or_default();
            values
                .map(|value| template.replace(placeholder, &value))
                .collect::<String>()
        };
    let encrypted = peer
        .encrypted
        .get(place.scenario)
        .map_or("", String::as_str);
    let text = text
        .replace("{encrypted}", encrypted)
        .replace("{encrypted_port}", &encrypted_port.to_string())
        .replace(
            "{certificate}",
            &folder.join(CERTIFICATE).display().to_string(),
        )
        .replace("{key}", &folder.join(KEY).display().to_string())
        .replace("{address}", &place.listen.to_string())
        .replace("{port}", &port.to_string())
        .replace("{upstream_address}", &place.upstream.ip().to_string())
        .replace("{upstream_port}", &place.upstream.port().to_string())
        .replace("{threads}", &place.threads.to_string())
        .replace("{cache_mib}", &place.cache_mib.to_string())
        .replace("{half_cache_mib}", &(place.cache_mib / 2).to_string())
        .replace("{dir}", &folder.display().to_string());
    if !text.contains("{hosts}") && !text.contains("{ranges}") {
        return text;
    }
    text.replace(
        "{hosts}",
        &each(&peer.host, "{host}", &mut place.rules.hosts()),
    )
    .replace(
        "{ranges}",
        &each(&peer.range, "{range}", &mut place.rules.ranges()),
    )
}

/// Asks for a name that every upstream here knows, and waits a moment for an answer with a record.
fn answers(server: SocketAddr) -> io::Result<bool> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(Duration::from_millis(20)))?;
    let mut reply = [0; 512];
    let length = match socket
        .send(READY_QUERY)
        .and_then(|_| socket.recv(&mut reply))
    {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        // It does not listen yet.
        Err(_) => {
            std::thread::sleep(Duration::from_millis(1));
            0
        }
    };
    let Some(&[_, _, flags, code, _, _, _, records, ..]) = reply.get(..length) else {
        return Ok(false);
    };
    Ok(flags & 0x80 != 0 && code & 0x0f == 0 && records > 0)
}

/// `ready.bench.test. A`, RD=1.
const READY_QUERY: &[u8] =
    b"\x75\x36\x01\0\0\x01\0\0\0\0\0\0\x05ready\x05bench\x04test\0\0\x01\0\x01";
