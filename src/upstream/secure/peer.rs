//! One server: the task that opens its connections, and what it is asked meanwhile.

use super::Done;
use super::line::{self, Waiting};
use super::trust::Trust;
use crate::config::Tls;
use crate::message::{Ask, Kind, Name};
use crate::upstream::lookup::{addresses, lookup};
use crate::upstream::stream::{ExchangeError, connect};
use rustls::CertificateError;
use rustls::pki_types::ServerName;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// One server.
#[derive(Debug)]
pub(super) struct Peer {
    trust: Trust,
    bootstrap: Arc<[SocketAddr]>,
    queries: Sender<Waiting>,
    problem: Arc<Mutex<Option<String>>>,
}

impl Peer {
    /// Starts its task, which waits to be asked. It ends with the peer.
    pub(super) fn start(
        server: &Arc<Tls>,
        trust: Trust,
        bootstrap: &Arc<[SocketAddr]>,
        runtime: &Handle,
    ) -> Arc<Self> {
        let (queries, asked) = mpsc::channel(MOST_WAITING);
        let problem = Arc::default();
        let task = Task {
            server: Arc::clone(server),
            tls: TlsConnector::from(Arc::clone(&trust.client)),
            bootstrap: Arc::clone(bootstrap),
            found: None,
            problem: Arc::clone(&problem),
        };
        runtime.spawn(task.run(asked));
        Arc::new(Self {
            trust,
            bootstrap: Arc::clone(bootstrap),
            queries,
            problem,
        })
    }

    /// Whether it is trusted and found by the same means.
    pub(super) fn is(&self, trust: &Trust, bootstrap: &Arc<[SocketAddr]>) -> bool {
        self.trust == *trust && self.bootstrap == *bootstrap
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

    /// Why the last connection could not be made.
    pub(super) fn problem(&self) -> Option<String> {
        let problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        problem.clone()
    }
}

/// What its task knows.
struct Task {
    server: Arc<Tls>,
    tls: TlsConnector,
    bootstrap: Arc<[SocketAddr]>,
    /// What its name was resolved to, and until when that holds.
    found: Option<(Vec<IpAddr>, Instant)>,
    problem: Arc<Mutex<Option<String>>>,
}

/// Why there is no connection.
#[derive(Debug)]
struct Fault {
    error: ExchangeError,
    text: String,
}

impl Task {
    async fn run(mut self, mut queries: Receiver<Waiting>) {
        let mut first = Vec::new();
        let mut refused: Option<(ExchangeError, Instant)> = None;
        let mut answered = None;
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
                    Ok(stream) => {
                        self.note(None);
                        refused = None;
                        first = line::serve(stream, first, &mut queries, &mut answered).await;
                        if !first.is_empty() {
                            // It left with questions unanswered. Perhaps it has moved.
                            self.found = None;
                        }
                        continue;
                    }
                    Err(fault) => {
                        self.note(Some(fault.text));
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

    fn note(&self, problem: Option<String>) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// To the first of its addresses that will have us.
    async fn connect(&mut self) -> Result<TlsStream<TcpStream>, Fault> {
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
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = fault(&error),
                Err(_) => {
                    last = Fault {
                        error: ExchangeError::Timeout,
                        text: format!("{server} does not answer"),
                    }
                }
            }
        }
        Err(last)
    }

    async fn connect_to(&self, server: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let stream = connect(server).await?;
        // An address goes into no SNI, and where only keys count any name does.
        let name = self.server.name.as_ref().unwrap_or(&self.server.host);
        self.tls.connect(name.clone(), stream).await
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

/// The addresses of a name, IPv4 first, and how long they hold: by the first server that knows any.
async fn resolve(servers: &[SocketAddr], name: Name) -> Option<(Vec<IpAddr>, Duration)> {
    for server in servers {
        let (a, aaaa) = (Ask::plain(name, Kind::A), Ask::plain(name, Kind::AAAA));
        let (ipv4, ipv6) = tokio::join!(lookup(*server, &a), lookup(*server, &aaaa));
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

/// What is wrong, in words for whoever has to mend it.
fn fault(error: &io::Error) -> Fault {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    let (error, text) = match cause {
        Some(rustls::Error::InvalidCertificate(
            // Of an authority that is called as one of ours the signature is wrong.
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => (
            ExchangeError::Certificate,
            "its certificate is by nobody we trust".to_owned(),
        ),
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(wrong))) => {
            (ExchangeError::Certificate, wrong.to_string())
        }
        Some(rustls::Error::InvalidCertificate(wrong)) => {
            (ExchangeError::Certificate, wrong.to_string())
        }
        Some(wrong) => (ExchangeError::Tls, wrong.to_string()),
        None if error.kind() == io::ErrorKind::UnexpectedEof => (
            ExchangeError::Tls,
            "it ended the connection amid the handshake".to_owned(),
        ),
        None => (ExchangeError::Unreachable, error.to_string()),
    };
    Fault { error, text }
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
/// Addresses of one family that are tried.
const MOST_OF_FAMILY: usize = 2;
/// After a connection could not be made.
const PAUSE: Duration = Duration::from_millis(250);
/// Bounds of how long an address is kept, in seconds.
const LEAST_TTL: u32 = 10;
const MOST_TTL: u32 = 86_400;
