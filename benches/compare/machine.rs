//! The machine under the comparison: its name, its cores, and what a process takes of them.
//!
//! CPU time is the sum of the first number of `/proc/PID/task/TID/schedstat`, the scheduler's own count in
//! nanoseconds, over all threads of the server and of its children; the ticks of `/proc/PID/stat`
//! are 10 ms each, which is a percent of a run of one second.

use rustix::io::Errno;
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

/// Which core each side runs on.
pub(crate) struct Cores {
    /// Those of the server that is measured, one for each of its threads as far as there are.
    pub(crate) server: Vec<usize>,
    /// The one of generator and upstream.
    pub(crate) others: usize,
}

impl Cores {
    /// The first core that we may use is the server's, the second ours, the others the server's again. On a machine
    /// of one core, both have that one.
    pub(crate) fn choose() -> io::Result<Self> {
        let ours = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| ours.is_set(*core));
        let first = cores.next().unwrap_or(0);
        let others = cores.next().unwrap_or(first);
        let server = std::iter::once(first).chain(cores).collect();
        Ok(Self { server, others })
    }

    /// Those for so many threads of a server.
    pub(crate) fn of_threads(&self, threads: usize) -> &[usize] {
        self.server.get(..threads).unwrap_or(&self.server)
    }
}

/// Keeps this thread, and all processes that it starts, on these cores.
pub(crate) fn pin(cores: &[usize]) -> io::Result<()> {
    Ok(sched_setaffinity(None, &set(cores))?)
}

/// Puts all threads of a process on these cores, those too that chose others by themselves (Knot DNS does).
pub(crate) fn pin_process(process: u32, cores: &[usize]) -> io::Result<()> {
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        let number = task?.file_name().to_string_lossy().parse().ok();
        let Some(thread) = number.and_then(Pid::from_raw) else {
            continue;
        };
        // A thread may end between the listing and the call.
        match sched_setaffinity(Some(thread), &set(cores)) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn set(cores: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    set
}

/// What a server has taken so far.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// CPU time of all its threads.
    pub(crate) cpu: Duration,
    /// Resident memory in KiB.
    pub(crate) rss_kb: u64,
}

impl Usage {
    /// Of a process and its children.
    pub(crate) fn of(process: u32) -> io::Result<Self> {
        let mut usage = Self {
            cpu: Duration::ZERO,
            rss_kb: resident(process)?,
        };
        for task in fs::read_dir(format!("/proc/{process}/task"))? {
            let task = task?.path();
            // A thread may end between the listing and the look: its time is lost, as it would be a moment later.
            let Ok(times) = fs::read_to_string(task.join("schedstat")) else {
                continue;
            };
            usage.cpu += Duration::from_nanos(number(times.split(' ').next()));
            let children = fs::read_to_string(task.join("children")).unwrap_or_default();
            for child in children
                .split_whitespace()
                .filter_map(|child| child.parse().ok())
            {
                if let Ok(child) = Self::of(child) {
                    usage.cpu += child.cpu;
                    usage.rss_kb += child.rss_kb;
                }
            }
        }
        Ok(usage)
    }
}

fn resident(process: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(number(line.and_then(|line| line.split_whitespace().next())))
}

fn number(text: Option<&str>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The address that this machine has in its network, if it is in one.
pub(crate) fn address() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Nothing is sent by this: the kernel only chooses the way, and our address on it (RFC 5737: TEST-NET-1).
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 53)).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(address) if !address.is_loopback() && !address.is_unspecified() => Some(address),
        _ => None,
    }
}

/// A short name for the machine: how many cores of what.
pub(crate) fn label() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models = cpus.lines().filter(|line| line.starts_with("model name"));
    let model = models
        .clone()
        .next()
        .and_then(|line| line.split(": ").nth(1));
    let model = model.unwrap_or("unknown").to_lowercase();
    let words = model
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty() && !NOISE.contains(word));
    let words: Vec<_> = words.take(4).collect();
    format!("{}x-{}", models.count().max(1), words.join("-"))
}

/// Words of processor names that tell none from another.
const NOISE: &[&str] = &["r", "tm", "cpu", "processor", "with", "core"];

/// The kernel's name and version.
pub(crate) fn kernel() -> String {
    let version = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {}", version.trim())
}
