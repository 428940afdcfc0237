//! Hears clients over QUIC (RFC 9250).
//!
//! quinn carries packets, handshakes and flow control; here stands who is let in, what a connection may take, and
//! how it ends. One task for each connection and one for each stream (`stream`), so no query waits for another.
//! A client has as many queries under way as it has streams, and gets a new stream for each that is over: there is
//! no limit to the queries of a connection.
//!
//! Whoever sends a first packet may have made up its address. So a handshake takes one of the places that all
//! connections share, as over TCP, and once a few are half open an address must be proved first (Retry, RFC 9000
//! §8.1.2), which costs us no memory. Nothing is heard in 0-RTT: a query in it could be replayed (RFC 9250 §4.5),
//! and that it was sent again can be seen from the packets to upstreams.
//!
//! A client may move to another address, as one behind a NAT does; it stays whom it was when it was let in, for
//! rules and caps.

mod stream;

use super::connections::{Connections, Place};
use super::tls::{Opening, Tls};
use super::{Hearing, Service};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{
    Connection, Endpoint, EndpointConfig, IdleTimeout, Incoming, ServerConfig, TokioRuntime,
    TransportConfig, VarInt,
};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How long a connection stays without any query; longer than over TCP, for to come again costs more.
pub const IDLE: Duration = Duration::from_secs(30);

/// Time from a stream's beginning to the last octet of its query.
const QUERY: Duration = Duration::from_secs(5);

/// Time in which a client takes nothing of a reply.
const WRITE: Duration = Duration::from_secs(5);

/// Time from a query to the client's word that it has the reply. Whoever answers is far quicker: it was lost.
const LOST: Duration = Duration::from_secs(30);

/// Time to finish what is in flight when we stop.
const GRACE: Duration = Duration::from_secs(3);

/// Queries that a connection has under way: its streams.
const STREAMS_AT_ONCE: u32 = 128;

/// The same until the handshake is done: quinn keeps a record of each, used or not.
const STREAMS_AT_FIRST: u32 = 8;

/// Octets that a stream may bring before anything of it is read: the longest message with its length, and one more.
const STREAM_WINDOW: u32 = 65_538;

/// Octets that a connection may bring before anything of it is read, and the same of queries that are not whole yet.
const WINDOW: u32 = 128 * 1024;

/// Octets of replies that are written and that the client has not acknowledged.
const SEND_WINDOW: u64 = 128 * 1024;

/// Octets of replies that the client has not taken, at which it is heard no further.
const UNSENT: usize = 64 * 1024;

/// The same, at which it is given up: it only asks.
const ABANDONED: usize = 1024 * 1024;

/// Handshakes half open from which on an address must be proved: more than honest clients have at once.
const UNPROVED: usize = 16;

/// First packets that wait for us to look at them. A burst of them is looked at in one go.
const WAITING: usize = 4096;
/// Octets that may come behind a first packet until then: a hello with post-quantum keys takes two packets.
const BEHIND_FIRST: u64 = 4096;

/// Connections that quinn may remember, for each that we may have: those that are over linger for a few round trips.
const LINGERING: usize = 4;

/// The one version of QUIC (RFC 9000).
const VERSION: u32 = 1;

/// How long to wait when the socket cannot be read.
const PAUSE: Duration = Duration::from_millis(50);

/// How long clients may take to hear that it is over.
const FAREWELL: Duration = Duration::from_millis(250);

/// Why a connection or a stream ends (RFC 9250 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    /// `DOQ_NO_ERROR`
    Fine = 0,
    /// `DOQ_INTERNAL_ERROR`
    Internal = 1,
    /// `DOQ_PROTOCOL_ERROR`
    Protocol = 2,
    /// `DOQ_REQUEST_CANCELLED`
    Cancelled = 3,
    /// `DOQ_EXCESSIVE_LOAD`
    Load = 4,
}

