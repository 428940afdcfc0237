//! Queries to upstreams over TLS, HTTPS and QUIC, by connections that are kept.
//!
//! Each server has a task of its own (`peer`) that opens one connection when it is first asked, sends all that is to be
//! asked there (`connection`), and opens another when that one ends. Privacy is strict (RFC 8310 §5): a server that cannot
//! prove who it is gets no question, and nothing is ever asked in clear text instead.
//!
//! Sessions are resumed by tickets. No query goes as early data (0-RTT): whoever records it may send it again and
//! again (RFC 8446 §8), which a server's log or rate limit would count as ours, and a connection that is kept would gain
//! one round trip in its whole life.

mod asked;
mod connection;
mod fault;
#[cfg(feature = "doh")]
mod http;
#[cfg(feature = "doh")]
mod http2;
#[cfg(feature = "h3")]
mod http3;
mod line;
mod peer;
#[cfg(feature = "doq")]
mod quic;
#[cfg_attr(
    not(feature = "doh"),
    expect(dead_code, reason = "HTTP needs all of it")
)]
mod streams;
mod trust;

use super::stream::ExchangeError;
use crate::config::{Config, Encrypted, Server};
use crate::message::{Answer, Ask, Judgement, Transport, judge, pad_query, write_query};
use foldhash::{HashMap, HashMapExt};
use peer::Peer;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use trust::Roots;
pub use trust::TrustError;

/// What came of a query: handed over once, on a thread of the runtime's.
pub type Done = Box<dyn FnOnce(Result<Vec<u8>, ExchangeError>) + Send>;

/// The servers that are asked over encrypted transports.
#[derive(Debug)]
pub struct Secure {
    /// Runs what keeps the connections.
    runtime: Handle,
    roots: Roots,
    peers: RwLock<Peers>,
}

type Peers = HashMap<Arc<Encrypted>, Arc<Peer>>;

/// The servers of a configuration, all that they need read and understood.
#[derive(Debug)]
pub struct Prepared(Peers);

/// What the files of trust roots lack that a configuration names.
pub fn problems(config: &Config) -> Vec<TrustError> {
    let roots = Roots::default();
    let servers = config.servers().filter_map(|server| match server {
        Server::Plain(_) => None,
        Server::Encrypted(server) => roots.trust(server).err(),
    });
    let mut problems = Vec::new();
    for problem in servers {
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    problems
}

impl Secure {
    /// None yet.
    pub fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            roots: Roots::default(),
            peers: RwLock::new(HashMap::new()),
        }
    }

    /// Reads what the servers of a configuration are trusted by. Those that are as they were keep their connections.
    ///
    /// # Errors
    /// A file that cannot be read or holds no certificate, or a system without root certificates.
    pub fn prepare(&self, config: &Config) -> Result<Prepared, TrustError> {
        let bootstrap: Arc<[SocketAddr]> = config.bootstrap.clone().into();
        let known = self.peers.read().unwrap_or_else(PoisonError::into_inner);
        let mut peers = HashMap::new();
        for server in config.servers() {
            let Server::Encrypted(server) = server else {
                continue;
            };
            let trust = self.roots.trust(server)?;
            let same = known.get(server).filter(|peer| peer.is(&trust, &bootstrap));
            let peer = match same {
                Some(peer) => Arc::clone(peer),
                None => Peer::start(server, trust, &bootstrap, &self.runtime),
            };
            peers.insert(Arc::clone(server), peer);
        }
        Ok(Prepared(peers))
    }

    /// Has these servers asked from now on. What others were asked already they may still answer.
    pub fn install(&self, prepared: Prepared) {
        *self.peers.write().unwrap_or_else(PoisonError::into_inner) = prepared.0;
    }

    /// Asks a server. What `done` gets is its answer to this query, under the query's id, or why there is none: within 6 s,
    /// and within 8 where its name has to be resolved first.
    pub fn ask(&self, server: &Arc<Encrypted>, query: Vec<u8>, done: Done) {
        let peers = self.peers.read().unwrap_or_else(PoisonError::into_inner);
        match peers.get(server) {
            Some(peer) => {
                let mut padded = query.clone();
                pad_query(&mut padded);
                peer.ask(query, padded, done);
            }
            // A reload has taken it away meanwhile.
            None => done(Err(ExchangeError::Unreachable)),
        }
    }

    /// What a server says to a question of our own.
    ///
    /// # Errors
    /// It says nothing, or nothing that answers.
    pub async fn lookup(
        &self,
        server: &Arc<Encrypted>,
        ask: &Ask,
    ) -> Result<Arc<Answer>, ExchangeError> {
        let mut query = Vec::new();
        // Which id goes out, the connection decides.
        write_query(ask, 0, true, &mut query);
        let (done, answer) = oneshot::channel();
        // Whoever asked may have gone.
        let done = move |answer| drop(done.send(answer));
        self.ask(server, query, Box::new(done));
        let answer = answer.await.unwrap_or(Err(ExchangeError::Closed))?;
        match judge(&answer, 0, &ask.question, Transport::Stream) {
            Judgement::Answer(answer) => Ok(answer),
            _ => Err(ExchangeError::Garbled),
        }
    }

    /// Why a server could not be connected to or gave no answer, when that was tried last; none where it did.
    pub fn problem(&self, server: &Server) -> Option<String> {
        let Server::Encrypted(server) = server else {
            return None;
        };
        let peers = self.peers.read().unwrap_or_else(PoisonError::into_inner);
        peers.get(server)?.problem()
    }
}
