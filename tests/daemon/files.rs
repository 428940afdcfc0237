//! A folder of a test's own, gone when the test is over.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

static NEXT: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Relaxed);
        let name = format!("{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file, whole, in the way of an editor: beside it, then renamed.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let (beside, path) = (self.path("beside"), self.path(name));
        fs::write(&beside, content).unwrap();
        fs::rename(&beside, &path).unwrap();
        path
    }

    /// Points a symbolic link somewhere, in the way of the kubelet: in one step.
    pub(crate) fn link(&self, name: &str, target: &str) -> PathBuf {
        let (beside, path) = (self.path("beside"), self.path(name));
        std::os::unix::fs::symlink(target, &beside).unwrap();
        fs::rename(&beside, &path).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left behind it harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}
