//! Hears clients over HTTPS (RFC 8484), by HTTP/2 and HTTP/1.1.
//!
//! A task for each connection, and one for each request over HTTP/2: answered on the spot, each reply would be written
//! by itself; so those that are ready together leave together. Every wait for a client is bounded, and so is
//! what a client can make us hold. Who asks is who connects: what a request says of others (`X-Forwarded-For`) is
//! not believed.

mod account;
mod guest;
mod records;
mod reply;
mod request;

use super::arrival::{self, Arrival};
use super::tls::{Handshake, Tls};
use super::{Hearing, Service};
use guest::Guest;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use records::Records;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until, timeout};

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Time until the first request, its head included.
    first: Duration,
    /// Time without any request.
    idle: Duration,
    /// Time for the body of a request.
    body: Duration,
    /// Time in which a client takes none of its replies.
    write: Duration,
    /// Time for a reply. Whoever answers is far quicker: it was lost.
    lost: Duration,
    /// Time for a client that is quiet to see that it is over.
    farewell: Duration,
    /// Time to finish what is in flight when we stop.
    grace: Duration,
    /// Requests in flight.
    in_flight: u32,
    /// Octets of unread replies and of bodies at which no further request is answered.
    held: usize,
}

const LIMITS: Limits = Limits {
    first: Duration::from_secs(10),
    idle: Duration::from_secs(30),
    body: Duration::from_secs(5),
    write: Duration::from_secs(5),
    lost: Duration::from_secs(30),
    farewell: Duration::from_millis(500),
    grace: Duration::from_secs(3),
    in_flight: 128,
    held: 1024 * 1024,
};

/// Octets of a request's head, names and values of its fields.
const HEAD: u32 = 16 * 1024;
/// Octets of bodies that a client may send ahead: of one request, and of all.
const AHEAD: (u32, u32) = (16 * 1024, 65_535);
/// Requests that a client may take back before we have looked at them; at one more the connection ends, for it only
/// wants us busy (CVE-2023-44487).
const TAKEN_BACK: usize = 20;

/// Serves until it is told to stop, and then until what is in flight is finished or 3 s are over.
pub async fn serve(listener: TcpListener, tls: Arc<Tls>, path: Arc<str>, hearing: Hearing) {
    let config = Arc::new(tls.speaking(&[H2, b"http/1.1"]));
    let most = hearing.connections.most();
    let (service, stop) = (hearing.service, hearing.stop);
    arrival::each(listener, &hearing.connections, stop.clone(), |arrival| {
        let handshake = tls.begin(&config, most / 2);
        let ours = (path.clone(), service.clone());
        carry(arrival, handshake, ours, stop.clone())
    })
    .await;
}

/// One connection from the first octet of its handshake to its last. How a client leaves is its own affair: the
/// error is only a way to end.
async fn carry(
    mut arrival: Arrival,
    handshake: Handshake,
    (path, service): (Arc<str>, Arc<Service>),
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    arrival.meet(LIMITS.body, &mut stop).await?;
    if let Some(stream) = handshake.shake(arrival.stream, &mut stop).await {
        let ends = (arrival.peer, arrival.local);
        let guest = Guest::new(LIMITS, ends, path, service, arrival.place);
        let is_h2 = stream.get_ref().1.alpn_protocol() == Some(H2);
        talk(Records(stream), is_h2, Arc::new(guest), stop).await;
    }
    Ok(())
}

/// Speaks HTTP/2, or HTTP/1.1 with whoever does not ask for it.
async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    is_h2: bool,
    guest: Arc<Guest>,
    stop: watch::Receiver<bool>,
) {
    let stream = TokioIo::new(stream);
    let service = service_fn(|request| Arc::clone(&guest).answer(request));
    if is_h2 {
        let connection = http2::Builder::new(TokioExecutor::new())
            .max_concurrent_streams(guest.limits.in_flight)
            .max_pending_accept_reset_streams(TAKEN_BACK)
            .max_header_list_size(HEAD)
            .initial_stream_window_size(AHEAD.0)
            .initial_connection_window_size(AHEAD.1)
            .serve_connection(stream, service);
        let end = http2::Connection::graceful_shutdown;
        watch(pin!(connection), end, &guest, stop).await;
    } else {
        let connection = http1::Builder::new()
            .max_buf_size(HEAD as usize)
            .serve_connection(stream, service);
        let end = http1::Connection::graceful_shutdown;
        watch(pin!(connection), end, &guest, stop).await;
    }
}

/// Drives a connection until it is over, or has to be; `end` lets it finish what it has begun.
async fn watch<C: Future>(
    mut connection: Pin<&mut C>,
    end: fn(Pin<&mut C>),
    guest: &Guest,
    mut stop: watch::Receiver<bool>,
) {
    let account = &guest.account;
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = stop.wait_for(|&stop| stop) => break,
            () = sleep_until(account.next_look()) => match account.is_over() {
                None => {}
                Some(account::Over::Quiet) => break,
                Some(account::Over::Deaf) => return,
            },
        }
    }
    end(connection.as_mut());
    // A client that reads closes; nobody waits for one that owes nothing and is not listening.
    let _ = timeout(guest.limits.grace, async {
        loop {
            tokio::select! {
                _ = connection.as_mut() => return,
                () = sleep(guest.limits.farewell) => if account.is_settled() { return },
            }
        }
    })
    .await;
}

/// HTTP/2 in ALPN.
const H2: &[u8] = b"h2";

#[cfg(test)]
mod tests;
