//! Reads the daemon's admin pages.

use crate::config::Config;
use crate::verdict;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// A page: its status and its text.
pub(super) type Page = (u16, String);

/// Asks for these pages of the daemon of this configuration.
///
/// # Errors
/// Why one of them cannot be had, in words.
pub(super) async fn pages<const N: usize>(
    config: &Config,
    paths: [&str; N],
) -> Result<[Page; N], String> {
    let at = match config.admin {
        None => return Err("`admin: off`".to_owned()),
        Some(at) if at.port() == 0 => return Err("the kernel chose its port".to_owned()),
        Some(at) => at,
    };
    let all = async {
        let mut pages = Vec::with_capacity(N);
        for path in paths {
            pages.push(get(at, path).await?);
        }
        pages.try_into().map_err(|_| "a page is missing".into())
    };
    match tokio::time::timeout(PATIENCE, all).await {
        Ok(pages) => pages
            .map_err(|error: Box<dyn std::error::Error + Send + Sync>| format!("{at}: {error}")),
        Err(_) => Err(format!(
            "{at}: no answer within {} ms",
            PATIENCE.as_millis()
        )),
    }
}

/// What the daemon of this configuration found by its probes.
///
/// # Errors
/// Why that cannot be had, in words.
pub(super) async fn verdicts(config: &Config) -> Result<verdict::Page, String> {
    let [(status, text)] = pages(config, ["/verdicts"]).await?;
    let page = (status == 200)
        .then(|| verdict::Page::read(&text))
        .flatten();
    page.ok_or_else(|| "what listens at `admin.listen` has no page of verdicts".to_owned())
}

async fn get(at: SocketAddr, path: &str) -> Result<Page, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(at).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(HOST, at.to_string())
        .body(Empty::<Bytes>::new())?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), LARGEST)
            .collect()
            .await?;
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        Ok((status, text))
    };
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        page = &mut exchange => page,
        // The connection's end may be heard of before the page that came by it.
        ended = connection => {
            ended?;
            exchange.await
        }
    }
}

/// How long the page may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// More than any page has.
const LARGEST: usize = 4 << 20;
