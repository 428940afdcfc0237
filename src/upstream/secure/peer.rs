//! One server: the task that opens its connections, and what it is asked meanwhile.

use super::Done;
use super::asked::Waiting;
use super::connection::{Connection, serve};
use super::fault::Fault;
#[cfg(feature = "doh")]
use super::http::Requests;
#[cfg(feature = "doh")]
use super::http2;
#[cfg(feature = "h3")]
use super::http3;
use super::line::Line;
#[cfg(feature = "doq")]
use super::quic;
use super::trust::Trust;
use crate::config::{Encrypted, Protocol};
use crate::message::{Ask, Kind, Name};
use crate::upstream::lookup::{addresses, lookup};
use crate::upstream::stream::{ExchangeError, connect};
use rustls::pki_types::ServerName;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, Receiver, Sender, WeakSender};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// One server.
#[derive(Debug)]
pub(super) struct Peer {
    trust: Arc<Trust>,
    bootstrap: Arc<[SocketAddr]>,
    queries: Sender<Waiting>,
    state: Arc<State>,
}

/// What is known of it, to all that have to do with it.
#[derive(Debug, Default)]
pub(super) struct State {
    /// What is wrong with it; none once it answers.
    problem: Mutex<Option<String>>,
    /// When it last answered.
    answered: Mutex<Option<Instant>>,
}

impl State {
    pub(super) fn note(&self, problem: Option<String>) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    pub(super) fn answer(&self, at: Instant) {
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
        self.note(None);
    }

    /// What it says of a server that it has closed: of one that answers others, only that it has no answer to these.
    pub(super) fn closed(&self) -> ExchangeError {
        let answered = *self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        match answered {
            Some(answered) if answered.elapsed() < LATELY => ExchangeError::Garbled,
            _ => ExchangeError::Closed,
        }
    }
}

impl Peer {
    /// Starts its task, which waits to be asked. It ends with the peer.
    pub(super) fn start(
        server: &Arc<Encrypted>,
        trust: Trust,
        bootstrap: &Arc<[SocketAddr]>,
        runtime: &Handle,
    ) -> Arc<Self> {
        let (queries, asked) = mpsc::channel(MOST_WAITING);
        let (trust, state) = (Arc::new(trust), Arc::default());
        let task = Task {
            server: Arc::clone(server),
            trust: Arc::clone(&trust),
            bootstrap: Arc::clone(bootstrap),
            found: None,
            #[cfg(feature = "doq")]
            quic: None,
            state: Arc::clone(&state),
            back: queries.downgrade(),
        };
        runtime.spawn(task.run(asked));
        Arc::new(Self {
            trust,
            bootstrap: Arc::clone(bootstrap),
            queries,
            state,
        })
    }

    /// Whether it is trusted and found by the same means.
    pub(super) fn is(&self, trust: &Trust, bootstrap: &Arc<[SocketAddr]>) -> bool {
        *self.trust == *trust && self.bootstrap == *bootstrap
    }

    /// Asks it; `padded` is what is sent.
    pub(super) fn ask(&self, query: Vec<u8>, padded: Vec<u8>, done: Done) {
        let waiting = Waiting {
            query,
            padded,
            done,
            until: now() + LIMIT,
            sent: 0,
        };
        if let Err(refused) = self.queries.try_send(waiting) {
            (refused.into_inner().done)(Err(ExchangeError::Busy));
        }
    }

    /// Why it does not answer.
    pub(super) fn problem(&self) -> Option<String> {
        let problem = self
            .state
            .problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        problem.clone()
    }
}

/// What its task knows.
struct Task {
    server: Arc<Encrypted>,
    trust: Arc<Trust>,
    /// Also keeps what servers gave us to prove our address by.
    #[cfg(feature = "doq")]
    quic: Option<quinn::ClientConfig>,
    bootstrap: Arc<[SocketAddr]>,
    /// What its name was resolved to, and until when that holds.
    found: Option<(Vec<IpAddr>, Instant)>,
    state: Arc<State>,
    /// By which questions come back.
    back: WeakSender<Waiting>,
}

impl Task {
    async fn run(mut self, mut queries: Receiver<Waiting>) {
        let mut first = Vec::new();
        let mut refused: Option<(ExchangeError, Instant)> = None;
        loop {
            if first.is_empty() {
                match queries.recv().await {
                    Some(waiting) => first.push(waiting),
                    None => return,
                }
            }
            // A server that was not reached just now is not tried again for each question.
            let error = match refused.filter(|(_, until)| now() < *until) {
                Some((error, _)) => error,
                None => match self.connect().await {
                    Ok(connection) => {
                        self.state.note(None);
                        refused = None;
                        let served =
                            serve(connection, first, &mut queries, &self.back, &self.state);
                        first = served.await;
                        if !first.is_empty() {
                            // It left with questions unanswered. Perhaps it has moved.
                            self.found = None;
                        }
                        continue;
                    }
                    Err(fault) => {
                        self.state.note(Some(fault.text));
                        self.found = None;
                        refused = Some((fault.error, now() + PAUSE));
                        fault.error
                    }
                },
            };
            let queued = std::iter::from_fn(|| queries.try_recv().ok());
            for waiting in first.drain(..).chain(queued) {
                (waiting.done)(Err(error));
            }
        }
    }

