//! The thread of everything that is not UDP: streams, the admin page, the self-query, the prober.

use super::certificate::Encryption;
use super::{Shared, page};
use crate::admin;
#[cfg(feature = "doh")]
use crate::config::Over;
#[cfg(feature = "doh")]
use crate::listen::https;
#[cfg(feature = "doq")]
use crate::listen::quic;
use crate::listen::sockets::BoundEncrypted;
use crate::listen::stream;
use crate::listen::tls::Tls;
use crate::listen::{Counter, Errand, Hearing, Incoming, Service};
use crate::message::Transport;
use crate::metrics;
use crate::pipeline::{Client, Origin, Outcome, Settings, Via};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::runtime::{self, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What runs on that thread.
pub(super) struct Streams {
    pub(super) shared: Arc<Shared>,
    pub(super) listeners: Vec<TcpListener>,
    /// Where clients are heard over encrypted transports.
    pub(super) encrypted: Vec<BoundEncrypted>,
    pub(super) admin: Option<TcpListener>,
    pub(super) stopped: watch::Receiver<bool>,
    /// The listener that the self-query goes through.
    pub(super) first: Option<SocketAddr>,
}

/// What the thread runs on; others have exchanges run there.
pub(super) fn runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
}

impl Streams {
    /// Starts the thread.
    pub(super) fn start(self, runtime: Runtime) -> io::Result<JoinHandle<()>> {
        let run = move || {
            if let Err(error) = runtime.block_on(self.run()) {
                tracing::error!(%error, "streams cannot be served");
            }
        };
        thread::Builder::new().name("streams".into()).spawn(run)
    }

    async fn run(self) -> io::Result<()> {
        let mut tasks = JoinSet::new();
        let desk = desk(&self.shared);
        let hearing = |over| Hearing {
            service: service(&self.shared, &desk, over),
            connections: Arc::clone(&self.shared.connections),
            stop: self.stopped.clone(),
        };
        for listener in self.listeners {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tasks.spawn(stream::serve(
                listener,
                None,
                hearing(metrics::Transport::Tcp),
            ));
        }
        if let Some(Encryption { tls, .. }) = &self.shared.encryption {
            for bound in self.encrypted {
                hear(bound, tls, &hearing, &mut tasks)?;
            }
        }
        if let Some(listener) = self.admin {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tasks.spawn(admin::serve(
                listener,
                page::pages(&self.shared),
                self.stopped.clone(),
            ));
        }
        let prober = tokio::spawn(Arc::clone(&self.shared.prober).run());
        let pulse = tokio::spawn(beat(Arc::clone(&self.shared)));
        let shared = Arc::clone(&self.shared);
        let ready = tokio::spawn(async move {
            if let Some(first) = self.first {
                shared.become_ready(first).await;
            }
        });
        while tasks.join_next().await.is_some() {}
        let mut stopped = self.stopped;
        // Exchanges over streams belong to workers that may still drain.
        let _ = stopped.wait_for(|stopped| *stopped).await;
        ready.abort();
        pulse.abort();
        prober.abort();
        Ok(())
    }
}

/// Serves where an encrypted transport is spoken.
fn hear(
    bound: BoundEncrypted,
    tls: &Arc<Tls>,
    hearing: &impl Fn(metrics::Transport) -> Hearing,
    tasks: &mut JoinSet<()>,
) -> io::Result<()> {
    for listener in bound.streams {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let tls = Arc::clone(tls);
        #[cfg(feature = "doh")]
        if let Over::Https(path) = &bound.at.over {
            let hearing = hearing(metrics::Transport::Doh);
            tasks.spawn(https::serve(listener, tls, Arc::clone(path), hearing));
            continue;
        }
        let hearing = hearing(metrics::Transport::Dot);
        tasks.spawn(stream::serve(listener, Some(tls), hearing));
    }
    #[cfg(feature = "doq")]
    for socket in bound.datagrams {
        let served = quic::serve(socket, Arc::clone(tls), hearing(metrics::Transport::Doq));
        let at = bound.at.clone();
        tasks.spawn(async move {
            if let Err(error) = served.await {
                tracing::error!(%error, "nobody is heard at {at}");
            }
        });
    }
    Ok(())
}

/// So that the watchdog sees that this thread goes round.
async fn beat(shared: Arc<Shared>) {
    while let Some(pulse) = shared.pulses.last() {
        pulse.store(shared.clock.now().as_micros(), Relaxed);
        tokio::time::sleep(BEAT).await;
    }
}

/// This thread's own, but a service is shared by what it may not know.
fn desk(shared: &Shared) -> Arc<Mutex<Desk>> {
    let counts = shared.counts.last().map(Arc::clone).unwrap_or_default();
    Arc::new(Mutex::new(Desk {
        counter: Counter::new(counts, Arc::clone(&shared.rules)),
        settings: shared.pipeline.settings(),
    }))
}

/// Answers what comes over streams: at once, or by the errand of a worker.
fn service(
    shared: &Arc<Shared>,
    desk: &Arc<Mutex<Desk>>,
    over: metrics::Transport,
) -> Arc<Service> {
    let (shared, desk) = (Arc::clone(shared), Arc::clone(desk));
    Arc::new(move |incoming: Incoming<'_>| {
        let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
        desk.answer(&shared, incoming, over)
    })
}

struct Desk {
    counter: Counter,
    settings: Arc<Settings>,
}

impl Desk {
    fn answer(
        &mut self,
        shared: &Shared,
        incoming: Incoming<'_>,
        over: metrics::Transport,
    ) -> Option<Vec<u8>> {
        shared.pipeline.catch_up(&mut self.settings);
        self.counter.query(over);
        let client = Client {
            address: incoming.peer.ip().to_canonical(),
            transport: Transport::Stream,
            is_encrypted: over.is_encrypted(),
        };
        let mut reply = Vec::with_capacity(512);
        let now = shared.clock.now();
        match shared
            .pipeline
            .answer_now(&self.settings, incoming.query, client, now, &mut reply)
        {
            Outcome::Reply { tally, refresh } => {
                self.counter
                    .reply(&self.settings, client.address, tally, &reply);
                if refresh {
                    self.counter.prefetch();
                    hand_over(
                        shared,
                        incoming,
                        Errand::Refresh {
                            query: incoming.query.to_vec(),
                        },
                    );
                }
                Some(reply)
            }
            Outcome::Drop => {
                self.counter.unanswered();
                shared.connections.finish(incoming.connection, None);
                None
            }
            Outcome::Fetch => {
                let via = Via::Connection(incoming.connection);
                let origin = Origin {
                    client,
                    peer: incoming.peer,
                    via,
                };
                hand_over(
                    shared,
                    incoming,
                    Errand::Ask {
                        query: incoming.query.to_vec(),
                        origin,
                    },
                );
                None
            }
        }
    }
}

/// Any worker will do; the connections spread over them.
fn hand_over(shared: &Shared, incoming: Incoming<'_>, errand: Errand) {
    let workers = shared.inboxes.len().max(1) as u64;
    let turn = usize::try_from(incoming.connection % workers).unwrap_or_default();
    if let Some(inbox) = shared.inboxes.get(turn) {
        inbox.leave(errand);
    }
}

/// How often this thread says that it goes round.
const BEAT: Duration = Duration::from_secs(1);