impl From<Code> for VarInt {
    fn from(code: Code) -> Self {
        Self::from_u32(code as u32)
    }
}

/// How a connection ends, and what its client is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End(Code, &'static str);

/// Serves until it is told to stop, and then until what is in flight is finished or 3 s are over.
///
/// # Errors
/// The socket is of no use, or TLS cannot be spoken over QUIC.
pub async fn serve(socket: UdpSocket, tls: Arc<Tls>, hearing: Hearing) -> io::Result<()> {
    let config = server_config(&tls)?;
    let mut stop = hearing.stop.clone();
    let is_stopped = |stop: &watch::Receiver<bool>| *stop.borrow() || stop.has_changed().is_err();
    while !is_stopped(&stop) {
        let own = socket.try_clone()?;
        let endpoint = Endpoint::new(
            endpoint_config(),
            Some(config.clone()),
            own,
            Arc::new(TokioRuntime),
        )?;
        let door = Door {
            local: endpoint.local_addr()?,
            endpoint,
            tls: Arc::clone(&tls),
            hearing: hearing.clone(),
        };
        // It ends before that only where the kernel cannot give what has come, for want of memory.
        door.serve(&mut stop).await;
        if !is_stopped(&stop) {
            sleep(PAUSE).await;
        }
    }
    Ok(())
}

fn endpoint_config() -> EndpointConfig {
    let mut config = EndpointConfig::default();
    config.supported_versions(vec![VERSION]);
    config
}

fn server_config(tls: &Tls) -> io::Result<ServerConfig> {
    let crypto = QuicServerConfig::try_from(tls.speaking(&[b"doq"])).map_err(io::Error::other)?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(Arc::new(transport()?))
        .max_incoming(WAITING)
        .incoming_buffer_size(BEHIND_FIRST)
        .incoming_buffer_size_total(BEHIND_FIRST * 256);
    Ok(config)
}

/// What a connection may take of quinn.
fn transport() -> io::Result<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(STREAMS_AT_FIRST.into())
        // RFC 9250 §4.2: there are none.
        .max_concurrent_uni_streams(0_u32.into())
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(WINDOW.into())
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(IdleTimeout::try_from(IDLE).map_err(io::Error::other)?))
        // Packets of 1,200 octets pass everywhere: no probes for longer ones. They are not filled up either
        // (`pad_to_mtu`): quinn would fill those that only acknowledge, too. Such a packet counts as on its way until
        // it is acknowledged, which nothing makes the client do: after nine of them no reply may leave.
        .mtu_discovery_config(None);
    Ok(transport)
}

/// Who is let in, and who is told to come another way.
struct Door {
    endpoint: Endpoint,
    /// Where it stands.
    local: SocketAddr,
    tls: Arc<Tls>,
    hearing: Hearing,
}

impl Door {
    /// Lets clients in until we stop; then waits for those that are in.
    async fn serve(&self, stop: &mut watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        loop {
            let incoming = tokio::select! {
                biased;
                // An error means that whoever could stop us is gone.
                _ = stop.wait_for(|&stop| stop) => break,
                incoming = self.endpoint.accept() => incoming,
            };
            while tasks.try_join_next().is_some() {}
            let Some(incoming) = incoming else {
                return;
            };
            if let Some((incoming, place)) = self.welcome(incoming) {
                let opening = self.tls.open(self.hearing.connections.most() / 2);
                tasks.spawn(self.carry(incoming, opening, place, stop.clone()));
                // One at a time: others get on with theirs before it is the next one that needs the room.
                yield_now().await;
            }
        }
        while !tasks.is_empty() {
            tokio::select! {
                _ = tasks.join_next() => {}
                // Not refused: it sends its packet again, to the next process.
                Some(incoming) = self.endpoint.accept() => incoming.ignore(),
            }
        }
        // Who never took the farewell is not waited for.
        let _ = timeout(FAREWELL, self.endpoint.wait_idle()).await;
    }

