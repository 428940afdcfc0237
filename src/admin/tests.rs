//! The admin listener on loopback, asked by hand-written requests.

use super::{CONNECTIONS, Page, Path, serve_within};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const GENEROUS: Duration = Duration::from_secs(10);

async fn start(deadline: Duration) -> (SocketAddr, watch::Sender<bool>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let pages = Arc::new(|path| match path {
        Path::Metrics => Page {
            status: 200,
            body: "# EOF\n".to_owned(),
        },
        Path::Live => Page {
            status: 200,
            body: "live\n".to_owned(),
        },
        Path::Ready => Page {
            status: 503,
            body: "draining\n".to_owned(),
        },
        Path::Verdicts => Page {
            status: 200,
            body: "{}\n".to_owned(),
        },
    });
    let served = tokio::spawn(serve_within(deadline, listener, pages, stopped));
    (address, stop, served)
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    // A reset after the response is as good an end as any.
    let _ = timeout(GENEROUS, stream.read_to_end(&mut response))
        .await
        .unwrap();
    String::from_utf8(response).unwrap()
}

#[tokio::test]
async fn pages_are_served_by_path_and_method() {
    let (address, _stop, _served) = start(GENEROUS).await;
    #[rustfmt::skip]
    let cases = [
        ("GET", "/metrics",     "200 OK", "# EOF\n",          "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("GET", "/metrics?a=b", "200 OK", "# EOF\n",          "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("GET", "/live",        "200 OK", "live\n",           "text/plain; charset=utf-8"),
        ("GET", "/ready",       "503 Service Unavailable", "draining\n", "text/plain; charset=utf-8"),
        ("HEAD", "/live",       "200 OK", "",                 "text/plain; charset=utf-8"),
        ("GET", "/",            "404 Not Found", "/verdicts\n", "text/plain; charset=utf-8"),
        ("GET", "/verdicts",    "200 OK", "{}\n",            "application/json"),
        ("POST", "/live",       "405 Method Not Allowed", "here\n", "text/plain; charset=utf-8"),
    ];
    for (method, path, status, end, content_type) in cases {
        let response = ask(
            address,
            &format!("{method} {path} HTTP/1.1\r\nhost: here\r\n\r\n"),
        )
        .await;
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{method} {path}: {head}"
        );
        assert!(
            head.contains(&format!("content-type: {content_type}\r\n")),
            "{method} {path}: {head}"
        );
        assert_eq!(
            head.contains("allow: GET, HEAD"),
            method == "POST",
            "{head}"
        );
        assert!(body.ends_with(end), "{method} {path}: {body}");
        if method == "HEAD" {
            assert!(head.contains("content-length: 5"), "{head}");
            assert_eq!(body, "");
        }
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let (address, _stop, _served) = start(GENEROUS).await;
    let head = format!("GET /live HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(9000));
    let response = ask(address, &head).await;
    assert!(response.starts_with("HTTP/1.1 431 "), "{response}");
    assert_eq!(
        ask(address, "no HTTP at all\r\n\r\n").await.get(..12),
        Some("HTTP/1.1 400")
    );
}

#[tokio::test]
async fn slow_clients_hold_no_place_for_long() {
    let (address, _stop, _served) = start(Duration::from_millis(50)).await;
    let mut slow = Vec::new();
    for _ in 0..CONNECTIONS * 2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /live HT").await.unwrap();
        slow.push(stream);
    }
    let response = ask(address, "GET /live HTTP/1.1\r\n\r\n").await;
    assert!(response.ends_with("live\n"), "{response}");
}

#[tokio::test]
async fn stop_ends_it_and_frees_the_port() {
    let (address, stop, served) = start(GENEROUS).await;
    assert!(
        ask(address, "GET /live HTTP/1.0\r\n\r\n")
            .await
            .ends_with("live\n")
    );
    stop.send(true).unwrap();
    timeout(GENEROUS, served).await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
