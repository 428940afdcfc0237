//! QUIC connections (RFC 9000), and DNS over dedicated ones (RFC 9250): a stream for each query.

use super::asked::IDLE;
use super::fault::{Fault, OTHER_PROTOCOL};
use super::streams::{Leave, Outcome, Streams};
use super::trust::Trust;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, IdleTimeout, RecvStream, TransportConfig,
    TransportErrorCode, VarInt,
};
use rustls::AlertDescription;
use rustls::pki_types::ServerName;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// What all connections to a server have in common. `streams` is how many it may open towards us, for its own ends.
pub(super) fn config(trust: &Trust, streams: u8) -> Result<ClientConfig, Fault> {
    let crypto = QuicClientConfig::try_from(Arc::clone(&trust.client))
        .map_err(|error| Fault::of_speech(error.to_string()))?;
    let mut transport = TransportConfig::default();
    transport
        // RFC 9250 §5.5.2: who is done leaves, rather than to keep the server's place warm.
        .max_idle_timeout(IdleTimeout::try_from(IDLE).ok())
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(streams.into())
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .datagram_receive_buffer_size(None);
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// Connects by a socket of its own, so from a port that nobody knows.
pub(super) async fn connect(
    config: ClientConfig,
    server: SocketAddr,
    name: &ServerName<'static>,
    trust: &Trust,
) -> Result<Connection, Fault> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let endpoint = Endpoint::client((any, 0).into()).map_err(|error| Fault::unreachable(&error))?;
    trust.forget_refusal();
    // No 0-RTT: what is asked goes out when the server has proven who it is.
    let connecting = endpoint.connect_with(config, server, &name.to_str());
    let connecting = connecting.map_err(|error| Fault::unreachable(&error))?;
    connecting
        .await
        .map_err(|error| fault(&error, server, trust))
}

fn fault(error: &ConnectionError, server: SocketAddr, trust: &Trust) -> Fault {
    // QUIC keeps only a number of what is wrong with a certificate.
    if let Some(refusal) = trust.refusal() {
        return Fault::of_tls(&refusal);
    }
    let no_protocol = AlertDescription::NoApplicationProtocol.into();
    let code = match error {
        ConnectionError::TransportError(error) => Some(error.code),
        ConnectionError::ConnectionClosed(closed) => Some(closed.error_code),
        _ => None,
    };
    match error {
        ConnectionError::TimedOut => Fault::silent(server),
        _ if code == Some(TransportErrorCode::crypto(no_protocol)) => {
            Fault::of_speech(OTHER_PROTOCOL)
        }
        error => Fault::of_speech(error.to_string()),
    }
}

/// A connection that speaks DNS.
pub(super) fn open(connection: Connection) -> Streams {
    let (asked, watched) = (connection.clone(), connection);
    let ask = move |query| Box::pin(exchange(asked.clone(), query)) as _;
    let leaving = async move {
        watched.closed().await;
        Leave::Ended
    };
    Streams::new(ask, leaving)
}

async fn exchange(connection: Connection, query: Vec<u8>) -> Outcome {
    let Ok((mut send, receive)) = connection.open_bi().await else {
        return Outcome::Untaken;
    };
    let mut receive = Awaited(receive);
    let length = u16::try_from(query.len()).unwrap_or(u16::MAX);
    let frame = [&length.to_be_bytes(), query.as_slice()].concat();
    // RFC 9250 §4.2: the end of the stream says that there is no other query on it.
    if send.write_all(&frame).await.is_err() || send.finish().is_err() {
        return Outcome::Lost;
    }
    let frame = match receive.0.read_to_end(MOST).await {
        Ok(frame) => frame,
        Err(quinn::ReadToEndError::TooLong) => Vec::new(),
        Err(quinn::ReadToEndError::Read(_)) => return Outcome::Lost,
    };
    match message(&frame) {
        Some(message) => Outcome::Message(message.to_vec()),
        None => {
            // RFC 9250 §4.3.3: that is fatal.
            connection.close(PROTOCOL_ERROR, b"");
            Outcome::Lost
        }
    }
}

/// The one whole message that a stream brought, with the id that it must have.
fn message(frame: &[u8]) -> Option<&[u8]> {
    let (length, message) = frame.split_first_chunk()?;
    let whole = usize::from(u16::from_be_bytes(*length)) == message.len();
    (whole && message.starts_with(&[0, 0])).then_some(message)
}

/// The server's half of a stream. Dropped before its end, it tells the server that nobody waits any more.
struct Awaited(RecvStream);

impl Drop for Awaited {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.stop(REQUEST_CANCELLED);
    }
}

/// RFC 9250 §8.4. That of an unused connection which is closed, DOQ_NO_ERROR, is 0, and what a dropped one says.
const PROTOCOL_ERROR: VarInt = VarInt::from_u32(2);
const REQUEST_CANCELLED: VarInt = VarInt::from_u32(3);
/// Octets of a stream: a length, and a message.
const MOST: usize = 2 + 65_535;
/// Octets that a server may send before we have read any: of one answer with what frames it, and of all.
const STREAM_WINDOW: u32 = 128 * 1024;
const WINDOW: u32 = 4 * 1024 * 1024;
