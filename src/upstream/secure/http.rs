//! DNS over HTTPS (RFC 8484): what a request says, and what a response must. Whether HTTP/2 or HTTP/3 carries them is all
//! the same.

use super::fault::Fault;
use super::streams::Outcome;
use crate::config::Encrypted;
use crate::message::age;
use crate::upstream::stream::ExchangeError;
use data_encoding::BASE64URL_NOPAD;
use hyper::header::{ACCEPT, AGE, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::http::response;
use hyper::{HeaderMap, Method, Request, StatusCode, Uri};
use rustls::pki_types::ServerName;
use std::net::IpAddr;

/// The requests to one server.
#[derive(Clone)]
pub(super) struct Requests {
    uri: Uri,
}

impl Requests {
    pub(super) fn to(server: &Encrypted) -> Result<Self, Fault> {
        let uri = Uri::builder()
            .scheme("https")
            .authority(authority(server))
            .path_and_query(server.protocol.path().unwrap_or("/"))
            .build()
            .map_err(|error| Fault::of_speech(format!("it cannot be asked: {error}")))?;
        Ok(Self { uri })
    }

    /// For a query of that many octets, by POST: the query stays out of logs and caches.
    pub(super) fn by_post<B>(&self, length: usize, body: B) -> Request<B> {
        let mut request = self.bare(body);
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(DNS_MESSAGE));
        headers.insert(CONTENT_LENGTH, length.into());
        request
    }

    /// For this query, by GET (RFC 8484 §4.1.1): without a body.
    pub(super) fn by_get<B>(&self, query: &[u8], body: B) -> Request<B> {
        let mut request = self.bare(body);
        let query = BASE64URL_NOPAD.encode(query);
        let mut parts = self.uri.clone().into_parts();
        let path = format!("{}?dns={query}", self.uri.path());
        // Both were checked: they are of a URL's letters.
        parts.path_and_query = path.parse().ok();
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
        request
    }

    /// It says nothing about who we are (RFC 8484 §8.2).
    fn bare<B>(&self, body: B) -> Request<B> {
        let mut request = Request::new(body);
        *request.uri_mut() = self.uri.clone();
        let media = HeaderValue::from_static(DNS_MESSAGE);
        request.headers_mut().insert(ACCEPT, media);
        request
    }
}

/// Its name: the one that it is asked by or, of an address, the one that its certificate must hold.
fn authority(server: &Encrypted) -> String {
    let name = match (&server.host, &server.name) {
        (ServerName::IpAddress(_), Some(name @ ServerName::DnsName(_))) => name,
        (host, _) => host,
    };
    let name = match name {
        ServerName::IpAddress(address) => match IpAddr::from(*address) {
            IpAddr::V6(address) => format!("[{address}]"),
            IpAddr::V4(address) => address.to_string(),
        },
        name => name.to_str().into_owned(),
    };
    match server.port == server.protocol.port() {
        true => name,
        false => format!("{name}:{}", server.port),
    }
}

/// How long a cache has kept a response, in seconds; or what is wrong with it.
pub(super) fn check(head: &response::Parts) -> Result<u32, String> {
    if head.status != StatusCode::OK {
        return Err(refusal(head.status));
    }
    let media = head.headers.get(CONTENT_TYPE);
    let media = media.map_or("", |media| media.to_str().unwrap_or("what no text is"));
    let essence = media.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(DNS_MESSAGE) {
        return Err(format!(
            "it answers with {media:?} for {DNS_MESSAGE:?}: is its path right?"
        ));
    }
    Ok(age_of(&head.headers))
}

fn refusal(status: StatusCode) -> String {
    let why = match status.as_u16() {
        429 => "we ask it too much",
        401 | 403 | 407 => "it does not serve us",
        300..=399 => "it wants to be asked elsewhere, and we follow nobody: write that place",
        400..=499 => "is its path right?",
        500..=599 => "it is in trouble itself",
        _ => "that is no answer",
    };
    format!("it answers HTTP {status}: {why}")
}

fn age_of(headers: &HeaderMap) -> u32 {
    let age = headers.get(AGE).and_then(|age| age.to_str().ok());
    age.and_then(|age| age.trim().parse().ok())
        .unwrap_or_default()
}

/// What a whole body is: a message whose TTLs have run while a cache kept it.
pub(super) fn outcome(body: Vec<u8>, kept: u32) -> Outcome {
    let mut message = body;
    if message.len() > MOST {
        return Outcome::Failed(ExchangeError::Garbled);
    }
    if kept > 0 {
        age(&mut message, kept);
    }
    Outcome::Message(message)
}

/// The media type (RFC 8484 §6).
const DNS_MESSAGE: &str = "application/dns-message";
/// Octets of a body.
pub(super) const MOST: usize = 65_535;

#[cfg(test)]
mod tests {
    use super::{Requests, age_of, outcome};
    use crate::upstream::secure::streams::Outcome;
    use hyper::HeaderMap;
    use hyper::header::{AGE, HeaderValue};

    #[test]
    fn a_server_is_called_by_its_name() {
        #[rustfmt::skip]
        let cases = [
            ("https://dns.example",                    "https://dns.example/dns-query"),
            ("https://dns.example:8443/q",             "https://dns.example:8443/q"),
            ("https://dns.example/q?name=other.test",  "https://dns.example/q"),
            ("https://192.0.2.1/q?name=dns.example",   "https://dns.example/q"),
            ("https://192.0.2.1/q",                    "https://192.0.2.1/q"),
            ("https://[2001:db8::1]:8443/q",           "https://[2001:db8::1]:8443/q"),
        ];
        for (text, want) in cases {
            let requests = Requests::to(&text.parse().unwrap()).unwrap();
            assert_eq!(requests.by_post(9, ()).uri(), want, "{text}");
            let asked = requests.by_get(b"\0\0\x01\0\xff", ());
            let want = format!("{want}?dns=AAABAP8");
            assert_eq!(asked.uri(), want.as_str(), "{text}");
        }
    }

    #[test]
    fn an_age_that_is_no_number_is_none() {
        for (text, want) in [("7", 7), (" 7 ", 7), ("", 0), ("-1", 0), ("1, 2", 0)] {
            let headers = HeaderMap::from_iter([(AGE, HeaderValue::from_static(text))]);
            assert_eq!(age_of(&headers), want, "{text}");
        }
        assert!(matches!(outcome(vec![0; 65_536], 0), Outcome::Failed(_)));
    }
}
