//! What a server must prove: a certificate for its name by roots that we trust, a pinned key, or both.

use crate::config::{Encrypted, Pin, Protocol, shown};
use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};
use std::fmt;
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The system's trust roots, read once.
#[derive(Debug, Default)]
pub(super) struct Roots(OnceLock<Arc<RootCertStore>>);

/// How one server is trusted.
#[derive(Debug)]
pub(super) struct Trust {
    /// What stands in its own file of roots; empty without one.
    roots: Vec<u8>,
    pub(super) client: Arc<ClientConfig>,
    /// What it says no to a certificate by.
    #[cfg(feature = "doq")]
    proof: Arc<Proof>,
}

#[cfg(feature = "doq")]
impl Trust {
    /// Why the certificate of the last handshake was refused; none where it was not.
    pub(super) fn refusal(&self) -> Option<rustls::Error> {
        self.proof.refusal().clone()
    }

    /// A handshake begins.
    pub(super) fn forget_refusal(&self) {
        *self.proof.refusal() = None;
    }
}

impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        self.roots == other.roots
    }
}

/// Why it cannot be known whether a server is the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustError {
    /// The upstream, as the configuration writes it.
    server: String,
    text: String,
}

impl fmt::Display for TrustError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "upstream {}: {}", self.server, self.text)
    }
}

impl std::error::Error for TrustError {}

impl Roots {
    /// How a server is trusted.
    pub(super) fn trust(&self, server: &Encrypted) -> Result<Trust, TrustError> {
        self.find(server).map_err(|text| TrustError {
            server: server.to_string(),
            text,
        })
    }

    fn find(&self, server: &Encrypted) -> Result<Trust, String> {
        let provider = Arc::new(default_provider());
        let (roots, chain) = if server.name.is_none() {
            (Vec::new(), None)
        } else {
            let (octets, roots) = self.roots(server)?;
            let chain = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()
                .map_err(|error| error.to_string())?;
            (octets, Some(chain))
        };
        let proof = Arc::new(Proof {
            pins: server.pins.clone(),
            chain,
            algorithms: provider.signature_verification_algorithms,
            refusal: Mutex::default(),
        });
        let client = client(server, &proof, provider).map_err(|error| error.to_string())?;
        Ok(Trust {
            roots,
            client,
            #[cfg(feature = "doq")]
            proof,
        })
    }

    /// The roots for a server, and the content of its file.
    fn roots(&self, server: &Encrypted) -> Result<(Vec<u8>, Arc<RootCertStore>), String> {
        let Some(file) = &server.ca else {
            let system = self.0.get_or_init(|| {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                Arc::new(roots)
            });
            if system.is_empty() {
                return Err(
                    "this system has no root certificates: install them (the package \
                            ca-certificates), or write ?ca=FILE or ?pin=sha256/..."
                        .to_owned(),
                );
            }
            return Ok((Vec::new(), Arc::clone(system)));
        };
        let shown = file.display();
        let octets =
            fs::read(file).map_err(|error| format!("ca {shown} cannot be read: {error}"))?;
        let mut roots = RootCertStore::empty();
        for (number, certificate) in CertificateDer::pem_slice_iter(&octets).enumerate() {
            let wrong = |error: &dyn fmt::Display| {
                format!("ca {shown}: certificate {} is none: {error}", number + 1)
            };
            let certificate = certificate.map_err(|error| wrong(&error))?;
            roots.add(certificate).map_err(|error| wrong(&error))?;
        }
        if roots.is_empty() {
            return Err(format!(
                "ca {shown} holds no certificate: write one there in PEM"
            ));
        }
        Ok((octets, Arc::new(roots)))
    }
}

fn client(
    server: &Encrypted,
    proof: &Arc<Proof>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut client = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(proof) as _)
        .with_no_client_auth();
    client.alpn_protocols = vec![alpn(&server.protocol).to_vec()];
    Ok(Arc::new(client))
}

/// Holds a server's certificate against all that it must prove.
#[derive(Debug)]
struct Proof {
    /// Keys of which it must have one; empty = any.
    pins: Vec<Pin>,
    /// Whether its certificate is good for its name; none where its key alone counts.
    chain: Option<Arc<WebPkiServerVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
    /// What it said last, if that was no.
    refusal: Mutex<Option<rustls::Error>>,
}

impl Proof {
    fn refusal(&self) -> MutexGuard<'_, Option<rustls::Error>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether its key is pinned, where any is.
    fn check_key(&self, certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        // The server's own key: whatever else it sends may be anybody's.
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        let hash = digest(&SHA256, key.as_ref());
        if self.pins.is_empty() || self.pins.iter().any(|pin| pin == hash.as_ref()) {
            return Ok(());
        }
        let found = Pin::try_from(hash.as_ref()).unwrap_or_default();
        let other = OtherError(Arc::new(OtherKey(found)));
        Err(CertificateError::Other(other).into())
    }
}

impl ServerCertVerifier for Proof {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = self.chain.as_ref();
        let checked = chain
            .map_or(Ok(()), |chain| {
                let checked = chain.verify_server_cert(certificate, others, name, ocsp, now);
                checked.map(drop)
            })
            .and_then(|()| self.check_key(certificate));
        *self.refusal() = checked.as_ref().err().cloned();
        checked.map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The server's key is none of those that are pinned.
#[derive(Debug)]
struct OtherKey(Pin);

impl fmt::Display for OtherKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "its key is not pinned, it is {}", shown(&self.0))
    }
}

impl std::error::Error for OtherKey {}

/// What a protocol is called in ALPN's registry (RFC 7301).
fn alpn(protocol: &Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Tls => b"dot",
        #[cfg(feature = "doh")]
        Protocol::Https(_) => b"h2",
        #[cfg(feature = "doq")]
        Protocol::Quic => b"doq",
        #[cfg(feature = "h3")]
        Protocol::Http3(_) => b"h3",
    }
}
