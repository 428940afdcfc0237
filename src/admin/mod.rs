//! The admin listener: shows metrics and health over HTTP.
//!
//! Knows paths, methods and limits; what a page says is made by the caller. One connection carries
//! one exchange, its time and its size are bounded, and few are served at once, so that nobody can
//! hold the process by holding this port. It changes nothing in the process and serves no secret.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// `/metrics`: every counter.
    Metrics,
    /// `/live`: whether the process works at all.
    Live,
    /// `/ready`: whether clients may be sent here, and what is wrong.
    Ready,
    /// `/verdicts`: which hosts are probed and what was found, as JSON.
    Verdicts,
}

impl Path {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "/metrics" => Some(Self::Metrics),
            "/live" => Some(Self::Live),
            "/ready" => Some(Self::Ready),
            "/verdicts" => Some(Self::Verdicts),
            _ => None,
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Metrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Live | Self::Ready => PLAIN_TEXT,
            Self::Verdicts => "application/json",
        }
    }
}

/// What is said about a path now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The HTTP status; what is none becomes 500.
    pub status: u16,
    /// The text.
    pub body: String,
}

/// Makes the page of a path; must not block.
pub type Pages = dyn Fn(Path) -> Page + Send + Sync;

/// Serves until `stop` turns true, and then until the exchanges under way are over.
pub async fn serve(listener: TcpListener, pages: Arc<Pages>, stop: watch::Receiver<bool>) {
    serve_within(DEADLINE, listener, pages, stop).await;
}

/// Longest time for the head of a request, and for the whole exchange.
const DEADLINE: Duration = Duration::from_secs(2);
/// Connections served at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 16;
/// Largest head of a request, in octets. (hyper takes no smaller limit.)
const HEAD: usize = 8192;
/// How long to wait when no connection can be accepted for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

async fn serve_within(
    deadline: Duration,
    listener: TcpListener,
    pages: Arc<Pages>,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut exchanges = JoinSet::new();
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            // An error means that whoever could stop us is gone.
            _ = stop.wait_for(|&stop| stop) => break,
        };
        // The results of exchanges that are over; nobody wants them.
        while exchanges.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let pages = pages.clone();
                exchanges.spawn(async move {
                    // Whether the peer stayed to the end is its own affair.
                    let _ = timeout(deadline, exchange(deadline, stream, pages)).await;
                    drop(place);
                });
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(listener);
    while exchanges.join_next().await.is_some() {}
}

async fn exchange(
    deadline: Duration,
    stream: TcpStream,
    pages: Arc<Pages>,
) -> Result<(), hyper::Error> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(deadline)
        .max_buf_size(HEAD)
        .keep_alive(false)
        // `printf ... | nc -N` shuts its sending side before it reads.
        .half_close(true)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(|request| answer(request, &*pages)),
        )
        .await
}

async fn answer(
    request: Request<Incoming>,
    pages: &Pages,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let Some(path) = Path::parse(request.uri().path()) else {
        let body = "not here: ask for /metrics, /live, /ready or /verdicts\n".to_owned();
        return Ok(response(StatusCode::NOT_FOUND, PLAIN_TEXT, body));
    };
    // hyper sends the head alone when the method is HEAD.
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let body = "only GET and HEAD are answered here\n".to_owned();
        let mut refusal = response(StatusCode::METHOD_NOT_ALLOWED, PLAIN_TEXT, body);
        // RFC 9110 §15.5.6: a 405 says which methods are allowed.
        refusal
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(refusal);
    }
    let page = pages(path);
    let status = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok(response(status, path.content_type(), page.body))
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
