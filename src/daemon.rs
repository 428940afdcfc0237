//! Puts it all together: opens sockets, starts threads, and ends them in order.
//!
//! Start: bind everything (so that a busy port stops us before anything runs), then the workers, then
//! streams and the admin page, then the self-query that makes us ready. Stop: not ready, no new
//! connections; datagrams are served until nothing is in flight (3 s at most), then threads end.
//!
//! ```no_run
//! let config = unsix::config::Config::default();
//! let daemon = unsix::daemon::Daemon::start(&config, None)?;
//! println!("{:?}", daemon.addresses());
//! daemon.stop();
//! # Ok::<(), unsix::daemon::StartError>(())
//! ```

mod bind;
mod certificate;
mod page;
mod ready;
mod streams;
mod watch;

use crate::config::{Config, Listener, Server};
use crate::listen::passed::Passed;
use crate::listen::sockets::{self, BindError, Ear};
use crate::listen::worker::{Parts, Worker};
use crate::listen::{Clock, Connections, Counter, Errand, Inbox};
use crate::log::Log;
use crate::metrics;
use crate::pipeline::{Duty, Fetches, Identity, Pipeline};
use crate::prober::Prober;
use crate::time::Moment;
use crate::upstream::secure::{self, Secure, TrustError};
use crate::upstream::system::{self, SystemError};
use rustix::process::{Resource, geteuid, getrlimit};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread::{self, JoinHandle};
use tokio::sync::watch as signal;

pub use watch::{Reloaded, Watch};

/// A running daemon. Dropping it stops it without waiting.
pub struct Daemon {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    encrypted: Vec<Listener>,
    admin: Option<SocketAddr>,
    stop: signal::Sender<bool>,
    workers: Vec<JoinHandle<()>>,
    streams: Option<JoinHandle<()>>,
}

/// What the daemon's threads and its pages share.
pub(crate) struct Shared {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) prober: Arc<Prober>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) inboxes: Vec<Arc<Inbox>>,
    pub(crate) counts: Vec<Arc<metrics::Worker>>,
    pub(crate) rules: Arc<metrics::Rules>,
    pub(crate) secure: Arc<Secure>,
    pub(crate) clock: Clock,
    pub(crate) pulses: Vec<Arc<AtomicU64>>,
    pub(crate) stage: signal::Sender<ready::Stage>,
    /// A worker ended on its own: nothing will be right until somebody restarts us.
    pub(crate) broken: AtomicBool,
    pub(crate) reloads: watch::Reloads,
    pub(crate) encryption: Option<certificate::Encryption>,
    pub(crate) log: Option<Log>,
}

