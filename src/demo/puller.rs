//! A client that does what containerd does, and fails as it does.
//!
//! Go's way: ask for A and AAAA at once; try IPv6, and IPv4 beside it only when TCP has not connected after 300 ms
//! (`FallbackDelay`); then TLS has a time limit of its own, after which nothing else is tried.

use super::ask::addresses;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// The client: whom it asks for names, and whom it trusts.
pub(super) struct Puller {
    pub(super) server: SocketAddr,
    tls: TlsConnector,
}

/// An image, where it is to be had.
#[derive(Clone, Copy, Debug)]
pub(super) struct Image<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) path: &'a str,
}

/// How a pull went: by which address, and what came of it.
pub(super) struct Pull {
    /// Whom TCP connected to, if anybody.
    pub(super) peer: Option<SocketAddr>,
    /// Octets of the manifest, or why there are none.
    pub(super) result: Result<usize, Failure>,
}

/// Why a pull failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// TCP stood, and TLS did not come to its end.
    TlsTimeout,
    /// Anything else.
    Other(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Go's words.
            Self::TlsTimeout => f.write_str("net/http: TLS handshake timeout"),
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Other(error)
    }
}

impl fmt::Display for Image<'_> {
    /// As people name it: docker.io stands for its registry's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.strip_prefix("registry-1.").unwrap_or(self.host);
        write!(f, "{host}/{}", self.path)
    }
}

impl Image<'_> {
    /// What is asked for first, and what an error names.
    pub(super) fn url(&self) -> String {
        let Self { host, port, path } = self;
        format!("https://{host}:{port}/v2/{path}/manifests/latest")
    }
}

impl Puller {
    /// Asks this name server, and trusts these certificates.
    pub(super) fn new(server: SocketAddr, roots: RootCertStore) -> io::Result<Self> {
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tls = TlsConnector::from(Arc::new(config));
        Ok(Self { server, tls })
    }

    /// The same, asking another name server.
    pub(super) fn asking(&self, server: SocketAddr) -> Self {
        let tls = self.tls.clone();
        Self { server, tls }
    }

    /// Pulls an image as far as its manifest.
    pub(super) async fn pull(&self, image: Image<'_>) -> Pull {
        let stream = async {
            let addresses = addresses(self.server, image.host).await?;
            let at = addresses
                .into_iter()
                .map(|ip| SocketAddr::new(ip, image.port));
            dial(at.collect()).await
        };
        let stream = match stream.await {
            Ok(stream) => stream,
            Err(error) => {
                return Pull {
                    peer: None,
                    result: Err(error.into()),
                };
            }
        };
        Pull {
            peer: stream.peer_addr().ok(),
            result: self.fetch(image, stream).await,
        }
    }

    async fn fetch(&self, image: Image<'_>, stream: TcpStream) -> Result<usize, Failure> {
        let name = ServerName::try_from(image.host.to_owned()).map_err(io::Error::other)?;
        let stream = timeout(TLS_LIMIT, self.tls.connect(name, stream))
            .await
            .map_err(|_| Failure::TlsTimeout)??;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(connection);
        let mut octets = 0;
        // What it is, and then itself.
        for method in [Method::HEAD, Method::GET] {
            let request = Request::builder()
                .method(method)
                .uri(format!("/v2/{}/manifests/latest", image.path))
                .header(HOST, format!("{}:{}", image.host, image.port))
                .body(Empty::<Bytes>::new())
                .map_err(io::Error::other)?;
            let reply = sender
                .send_request(request)
                .await
                .map_err(io::Error::other)?;
            if !reply.status().is_success() {
                return Err(io::Error::other(reply.status().to_string()).into());
            }
            let body = reply
                .into_body()
                .collect()
                .await
                .map_err(io::Error::other)?;
            octets = body.to_bytes().len();
        }
        Ok(octets)
    }
}

/// A TCP connection: by the first family, and beside it by the other one when that takes long, or fails.
async fn dial(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let family = addresses.first().map(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|one| Some(one.is_ipv6()) == family);
    if second.is_empty() {
        return TcpStream::connect(first.as_slice()).await;
    }
    let mut first = pin!(TcpStream::connect(first.as_slice()));
    let mut second = pin!(TcpStream::connect(second.as_slice()));
    match timeout(FALLBACK_DELAY, &mut first).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(_)) => second.await,
        Err(_) => tokio::select! {
            Ok(stream) = &mut first => Ok(stream),
            Ok(stream) = &mut second => Ok(stream),
            else => Err(io::ErrorKind::HostUnreachable.into()),
        },
    }
}

/// What Go waits for TCP before it tries the other family beside (RFC 8305 §5 calls it the connection attempt delay).
const FALLBACK_DELAY: Duration = Duration::from_millis(300);
/// What Go's own HTTP client and containerd give TLS.
const TLS_LIMIT: Duration = Duration::from_secs(10);
