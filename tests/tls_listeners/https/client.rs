//! A client of HTTP/2 or HTTP/1.1: hyper's.

use crate::daemon::millis;
use crate::{NAME, World, from};
use data_encoding::BASE64URL_NOPAD;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{Method, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Where DNS is.
pub(super) const PATH: &str = "/dns-query";

/// What came back.
#[derive(Debug)]
pub(crate) struct Page {
    pub(super) version: Version,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Page {
    /// A header as text, or nothing.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// One connection.
pub(crate) struct Web {
    runtime: Runtime,
    sender: Sender,
}

enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

/// What a test asks for.
pub(super) type Asking = Request<Full<Bytes>>;

impl Web {
    /// Offers this in ALPN, or nothing.
    pub(super) fn to(world: &World, alpn: &str) -> Self {
        let server = world.https();
        Self::from(Ipv4Addr::LOCALHOST, server, &offering(&world.client, alpn)).unwrap()
    }

    /// The same from an address of ours.
    pub(crate) fn from(
        address: Ipv4Addr,
        server: SocketAddr,
        config: &Arc<ClientConfig>,
    ) -> std::io::Result<Self> {
        Self::over(from(address, server), config)
    }

    /// The same on a connection that stands.
    pub(crate) fn over(stream: TcpStream, config: &Arc<ClientConfig>) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        stream.set_nonblocking(true).unwrap();
        let sender = runtime.block_on(async {
            let stream = tokio::net::TcpStream::from_std(stream).unwrap();
            let name = ServerName::try_from(NAME).unwrap();
            let stream = TlsConnector::from(Arc::clone(config))
                .connect(name, stream)
                .await?;
            let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let stream = TokioIo::new(stream);
            std::io::Result::Ok(if is_h2 {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), stream)
                    .await
                    .unwrap();
                tokio::spawn(connection);
                Sender::Two(sender)
            } else {
                let (sender, connection) = http1::handshake(stream).await.unwrap();
                tokio::spawn(connection);
                Sender::One(sender)
            })
        })?;
        Ok(Self { runtime, sender })
    }

    /// Sends these at once and waits for all that comes back.
    pub(super) fn all(&mut self, asking: Vec<Asking>) -> Vec<Result<Page, hyper::Error>> {
        let Self { runtime, sender } = self;
        runtime.block_on(async {
            let mut waiting = Vec::new();
            for request in asking {
                waiting.push(match sender {
                    Sender::One(sender) => {
                        sender.ready().await.unwrap();
                        tokio::spawn(page(sender.send_request(request)))
                    }
                    Sender::Two(sender) => {
                        sender.ready().await.unwrap();
                        tokio::spawn(page(sender.send_request(request)))
                    }
                });
            }
            let mut pages = Vec::new();
            for one in waiting {
                let page = timeout(millis(20_000), one).await;
                pages.push(page.expect("a response in time").unwrap());
            }
            pages
        })
    }

    #[track_caller]
    pub(super) fn request(&mut self, request: Asking) -> Page {
        self.all(vec![request]).pop().unwrap().unwrap()
    }

    /// Asks by GET.
    #[track_caller]
    pub(crate) fn ask(&mut self, query: &[u8]) -> Page {
        self.request(get(query))
    }

    /// Whether the connection stands after a look.
    pub(super) fn is_open(&self) -> bool {
        self.runtime
            .block_on(async { tokio::time::sleep(millis(20)).await });
        match &self.sender {
            Sender::One(sender) => !sender.is_closed(),
            Sender::Two(sender) => !sender.is_closed(),
        }
    }
}

async fn page(
    response: impl Future<Output = hyper::Result<Response<hyper::body::Incoming>>>,
) -> hyper::Result<Page> {
    let (head, body) = response.await?.into_parts();
    Ok(Page {
        version: head.version,
        status: head.status.as_u16(),
        headers: head.headers,
        body: body.collect().await?.to_bytes().to_vec(),
    })
}

/// The same client, offering this in ALPN, or nothing.
pub(crate) fn offering(config: &Arc<ClientConfig>, alpn: &str) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(config);
    let names = alpn.split_whitespace();
    config.alpn_protocols = names.map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

pub(super) fn get(query: &[u8]) -> Asking {
    let target = format!("{PATH}?dns={}", BASE64URL_NOPAD.encode(query));
    asking(Method::GET, &target, "", &[])
}

pub(super) fn post(query: &[u8]) -> Asking {
    asking(Method::POST, PATH, "application/dns-message", query)
}

pub(super) fn asking(method: Method, target: &str, kind: &str, body: &[u8]) -> Asking {
    let mut request = Request::builder().method(method);
    if !kind.is_empty() {
        request = request.header(CONTENT_TYPE, kind);
    }
    request
        .uri(format!("https://{NAME}{target}"))
        .header("host", NAME)
        .body(Full::from(body.to_vec()))
        .unwrap()
}
