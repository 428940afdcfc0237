//! Are we alive, and are we ready?
//!
//! Ready from the first answered self-query (`. NS` through a listener, whatever its RCODE) until the drain:
//! trouble of upstreams shows in the body of the page and in the metrics, but taking a replica out
//! because the world behind it is broken would only move its clients to the next one.

use super::Shared;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::UdpSocket;

impl Shared {
    /// Whether a self-query has been answered.
    pub(super) fn is_ready(&self) -> bool {
        *self.stage.borrow() == Stage::Ready
    }

    /// Waits until one has been.
    pub(super) async fn ready(&self) {
        // The sender is ours and lives as long.
        let _ = self
            .stage
            .subscribe()
            .wait_for(|stage| *stage == Stage::Ready)
            .await;
    }

    /// False where we are stopping already.
    fn enter_service(&self) -> bool {
        self.stage.send_if_modified(|stage| {
            let starting = *stage == Stage::Starting;
            if starting {
                *stage = Stage::Ready;
            }
            starting
        })
    }

    /// For good: an answer to the self-query may still be under way.
    pub(super) fn leave_service(&self) {
        self.stage.send_replace(Stage::Stopping);
    }

    /// Whether a thread has ended that should not.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Relaxed)
    }

    /// Every worker and the thread of streams went round lately.
    pub(super) fn is_alive(&self) -> bool {
        let now = self.clock.now().as_micros();
        let patience = u64::try_from(SILENCE.as_micros()).unwrap_or(u64::MAX);
        let beats = |pulse: u64| now.saturating_sub(pulse) <= patience;
        !self.is_broken() && self.pulses.iter().all(|pulse| beats(pulse.load(Relaxed)))
    }

    /// Asks ourselves until an answer comes.
    pub(super) async fn become_ready(&self, listener: SocketAddr) {
        let address = reachable(listener);
        loop {
            if ask(address).await.is_some() {
                if self.enter_service() {
                    tracing::info!("ready");
                }
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Marks the daemon broken unless its thread ended as it should.
pub(super) struct Guard<'a>(pub(super) &'a Shared);

impl Guard<'_> {
    /// It did.
    pub(super) fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.broken.store(true, Relaxed);
    }
}

async fn ask(address: SocketAddr) -> Option<()> {
    let local: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((local, 0)).await.ok()?;
    socket.connect(address).await.ok()?;
    socket.send(&ROOT_NS).await.ok()?;
    let mut reply = [0; 1500];
    tokio::time::timeout(PATIENCE, socket.recv(&mut reply))
        .await
        .ok()?
        .ok()?;
    Some(())
}

/// A wildcard listener is reached by loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// The stages of a daemon's life; it never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Starting,
    Ready,
    Stopping,
}

/// `. NS`, RD=1.
const ROOT_NS: [u8; 17] = [0x75, 0x36, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];
/// A thread that has not gone round for so long hangs.
const SILENCE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(100);