    /// Gives a client a place, or an answer that costs us nothing.
    fn welcome(&self, incoming: Incoming) -> Option<(Incoming, Place)> {
        if !incoming.remote_address_validated() && self.tls.half_open() >= UNPROVED {
            // Never an error: it has no proof, so none was asked for.
            let _ = incoming.retry();
            return None;
        }
        let connections: &Arc<Connections> = &self.hearing.connections;
        let is_full = self.endpoint.open_connections() >= LINGERING * connections.most();
        let place = connections.admit(incoming.remote_address().ip());
        match place.filter(|_| !is_full) {
            Some(place) => Some((incoming, place)),
            None => {
                incoming.refuse();
                None
            }
        }
    }

    /// One connection, from its first packet to its last.
    fn carry(
        &self,
        incoming: Incoming,
        opening: Opening,
        place: Place,
        mut stop: watch::Receiver<bool>,
    ) -> impl Future<Output = ()> + use<> {
        let tls = Arc::clone(&self.tls);
        let local = incoming.local_ip().unwrap_or_else(|| self.local.ip());
        let talk = Arc::new(Talk {
            service: Arc::clone(&self.hearing.service),
            peer: incoming.remote_address(),
            local: SocketAddr::new(local, self.local.port()),
            place,
            unread: Semaphore::new(WINDOW as usize),
            unsent: Semaphore::new(ABANDONED),
        });
        async move {
            let handshake = async { incoming.await };
            if let Some(connection) = tls.finish(handshake, opening, &mut stop).await {
                connection.set_max_concurrent_bi_streams(STREAMS_AT_ONCE.into());
                let End(code, why) = talk.carry(&connection, &mut stop).await;
                connection.close(code.into(), why.as_bytes());
            }
        }
    }
}

/// What the streams of a connection share.
struct Talk {
    service: Arc<Service>,
    peer: SocketAddr,
    local: SocketAddr,
    place: Place,
    /// Octets of queries that may still be read before others are whole.
    unread: Semaphore,
    /// Octets of replies that may still wait for the client to take others.
    unsent: Semaphore,
}

impl Talk {
    /// Hears the streams of a connection until it is over.
    async fn carry(
        self: &Arc<Self>,
        connection: &Connection,
        stop: &mut watch::Receiver<bool>,
    ) -> End {
        let mut tasks = JoinSet::new();
        let (mut active, mut end_by) = (now(), None);
        loop {
            let deadline = match end_by {
                Some(_) if tasks.is_empty() => return End(Code::Fine, "the server stops"),
                Some(end_by) => end_by,
                None => active + IDLE,
            };
            let may_hear = end_by.is_none() && !self.is_full(tasks.len());
            tokio::select! {
                // Asked first: no query is heard once we stop.
                biased;
                _ = stop.wait_for(|&stop| stop), if end_by.is_none() => {
                    end_by = Some(now() + GRACE);
                }
                Some(done) = tasks.join_next() => match done {
                    Ok(Err(end)) => return end,
                    // An error means that it panicked: then its query is lost, and no other.
                    Ok(Ok(())) | Err(_) => active = now(),
                },
                stream = connection.accept_bi(), if may_hear => {
                    let Ok((send, recv)) = stream else {
                        // The client has gone.
                        return End(Code::Fine, "");
                    };
                    tasks.spawn(Arc::clone(self).answer(send, recv));
                    active = now();
                }
                () = sleep_until(deadline), if end_by.is_some() || tasks.is_empty() => {
                    return End(Code::Fine, "idle for too long");
                }
            }
        }
    }

    /// Whether no further query is taken.
    fn is_full(&self, streams: usize) -> bool {
        let unsent = ABANDONED - self.unsent.available_permits();
        streams >= STREAMS_AT_ONCE as usize || unsent >= UNSENT
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client's time runs by the clock"
)]
fn now() -> Instant {
    Instant::now()
}
