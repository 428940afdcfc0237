//! One query to one server: how it is put, how long it lasts, what may still come of it.

use super::flight::Turn;
use super::health::{LONGEST_TRY, Upstream};
use crate::message::Transport;
use crate::time::Moment;
use std::sync::Arc;
use std::time::Duration;

/// One query to one server.
#[derive(Debug)]
pub(super) struct Try {
    pub(super) server: Arc<Upstream>,
    pub(super) transport: Transport,
    /// Its server is asked otherwise than it usually is.
    pub(super) is_detour: bool,
    pub(super) id: u16,
    pub(super) edns: bool,
    pub(super) sent: Moment,
    pub(super) until: Moment,
    pub(super) state: Hope,
}

/// What may still come of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hope {
    /// Its time runs.
    Waiting,
    /// Its time is over; an answer still counts.
    Late,
    /// Nothing comes any more.
    Closed,
}

/// How a question is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// As the server is usually asked.
    Usual,
    /// For a server that may not know it.
    WithoutEdns,
    /// As the datagram that came back truncated.
    Stream { edns: bool },
}

impl Try {
    /// A query that goes out now; `before` tells how many this server had for the same question.
    pub(super) fn new(
        server: &Arc<Upstream>,
        manner: Manner,
        before: usize,
        turn: &mut Turn<'_>,
    ) -> Self {
        let usual = server.transport();
        let transport = match manner {
            Manner::Stream { .. } => Transport::Stream,
            Manner::Usual | Manner::WithoutEdns => usual,
        };
        let span = match transport {
            Transport::Stream => STREAM_TRY,
            // A server that was silent gets more time, within the bounds of a try.
            Transport::Datagram => {
                let patience = server.patience() * (1 << before.min(3));
                patience.min(LONGEST_TRY)
            }
        };
        server.asked();
        Self {
            server: Arc::clone(server),
            transport,
            is_detour: transport != usual,
            id: (turn.draw)(),
            edns: !matches!(manner, Manner::WithoutEdns | Manner::Stream { edns: false }),
            sent: turn.now,
            until: turn.now + span,
            state: Hope::Waiting,
        }
    }

    /// Nothing comes of it any more: its server has room for another.
    pub(super) fn close(&mut self) {
        if self.state != Hope::Closed {
            self.state = Hope::Closed;
            self.server.settled();
        }
    }
}

impl Drop for Try {
    fn drop(&mut self) {
        self.close();
    }
}

/// One try over a stream, which may have to be opened first.
const STREAM_TRY: Duration = Duration::from_secs(1);
