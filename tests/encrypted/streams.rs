//! A server on whose connections each query has a stream of its own, as a script says: over HTTP/2, QUIC or HTTP/3.

use super::authority::Signed;
use super::daemon::upstream::usual;
use super::server::Seen;
use data_encoding::BASE64URL_NOPAD;
use http_body_util::{BodyExt, Full};
use hyper::body::{Buf, Bytes, Incoming};
use hyper::http::{request, response};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::{Connection, Endpoint, Incoming as Knock, VarInt};
use rustls::ServerConfig;
use rustls::server::{ServerSessionMemoryCache, StoresServerSessions};
use std::future::{Future, pending};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::ops::Deref;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

/// What carries the queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Https,
    Quic,
    Http3,
}

pub(crate) const ALL: [Over; 3] = [Over::Https, Over::Quic, Over::Http3];

impl Over {
    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Quic => "quic",
            Self::Http3 => "h3",
        }
    }

    fn alpn(self) -> &'static [u8] {
        match self {
            Self::Https => b"h2",
            Self::Quic => b"doq",
            Self::Http3 => b"h3",
        }
    }
}

/// One query, and where it came.
pub(crate) struct Asked {
    pub(crate) query: Vec<u8>,
    /// Which connection, from 0.
    pub(crate) connection: usize,
}

/// What comes of it.
pub(crate) enum Say {
    Answer(Vec<u8>),
    Later(Duration, Vec<u8>),
    /// By HTTP alone: a status, headers and a body.
    Response(u16, Vec<(&'static str, &'static str)>, Vec<u8>),
    /// The answer, and no more queries on this connection (GOAWAY).
    Last(Vec<u8>),
    Nothing,
    /// The stream is reset.
    Reset,
    /// The connection is closed.
    Leave,
}

type Script = Arc<dyn Fn(&Asked) -> Say + Send + Sync>;

/// A running one, for as long as the test program runs.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
    requests: Arc<Mutex<Vec<request::Parts>>>,
    ends: Arc<Mutex<Vec<String>>>,
}

impl Deref for Server {
    type Target = Seen;

    fn deref(&self) -> &Seen {
        &self.seen
    }
}

impl Server {
    pub(crate) fn on(
        address: &str,
        over: Over,
        signed: &Signed,
        script: impl Fn(&Asked) -> Say + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::new(Seen::default());
        let mut config = ServerConfig::clone(&signed.config);
        config.alpn_protocols = vec![over.alpn().to_vec()];
        config.session_storage = Arc::new(Sessions(
            ServerSessionMemoryCache::new(256),
            Arc::clone(&seen),
        ));
        let desk = Desk {
            seen: Arc::clone(&seen),
            requests: Arc::default(),
            ends: Arc::default(),
            script: Arc::new(script),
        };
        let (requests, ends) = (Arc::clone(&desk.requests), Arc::clone(&desk.ends));
        let address = match over {
            Over::Https => https(address, config, desk),
            Over::Quic => quic(address, config, move |knock| dns(knock, desk.clone())),
            Over::Http3 => quic(address, config, move |knock| http3(knock, desk.clone())),
        };
        Self {
            address,
            seen,
            requests,
            ends,
        }
    }

    /// One that answers everything.
    pub(crate) fn plain(over: Over, signed: &Signed) -> Self {
        Self::on("127.0.0.1:0", over, signed, |asked| {
            Say::Answer(usual(&asked.query))
        })
    }

    /// What HTTP said of each query.
    pub(crate) fn requests(&self) -> Vec<request::Parts> {
        self.requests.lock().unwrap().clone()
    }

    /// How connections of DNS over QUIC ended.
    pub(crate) fn ends(&self) -> Vec<String> {
        self.ends.lock().unwrap().clone()
    }
}

/// Counts the sessions that are resumed.
#[derive(Debug)]
struct Sessions(Arc<ServerSessionMemoryCache>, Arc<Seen>);

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.0.put(key, value)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.get(key)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let session = self.0.take(key);
        if session.is_some() {
            self.1.resume();
        }
        session
    }

    fn can_cache(&self) -> bool {
        true
    }
}

/// What all connections need.
#[derive(Clone)]
struct Desk {
    seen: Arc<Seen>,
    requests: Arc<Mutex<Vec<request::Parts>>>,
    ends: Arc<Mutex<Vec<String>>>,
    script: Script,
}

impl Desk {
    fn hear(&self, connection: usize, query: Vec<u8>) -> Say {
        self.seen.hear(&query);
        (self.script)(&Asked { query, connection })
    }

    /// What HTTP says, and what becomes of the connection.
    async fn respond(&self, connection: usize, head: request::Parts, query: Vec<u8>) -> Reaction {
        let by_get = head.uri.query().and_then(|all| all.strip_prefix("dns="));
        let query = by_get.map_or(query, |text| {
            BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()
        });
        self.requests.lock().unwrap().push(head);
        let message = |octets| {
            let media = ("content-type", "application/dns-message");
            Reaction::Respond(respond(200, &[media], octets))
        };
        match self.hear(connection, query) {
            Say::Answer(octets) => message(octets),
            Say::Later(time, octets) => {
                sleep(time).await;
                message(octets)
            }
            Say::Response(status, headers, body) => {
                Reaction::Respond(respond(status, &headers, body))
            }
            Say::Last(octets) => match message(octets) {
                Reaction::Respond(response) => Reaction::Last(response),
                other => other,
            },
            Say::Nothing => pending().await,
            Say::Reset => Reaction::Reset,
            Say::Leave => Reaction::Leave,
        }
    }
}

/// What becomes of a request, and of its connection.
enum Reaction {
    Respond(Response<Bytes>),
    Last(Response<Bytes>),
    Reset,
    Leave,
}

