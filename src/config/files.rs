//! Files that the configuration names.

use super::{Config, KeyPair};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The path of a file, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File(pub(super) PathBuf);

impl FromStr for File {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.contains('\0') {
            return Err(
                "is no path of a file, as \"cert.pem\" or \"/etc/unsix/cert.pem\"".to_owned(),
            );
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for File {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(out)
    }
}

impl Config {
    /// The same, its relative paths taken from the folder of the file that it was read from. Without this, they are taken
    /// from where the process stands.
    #[must_use]
    pub fn beside(mut self, file: &Path) -> Self {
        let folder = file.parent().unwrap_or_else(|| Path::new(""));
        if let Some(KeyPair {
            certificate, key, ..
        }) = &mut self.tls
        {
            for path in [certificate, key] {
                *path = folder.join(&*path);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_begin_at_the_file() {
        let text = "listen: [\"127.0.0.1:53\", \"tls://127.0.0.1\"]\ntls: {certificate: cert.pem, key: /run/key.pem}";
        let config = Config::read(text)
            .unwrap()
            .beside(Path::new("/etc/unsix/unsix.yaml"));
        let tls = config.tls.unwrap();
        assert_eq!(tls.certificate, Path::new("/etc/unsix/cert.pem"));
        assert_eq!(tls.key, Path::new("/run/key.pem"));
    }
}
