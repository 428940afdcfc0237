//! TLS beneath the streams of clients (RFC 7858): who we are, and handshakes that are bounded in time and number.
//!
//! A client that only begins a handshake costs a place among the connections, for 5 s at most. Where half of all
//! places are taken by such, the eldest makes room: whoever means it is done within a few round trips.

use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, ServerConfig};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A certificate with its key, ready to be shown.
#[derive(Clone, Debug)]
pub struct Identity(Arc<CertifiedKey>);

impl Identity {
    /// Reads both from PEM.
    ///
    /// # Errors
    /// A sentence that says which of both is wrong, and how.
    pub fn read(certificate: &[u8], key: &[u8]) -> Result<Self, String> {
        let chain: Result<Vec<_>, pem::Error> =
            CertificateDer::pem_slice_iter(certificate).collect();
        let chain = chain.map_err(|error| format!("the certificate is no good PEM: {error}"))?;
        if chain.is_empty() {
            return Err("the file of the certificate holds none in PEM: it has no -----BEGIN CERTIFICATE-----".to_owned());
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound => {
                "the file of the key holds none in PEM that has no password: write it by \
                 `openssl pkey -in KEY -out PLAIN`"
                    .to_owned()
            }
            error => format!("the key is no good PEM: {error}"),
        })?;
        let known = CertifiedKey::from_der(chain, key, &default_provider());
        known.map(|pair| Self(Arc::new(pair))).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                "the key is not the certificate's: the first certificate in its file must be the one made with this key"
                    .to_owned()
            }
            error => format!("certificate and key cannot be used: {error}"),
        })
    }

    /// Whether clients that mean this server find it in the certificate.
    pub fn is_for(&self, name: &str) -> bool {
        let certificate = self
            .0
            .end_entity_cert()
            .and_then(ParsedCertificate::try_from);
        let name = ServerName::try_from(name);
        matches!((certificate, name), (Ok(certificate), Ok(name)) if verify_server_name(&certificate, &name).is_ok())
    }
}

/// All that TLS listeners share.
#[derive(Debug)]
pub struct Tls {
    config: ServerConfig,
    shown: Arc<Shown>,
    half_open: Arc<HalfOpen>,
    counts: Counts,
}

/// How handshakes ended.
#[derive(Debug, Default)]
struct Counts {
    succeeded: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

impl Tls {
    /// TLS 1.2 and 1.3, tickets, no early data: a query in it could be replayed.
    ///
    /// # Errors
    /// The library cannot do what every handshake needs.
    pub fn new(identity: Identity) -> Result<Self, Error> {
        let shown = Arc::new(Shown(RwLock::new(identity)));
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
        config.ticketer = Ticketer::new()?;
        Ok(Self {
            config,
            shown,
            half_open: Arc::default(),
            counts: Counts::default(),
        })
    }

    /// How a listener shakes hands whose protocol has these names in ALPN (RFC 7301), the best first.
    pub(super) fn speaking(&self, protocols: &[&[u8]]) -> ServerConfig {
        let mut config = self.config.clone();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        config
    }

    /// Shows another certificate from the next handshake on. Connections that stand are not touched.
    pub fn show(&self, identity: Identity) {
        *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = identity;
    }

    /// Handshakes that came to their end, that failed, and that others had to make room for or that were too slow.
    pub fn handshakes(&self) -> [u64; 3] {
        let Counts {
            succeeded,
            failed,
            dropped,
        } = &self.counts;
        [succeeded, failed, dropped].map(|count| count.load(Relaxed))
    }

    /// A handshake over TCP begins, as [`Self::speaking`] says; the eldest of more than `most` ends.
    pub(super) fn begin(self: &Arc<Self>, config: &Arc<ServerConfig>, most: usize) -> Handshake {
        Handshake {
            tls: Arc::clone(self),
            config: Arc::clone(config),
            opening: self.open(most),
        }
    }

    /// Any handshake begins; the eldest of more than `most` ends.
    pub(super) fn open(&self, most: usize) -> Opening {
        self.half_open.begin(most)
    }

    /// Handshakes that are not done yet, over all listeners.
    #[cfg(feature = "doq")]
    pub(super) fn half_open(&self) -> usize {
        self.half_open.lock().waiting.len()
    }

