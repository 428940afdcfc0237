//! DNS over HTTPS by HTTP/3 (RFC 9114), over QUIC.

use super::fault::Fault;
use super::http::{MOST, Requests, check, outcome};
use super::peer::State;
use super::streams::{Leave, Outcome, Streams};
use crate::upstream::stream::ExchangeError;
use h3::client::{RequestStream, SendRequest};
use h3::error::StreamError;
use h3_quinn::{BidiStream, OpenStreams};
use hyper::Request;
use hyper::body::{Buf, Bytes};
use std::sync::Arc;

/// Speaks HTTP on a connection.
pub(super) async fn open(
    connection: quinn::Connection,
    requests: Requests,
    state: &Arc<State>,
) -> Result<Streams, Fault> {
    let (mut connection, sender) = h3::client::builder()
        .max_field_section_size(HEADERS)
        .build(h3_quinn::Connection::new(connection))
        .await
        .map_err(|error| Fault::of_speech(error.to_string()))?;
    let state = Arc::clone(state);
    let ask = move |query: Vec<u8>| {
        let request = requests.by_post(query.len(), ());
        let answer = ask(sender.clone(), request, query.into(), Arc::clone(&state));
        Box::pin(answer) as _
    };
    let leaving = async move {
        connection.wait_idle().await;
        Leave::Ended
    };
    Ok(Streams::new(ask, leaving))
}

async fn ask(
    mut sender: SendRequest<OpenStreams, Bytes>,
    request: Request<()>,
    query: Bytes,
    state: Arc<State>,
) -> Outcome {
    // At a GOAWAY (RFC 9114 §5.2) there is no stream to be had.
    let Ok(stream) = sender.send_request(request).await else {
        return Outcome::Untaken;
    };
    exchange(stream, query, &state)
        .await
        .unwrap_or(Outcome::Lost)
}

async fn exchange(
    mut stream: RequestStream<BidiStream<Bytes>, Bytes>,
    query: Bytes,
    state: &State,
) -> Result<Outcome, StreamError> {
    stream.send_data(query).await?;
    stream.finish().await?;
    let (head, ()) = stream.recv_response().await?.into_parts();
    let kept = match check(&head) {
        Ok(kept) => kept,
        Err(problem) => {
            state.note(Some(problem));
            return Ok(Outcome::Failed(ExchangeError::Http));
        }
    };
    let mut body = Vec::new();
    while let Some(mut data) = stream.recv_data().await? {
        if body.len() + data.remaining() > MOST {
            return Ok(Outcome::Failed(ExchangeError::Garbled));
        }
        body.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    Ok(outcome(body, kept))
}

/// Streams that a server opens: its control stream, two for headers, and those of the kinds that only exercise us to
/// pass over what we do not know (RFC 9114 §6.2).
pub(super) const STREAMS: u8 = 8;
/// Octets of a response's headers.
const HEADERS: u64 = 16 * 1024;
