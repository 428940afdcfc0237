//! Why there is no connection to a server, in words for whoever has to mend it.

use crate::upstream::stream::ExchangeError;
use rustls::{AlertDescription, CertificateError, Error};
use std::io;
use std::net::SocketAddr;

/// Why there is no connection.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) error: ExchangeError,
    pub(super) text: String,
}

impl Fault {
    pub(super) fn silent(server: SocketAddr) -> Self {
        Self {
            error: ExchangeError::Timeout,
            text: format!("{server} does not answer"),
        }
    }

    /// Somebody is there, and does not speak with us.
    pub(super) fn of_speech(text: impl Into<String>) -> Self {
        Self {
            error: ExchangeError::Tls,
            text: text.into(),
        }
    }

    pub(super) fn unreachable(why: &dyn std::error::Error) -> Self {
        Self {
            error: ExchangeError::Unreachable,
            text: why.to_string(),
        }
    }

    /// Of a handshake over TCP.
    pub(super) fn of_stream(error: &io::Error) -> Self {
        match error.get_ref().and_then(|cause| cause.downcast_ref()) {
            Some(wrong) => Self::of_tls(wrong),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                Self::of_speech("it ended the connection amid the handshake")
            }
            None => Self::unreachable(error),
        }
    }

    pub(super) fn of_tls(wrong: &Error) -> Self {
        let text = match wrong {
            // Of an authority that is called as one of ours the signature is wrong.
            Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            ) => "its certificate is by nobody we trust".to_owned(),
            Error::InvalidCertificate(CertificateError::Other(wrong)) => wrong.to_string(),
            Error::InvalidCertificate(wrong) => wrong.to_string(),
            Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
                return Self::of_speech(OTHER_PROTOCOL);
            }
            wrong => return Self::of_speech(wrong.to_string()),
        };
        Self {
            error: ExchangeError::Certificate,
            text,
        }
    }
}

/// RFC 7301 §3.2.
pub(super) const OTHER_PROTOCOL: &str =
    "it speaks TLS, but not this protocol: is its port right, and its scheme?";
