//! DNS over HTTPS by HTTP/2 (RFC 9113), over TLS.

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
    let ask = move |query: Vec<u8>| {
        let request = requests.request(query.len(), Full::new(Bytes::from(query)));
        let answer = exchange(sender.clone(), request, Arc::clone(&state));
        Box::pin(answer) as _
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
