//! Hears clients over TCP.
//!
//! One task for each connection. Queries are handed out as they come and answered in whatever
//! order answers are ready (RFC 7766 §6.2.1.1); replies that are ready together leave in one
//! segment. A client that shut down its sending side still gets its answers. Every wait for a
//! client is bounded, and so is what a client can make us hold: when its queries in flight or its
//! unread replies are many, we stop reading until they are fewer.
//!
//! It never looks into a message: whoever answers decides, at once or later from any thread.

use super::connections::{Connections, Finished, Place};
use super::frame::{Inbox, Outbox};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// A message of a client, and where it came from.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The message; nothing is known of it.
    pub query: &'a [u8],
    /// The client.
    pub peer: SocketAddr,
    /// The address of ours that it reached.
    pub local: SocketAddr,
    /// Where a reply that comes later goes, by [`Connections::finish`].
    pub connection: u64,
}

/// Answers a message at once, or promises one call of [`Connections::finish`]. Must not block.
pub type Service = dyn Fn(Incoming<'_>) -> Option<Vec<u8>> + Send + Sync;

/// How long a connection stays open without any query (RFC 7766 §6.2.3).
pub const IDLE: Duration = Duration::from_secs(10);

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Time without any query.
    idle: Duration,
    /// Time from a message's first octet to its last.
    message: Duration,
    /// Time in which a client takes none of its replies.
    write: Duration,
    /// Time without any progress while queries are in flight. Whoever answers is far quicker: they
    /// were lost, and the connection ends rather than hang.
    lost: Duration,
    /// Time to finish what is in flight when we stop.
    grace: Duration,
    /// Queries in flight.
    in_flight: usize,
    /// Octets of unread replies at which we take no further query.
    unsent: usize,
    /// Octets of unread replies at which the client is given up: it only asks.
    abandoned: usize,
}

const LIMITS: Limits = Limits {
    idle: IDLE,
    message: Duration::from_secs(5),
    write: Duration::from_secs(5),
    lost: Duration::from_secs(30),
    grace: Duration::from_secs(3),
    in_flight: 128,
    unsent: 64 * 1024,
    abandoned: 1024 * 1024,
};

/// Empty messages that a connection may send. They ask nothing and get nothing, and no honest
/// client sends any; the connection ends at one more.
const EMPTY_MESSAGES: usize = 16;

/// How long to wait when no connection can be accepted, most likely for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop` turns true, and then until what is in flight is finished or 3 s are over.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    connections: Arc<Connections>,
    stop: watch::Receiver<bool>,
) {
    serve_within(LIMITS, listener, service, connections, stop).await;
}

