//! Programs as children: bounded in time, ended by their own id, heard through files.
//!
//! Pipes are not used: a child that nobody reads would stop.

use crate::Fallible;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::Duration;

/// How often anything is looked at that may take a moment.
const GLANCE: Duration = Duration::from_millis(10);

/// Looks again and again until there is something, for so many seconds.
pub(crate) fn wait_for<T>(
    seconds: u32,
    mut look: impl FnMut() -> Fallible<Option<T>>,
) -> Fallible<T> {
    for _ in 0..seconds * 100 {
        if let Some(found) = look()? {
            return Ok(found);
        }
        sleep(GLANCE);
    }
    Err(format!("nothing within {seconds} s"))
}

/// A folder that goes with whoever made it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Fallible<Self> {
        static COUNT: AtomicU16 = AtomicU16::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("unsix-real-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> Fallible<PathBuf> {
        let path = self.0.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder left behind in the temporary one hurts nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A command that cannot wait for input.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end, for so many seconds at most, and gives what it said. A bad end is an error.
pub(crate) fn run(command: &mut Command, seconds: u32) -> Fallible<String> {
    let folder = Folder::new()?;
    let mut process = Process::start(command, &folder.path().join("said"))?;
    let name = format!("{command:?}");
    let ended = wait_for(seconds, || process.ended());
    let status = ended.map_err(|late| format!("{name}: {late}\n{}", process.said()))?;
    match status.success() {
        true => Ok(process.said()),
        false => Err(format!("{name}: {status}\n{}", process.said())),
    }
}

/// A running child. Dropping it ends it.
pub(crate) struct Process {
    child: Child,
    output: PathBuf,
}

impl Process {
    pub(crate) fn start(command: &mut Command, output: &Path) -> Fallible<Self> {
        let file = File::create(output).map_err(|error| error.to_string())?;
        let twin = file.try_clone().map_err(|error| error.to_string())?;
        let child = command.stdout(file).stderr(twin).spawn();
        Ok(Self {
            child: child.map_err(|error| format!("{command:?}: {error}"))?,
            output: output.to_owned(),
        })
    }

    /// Everything it has said so far.
    pub(crate) fn said(&self) -> String {
        let octets = fs::read(&self.output).unwrap_or_default();
        String::from_utf8_lossy(&octets).into_owned()
    }

    pub(crate) fn ended(&mut self) -> Fallible<Option<ExitStatus>> {
        self.child.try_wait().map_err(|error| error.to_string())
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(&mut self) -> Fallible<ExitStatus> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)
            .map_err(|error| error.to_string())?;
        wait_for(10, || self.ended()).map_err(|late| format!("SIGTERM: {late}\n{}", self.said()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
