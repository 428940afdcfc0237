//! The certificate that clients over TLS see: read at the start, and again when its files change.
//!
//! The content is what counts, as with the configuration: a change acts when it was read twice running, for one of
//! both files is always written first. A pair that does not fit keeps the one before, and is said once.

use super::watch::Reloads;
use crate::config::{Config, KeyPair};
use crate::listen::tls::{Identity, Tls};
use std::path::Path;
use std::sync::Arc;

/// TLS as the daemon's threads and pages share it.
pub(crate) struct Encryption {
    /// What listeners shake hands by.
    pub(crate) tls: Arc<Tls>,
    /// How reloads of its certificate went.
    pub(crate) reloads: Reloads,
}

/// What both files hold, or which of them cannot be read.
type Found = Result<(Vec<u8>, Vec<u8>), String>;

impl Encryption {
    /// None where `listen` has only plain addresses.
    pub(super) fn start(config: &Config) -> Result<Option<Self>, String> {
        let Some(files) = config.tls.as_ref().filter(|_| !config.encrypted.is_empty()) else {
            return Ok(None);
        };
        let identity = read(files).and_then(|found| identity(files, &found))?;
        let tls = Tls::new(identity).map_err(|error| format!("TLS cannot be spoken: {error}"))?;
        Ok(Some(Self {
            tls: Arc::new(tls),
            reloads: Reloads::default(),
        }))
    }
}

/// What is wrong with the files of a configuration's certificate.
pub(super) fn problem(config: &Config) -> Option<String> {
    let files = config.tls.as_ref()?;
    let found = read(files).and_then(|found| identity(files, &found));
    found.err()
}

fn read(files: &KeyPair) -> Found {
    let read = |path: &Path, key: &str| {
        std::fs::read(path)
            .map_err(|error| format!("tls.{key}: {}: cannot be read: {error}", path.display()))
    };
    Ok((
        read(&files.certificate, "certificate")?,
        read(&files.key, "key")?,
    ))
}

fn identity(files: &KeyPair, (certificate, key): &(Vec<u8>, Vec<u8>)) -> Result<Identity, String> {
    let identity = Identity::read(certificate, key).map_err(|why| {
        let (certificate, key) = (files.certificate.display(), files.key.display());
        format!("tls: {certificate} and {key} are no pair: {why}")
    })?;
    // Clients that are told a name refuse every other.
    if let Some(name) = &files.name {
        let (name, certificate) = (name.to_string(), files.certificate.display());
        let name = name.trim_end_matches('.');
        if !identity.is_for(name) {
            return Err(format!(
                "tls.name: {certificate} is not for {name}: write a name that it holds"
            ));
        }
    }
    Ok(identity)
}

/// The watch over the files.
pub(super) struct Files {
    files: KeyPair,
    /// What clients see.
    shown: Found,
    /// What was read last, where it is something else.
    seen: Option<Found>,
    /// What was refused: said once, not at each look.
    refused: Option<Found>,
}

impl Files {
    /// To be called right after the start.
    pub(super) fn new(files: &KeyPair) -> Self {
        Self {
            files: files.clone(),
            shown: read(files),
            seen: None,
            refused: None,
        }
    }

    /// Looks at these from now on.
    pub(super) fn follow(&mut self, files: &KeyPair) {
        if self.files.name != files.name {
            // Whether the certificate is for that one is to be found out.
            self.shown = Err(String::new());
            self.refused = None;
        }
        self.files = files.clone();
    }

    /// One look; `at_once` acts on whatever it finds.
    pub(super) fn look(&mut self, encryption: &Encryption, at_once: bool) {
        let found = read(&self.files);
        if found == self.shown {
            self.seen = None;
            self.refused = None;
            if encryption.reloads.mend() {
                tracing::info!("the certificate's files hold again what clients see");
            }
            return;
        }
        let is_known = self.refused.as_ref() == Some(&found);
        let is_settled = self.seen.as_ref() == Some(&found);
        if !at_once && (is_known || !is_settled) {
            self.seen = Some(found);
            return;
        }
        self.seen = None;
        let read = found.as_ref().map_err(Clone::clone);
        match read.and_then(|found| identity(&self.files, found)) {
            Ok(identity) => {
                encryption.tls.show(identity);
                encryption.reloads.note(None);
                tracing::info!(file = %self.files.certificate.display(), "certificate reloaded");
                self.shown = found;
                self.refused = None;
            }
            Err(problem) => {
                tracing::error!("certificate not reloaded, the old one stays: {problem}");
                encryption.reloads.note(Some(problem));
                self.refused = Some(found);
            }
        }
    }
}
