//! DNS over HTTPS by HTTP/2 (RFC 9113), over TLS.
//!
//! A request by POST is two frames, and those of several requests take turns. Servers are about that take one request at a
//! time (Knot Resolver 5 does): they refuse a stream that begins between the frames of another. So once a stream was
//! refused, its connection goes on by GET, which is one frame.

use super::fault::Fault;
use super::http::{MOST, Requests, check, outcome};
use super::peer::State;
use super::streams::{Leave, Outcome, Streams};
use crate::upstream::stream::ExchangeError;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A connection whose handshake is done.
pub(super) async fn open(
    stream: TlsStream<TcpStream>,
    requests: Requests,
    state: &Arc<State>,
) -> Result<Streams, Fault> {
    // RFC 9113 §3.2: without ALPN it is another HTTP.
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(Fault::of_speech(
            "it speaks no HTTP/2, and is not asked over an older one",
        ));
    }
    let (sender, connection) = Builder::new(TokioExecutor::new())
        .max_header_list_size(HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Fault::of_speech(error.to_string()))?;
    let state = Arc::clone(state);
    let refuses = Arc::new(AtomicBool::new(false));
    let ask = move |query: Vec<u8>| {
        let request = match refuses.load(Relaxed) {
            false => requests.by_post(query.len(), Full::new(Bytes::from(query))),
            true => requests.by_get(&query, Full::default()),
        };
        let (refuses, state) = (Arc::clone(&refuses), Arc::clone(&state));
        let answer = exchange(sender.clone(), request, state);
        Box::pin(async move {
            let outcome = answer.await;
            refuses.fetch_or(matches!(outcome, Outcome::Lost), Relaxed);
            outcome
        }) as _
    };
    let leaving = async {
        match connection.await {
            // RFC 9113 §6.8: what is on its way at a GOAWAY may still be answered.
            Ok(()) => Leave::Closing,
            Err(_) => Leave::Ended,
        }
    };
    Ok(Streams::new(ask, leaving))
}

async fn exchange(
    mut sender: SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
    state: Arc<State>,
) -> Outcome {
    let response = match sender.send_request(request).await {
        Ok(response) => response,
        Err(error) if error.is_canceled() => return Outcome::Untaken,
        Err(_) => return Outcome::Lost,
    };
    let (head, body) = response.into_parts();
    let kept = match check(&head) {
        Ok(kept) => kept,
        Err(problem) => {
            state.note(Some(problem));
            return Outcome::Failed(ExchangeError::Http);
        }
    };
    match Limited::new(body, MOST).collect().await {
        Ok(body) => outcome(body.to_bytes().into(), kept),
        Err(error) if error.is::<LengthLimitError>() => Outcome::Failed(ExchangeError::Garbled),
        Err(_) => Outcome::Lost,
    }
}

/// Octets of a response's headers.
const HEADERS: u32 = 16 * 1024;
