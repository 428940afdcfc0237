//! What a request asks for (RFC 8484 §4.1), and what can be wrong with it.

use data_encoding::BASE64URL_NOPAD;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

/// What a request brings.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The query, in its URI.
    Here(Vec<u8>),
    /// The query is its body.
    InBody,
}

/// Why there is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// DNS is not at this path.
    Path,
    /// A method that means nothing here.
    Method,
    /// GET without a query.
    Nothing,
    /// A query that cannot be decoded.
    Encoding,
    /// What came is no query.
    NoQuery,
    /// A body that says it is something else.
    MediaType,
    /// A body that is larger than any message.
    TooLarge,
    /// A body that did not come to its end.
    TooSlow,
    /// The client does not take what it has asked for.
    Unread,
    /// No reply came.
    Lost,
}

impl Refusal {
    /// RFC 9110 §15
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Path => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Nothing | Self::Encoding | Self::NoQuery => StatusCode::BAD_REQUEST,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Unread => StatusCode::SERVICE_UNAVAILABLE,
            Self::Lost => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The same as a sentence, which does not tell the path: it may be a secret.
    pub(super) fn says(self) -> &'static str {
        match self {
            Self::Path => "DNS over HTTPS is not at this path: ask for the one of `listen`\n",
            Self::Method => "DNS over HTTPS takes GET, HEAD and POST\n",
            Self::Nothing => {
                "there is no query: GET takes it as the parameter `dns` (?dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB)\n"
            }
            Self::Encoding => {
                "the parameter `dns` is no base64url (RFC 4648 section 5) without padding\n"
            }
            Self::NoQuery => "what came is no DNS query\n",
            Self::MediaType => {
                "the body must be a DNS query: Content-Type: application/dns-message\n"
            }
            Self::TooLarge => "the body is larger than any DNS message: 65535 octets\n",
            Self::TooSlow => "the body did not come to its end in 5 s\n",
            Self::Unread => "too many replies wait to be read\n",
            Self::Lost => "no reply came, ask again\n",
        }
    }
}

/// Reads the head of a request.
pub(super) fn read(head: &Parts, path: &str) -> Result<Asked, Refusal> {
    if head.uri.path() != path {
        return Err(Refusal::Path);
    }
    match head.method {
        Method::GET | Method::HEAD => in_uri(head.uri.query().unwrap_or_default()),
        Method::POST if is_message(head) => Ok(Asked::InBody),
        Method::POST => Err(Refusal::MediaType),
        _ => Err(Refusal::Method),
    }
}

fn in_uri(parameters: &str) -> Result<Asked, Refusal> {
    let mut parameters = parameters.split('&');
    let query = parameters.find_map(|one| one.strip_prefix("dns="));
    let query = query
        .filter(|query| !query.is_empty())
        .ok_or(Refusal::Nothing)?;
    // Padding must not be there; many a client writes it.
    let query = query.trim_end_matches('=').as_bytes();
    let decoded = BASE64URL_NOPAD.decode(query);
    decoded.map(Asked::Here).map_err(|_| Refusal::Encoding)
}

/// Parameters of the media type mean nothing here.
fn is_message(head: &Parts) -> bool {
    let said = head
        .headers
        .get(CONTENT_TYPE)
        .map_or(&b""[..], |value| value.as_bytes());
    let kind = said
        .split(|octet| *octet == b';')
        .next()
        .unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(MESSAGE.as_bytes())
}

/// The media type of DNS messages (RFC 8484 §6).
pub(super) const MESSAGE: &str = "application/dns-message";
/// Octets of the largest one.
pub(super) const LARGEST: usize = 65_535;
