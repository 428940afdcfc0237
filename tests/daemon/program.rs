//! The program as a child process: its exit code, its words, its signals.

use super::{until, within_ten_seconds};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a command to its end.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_unsix"))
        .args(arguments)
        .output()
        .unwrap();
    Ended {
        code: output.status.code().expect("it ends by itself"),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

/// A running program, killed when dropped.
pub(crate) struct Program {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Program {
    /// Runs with this configuration file, and waits until it is ready.
    pub(crate) fn serve(config: &Path) -> Self {
        let program = Self::start(config, "exec \"$0\" \"$@\"");
        program.says("ready");
        program
    }

    /// The same, with so many descriptors at most.
    pub(crate) fn serve_within(descriptors: usize, config: &Path) -> Self {
        let program = Self::start(
            config,
            &format!("ulimit -n {descriptors}; exec \"$0\" \"$@\""),
        );
        program.says("ready");
        program
    }

    /// Runs by way of a shell, and waits for nothing.
    pub(crate) fn start(config: &Path, script: &str) -> Self {
        Self::of(shell(config, script))
    }

    /// Runs with these two sockets passed to it, as systemd passes those of `unsix.socket`, and waits for nothing.
    pub(crate) fn start_with(
        config: &Path,
        first: impl Into<OwnedFd>,
        second: impl Into<OwnedFd>,
    ) -> Self {
        let mut command = shell(
            config,
            "exec 3<&0 4<&1 0</dev/null 1>/dev/null \
            && export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=unsix.socket:unsix.socket \
            && exec \"$0\" \"$@\"",
        );
        command.stdin(first.into()).stdout(second.into());
        Self::of(command)
    }

    /// Runs a command that becomes the program.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (errors, heard) = (child.stderr.take().unwrap(), lines.clone());
        thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                heard.lock().unwrap().push(line);
            }
        });
        Self { child, lines }
    }

    /// Waits for a line that holds these words.
    #[track_caller]
    pub(crate) fn says(&self, words: &str) -> String {
        let said = || self.lines().into_iter().find(|line| line.contains(words));
        within_ten_seconds(said)
            .unwrap_or_else(|| panic!("it never said {words:?}: {:#?}", self.lines()))
    }

    /// Everything it said so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// How often it said these words.
    pub(crate) fn count(&self, words: &str) -> usize {
        self.lines()
            .iter()
            .filter(|line| line.contains(words))
            .count()
    }

    /// Its first listener.
    pub(crate) fn address(&self) -> SocketAddr {
        field(&self.says(" listening "), "address=")
    }

    /// Its admin page.
    pub(crate) fn admin(&self) -> SocketAddr {
        field(&self.says("admin page"), "address=")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end, 10 s at most; none if a signal ended it.
    pub(crate) fn ends(&mut self) -> Option<i32> {
        until("the program's end", || self.child.try_wait().unwrap()).code()
    }

    /// Whether it still runs.
    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// How many files and sockets it holds open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .unwrap()
            .count()
    }

    /// Memory it holds, in octets.
    pub(crate) fn memory(&self) -> u64 {
        self.figure("VmRSS:")
    }

    /// The most that it ever held.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.figure("VmHWM:")
    }

    fn figure(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kibibytes = line.unwrap().trim().trim_end_matches(" kB");
        kibibytes.parse::<u64>().unwrap() * 1024
    }
}

/// A shell that has this script become the program, as `"$0" "$@"`.
pub(crate) fn shell(config: &Path, script: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", script, env!("CARGO_BIN_EXE_unsix"), "run", "--config"])
        .arg(config);
    command
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("it had said: {:#?}", self.lines());
        }
    }
}

#[track_caller]
fn field(line: &str, name: &str) -> SocketAddr {
    let rest = line.split(name).nth(1).expect("the field");
    rest.split(' ')
        .next()
        .unwrap()
        .trim_matches('"')
        .parse()
        .unwrap()
}
