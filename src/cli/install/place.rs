//! Where an installation goes: the files and folders of a system.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The root of a system: the running one's, or a folder's.
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn at(root: Option<&Path>) -> Self {
        Self(root.unwrap_or_else(|| Path::new("/")).to_owned())
    }

    /// Where a path of that system is.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// The same, for people.
    pub(super) fn shown(&self, path: &str) -> String {
        self.path(path).display().to_string()
    }

    /// What stands in a file, if it is there.
    pub(super) fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        match fs::read(self.path(path)) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{} cannot be read: {error}", self.shown(path))),
        }
    }

    /// Writes a file whole or not at all: beside it, then renamed. Whatever the umask is, all may read it.
    pub(super) fn write(&self, path: &str, content: &[u8], mode: u32) -> Result<(), String> {
        let there = self.path(path);
        let beside = there.with_extension("unsix-new");
        let written = || {
            let mut options = OpenOptions::new();
            let options = options.write(true).create(true).truncate(true).mode(mode);
            let mut file = options.open(&beside)?;
            file.write_all(content)?;
            file.set_permissions(Permissions::from_mode(mode))?;
            file.sync_all()?;
            fs::rename(&beside, &there)
        };
        written().map_err(|error| {
            // It may never have been there.
            let _ = fs::remove_file(&beside);
            format!("{} cannot be written: {error}", there.display())
        })
    }

    /// Removes a file; that it is not there is fine.
    pub(super) fn remove(&self, path: &str) -> Result<(), String> {
        match fs::remove_file(self.path(path)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.to_string()),
            _ => Ok(()),
        }
    }

    /// The folders above these files that are not there, each after those that it lies in.
    pub(super) fn missing_folders(&self, paths: impl Iterator<Item = &'static str>) -> Vec<String> {
        let above = paths.flat_map(|path| Path::new(path).ancestors().skip(1));
        let above = above.filter_map(Path::to_str);
        let missing: BTreeSet<&str> = above.filter(|folder| !self.path(folder).exists()).collect();
        missing.into_iter().map(str::to_owned).collect()
    }

    /// Makes them. Whatever the umask is, all may look into them.
    pub(super) fn make_folders(&self, folders: &[String]) -> Result<(), String> {
        for folder in folders {
            let there = self.path(folder);
            let made = fs::create_dir(&there)
                .and_then(|()| fs::set_permissions(&there, Permissions::from_mode(0o755)));
            made.map_err(|error| format!("{} cannot be made: {error}", there.display()))?;
        }
        Ok(())
    }

    /// Removes folders, the last one first; one that holds somebody else's file now stays.
    pub(super) fn remove_empty(&self, folders: &[String]) {
        for folder in folders.iter().rev() {
            let _ = fs::remove_dir(self.path(folder));
        }
    }
}
