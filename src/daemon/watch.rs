//! Follows the configuration file, and the system's name servers where it names none.
//!
//! The content is what counts: a ConfigMap is swapped by a symlink and keeps no time stamp worth
//! looking at. A change acts when the same bytes were read twice running, so a file that is being
//! written is left alone; a bad or empty one keeps the old configuration and says why, once.

use super::certificate::Files;
use super::{Shared, upstreams};
use crate::config::{Config, Server};
use crate::upstream::secure;
use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// How reloads went.
#[derive(Debug, Default)]
pub(crate) struct Reloads {
    succeeded: AtomicU64,
    failed: AtomicU64,
    problem: Mutex<Option<String>>,
}

impl Reloads {
    /// Succeeded and failed ones.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.succeeded.load(Relaxed), self.failed.load(Relaxed))
    }

    /// Why the last one failed; none if it did not.
    pub(super) fn last_problem(&self) -> Option<String> {
        self.problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn note(&self, problem: Option<String>) {
        let counter = if problem.is_none() {
            &self.succeeded
        } else {
            &self.failed
        };
        counter.fetch_add(1, Relaxed);
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// The file is again what is in force; gives whether it was another.
    pub(super) fn mend(&self) -> bool {
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        problem.take().is_some()
    }
}

/// What a look at the file led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// Nothing new.
    Unchanged,
    /// The new settings act from the next reply.
    Applied,
    /// The old settings stay.
    Refused,
}

/// The watch over one file.
pub struct Watch {
    shared: Arc<Shared>,
    file: Option<PathBuf>,
    config: Config,
    own: Vec<SocketAddr>,
    /// What is in force.
    text: Option<Vec<u8>>,
    /// What was read last, where it is something else.
    seen: Option<Vec<u8>>,
    /// What was refused: said once, not at each look.
    refused: Option<Vec<u8>>,
    /// Refused for nothing but a file of trust roots, which may be mended by itself.
    distrusted: Option<Config>,
    upstreams: Vec<Server>,
    /// Looks running at which it could not be read.
    unreadable: u32,
    /// Those of the certificate, where clients are heard over TLS.
    certificate: Option<Files>,
}

impl Watch {
    pub(super) fn new(
        shared: Arc<Shared>,
        file: Option<PathBuf>,
        config: Config,
        own: Vec<SocketAddr>,
    ) -> Self {
        let settings = shared.pipeline.settings();
        let text = file.as_ref().and_then(|file| std::fs::read(file).ok());
        Self {
            upstreams: settings.defaults(),
            certificate: config.tls.as_ref().map(Files::new),
            shared,
            file,
            config,
            own,
            text,
            seen: None,
            refused: None,
            distrusted: None,
            unreadable: 0,
        }
    }

    /// A look each 2 s: acts on bytes that were seen equal twice running.
    pub fn poll(&mut self) -> Reloaded {
        self.look_at_certificate(false);
        match self.read() {
            None => self.follow_system(),
            Some(Err(error)) => self.cannot_read(&error),
            Some(Ok(text)) => {
                self.unreadable = 0;
                if self.text.as_ref() == Some(&text) {
                    return self.stay();
                }
                if self.refused.as_ref() == Some(&text) && !self.is_trusted_by_now() {
                    return Reloaded::Unchanged;
                }
                if self.seen.as_ref() != Some(&text) {
                    self.seen = Some(text);
                    return Reloaded::Unchanged;
                }
                self.take(text)
            }
        }
    }

    /// SIGHUP: acts at once, whatever was seen before.
    pub fn reload(&mut self) -> Reloaded {
        let reloaded = self.reload_file();
        self.look_at_certificate(true);
        reloaded
    }

    fn reload_file(&mut self) -> Reloaded {
        match self.read() {
            None => {
                tracing::info!("nothing to reload: there is no configuration file");
                self.follow_system()
            }
            Some(Err(error)) => {
                self.unreadable = 1;
                self.cannot_read(&error)
            }
            Some(Ok(text)) => self.take(text),
        }
    }

    fn look_at_certificate(&mut self, at_once: bool) {
        if let (Some(files), Some(encryption)) = (&mut self.certificate, &self.shared.encryption) {
            files.look(encryption, at_once);
        }
    }

    fn read(&self) -> Option<io::Result<Vec<u8>>> {
        self.file.as_ref().map(std::fs::read)
    }