fn respond(status: u16, headers: &[(&str, &str)], body: Vec<u8>) -> Response<Bytes> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).unwrap()
}

/// Runs a server on a thread of its own.
fn run(server: impl Future<Output = ()> + Send + 'static) {
    thread::spawn(|| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(server);
    });
}

fn https(address: &str, config: ServerConfig, desk: Desk) -> SocketAddr {
    let listener = TcpListener::bind(address).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    run(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, desk) = (acceptor.clone(), desk.clone());
            tokio::spawn(async move {
                // How clients fail is for the test to see on their side.
                if let Ok(stream) = acceptor.accept(stream).await {
                    http2(stream, desk).await;
                }
            });
        }
    });
    address
}

async fn http2(stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>, desk: Desk) {
    let number = desk.seen.open(stream.get_ref().1.server_name());
    let (leave, last) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let (desk, leave, last) = (desk.clone(), leave.clone(), last.clone());
        async move {
            let (head, body) = request.into_parts();
            let query = body.collect().await.map_err(io::Error::other)?.to_bytes();
            let response = match desk.respond(number, head, query.into()).await {
                Reaction::Respond(response) => response,
                Reaction::Last(response) => {
                    last.notify_one();
                    response
                }
                Reaction::Reset => return Err(io::Error::other("reset")),
                Reaction::Leave => {
                    leave.notify_one();
                    pending().await
                }
            };
            Ok(response.map(Full::new))
        }
    });
    let builder = http2::Builder::new(TokioExecutor::new());
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = leave.notified() => return,
            () = last.notified() => connection.as_mut().graceful_shutdown(),
        }
    }
}

fn quic<F: Future<Output = Option<()>> + Send + 'static>(
    address: &str,
    config: ServerConfig,
    serve: impl Fn(Knock) -> F + Send + 'static,
) -> SocketAddr {
    let socket = std::net::UdpSocket::bind(address).unwrap();
    let address = socket.local_addr().unwrap();
    let crypto = QuicServerConfig::try_from(Arc::new(config)).unwrap();
    let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    run(async move {
        let runtime = Arc::new(quinn::TokioRuntime);
        let endpoint = Endpoint::new(Default::default(), Some(config), socket, runtime).unwrap();
        while let Some(knock) = endpoint.accept().await {
            tokio::spawn(serve(knock));
        }
    });
    address
}

/// Shakes hands; gives the connection's number too.
async fn welcome(knock: Knock, desk: &Desk) -> Option<(Connection, usize)> {
    let connection = knock.await.ok()?;
    let data = connection
        .handshake_data()?
        .downcast::<HandshakeData>()
        .ok()?;
    let number = desk.seen.open(data.server_name.as_deref());
    Some((connection, number))
}

async fn dns(knock: Knock, desk: Desk) -> Option<()> {
    let (connection, number) = welcome(knock, &desk).await?;
    while let Ok((mut send, mut receive)) = connection.accept_bi().await {
        let (connection, desk) = (connection.clone(), desk.clone());
        tokio::spawn(async move {
            let frame = receive.read_to_end(65_537).await.ok()?;
            let (length, query) = frame.split_first_chunk()?;
            assert_eq!(usize::from(u16::from_be_bytes(*length)), query.len());
            let mut is_last = false;
            let octets = match desk.hear(number, query.to_vec()) {
                Say::Answer(octets) => octets,
                Say::Last(octets) => {
                    is_last = true;
                    octets
                }
                Say::Later(time, octets) => {
                    sleep(time).await;
                    octets
                }
                Say::Response(..) | Say::Nothing => pending().await,
                Say::Reset => return send.reset(VarInt::from_u32(1)).ok(),
                Say::Leave => {
                    connection.close(VarInt::from_u32(0), b"");
                    return None;
                }
            };
            let length = u16::try_from(octets.len()).unwrap().to_be_bytes();
            send.write_all(&[&length, octets.as_slice()].concat())
                .await
                .ok()?;
            send.finish().ok()?;
            if is_last {
                let _ = send.stopped().await;
                connection.close(VarInt::from_u32(0), b"");
            }
            Some(())
        });
    }
    let end = connection.closed().await.to_string();
    desk.ends.lock().unwrap().push(end);
    Some(())
}

async fn http3(knock: Knock, desk: Desk) -> Option<()> {
    let (quic, number) = welcome(knock, &desk).await?;
    let mut connection = h3::server::Connection::new(h3_quinn::Connection::new(quic.clone()))
        .await
        .ok()?;
    let last = Arc::new(Notify::new());
    loop {
        let resolver = tokio::select! {
            taken = connection.accept() => taken.ok()??,
            () = last.notified() => {
                connection.shutdown(0).await.ok()?;
                continue;
            }
        };
        let (quic, desk, last) = (quic.clone(), desk.clone(), last.clone());
        tokio::spawn(async move {
            let (request, mut stream) = resolver.resolve_request().await.ok()?;
            let mut query = Vec::new();
            while let Ok(Some(mut data)) = stream.recv_data().await {
                query.extend(data.copy_to_bytes(data.remaining()));
            }
            let response = match desk.respond(number, request.into_parts().0, query).await {
                Reaction::Respond(response) => response,
                Reaction::Last(response) => {
                    last.notify_one();
                    response
                }
                Reaction::Reset => {
                    stream.stop_stream(h3::error::Code::H3_INTERNAL_ERROR);
                    return None;
                }
                Reaction::Leave => {
                    quic.close(VarInt::from_u32(0x100), b"");
                    return None;
                }
            };
            let (head, body): (response::Parts, Bytes) = response.into_parts();
            stream
                .send_response(Response::from_parts(head, ()))
                .await
                .ok()?;
            stream.send_data(body).await.ok()?;
            stream.finish().await.ok()
        });
    }
}
