//! Connections as they come: accepted while we serve, let in, and known by whose they are.

use super::connections::{Connections, Place};
use super::proxy::Header;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// A connection that was let in.
pub(super) struct Arrival {
    pub(super) stream: TcpStream,
    /// The client, once it is known.
    pub(super) peer: SocketAddr,
    /// The address of ours that it reached.
    pub(super) local: SocketAddr,
    pub(super) place: Place,
}

/// Carries each connection in a task of its own until it is told to stop, and then waits for all of them.
pub(super) async fn each<F>(
    listener: TcpListener,
    connections: &Arc<Connections>,
    mut stop: watch::Receiver<bool>,
    mut carry: impl FnMut(Arrival) -> F,
) where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            // First: who is not accepted yet may wait for the next process.
            biased;
            // An error means that whoever could stop us is gone.
            _ = stop.wait_for(|&stop| stop) => break,
            accepted = listener.accept() => accepted,
        };
        // The results of connections that are over; nobody wants them.
        while tasks.try_join_next().is_some() {}
        match accepted {
            Ok((stream, peer)) => {
                if let Some(arrival) = admit(connections, stream, peer) {
                    tasks.spawn(carry(arrival));
                }
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

fn admit(connections: &Arc<Connections>, stream: TcpStream, peer: SocketAddr) -> Option<Arrival> {
    // A load balancer is no client: the cap for one is for whom it names.
    let place = if connections.balancers.hold(peer.ip()) {
        connections.admit_anyone()
    } else {
        connections.admit(peer.ip())
    };
    Some(Arrival {
        place: place?,
        local: stream.local_addr().ok()?,
        stream,
        peer,
    })
}

impl Arrival {
    /// Learns from a load balancer whose connection this is; nothing else is a client's before.
    pub(super) async fn meet(
        &mut self,
        patience: Duration,
        stop: &mut watch::Receiver<bool>,
    ) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        if self.place.is_known() {
            return Ok(());
        }
        let balancers = self.place.balancers();
        let heard = tokio::select! {
            heard = balancers.hear(&mut self.stream, self.peer.ip(), patience) => heard,
            _ = stop.wait_for(|&stop| stop) => None,
        };
        match heard.ok_or(io::ErrorKind::InvalidData)? {
            Header::Balancer => Ok(()),
            Header::Client(client) if self.place.belong_to(client.ip()) => {
                self.peer = client;
                Ok(())
            }
            Header::Client(_) => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

/// How long to wait when no connection can be accepted, most likely for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
