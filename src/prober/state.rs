//! Verdicts survive a restart, where the service has a directory for its state.

use super::{Prober, wall};
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;

impl Prober {
    /// Takes over what was decided before this process began. A file that cannot be used is told and left behind:
    /// then everything is unknown.
    pub(super) fn recall(&self) {
        let Some(file) = &self.state else { return };
        let text = match read(file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "the verdicts of before cannot be read");
                return;
            }
        };
        let taken = self.book().recall_all(&text, ((self.now)(), wall()));
        match taken {
            Ok(0) => {}
            Ok(verdicts) => tracing::info!(verdicts, "verdicts of before are taken over"),
            Err(error) => {
                tracing::warn!(file = %file.display(), error, "the verdicts of before cannot be used; a new file takes their place");
            }
        }
    }

    /// Writes the verdicts down: whole or not at all.
    pub(super) fn remember(&self) {
        let Some(file) = &self.state else { return };
        let text = self.book().remember();
        let new = file.with_extension("new");
        let written = fs::write(&new, text).and_then(|()| fs::rename(&new, file));
        if let Err(error) = written {
            tracing::warn!(file = %file.display(), %error, "the verdicts cannot be written down: a restart will forget them");
        }
    }
}

fn read(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    fs::File::open(file)?.take(MOST).read_to_string(&mut text)?;
    Ok(text)
}

/// The largest file that is read, in octets: some 100,000 verdicts.
const MOST: u64 = 16 << 20;
