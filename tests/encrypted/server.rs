//! A server that speaks DNS over TLS as a script says.

use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A running one, for as long as the test program runs.
pub(crate) struct Dot {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
}

/// What a server has seen of its clients.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    connections: AtomicUsize,
    resumed: AtomicUsize,
    queries: Mutex<Vec<Vec<u8>>>,
    names: Mutex<Vec<Option<String>>>,
}

impl Seen {
    /// Connections whose handshake was done.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    /// Those of them that resumed a session.
    pub(crate) fn resumed(&self) -> usize {
        self.resumed.load(Relaxed)
    }

    /// What was asked for names below this one.
    pub(crate) fn queries(&self, zone: &str) -> Vec<Vec<u8>> {
        let queries = self.queries.lock().unwrap();
        let ours = queries.iter();
        let ours = ours.filter(|query| crate::daemon::wire::name_of(query).ends_with(zone));
        ours.cloned().collect()
    }

    /// The names that clients gave in their handshakes.
    pub(crate) fn names(&self) -> Vec<Option<String>> {
        self.names.lock().unwrap().clone()
    }

    /// A handshake was done: which one, from 0.
    pub(crate) fn open(&self, name: Option<&str>) -> usize {
        self.names.lock().unwrap().push(name.map(str::to_owned));
        self.connections.fetch_add(1, Relaxed)
    }

    pub(crate) fn resume(&self) {
        self.resumed.fetch_add(1, Relaxed);
    }

    pub(crate) fn hear(&self, query: &[u8]) {
        self.queries.lock().unwrap().push(query.to_vec());
    }
}

impl Deref for Dot {
    type Target = Seen;

    fn deref(&self) -> &Seen {
        &self.seen
    }
}

/// One connection, its handshake done.
pub(crate) struct Line {
    /// Which one, from 0.
    pub(crate) number: usize,
    stream: StreamOwned<ServerConnection, TcpStream>,
    seen: Arc<Seen>,
}

impl Dot {
    /// Has each connection served by a thread of its own.
    pub(crate) fn on(
        address: &str,
        config: &Arc<ServerConfig>,
        script: impl Fn(Line) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let dot = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
        };
        let (seen, config, script) = (dot.seen.clone(), config.clone(), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, config, script) = (seen.clone(), config.clone(), script.clone());
                thread::spawn(move || {
                    if let Some(line) = Line::open(stream, config, seen) {
                        script(line);
                    }
                });
            }
        });
        dot
    }

    /// One that answers everything.
    pub(crate) fn plain(config: &Arc<ServerConfig>) -> Self {
        Self::on("127.0.0.1:0", config, Line::serve)
    }
}

impl Line {
    fn open(mut tcp: TcpStream, config: Arc<ServerConfig>, seen: Arc<Seen>) -> Option<Self> {
        tcp.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        tcp.set_nodelay(true).ok()?;
        let mut tls = ServerConnection::new(config).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp).ok()?;
        }
        if tls.handshake_kind() == Some(HandshakeKind::Resumed) {
            seen.resume();
        }
        Some(Self {
            number: seen.open(tls.server_name()),
            stream: StreamOwned::new(tls, tcp),
            seen,
        })
    }

    /// The next query; none when the client has gone.
    pub(crate) fn read(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 2];
        self.stream.read_exact(&mut length).ok()?;
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        self.stream.read_exact(&mut query).ok()?;
        self.seen.hear(&query);
        Some(query)
    }

    pub(crate) fn write(&mut self, answer: &[u8]) {
        let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
        self.write_octets(&[&length, answer].concat());
    }

    /// Octets as they are. That the client has gone is found out by [`Self::read`].
    pub(crate) fn write_octets(&mut self, octets: &[u8]) {
        let _ = self.stream.write_all(octets);
        let _ = self.stream.flush();
    }

    /// Answers everything until the client goes.
    pub(crate) fn serve(mut self) {
        while let Some(query) = self.read() {
            self.write(&crate::daemon::upstream::usual(&query));
        }
    }

    /// Ends the connection as TLS wants it (close_notify).
    pub(crate) fn close(mut self) {
        self.stream.conn.send_close_notify();
        let _ = self.stream.flush();
    }
}
