//! A client over QUIC: quinn's, driven by a thread of its own, so that tests wait for it as for any other.

use super::tap::{Pass, Tap};
use crate::NAME;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ClientConfig, Connecting, Connection, ConnectionError, Endpoint, EndpointConfig, RecvStream,
    SendStream, TokioRuntime, TransportConfig, VarInt,
};
use std::future::pending;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::time::timeout;

/// Longer than any reply or farewell may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What drives all clients.
pub(crate) fn driver() -> &'static Handle {
    static DRIVER: OnceLock<Handle> = OnceLock::new();
    DRIVER.get_or_init(|| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        thread::spawn(move || runtime.block_on(pending::<()>()));
        handle
    })
}

/// Waits for something, as long as anybody may take.
#[track_caller]
pub(crate) fn wait<T>(what: impl Future<Output = T>) -> T {
    let done = driver().block_on(async { timeout(PATIENCE, what).await });
    done.expect("it comes in time")
}

/// TLS as a client of these names in ALPN speaks it, over QUIC.
pub(crate) fn quic(tls: &rustls::ClientConfig, protocols: &[&[u8]]) -> ClientConfig {
    let mut tls = tls.clone();
    tls.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()))
}

/// A connection, and what it stands on.
pub(crate) struct Client {
    pub(crate) endpoint: Endpoint,
    pub(crate) connection: Connection,
}

impl Client {
    pub(crate) fn to(
        server: SocketAddr,
        tls: &rustls::ClientConfig,
    ) -> Result<Self, ConnectionError> {
        Self::with(endpoint("127.0.0.1", None), server, quic(tls, &[b"doq"]))
    }

    /// One that takes so many octets before it reads them, over all streams.
    pub(crate) fn taking(octets: u32, server: SocketAddr, tls: &rustls::ClientConfig) -> Self {
        let mut config = quic(tls, &[b"doq"]);
        let mut transport = TransportConfig::default();
        transport.receive_window(octets.into());
        config.transport_config(Arc::new(transport));
        Self::with(endpoint("127.0.0.1", None), server, config).unwrap()
    }

    pub(crate) fn with(
        endpoint: Endpoint,
        server: SocketAddr,
        config: ClientConfig,
    ) -> Result<Self, ConnectionError> {
        let connection = wait(begin(&endpoint, server, config))?;
        Ok(Self {
            endpoint,
            connection,
        })
    }

    /// Asks, and gives what came on the stream, without its length.
    #[track_caller]
    pub(crate) fn ask(&self, query: Vec<u8>) -> Vec<u8> {
        wait(ask(self.connection.clone(), query))
    }

    /// A stream on which these octets were said, and the end of them where there is one.
    pub(crate) fn say(&self, octets: &[u8], is_end: bool) -> (SendStream, RecvStream) {
        wait(async {
            let (mut send, recv) = self.connection.open_bi().await.unwrap();
            send.write_all(octets).await.unwrap();
            if is_end {
                send.finish().unwrap();
            }
            (send, recv)
        })
    }

    /// The code and the words by which the server ends the connection.
    #[track_caller]
    pub(crate) fn end(&self) -> (u64, String) {
        match wait(self.connection.closed()) {
            ConnectionError::ApplicationClosed(close) => {
                let words = String::from_utf8_lossy(&close.reason).into_owned();
                (close.error_code.into_inner(), words)
            }
            other => panic!("no end by DoQ: {other}"),
        }
    }
}

/// Where a client stands: at this address of ours, and perhaps with something that sees its packets.
pub(crate) fn endpoint(own: &str, tap: Option<Pass>) -> Endpoint {
    let socket = UdpSocket::bind((own, 0)).unwrap();
    let _runtime = driver().enter();
    let runtime = Arc::new(TokioRuntime);
    match tap {
        None => Endpoint::new(EndpointConfig::default(), None, socket, runtime),
        Some(pass) => Endpoint::new_with_abstract_socket(
            EndpointConfig::default(),
            None,
            Arc::new(Tap::new(socket, pass)),
            runtime,
        ),
    }
    .unwrap()
}

/// The first packet goes out.
pub(crate) fn begin(endpoint: &Endpoint, server: SocketAddr, config: ClientConfig) -> Connecting {
    let _runtime = driver().enter();
    endpoint.connect_with(config, server, NAME).unwrap()
}

/// With its length before it.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap();
    [&length.to_be_bytes(), message].concat()
}

/// One query on a stream of its own.
pub(crate) async fn ask(connection: Connection, query: Vec<u8>) -> Vec<u8> {
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(&framed(&query)).await.unwrap();
    send.finish().unwrap();
    let said = recv.read_to_end(65_537).await.unwrap();
    let length = usize::from(u16::from_be_bytes([said[0], said[1]]));
    assert_eq!(length, said.len() - 2, "one message, and then the end");
    said[2..].to_vec()
}

/// `DOQ_REQUEST_CANCELLED`
pub(crate) const CANCELLED: VarInt = VarInt::from_u32(3);
