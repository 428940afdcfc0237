//! Reads the daemon's admin page.

use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// A page: its status and its text.
pub(super) type Page = (u16, String);

/// Asks for both pages that tell of the daemon's state: `/ready` and `/metrics`.
pub(super) async fn pages(at: SocketAddr) -> Result<(Page, Page), String> {
    let both = async { tokio::try_join!(get(at, "/ready"), get(at, "/metrics")) };
    match tokio::time::timeout(PATIENCE, both).await {
        Ok(pages) => pages.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} ms", PATIENCE.as_millis())),
    }
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

/// A number of the page, with its labels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    /// The metric's whole name.
    pub(super) name: String,
    /// Its labels.
    pub(super) labels: HashMap<String, String>,
    /// Its value.
    pub(super) value: f64,
}

impl Sample {
    /// A label's value; empty where it has none.
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// The numbers of a page in the OpenMetrics text format; `None` if it is none.
pub(super) fn samples(page: &str) -> Option<Vec<Sample>> {
    let lines = page.strip_suffix("# EOF\n")?.lines();
    lines
        .filter(|line| !line.starts_with('#'))
        .map(sample)
        .collect()
}

/// `name{label="value",...} number`.
fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, mut rest) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
        None => (series, ""),
    };
    let mut labels = HashMap::new();
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"")?;
        let (text, after) = quoted(after)?;
        labels.insert(label.to_owned(), text);
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Some(Sample {
        name: name.to_owned(),
        labels,
        value: value.parse().ok()?,
    })
}

/// A label's value up to its quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    loop {
        match letters.next()? {
            (at, '"') => return Some((value, text.get(at + 1..)?)),
            (_, '\\') => value.push(match letters.next()?.1 {
                'n' => '\n',
                letter => letter,
            }),
            (_, letter) => value.push(letter),
        }
    }
}

/// How long the page may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// More than any page has.
const LARGEST: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_its_labels_hold() {
        #[rustfmt::skip]
        let cases = [
            ("a 1", "a", &[][..], 1.0),
            ("a_total{b=\"c\"} 2.5", "a_total", &[("b", "c")][..], 2.5),
            (r#"a{b="}, \" \\ \n",d="="} 3"#, "a", &[("b", "}, \" \\ \n"), ("d", "=")], 3.0),
        ];
        for (line, name, labels, value) in cases {
            let labels = labels
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()));
            let wanted = Sample {
                name: name.to_owned(),
                labels: labels.collect(),
                value,
            };
            assert_eq!(sample(line), Some(wanted), "{line}");
        }
        for line in ["", "a", "a{b=\"c 1", "a{b=c} 1", "a x"] {
            assert_eq!(sample(line), None, "{line}");
        }
        assert_eq!(samples("<html>no such page</html>\n"), None);
    }
}
