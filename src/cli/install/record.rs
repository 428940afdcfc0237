//! What was installed: enough to know it again, and to leave alone what somebody has edited since.

use super::files::{BINARY, File};
use super::place::Place;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where it lies: root alone writes there, unlike to the daemon's `/var/lib/unsix`.
pub(super) const PATH: &str = "/etc/unsix/installed.json";

/// What `install` wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Its files, and what stood in each; nothing for the program, whatever its version.
    pub(super) files: BTreeMap<String, Option<String>>,
    /// The folders that were not there before, each after those that it lies in.
    folders: Vec<String>,
}

impl Record {
    /// The one that lies there, or an empty one.
    pub(super) fn read(place: &Place) -> Result<Self, String> {
        let Some(text) = place.read(PATH)? else {
            return Ok(Self::default());
        };
        serde_json::from_slice(&text).map_err(|error| {
            let shown = place.shown(PATH);
            format!("{shown}: what was installed cannot be read: {error}")
        })
    }

    /// Whether a file is ours, as we wrote it.
    pub(super) fn is_ours(&self, path: &str, found: &[u8]) -> bool {
        let entry = self.files.get(path);
        let as_written = |text: &String| text.as_bytes() == found;
        entry.is_some_and(|text| text.as_ref().is_none_or(as_written))
    }

    /// With what is about to be written, and the folders for it.
    pub(super) fn and(mut self, files: &[File], folders: &[String]) -> Self {
        for file in files.iter().filter(|file| file.is_written()) {
            let text = String::from_utf8_lossy(&file.content).into_owned();
            let text = Some(text).filter(|_| file.path != BINARY);
            self.files.insert(file.path.to_owned(), text);
        }
        self.folders.extend_from_slice(folders);
        self
    }

    /// As it lies on disk.
    pub(super) fn text(&self) -> Vec<u8> {
        // Strings alone: nothing of it can fail.
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        (text + "\n").into_bytes()
    }

    /// Removes all of it but what was edited. Gives that, with the reason.
    pub(super) fn undo(&self, place: &Place) -> Vec<(String, String)> {
        let mut kept = Vec::new();
        for path in self.files.keys() {
            let removed = match place.read(path) {
                Ok(Some(found)) if !self.is_ours(path, &found) => {
                    Err("it was edited; remove it yourself if you do not need it".to_owned())
                }
                _ => place.remove(path),
            };
            if let Err(why) = removed {
                kept.push((place.shown(path), why));
            }
        }
        if let Err(why) = place.remove(PATH) {
            kept.push((place.shown(PATH), why));
        }
        place.remove_empty(&self.folders);
        kept
    }
}