    fn name(&self) -> String {
        self.file
            .as_ref()
            .map(|file| file.display().to_string())
            .unwrap_or_default()
    }

    /// An editor may be about to put the file back: said at the second look, once.
    fn cannot_read(&mut self, error: &io::Error) -> Reloaded {
        self.unreadable = self.unreadable.saturating_add(1);
        if self.unreadable != 2 {
            return Reloaded::Unchanged;
        }
        self.refuse(format!("{}: cannot be read: {error}", self.name()))
    }

    /// The file is what is in force, perhaps again after a fault was taken back.
    fn stay(&mut self) -> Reloaded {
        self.seen = None;
        self.refused = None;
        if self.shared.reloads.mend() {
            tracing::info!("the configuration file is again the one in force");
        }
        self.follow_system()
    }

    fn refuse(&self, problem: String) -> Reloaded {
        tracing::error!("configuration not reloaded, the old one stays: {problem}");
        self.shared.reloads.note(Some(problem));
        Reloaded::Refused
    }

    fn is_trusted_by_now(&self) -> bool {
        let refused = self.distrusted.as_ref();
        refused.is_some_and(|config| secure::problems(config).is_empty())
    }

    fn take(&mut self, text: Vec<u8>) -> Reloaded {
        self.seen = None;
        self.distrusted = None;
        let config = match Config::read_octets(&text) {
            Ok(config) => self.beside(config),
            Err(problems) => {
                let mut all = String::new();
                for (number, problem) in problems.iter().enumerate() {
                    let between = if number == 0 { "" } else { "; " };
                    // Writing to a String cannot fail.
                    let _ = write!(all, "{between}{}:{problem}", self.name());
                }
                self.refused = Some(text);
                return self.refuse(all);
            }
        };
        let servers = match upstreams(&config, &self.own) {
            Ok(servers) => servers,
            Err(error) => {
                self.refused = Some(text);
                return self.refuse(error.to_string());
            }
        };
        match self.shared.secure.prepare(&config) {
            Ok(prepared) => self.shared.secure.install(prepared),
            Err(error) => {
                self.refused = Some(text);
                self.distrusted = Some(config);
                return self.refuse(error.to_string());
            }
        }
        self.warn_of_restart(&config);
        self.text = Some(text);
        self.refused = None;
        self.config = config;
        self.apply(servers);
        tracing::info!(rules = self.config.rules.len(), "configuration reloaded");
        self.shared.reloads.note(None);
        Reloaded::Applied
    }

    /// With its paths as they are meant.
    fn beside(&self, config: Config) -> Config {
        match &self.file {
            Some(file) => config.beside(file),
            None => config,
        }
    }

    fn apply(&mut self, servers: Vec<Server>) {
        self.shared.pipeline.apply(&self.config, &servers);
        self.shared.show_rules(&self.config);
        let balancers = &self.shared.connections.balancers;
        balancers.believe(&self.config.proxy_protocol);
        if let Some(log) = &self.shared.log {
            log.set_level(self.config.log.level);
        }
        if let (Some(files), Some(tls)) = (&mut self.certificate, &self.config.tls) {
            files.follow(tls);
        }
        self.upstreams = servers;
        self.shared.probe_for_loops();
    }

    /// What takes effect at the next start only.
    fn warn_of_restart(&self, next: &Config) {
        let now = &self.config;
        let changed = [
            (
                "listen",
                (&now.listen, &now.encrypted) != (&next.listen, &next.encrypted),
            ),
            ("threads", now.threads != next.threads),
            ("admin", now.admin != next.admin),
            ("cache.size", now.cache.size != next.cache.size),
            ("log.format", now.log.format != next.log.format),
        ];
        for (option, _) in changed.into_iter().filter(|(_, changed)| *changed) {
            tracing::warn!(option, "changed, and needs a restart to take effect");
        }
    }

    /// Without `upstreams`, the system's are followed; unusable ones leave the old in force.
    fn follow_system(&mut self) -> Reloaded {
        if self.config.upstreams.is_some() {
            return Reloaded::Unchanged;
        }
        match upstreams(&self.config, &self.own) {
            Ok(servers) if servers != self.upstreams => {
                for address in &servers {
                    tracing::info!(%address, "upstream, as the system now says");
                }
                self.apply(servers);
                Reloaded::Applied
            }
            _ => Reloaded::Unchanged,
        }
    }
}
