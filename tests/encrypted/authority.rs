//! A certificate authority of the test's own, and what it signs.

use crate::daemon::files::Folder;
use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::PathBuf;
use std::sync::Arc;

/// Signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: Folder,
    /// Its own certificate, for `ca=`.
    pub(crate) file: PathBuf,
}

/// A certificate and its key.
pub(crate) struct Signed {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
    /// For `pin=`.
    pub(crate) pin: String,
    /// What a server in this process takes.
    pub(crate) config: Arc<ServerConfig>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "The test's own authority");
        let key = KeyPair::generate().unwrap();
        let folder = Folder::new();
        let file = folder.write("ca.pem", params.self_signed(&key).unwrap().pem());
        Self {
            issuer: Issuer::new(params, key),
            folder,
            file,
        }
    }

    /// A good certificate for this name.
    pub(crate) fn sign(&self, name: &str) -> Signed {
        self.sign_until(name, 2099)
    }

    /// One that holds until that year.
    pub(crate) fn sign_until(&self, name: &str, year: i32) -> Signed {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.keep(&certificate.pem(), certificate.der(), &key)
    }

    /// One that nobody vouches for.
    pub(crate) fn self_signed(&self, name: &str) -> Signed {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        self.keep(&made.cert.pem(), made.cert.der(), &made.signing_key)
    }

    fn keep(&self, pem: &str, der: &CertificateDer<'static>, key: &KeyPair) -> Signed {
        let hash = digest(&SHA256, &key.subject_public_key_info());
        let pin = data_encoding::BASE64.encode(hash.as_ref());
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![der.clone()], private)
            .unwrap();
        let number = pin.chars().filter(char::is_ascii_alphanumeric);
        let number: String = number.take(12).collect();
        Signed {
            chain: self.folder.write(&format!("{number}.pem"), pem),
            key: self
                .folder
                .write(&format!("{number}.key"), key.serialize_pem()),
            pin: format!("sha256/{pin}"),
            config: Arc::new(config),
        }
    }
}