async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    service: Arc<Service>,
    connections: Arc<Connections>,
    mut stop: watch::Receiver<bool>,
) {
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
                if let Some(place) = connections.admit(peer.ip())
                    && let Ok(local) = stream.local_addr()
                {
                    let talk = Talk::new(limits, peer, local, service.clone(), place);
                    tasks.spawn(carry(stream, talk, stop.clone()));
                }
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

/// One connection from its first octet to its last. How a client leaves is its own affair: the
/// error is only a way to end.
async fn carry(
    mut stream: TcpStream,
    mut talk: Talk,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = stream.split();
    loop {
        // Asked first, so that nothing is read once we stop: the workers end when no connection is left.
        if *stop.borrow() && talk.end_by.is_none() {
            talk.end();
        }
        talk.hand_out();
        if talk.is_over() {
            return Ok(());
        }
        let (may_read, may_write) = (talk.may_read(), !talk.outbox.unsent().is_empty());
        let (deadline, stopping) = (talk.deadline(), talk.end_by.is_some());
        tokio::select! {
            read = reader.read_buf(talk.inbox.room()), if may_read => talk.has_read(read?),
            written = writer.write(talk.outbox.unsent()), if may_write => talk.has_written(written?),
            // There is always a sender: our own place among the connections.
            Some(finished) = talk.place.finished.recv() => talk.take(finished),
            _ = stop.wait_for(|&stop| stop), if !stopping => talk.end(),
            () = sleep_until(deadline) => return Ok(()),
        }
    }
}

/// Where a connection stands; it knows when to read, when to give up, and no socket.
struct Talk {
    limits: Limits,
    peer: SocketAddr,
    local: SocketAddr,
    service: Arc<Service>,
    place: Place,
    inbox: Inbox,
    outbox: Outbox,
    in_flight: usize,
    empty_messages: usize,
    /// The client sends no more, or we hear no more.
    ended: bool,
    /// When we must be gone, once we stop.
    end_by: Option<Instant>,
    /// When anything was last asked or answered.
    active: Instant,
    /// When the message that is still incomplete began.
    message_since: Option<Instant>,
    /// When the client last took something, or there was first something to take.
    unsent_since: Instant,
}

impl Talk {
    fn new(
        limits: Limits,
        peer: SocketAddr,
        local: SocketAddr,
        service: Arc<Service>,
        place: Place,
    ) -> Self {
        let now = now();
        Self {
            limits,
            peer,
            local,
            service,
            place,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            in_flight: 0,
            empty_messages: 0,
            ended: false,
            end_by: None,
            active: now,
            message_since: None,
            unsent_since: now,
        }
    }

    /// Hands out every whole message that came, as far as the limits allow.
    fn hand_out(&mut self) {
        while !self.is_full() {
            let Some(query) = self.inbox.next() else {
                if self.ended || self.inbox.is_empty() {
                    self.message_since = None;
                } else {
                    self.message_since.get_or_insert_with(now);
                }
                return;
            };
            self.message_since = None;
            if query.is_empty() {
                self.empty_messages += 1;
                continue;
            }
            let (peer, local, connection) = (self.peer, self.local, self.place.id);
            match (self.service)(Incoming {
                query,
                peer,
                local,
                connection,
            }) {
                Some(reply) => push(&mut self.outbox, &mut self.unsent_since, &reply),
                None => self.in_flight += 1,
            }
            self.active = now();
        }
        // As long as we do not read, the client cannot be late.
        self.message_since = None;
    }

    fn is_full(&self) -> bool {
        self.in_flight >= self.limits.in_flight || self.outbox.unsent().len() >= self.limits.unsent
    }

    fn may_read(&self) -> bool {
        !self.ended && !self.is_full()
    }

    fn is_over(&self) -> bool {
        let unsent = self.outbox.unsent().len();
        let finished = self.ended && self.in_flight == 0 && unsent == 0;
        finished || unsent > self.limits.abandoned || self.empty_messages > EMPTY_MESSAGES
    }

    /// When to give up, if nothing happens before.
    fn deadline(&self) -> Instant {
        let unsent = !self.outbox.unsent().is_empty();
        let quiet = match self.message_since {
            _ if unsent => self.unsent_since + self.limits.write,
            Some(since) => since + self.limits.message,
            None if self.in_flight > 0 => self.active + self.limits.lost,
            None => self.active + self.limits.idle,
        };
        self.end_by.map_or(quiet, |end| end.min(quiet))
    }

    fn has_read(&mut self, count: usize) {
        if count == 0 {
            self.ended = true;
        }
    }

    fn has_written(&mut self, count: usize) {
        self.outbox.advance(count);
        self.unsent_since = now();
        self.active = self.unsent_since;
    }

    /// Takes what is finished, and whatever else is by now, so that it leaves together.
    fn take(&mut self, first: Finished) {
        let mut next = Some(first);
        while let Some(finished) = next {
            self.in_flight = self.in_flight.saturating_sub(1);
            if let Some(reply) = finished {
                push(&mut self.outbox, &mut self.unsent_since, &reply);
            }
            next = self.place.finished.try_recv().ok();
        }
        self.active = now();
    }

    /// Hears no more; what is in flight has a while to come back.
    fn end(&mut self) {
        self.ended = true;
        self.end_by = Some(now() + self.limits.grace);
    }
}

fn push(outbox: &mut Outbox, unsent_since: &mut Instant, reply: &[u8]) {
    if outbox.unsent().is_empty() {
        *unsent_since = now();
    }
    outbox.push(reply);
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client's time runs by the clock"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
