//! One TCP and TLS connection to one address, and how long each step took.

use crate::listen::Clock;
use crate::time::Moment;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// What came of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The handshake came to its end.
    Works {
        /// Until the TCP connection stood.
        tcp: Duration,
        /// From then on, until the server's certificates were there and read.
        tls: Duration,
        /// What is wrong with them: a proxy's, perhaps. The way there works.
        certificate: Option<String>,
    },
    /// It did not.
    Fails {
        /// `TCP` or `TLS`.
        step: &'static str,
        /// Why.
        why: String,
    },
}

/// Makes connections, and holds the system's root certificates.
pub(super) struct Connector {
    tls: Result<TlsConnector, String>,
    /// Whether this system has root certificates at all.
    rooted: bool,
}

impl Connector {
    /// With what the system has.
    pub(super) fn new() -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let rooted = !roots.is_empty();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map(|versions| versions.with_root_certificates(roots).with_no_client_auth());
        let tls = config.map(|config| TlsConnector::from(Arc::new(config)));
        Self {
            tls: tls.map_err(|error| error.to_string()),
            rooted,
        }
    }

    /// Connects, and sends nothing.
    pub(super) async fn try_out(&self, address: SocketAddr, host: &str) -> Outcome {
        let clock = Clock::start();
        let took = |since: Moment| clock.now().since(since);
        let stream = match timeout(TCP_LIMIT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return fails("TCP", &error),
            Err(_) => return hangs("TCP", TCP_LIMIT),
        };
        let tcp = took(Moment::ZERO);
        match timeout(TLS_LIMIT, self.shake_hands(stream, host)).await {
            Ok(Ok(certificate)) => {
                let tls = took(Moment::ZERO + tcp);
                Outcome::Works {
                    tcp,
                    tls,
                    certificate,
                }
            }
            Ok(Err(error)) => fails("TLS", &error),
            Err(_) => hangs("TLS", TLS_LIMIT),
        }
    }

    /// Gives what is wrong with the server's certificates, if it is only that.
    async fn shake_hands(&self, stream: TcpStream, host: &str) -> io::Result<Option<String>> {
        let tls = self
            .tls
            .as_ref()
            .map_err(|why| io::Error::other(why.clone()))?;
        let name = ServerName::try_from(host.trim_end_matches('.').to_owned());
        let name = name.map_err(io::Error::other)?;
        let Err(error) = tls.connect(name, stream).await else {
            return Ok(None);
        };
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
        match cause {
            Some(rustls::Error::InvalidCertificate(_)) if !self.rooted => Ok(Some(
                "this system has no root certificates to hold the server's against".to_owned(),
            )),
            Some(rustls::Error::InvalidCertificate(fault)) => Ok(Some(fault.to_string())),
            _ => Err(error),
        }
    }
}

fn fails(step: &'static str, error: &io::Error) -> Outcome {
    Outcome::Fails {
        step,
        why: error.to_string(),
    }
}

fn hangs(step: &'static str, limit: Duration) -> Outcome {
    let why = format!("no answer within {} s", limit.as_secs());
    Outcome::Fails { step, why }
}

const TCP_LIMIT: Duration = Duration::from_secs(3);
/// A good handshake takes two round trips; one that lasts so long is what pulls end with.
const TLS_LIMIT: Duration = Duration::from_secs(5);