    /// Shakes hands. None: it took too long, others needed the room, we stop, or the client does not speak TLS as we do.
    pub(super) async fn finish<T, E>(
        &self,
        handshake: impl Future<Output = Result<T, E>>,
        mut opening: Opening,
        stop: &mut watch::Receiver<bool>,
    ) -> Option<T> {
        let (count, connection) = tokio::select! {
            shaken = timeout(HANDSHAKE, handshake) => match shaken {
                Ok(Ok(connection)) => (&self.counts.succeeded, Some(connection)),
                Ok(Err(_)) => (&self.counts.failed, None),
                Err(_) => (&self.counts.dropped, None),
            },
            _ = &mut opening.evicted => (&self.counts.dropped, None),
            _ = stop.wait_for(|&stop| stop) => return None,
        };
        count.fetch_add(1, Relaxed);
        connection
    }
}

/// A handshake over TCP that is to come.
pub(super) struct Handshake {
    tls: Arc<Tls>,
    config: Arc<ServerConfig>,
    opening: Opening,
}

impl Handshake {
    /// See [`Tls::finish`].
    pub(super) async fn shake(
        self,
        stream: TcpStream,
        stop: &mut watch::Receiver<bool>,
    ) -> Option<TlsStream<TcpStream>> {
        let handshake = TlsAcceptor::from(self.config).accept_with(stream, |connection| {
            connection.set_buffer_limit(Some(UNSENT));
        });
        self.tls.finish(handshake, self.opening, stop).await
    }
}

/// What the next client sees.
#[derive(Debug)]
struct Shown(RwLock<Identity>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Whatever name it asks for: we have one, and it must know whether that is the right one.
        let shown = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&shown.0))
    }
}

/// Handshakes that are not done yet, the eldest first; to let go of a sender ends one.
#[derive(Debug, Default)]
struct HalfOpen(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
}

impl HalfOpen {
    fn begin(self: &Arc<Self>, most: usize) -> Opening {
        let mut queue = self.lock();
        while queue.waiting.len() >= most.max(1) {
            queue.waiting.pop_front();
        }
        let number = queue.next;
        queue.next += 1;
        let (keep, evicted) = oneshot::channel();
        queue.waiting.push_back((number, keep));
        Opening {
            half_open: Arc::clone(self),
            number,
            evicted,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them; it is no more when this is dropped.
#[derive(Debug)]
pub(super) struct Opening {
    half_open: Arc<HalfOpen>,
    number: u64,
    evicted: oneshot::Receiver<()>,
}

impl Drop for Opening {
    fn drop(&mut self) {
        let mut queue = self.half_open.lock();
        // Numbers only grow from the front to the back.
        if let Ok(place) = queue
            .waiting
            .binary_search_by_key(&self.number, |(number, _)| *number)
        {
            queue.waiting.remove(place);
        }
    }
}

/// The longest time from the connection to the end of its handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Octets that TLS holds back for a client that does not read, beside what the stream does.
const UNSENT: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eldest_half_open_handshake_makes_room() {
        let half_open = Arc::new(HalfOpen::default());
        let [mut first, mut second, mut third] = [(); 3].map(|()| half_open.begin(2));
        assert!(first.evicted.try_recv() == Err(oneshot::error::TryRecvError::Closed));
        assert!(second.evicted.try_recv() == Err(oneshot::error::TryRecvError::Empty));
        drop(second);
        let mut fourth = half_open.begin(2);
        for one in [&mut third, &mut fourth] {
            assert!(one.evicted.try_recv() == Err(oneshot::error::TryRecvError::Empty));
        }
        drop((first, third, fourth));
        assert!(half_open.0.lock().unwrap().waiting.is_empty());
    }

    #[test]
    fn what_is_no_pair_says_why() {
        let made = || rcgen::generate_simple_self_signed(["dns.example".to_owned()]).unwrap();
        let (one, other) = (made(), made());
        let (certificate, key) = (one.cert.pem(), one.signing_key.serialize_pem());
        let identity = Identity::read(certificate.as_bytes(), key.as_bytes()).unwrap();
        assert!(identity.is_for("dns.example") && !identity.is_for("other.example"));
        let strange = other.signing_key.serialize_pem();
        let locked =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let broken = "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n";
        for (certificate, key, why) in [
            (&*certificate, &*strange, "the key is not the certificate's"),
            ("", &key, "the file of the certificate holds none"),
            (&key, &key, "the file of the certificate holds none"),
            (broken, &key, "the certificate is no good PEM"),
            (&certificate, "", "the file of the key holds none"),
            (&certificate, &certificate, "the file of the key holds none"),
            (
                &certificate,
                locked,
                "the file of the key holds none in PEM that has no password",
            ),
        ] {
            let error = Identity::read(certificate.as_bytes(), key.as_bytes()).unwrap_err();
            assert!(error.starts_with(why), "{error}");
        }
    }
}