    /// To the first of its addresses that will have us.
    async fn connect(&mut self) -> Result<Connection, Fault> {
        let mut last = Fault {
            error: ExchangeError::Unreachable,
            text: format!(
                "the bootstrap servers know no address of {}",
                self.server.host.to_str()
            ),
        };
        let addresses = self.addresses().await;
        let share = CONNECT / u32::try_from(addresses.len().max(1)).unwrap_or(1);
        for address in addresses {
            let server = SocketAddr::new(address, self.server.port);
            match timeout(share, self.connect_to(server)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(fault)) => last = fault,
                Err(_) => last = Fault::silent(server),
            }
        }
        Err(last)
    }

    async fn connect_to(&mut self, server: SocketAddr) -> Result<Connection, Fault> {
        Ok(match &self.server.protocol {
            Protocol::Tls => Connection::Line(Box::new(Line::new(self.tls(server).await?))),
            #[cfg(feature = "doh")]
            Protocol::Https(_) => {
                let requests = Requests::to(&self.server)?;
                let stream = self.tls(server).await?;
                Connection::Streams(http2::open(stream, requests, &self.state).await?)
            }
            #[cfg(feature = "doq")]
            Protocol::Quic => Connection::Streams(quic::open(self.quic(server, 0).await?)),
            #[cfg(feature = "h3")]
            Protocol::Http3(_) => {
                let requests = Requests::to(&self.server)?;
                let connection = self.quic(server, http3::STREAMS).await?;
                Connection::Streams(http3::open(connection, requests, &self.state).await?)
            }
        })
    }

    #[cfg(feature = "doq")]
    async fn quic(&mut self, server: SocketAddr, streams: u8) -> Result<quinn::Connection, Fault> {
        let config = match &self.quic {
            Some(config) => config.clone(),
            None => self
                .quic
                .insert(quic::config(&self.trust, streams)?)
                .clone(),
        };
        quic::connect(config, server, self.name(), &self.trust).await
    }

    async fn tls(&self, server: SocketAddr) -> Result<TlsStream<TcpStream>, Fault> {
        let stream = connect(server)
            .await
            .map_err(|error| Fault::unreachable(&error))?;
        let tls = TlsConnector::from(Arc::clone(&self.trust.client));
        let handshake = tls.connect(self.name().clone(), stream);
        handshake.await.map_err(|error| Fault::of_stream(&error))
    }

    /// What the handshake is for. An address goes into no SNI, and where only keys count any name does.
    fn name(&self) -> &ServerName<'static> {
        self.server.name.as_ref().unwrap_or(&self.server.host)
    }

    /// Its own, or those of its name.
    async fn addresses(&mut self) -> Vec<IpAddr> {
        let host = match &self.server.host {
            ServerName::IpAddress(address) => return vec![(*address).into()],
            host => host.to_str(),
        };
        let fresh = self.found.as_ref().filter(|(_, until)| now() < *until);
        if let Some((addresses, _)) = fresh {
            return addresses.clone();
        }
        if let Ok(name) = Name::parse(&host)
            && let Some((addresses, ttl)) = resolve(&self.bootstrap, name).await
        {
            self.found = Some((addresses, now() + ttl));
        }
        self.found
            .as_ref()
            .map_or(Vec::new(), |(addresses, _)| addresses.clone())
    }
}

/// The addresses of a name, IPv4 first, and how long they hold: by the first server that knows any. RFC 8305 §3 waits the
/// other way round, but IPv6 is what we are here for that it fails.
async fn resolve(servers: &[SocketAddr], name: Name) -> Option<(Vec<IpAddr>, Duration)> {
    for server in servers {
        let (a, aaaa) = (Ask::plain(name, Kind::A), Ask::plain(name, Kind::AAAA));
        let has_ipv4 = Notify::new();
        let ipv4 = async {
            let answer = lookup(*server, &a).await.ok();
            if answer.as_ref().is_some_and(|a| !addresses(a).is_empty()) {
                has_ipv4.notify_one();
            }
            answer
        };
        let ipv6 = async {
            tokio::select! {
                answer = lookup(*server, &aaaa) => answer.ok(),
                () = async { has_ipv4.notified().await; sleep(PATIENCE).await } => None,
            }
        };
        let (ipv4, ipv6) = tokio::join!(ipv4, ipv6);
        let answers = [ipv4, ipv6].into_iter().flatten();
        let (mut found, mut ttl) = (Vec::new(), MOST_TTL);
        for answer in answers.filter(|answer| !addresses(answer).is_empty()) {
            ttl = answer.smallest_ttl().map_or(ttl, |least| least.min(ttl));
            found.extend(addresses(&answer).into_iter().take(MOST_OF_FAMILY));
        }
        if !found.is_empty() {
            let ttl = Duration::from_secs(ttl.max(LEAST_TTL).into());
            return Some((found, ttl));
        }
    }
    None
}

#[expect(clippy::disallowed_methods, reason = "connections end by time")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Queries that wait until they can be sent.
const MOST_WAITING: usize = 1024;
/// How long anybody waits for an answer: as long as a fetch listens.
const LIMIT: Duration = Duration::from_secs(5);
/// For TCP and TLS, to all addresses.
const CONNECT: Duration = Duration::from_secs(4);
/// For the IPv6 addresses of a server whose IPv4 ones are known: some name servers do not answer for them.
const PATIENCE: Duration = Duration::from_millis(50);
/// Addresses of one family that are tried.
const MOST_OF_FAMILY: usize = 2;
/// After a connection could not be made.
const PAUSE: Duration = Duration::from_millis(250);
/// A server that has answered so short a time ago is there.
const LATELY: Duration = Duration::from_secs(5);
/// Bounds of how long an address is kept, in seconds.
const LEAST_TTL: u32 = 10;
const MOST_TTL: u32 = 86_400;
