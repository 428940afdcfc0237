//! What goes back: a message with its lifetime, or a sentence that says what is wrong.

use super::account::Unread;
use super::request::{MESSAGE, Refusal};
use crate::message::lifetime;
use hyper::Response;
use hyper::body::{Body, Buf, Frame, SizeHint};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A reply's response; `with_body` unless the head alone is asked for.
pub(super) fn message(reply: Vec<u8>, unread: Unread, with_body: bool) -> Response<Reply> {
    let caching = match lifetime(&reply) {
        Some(seconds) => HeaderValue::try_from(format!("max-age={seconds}")).ok(),
        None => None,
    };
    let caching = caching.unwrap_or(NOT_KEPT);
    let mut response = response(reply.into(), Some(unread), with_body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MESSAGE));
    headers.insert(CACHE_CONTROL, caching);
    response
}

/// Why there is none.
pub(super) fn refusal(refusal: Refusal, with_body: bool) -> Response<Reply> {
    let mut response = response(refusal.says().as_bytes().into(), None, with_body);
    *response.status_mut() = refusal.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, PLAIN_TEXT);
    headers.insert(CACHE_CONTROL, NOT_KEPT);
    if refusal == Refusal::Method {
        // RFC 9110 §15.5.6
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
    }
    response
}

fn response(
    octets: Cow<'static, [u8]>,
    unread: Option<Unread>,
    with_body: bool,
) -> Response<Reply> {
    let length = octets.len();
    let data = with_body.then_some(Data {
        octets,
        at: 0,
        unread,
    });
    let mut response = Response::new(Reply(data));
    if !with_body {
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

/// The body of a response, whole in one piece.
#[derive(Debug)]
pub(super) struct Reply(Option<Data>);

impl Body for Reply {
    type Data = Data;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Data>, Infallible>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.0.as_ref().map_or(0, Data::remaining);
        SizeHint::with_exact(left as u64)
    }
}

/// Its octets, on the connection's account until they are written.
#[derive(Debug)]
pub(super) struct Data {
    octets: Cow<'static, [u8]>,
    at: usize,
    unread: Option<Unread>,
}

impl Buf for Data {
    fn remaining(&self) -> usize {
        self.octets.len() - self.at
    }

    fn chunk(&self) -> &[u8] {
        self.octets.get(self.at..).unwrap_or_default()
    }

    fn advance(&mut self, count: usize) {
        let count = count.min(self.remaining());
        self.at += count;
        if let Some(unread) = &mut self.unread {
            unread.written(count);
        }
    }
}

const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// For what is no answer, or has no lifetime.
const NOT_KEPT: HeaderValue = HeaderValue::from_static("no-store");