/// Why the daemon cannot start.
#[derive(Debug)]
pub enum StartError {
    /// No address can be listened on, or one is busy.
    Bind(BindError),
    /// The admin address cannot be listened on.
    Admin(SocketAddr, io::Error),
    /// The certificate or its key cannot be used.
    Certificate(String),
    /// The system names no usable upstream.
    Upstreams(SystemError),
    /// It cannot be known whether an upstream is the right one.
    Trust(TrustError),
    /// No descriptor, thread or random number is to be had.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(error) => error.fmt(f),
            Self::Admin(address, error) => write!(
                f,
                "cannot listen on {address} for the admin page: {error}: change `admin.listen`, or write `admin: off`"
            ),
            Self::Certificate(problem) => f.write_str(problem),
            Self::Upstreams(error) => error.fmt(f),
            Self::Trust(error) => error.fmt(f),
            Self::System(error) => write!(f, "the system refuses what every start needs: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// What is wrong with the files that a configuration names: trust roots, a certificate and its key.
pub(crate) fn problems_of_files(config: &Config) -> Vec<String> {
    let trust = secure::problems(config).into_iter();
    let certificate = certificate::problem(config);
    trust
        .map(|problem| problem.to_string())
        .chain(certificate)
        .collect()
}

impl Daemon {
    /// Starts serving; port 0 in `listen` or `admin.listen` lets the kernel choose ([`Self::addresses`]).
    ///
    /// # Errors
    /// See [`StartError`]. Then nothing runs.
    pub fn start(config: &Config, log: Option<Log>) -> Result<Self, StartError> {
        Self::start_with(config, log, Passed::default(), None)
    }

    /// The same by sockets that were passed to this process, as far as `listen` has their addresses. Verdicts of probes
    /// survive in the file `state`.
    ///
    /// # Errors
    /// See [`StartError`]. Then nothing runs.
    pub(crate) fn start_with(
        config: &Config,
        log: Option<Log>,
        passed: Passed,
        state: Option<PathBuf>,
    ) -> Result<Self, StartError> {
        let workers = match config.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let encryption = certificate::Encryption::start(config).map_err(StartError::Certificate)?;
        let heard = bind::all(config, workers, passed)?;
        let addresses = heard.addresses;
        let encrypted: Vec<_> = heard.encrypted.iter().map(|one| one.at.clone()).collect();
        let upstreams = upstreams(config, &addresses).map_err(StartError::Upstreams)?;
        let admin = config.admin.map(listen_for_admin).transpose()?;
        let admin_address = admin.as_ref().and_then(|admin| admin.local_addr().ok());
        announce(config, (&addresses, &encrypted), &heard.missing, &upstreams);
        if let Some(address) = admin_address {
            tracing::info!(%address, "admin page");
        }

        let runtime = streams::runtime()?;
        let secure = Secure::new(runtime.handle().clone());
        let prepared = secure.prepare(config).map_err(StartError::Trust)?;
        secure.install(prepared);
        // What clients are told of them is true of those that stand.
        let standing = Config {
            encrypted: encrypted.clone(),
            ..config.clone()
        };
        let shared = Shared::new(
            &standing,
            &upstreams,
            secure,
            (workers, log, state),
            encryption,
        )?;
        let shared = Arc::new(shared);
        shared.show_rules(config);
        let balancers = &shared.connections.balancers;
        balancers.believe(&config.proxy_protocol);
        let (stop, stopped) = signal::channel(false);
        // The self-query needs an address that is there already.
        let there = addresses.iter().find(|one| !sockets::is_awaited(**one));
        let first = there.or_else(|| addresses.first()).copied();
        let ours = streams::Streams {
            shared: Arc::clone(&shared),
            listeners: heard.streams,
            encrypted: heard.encrypted,
            admin,
            stopped,
            first,
        };
        let handle = runtime.handle().clone();
        let streams = ours.start(runtime)?;
        let workers = start_workers(&shared, heard.datagrams, &handle)?;
        shared.probe_for_loops();
        Ok(Self {
            shared,
            addresses,
            encrypted,
            admin: admin_address,
            stop,
            workers,
            streams: Some(streams),
        })
    }

    /// Where it listens, in the configuration's order, addresses of families that this host lacks left out.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The same of those where it hears over encrypted transports.
    pub fn encrypted(&self) -> &[Listener] {
        &self.encrypted
    }

    /// Where the admin page stands, if it does.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// What its threads share: the cache, the settings, the health of upstreams.
    pub fn pipeline(&self) -> &Arc<Pipeline> {
        &self.shared.pipeline
    }

    /// The daemon's own time, as its pipeline knows it.
    pub fn now(&self) -> Moment {
        self.shared.clock.now()
    }

    /// Whether a self-query has been answered.
    pub fn is_ready(&self) -> bool {
        self.shared.is_ready()
    }

    /// Waits until one has been; for good where it never is.
    pub async fn ready(&self) {
        self.shared.ready().await;
    }

    /// Whether every thread has gone round in the last 5 s: one that has not hangs.
    pub fn is_alive(&self) -> bool {
        self.shared.is_alive()
    }

    /// What is wrong with the upstreams and the configuration file, a line each; often nothing.
    pub fn troubles(&self) -> String {
        self.shared.troubles()
    }

    /// Whether a thread has ended that should not: then the process should end too.
    pub fn is_broken(&self) -> bool {
        self.shared.is_broken()
    }

    /// Follows a configuration file: reloads when its content changes, or when it is told to.
    pub fn watch(&self, file: Option<PathBuf>, config: Config) -> Watch {
        Watch::new(
            Arc::clone(&self.shared),
            file,
            config,
            self.addresses.clone(),
        )
    }

    /// Stops: takes no more connections, serves until nothing is in flight (3 s at most), ends its threads.
    pub fn stop(mut self) {
        self.shared.drain(&self.stop);
        for worker in self.workers.drain(..) {
            // A worker that panicked has said so already.
            let _ = worker.join();
        }
        if let Some(streams) = self.streams.take() {
            let _ = streams.join();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.shared.drain(&self.stop);
    }
}

impl Shared {
    fn new(
        config: &Config,
        upstreams: &[Server],
        secure: Secure,
        (workers, log, state): (usize, Option<Log>, Option<PathBuf>),
        encryption: Option<certificate::Encryption>,
    ) -> Result<Self, StartError> {
        let seed = u64::from_ne_bytes(random()?);
        let identity = Identity {
            instance: u64::from_ne_bytes(random()?),
            uid: geteuid().as_raw(),
        };
        let pipeline = Arc::new(Pipeline::new(config, upstreams, seed).known_as(identity));
        let clock = Clock::start();
        let secure = Arc::new(secure);
        let prober = Prober::new(
            Arc::clone(&pipeline),
            Arc::clone(&secure),
            state,
            move || clock.now(),
        );
        let inboxes = (0..workers).map(|_| Inbox::new().map(Arc::new));
        Ok(Self {
            pipeline,
            prober: Arc::new(prober),
            connections: Arc::new(Connections::within(descriptors())),
            inboxes: inboxes.collect::<io::Result<_>>()?,
            // One for each worker, and the last for streams; so are the pulses.
            counts: (0..=workers).map(|_| Arc::default()).collect(),
            rules: Arc::default(),
            secure,
            clock,
            pulses: (0..=workers).map(|_| Arc::default()).collect(),
            stage: signal::Sender::new(ready::Stage::Starting),
            broken: AtomicBool::new(false),
            reloads: watch::Reloads::default(),
            encryption,
            log,
        })
    }

    /// Has each rule on the metrics page before it first acts, so that its rate can be told from the start.
    pub(crate) fn show_rules(&self, config: &Config) {
        for rule in &config.rules {
            self.rules.slot(&rule.name);
        }
    }

    /// Has the worker on duty look for loops.
    pub(crate) fn probe_for_loops(&self) {
        if let Some(first) = self.inboxes.first() {
            first.leave(Errand::ProbeForLoops);
        }
    }

    fn drain(&self, stop: &signal::Sender<bool>) {
        self.leave_service();
        // Nobody listens any more where the streams thread has ended.
        let _ = stop.send(true);
        for inbox in &self.inboxes {
            inbox.leave(Errand::Drain);
        }
    }
}

/// The upstreams of the configuration, or the system's.
pub(crate) fn upstreams(config: &Config, own: &[SocketAddr]) -> Result<Vec<Server>, SystemError> {
    match &config.upstreams {
        Some(upstreams) => Ok(upstreams.clone()),
        None => Ok(system::read(own)?.into_iter().map(Server::from).collect()),
    }
}

fn listen_for_admin(address: SocketAddr) -> Result<std::net::TcpListener, StartError> {
    let fail = |error| StartError::Admin(address, error);
    let listener = std::net::TcpListener::bind(address).map_err(fail)?;
    listener.set_nonblocking(true).map_err(fail)?;
    Ok(listener)
}

/// One line for each listener, upstream and rule.
fn announce(
    config: &Config,
    (addresses, encrypted): (&[SocketAddr], &[Listener]),
    missing: &[BindError],
    upstreams: &[Server],
) {
    for error in missing {
        tracing::warn!("{error}");
    }
    for address in addresses {
        tracing::info!(%address, "listening");
    }
    for address in encrypted {
        tracing::info!(%address, "listening");
    }
    for address in upstreams {
        tracing::info!(%address, "upstream");
    }
    for route in &config.routes {
        for zone in &route.zones {
            for address in &route.upstreams {
                tracing::info!(%address, %zone, "upstream");
            }
        }
    }
    for rule in &config.rules {
        let (hosts, addresses) = (listed(&rule.hosts), listed(&rule.addresses));
        let mode = match rule.mode {
            crate::config::Mode::Enforce => "enforce",
            crate::config::Mode::Report => "report",
        };
        tracing::info!(name = %rule.name, mode, hosts, addresses, "rule");
    }
}

/// As one field of a line; none where there is nothing to say.
fn listed(items: &[impl ToString]) -> Option<String> {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    (!items.is_empty()).then(|| items.join(" "))
}

/// A thread for each worker; `datagrams` holds the sockets of each listener.
fn start_workers(
    shared: &Arc<Shared>,
    datagrams: Vec<Vec<Ear>>,
    streams: &tokio::runtime::Handle,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let mut by_worker: Vec<Vec<Ear>> = shared.inboxes.iter().map(|_| Vec::new()).collect();
    for listener in datagrams {
        for (ears, ear) in by_worker.iter_mut().zip(listener) {
            ears.push(ear);
        }
    }
    let each = by_worker
        .into_iter()
        .zip(&shared.inboxes)
        .zip(&shared.counts)
        .zip(&shared.pulses);
    let mut threads = Vec::new();
    for (number, (((ears, inbox), counts), pulse)) in each.enumerate() {
        let duty = if number == 0 {
            Duty::Probing
        } else {
            Duty::Plain
        };
        let worker = Worker::new(Parts {
            ears,
            pipeline: Arc::clone(&shared.pipeline),
            fetches: Fetches::new(Arc::clone(&shared.pipeline), random()?, duty),
            counter: Counter::new(Arc::clone(counts), Arc::clone(&shared.rules)),
            inbox: Arc::clone(inbox),
            connections: Arc::clone(&shared.connections),
            streams: streams.clone(),
            secure: Arc::clone(&shared.secure),
            clock: shared.clock,
            pulse: Arc::clone(pulse),
        })?;
        let shared = Arc::clone(shared);
        let run = move || {
            let guard = ready::Guard(&shared);
            match worker.run() {
                Ok(()) => guard.disarm(),
                Err(error) => tracing::error!(%error, "a worker cannot go on"),
            }
        };
        threads.push(
            thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(run)?,
        );
    }
    Ok(threads)
}

/// How many files and sockets this process may hold open.
fn descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    })
}

/// Random octets of the kernel's.
fn random<const N: usize>() -> io::Result<[u8; N]> {
    use rand::TryRng;
    let mut octets = [0; N];
    rand::rngs::SysRng
        .try_fill_bytes(&mut octets)
        .map_err(io::Error::other)?;
    Ok(octets)
}
