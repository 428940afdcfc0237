//! Hears clients over TCP, and over TLS.
//!
//! One task for each connection. Queries are handed out as they come and answered in whatever
//! order answers are ready (RFC 7766 §6.2.1.1); replies that are ready together leave in one
//! segment. A client that shut down its sending side still gets its answers. Every wait for a
//! client is bounded, and so is what a client can make us hold: when its queries in flight or its
//! unread replies are many, we stop reading until they are fewer.
//!
//! It never looks into a message: whoever answers decides, at once or later from any thread.

use super::arrival::{self, Arrival};
use super::connections::{Finished, Place};
use super::frame::{Inbox, Outbox};
use super::tls::{Handshake, Tls};
use super::{Hearing, Incoming, Service};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

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

/// How long a client may take to hear that it is over.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves until it is told to stop, and then until what is in flight is finished or 3 s are over. With `tls`, over TLS alone.
pub async fn serve(listener: TcpListener, tls: Option<Arc<Tls>>, hearing: Hearing) {
    serve_within(LIMITS, (listener, tls), hearing).await;
}

async fn serve_within(
    limits: Limits,
    (listener, tls): (TcpListener, Option<Arc<Tls>>),
    hearing: Hearing,
) {
    // RFC 7858 was before it had a name; a client that offers none is as good.
    let tls = tls.map(|tls| (Arc::new(tls.speaking(&[b"dot"])), tls));
    let most = hearing.connections.most();
    let (service, stop) = (hearing.service, hearing.stop);
    arrival::each(listener, &hearing.connections, stop.clone(), |arrival| {
        let handshake = tls
            .as_ref()
            .map(|(config, tls)| tls.begin(config, most / 2));
        carry(limits, arrival, handshake, service.clone(), stop.clone())
    })
    .await;
}

/// One connection from its first octet to its last. How a client leaves is its own affair: the
/// error is only a way to end.
async fn carry(
    limits: Limits,
    mut arrival: Arrival,
    handshake: Option<Handshake>,
    service: Arc<Service>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    arrival.meet(limits.message, &mut stop).await?;
    let Arrival {
        mut stream,
        peer,
        local,
        place,
    } = arrival;
    let Some(handshake) = handshake else {
        let (reader, writer) = stream.split();
        let mut talk = Talk::new(limits, peer, local, service, place);
        return talk.carry(reader, writer, stop).await;
    };
    let Some(stream) = handshake.shake(stream, &mut stop).await else {
        return Ok(());
    };
    let (reader, mut writer) = tokio::io::split(stream);
    let mut talk = Talk::new(limits, peer, local, service, place);
    talk.carry(reader, &mut writer, stop).await?;
    // The client learns that nothing was cut off (close_notify, RFC 8446 §6.1).
    timeout(FAREWELL, writer.shutdown()).await?
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
    /// Nothing written waits to be encrypted or sent.
    flushed: bool,
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
            flushed: true,
        }
    }

    /// Carries messages until it is over.
    async fn carry(
        &mut self,
        mut reader: impl AsyncRead + Unpin,
        mut writer: impl AsyncWrite + Unpin,
        mut stop: watch::Receiver<bool>,
    ) -> io::Result<()> {
        loop {
            // Asked first, so that nothing is read once we stop: the workers end when no connection is left.
            if *stop.borrow() && self.end_by.is_none() {
                self.end();
            }
            self.hand_out();
            if self.is_over() {
                return Ok(());
            }
            let (may_read, may_send) = (self.may_read(), self.owes());
            let (deadline, stopping) = (self.deadline(), self.end_by.is_some());
            tokio::select! {
                read = reader.read_buf(self.inbox.room()), if may_read => self.has_read(read)?,
                sent = send(&mut writer, self.outbox.unsent()), if may_send => self.has_sent(sent?),
                // There is always a sender: our own place among the connections.
                Some(finished) = self.place.slot.finished.recv() => self.take(finished),
                _ = stop.wait_for(|&stop| stop), if !stopping => self.end(),
                () = sleep_until(deadline) => return self.give_up(),
            }
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
            let (peer, local, connection) = (self.peer, self.local, self.place.slot.id);
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
        let finished = self.ended && self.in_flight == 0 && !self.owes();
        finished || unsent > self.limits.abandoned || self.empty_messages > EMPTY_MESSAGES
    }

    /// When to give up, if nothing happens before.
    fn deadline(&self) -> Instant {
        let quiet = match self.message_since {
            _ if self.owes() => self.unsent_since + self.limits.write,
            Some(since) => since + self.limits.message,
            None if self.in_flight > 0 => self.active + self.limits.lost,
            None => self.active + self.limits.idle,
        };
        self.end_by.map_or(quiet, |end| end.min(quiet))
    }

    fn has_read(&mut self, read: io::Result<usize>) -> io::Result<()> {
        match read {
            Ok(0) => self.ended = true,
            // Over TLS, without a farewell: it may still want its answers.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.ended = true,
            Ok(_) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn has_sent(&mut self, count: usize) {
        self.flushed = self.outbox.unsent().is_empty();
        self.outbox.advance(count);
        self.unsent_since = now();
        self.active = self.unsent_since;
    }

    /// Whether there is anything to write or to flush.
    fn owes(&self) -> bool {
        !(self.flushed && self.outbox.unsent().is_empty())
    }

    /// Takes what is finished, and whatever else is by now, so that it leaves together.
    fn take(&mut self, first: Finished) {
        let mut next = Some(first);
        while let Some(finished) = next {
            self.in_flight = self.in_flight.saturating_sub(1);
            if let Some(reply) = finished {
                push(&mut self.outbox, &mut self.unsent_since, &reply);
            }
            next = self.place.slot.finished.try_recv().ok();
        }
        self.active = now();
    }

    /// A client that was only quiet is owed nothing.
    fn give_up(&self) -> io::Result<()> {
        if self.in_flight == 0 && !self.owes() {
            return Ok(());
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    /// Hears no more; what is in flight has a while to come back.
    fn end(&mut self) {
        self.ended = true;
        self.end_by = Some(now() + self.limits.grace);
    }
}

/// Writes as much as goes; where nothing is left, flushes what TLS holds back.
async fn send(writer: &mut (impl AsyncWrite + Unpin), unsent: &[u8]) -> io::Result<usize> {
    if unsent.is_empty() {
        writer.flush().await?;
        return Ok(0);
    }
    writer.write(unsent).await
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
pub(super) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
