//! Connections in memory, with limits that are short.

use super::guest::Guest;
use super::{LIMITS, Limits, talk};
use crate::listen::{Connections, Incoming, Service};
use http_body_util::Full;
use hyper::body::{Body, Bytes, Frame};
use hyper::client::conn::http2;
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const SHORT: Duration = Duration::from_millis(100);
const GENEROUS: Duration = Duration::from_secs(10);

/// A connection to a server that echoes `now`, gives a large reply to `big`, and none to anything else.
fn connect(limits: Limits, is_h2: bool) -> (DuplexStream, watch::Sender<bool>, JoinHandle<()>) {
    let (ours, theirs) = duplex(64 * 1024);
    let address: SocketAddr = "127.0.0.1:443".parse().unwrap();
    let service: Arc<Service> = Arc::new(|incoming: Incoming<'_>| match incoming.query {
        b"now" => Some(b"now".to_vec()),
        b"big" => Some(vec![0; 600]),
        _ => None,
    });
    let place = Arc::new(Connections::new()).admit(address.ip()).unwrap();
    let guest = Guest::new(limits, (address, address), "/".into(), service, place);
    let (stop, stopped) = watch::channel(false);
    let talking = tokio::spawn(talk(theirs, is_h2, Arc::new(guest), stopped));
    (ours, stop, talking)
}

async fn ended(talking: JoinHandle<()>) {
    timeout(GENEROUS, talking).await.unwrap().unwrap();
}

fn post<B>(body: B) -> Request<B> {
    let request = Request::builder().method(Method::POST).uri("https://x/");
    let request = request.header("content-type", "application/dns-message");
    request.body(body).unwrap()
}

/// A body that begins and does not end.
struct Endless(Option<Bytes>);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.take().map_or(Poll::Pending, |part| {
            Poll::Ready(Some(Ok(Frame::data(part))))
        })
    }
}

async fn status_over_h2<B>(limits: Limits, body: B) -> u16
where
    B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    let (stream, _stop, _talking) = connect(limits, true);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let response = timeout(GENEROUS, sender.send_request(post(body))).await;
    response.unwrap().unwrap().status().as_u16()
}

#[tokio::test]
async fn whatever_takes_too_long_has_its_status() {
    let body = Limits {
        body: SHORT,
        ..LIMITS
    };
    assert_eq!(status_over_h2(body, Endless(None)).await, 408);
    let part = Bytes::from_static(b"no");
    assert_eq!(status_over_h2(body, Endless(Some(part))).await, 408);
    let lost = Limits {
        lost: SHORT,
        ..LIMITS
    };
    let asked = |query: &'static [u8]| Full::from(Bytes::from_static(query));
    assert_eq!(status_over_h2(lost, asked(b"never")).await, 504);
    assert_eq!(status_over_h2(lost, asked(b"now")).await, 200);
    let full = Limits { held: 2, ..LIMITS };
    assert_eq!(status_over_h2(full, asked(b"now")).await, 503);
}

#[tokio::test]
async fn who_is_quiet_is_let_go() {
    for is_h2 in [false, true] {
        let limits = Limits {
            first: SHORT,
            farewell: SHORT,
            ..LIMITS
        };
        let (mut stream, _stop, talking) = connect(limits, is_h2);
        ended(talking).await;
        let mut said = Vec::new();
        timeout(GENEROUS, stream.read_to_end(&mut said))
            .await
            .unwrap()
            .unwrap();
    }
    let limits = Limits {
        idle: SHORT,
        ..LIMITS
    };
    let (mut stream, _stop, talking) = connect(limits, false);
    stream
        .write_all(b"GET /?dns=bm93 HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut said = String::new();
    timeout(GENEROUS, stream.read_to_string(&mut said))
        .await
        .unwrap()
        .unwrap();
    assert!(
        said.starts_with("HTTP/1.1 200 OK\r\n") && said.ends_with("\r\n\r\nnow"),
        "{said}"
    );
    ended(talking).await;
}

#[tokio::test]
async fn who_takes_no_reply_is_given_up() {
    let limits = Limits {
        write: SHORT,
        ..LIMITS
    };
    let (stream, _stop, talking) = connect(limits, true);
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(100)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let response = sender.send_request(post(Full::<Bytes>::from(&b"big"[..])));
    // The body that it has is not read.
    let _response = timeout(GENEROUS, response).await.unwrap().unwrap();
    ended(talking).await;
}

#[tokio::test]
async fn a_stop_has_an_end() {
    let limits = Limits {
        grace: SHORT,
        ..LIMITS
    };
    for is_h2 in [false, true] {
        let (mut stream, stop, talking) = connect(limits, is_h2);
        if !is_h2 {
            stream
                .write_all(b"GET /?dns=bmV2ZXI HTTP/1.1\r\n\r\n")
                .await
                .unwrap();
        }
        tokio::time::sleep(SHORT).await;
        stop.send(true).unwrap();
        ended(talking).await;
    }
}
