//! A client that is connected: what its requests come to.

use super::super::connections::{Place, Slot};
use super::super::{Incoming, Service};
use super::Limits;
use super::account::{Account, Unread};
use super::reply::{self, Reply};
use super::request::{self, Asked, LARGEST, Refusal};
use http_body_util::BodyExt;
use hyper::body::Incoming as Body;
use hyper::{Method, Request, Response};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::timeout;

/// One connection's client.
pub(super) struct Guest {
    pub(super) limits: Limits,
    pub(super) account: Arc<Account>,
    peer: SocketAddr,
    local: SocketAddr,
    path: Arc<str>,
    service: Arc<Service>,
    place: Place,
    /// Nothing was ever handed out under it.
    spare: Mutex<Option<Slot>>,
}

impl Guest {
    pub(super) fn new(
        limits: Limits,
        (peer, local): (SocketAddr, SocketAddr),
        path: Arc<str>,
        service: Arc<Service>,
        place: Place,
    ) -> Self {
        Self {
            limits,
            account: Account::new(limits),
            peer,
            local,
            path,
            service,
            place,
            spare: Mutex::default(),
        }
    }

    /// Answers a request.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Body>,
    ) -> Result<Response<Reply>, Infallible> {
        let _asked = self.account.ask();
        let with_body = request.method() != Method::HEAD;
        Ok(match self.reply(request).await {
            Ok((reply, unread)) => reply::message(reply, unread, with_body),
            Err(refusal) => reply::refusal(refusal, with_body),
        })
    }

    async fn reply(&self, request: Request<Body>) -> Result<(Vec<u8>, Unread), Refusal> {
        let (head, body) = request.into_parts();
        let reply = match request::read(&head, &self.path)? {
            Asked::Here(query) => self.ask(&query).await?,
            Asked::InBody => {
                let body = timeout(self.limits.body, self.collect(body)).await;
                self.ask(&body.map_err(|_| Refusal::TooSlow)??).await?
            }
        };
        let unread = self.account.reply(reply.len()).ok_or(Refusal::Unread)?;
        Ok((reply, unread))
    }

    /// The whole body of a request. What is too large is read a while further, for over HTTP/1.1 a client that is
    /// still sending may not hear why.
    async fn collect(&self, mut body: Body) -> Result<Vec<u8>, Refusal> {
        let (mut query, mut held) = (Vec::new(), self.account.body());
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            // The client is gone, or takes its request back: nobody reads what is said to it.
            let frame = frame.map_err(|_| Refusal::NoQuery)?;
            let part = frame.data_ref().map_or(&[][..], |part| part);
            length += part.len();
            if length > LARGEST {
                query = Vec::new();
            } else if held.add(part.len()) {
                query.extend_from_slice(part);
            } else {
                return Err(Refusal::Unread);
            }
            if length > 4 * LARGEST {
                break;
            }
        }
        if length > LARGEST {
            return Err(Refusal::TooLarge);
        }
        Ok(query)
    }

    /// What the service says to a query, now or later.
    async fn ask(&self, query: &[u8]) -> Result<Vec<u8>, Refusal> {
        let spare = self.spare().take();
        let mut slot = spare.unwrap_or_else(|| self.place.slot_of_its_own());
        let incoming = Incoming {
            query,
            peer: self.peer,
            local: self.local,
            connection: slot.id,
        };
        if let Some(reply) = (self.service)(incoming) {
            *self.spare() = Some(slot);
            return Ok(reply);
        }
        let finished = timeout(self.limits.lost, slot.finished.recv()).await;
        let reply = finished.map_err(|_| Refusal::Lost)?;
        reply.flatten().ok_or(Refusal::NoQuery)
    }

    fn spare(&self) -> MutexGuard<'_, Option<Slot>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
