//! Programs that pull images, and by which resolver each looks names up. It reads what everyone may.
//!
//! Nearly all are written in Go, which reads resolv.conf itself unless the program was built with the C library and
//! nsswitch.conf names a source that Go does not know. k3s is built with musl's resolver inside.

use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// A program that pulls images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Puller {
    /// Its name.
    pub name: String,
    /// Its file, where that can be seen.
    pub path: Option<String>,
    /// By what it looks names up.
    pub resolver: Resolver,
    /// Whether `/etc/gai.conf` decides which family it takes first; none where that cannot be told.
    pub heeds_gai_conf: Option<bool>,
}

/// By what a program looks names up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Resolver {
    /// By Go's own resolver: it asks the servers of resolv.conf in order and sorts by a table of its own.
    Go,
    /// By glibc.
    Glibc,
    /// By musl: it asks all servers of resolv.conf at once.
    Musl,
    /// That cannot be told.
    Unknown,
}

impl Puller {
    pub(super) fn of(name: &str, resolver: Resolver) -> Self {
        Self {
            name: name.to_owned(),
            path: None,
            resolver,
            heeds_gai_conf: match resolver {
                Resolver::Glibc => Some(true),
                Resolver::Go | Resolver::Musl => Some(false),
                Resolver::Unknown => None,
            },
        }
    }
}

/// What a process is called, and the program it is then.
const KNOWN: [(&str, &str); 9] = [
    ("containerd", "containerd"),
    ("dockerd", "dockerd"),
    ("buildkitd", "buildkitd"),
    ("crio", "crio"),
    ("podman", "podman"),
    ("k3s-server", "k3s"),
    ("k3s-agent", "k3s"),
    ("k3s", "k3s"),
    ("rke2", "rke2"),
];

/// Those that run, and podman, which runs only while it pulls, where it is installed.
pub(super) fn pullers(proc: &Path, nsswitch: &[String]) -> Vec<Puller> {
    let mut found = running(proc);
    let runs = |wanted: &str| found.iter().any(|one| one.name == wanted);
    let (has_k3s, has_podman) = (runs("k3s"), runs("podman"));
    if has_k3s {
        // Its containerd is the same program under another name.
        found.retain(|one| one.name != "containerd" || is_from_package(one.path.as_deref()));
    }
    if !has_podman {
        found.extend(installed("podman").map(|file| Found::at("podman", file)));
    }
    let mut pullers: Vec<Puller> = Vec::new();
    for one in found {
        let Found {
            name,
            path,
            linkage,
        } = one;
        let puller = Puller {
            path: path.map(|path| path.display().to_string()),
            ..Puller::of(name, resolver(name, linkage, nsswitch))
        };
        if !pullers.contains(&puller) {
            pullers.push(puller);
        }
    }
    pullers
}

/// A program that was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    name: &'static str,
    path: Option<PathBuf>,
    linkage: Option<Linkage>,
}

impl Found {
    fn at(name: &'static str, file: PathBuf) -> Self {
        Self {
            name,
            linkage: Linkage::of(&file),
            path: Some(file),
        }
    }
}

fn installed(name: &str) -> Option<PathBuf> {
    let files = FOLDERS.iter().map(|folder| Path::new(folder).join(name));
    files.into_iter().find(|file| file.is_file())
}

const FOLDERS: [&str; 4] = ["/usr/bin", "/usr/local/bin", "/usr/sbin", "/opt/bin"];

fn is_from_package(path: Option<&Path>) -> bool {
    path.is_some_and(|path| FOLDERS.iter().any(|folder| path.starts_with(folder)))
}

/// Each process that is one of them. Another user's file only root sees: then the one that is installed counts.
fn running(proc: &Path) -> Vec<Found> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let mut all = BTreeSet::new();
    for process in entries.map(|entry| entry.path()) {
        let comm = fs::read_to_string(process.join("comm")).unwrap_or_default();
        let known = KNOWN.iter().find(|(called, _)| *called == comm.trim_end());
        let Some((_, name)) = known else {
            continue;
        };
        let exe = process.join("exe");
        let seen = fs::read_link(&exe).ok().map(|path| Found {
            name,
            path: Some(path),
            // What runs, though an upgrade has replaced the file, and in a container its own.
            linkage: Linkage::of(&exe),
        });
        let seen = seen.or_else(|| installed(name).map(|file| Found::at(name, file)));
        all.insert(seen.unwrap_or(Found {
            name,
            path: None,
            linkage: None,
        }));
    }
    all.into_iter().collect()
}

/// How a program is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Linkage {
    /// It holds all that it needs.
    Static,
    /// It loads glibc.
    Glibc,
    /// It loads musl.
    Musl,
}

fn resolver(name: &str, linkage: Option<Linkage>, nsswitch: &[String]) -> Resolver {
    // What Go knows of itself (net/conf.go); with anything else it asks the C library, if that is there.
    let is_known = |source: &String| {
        matches!(source.as_str(), "files" | "dns" | "myhostname") || source.starts_with("mdns")
    };
    match (name, linkage) {
        ("k3s", _) => Resolver::Musl,
        ("rke2", _) | (_, Some(Linkage::Static | Linkage::Musl)) => Resolver::Go,
        (_, Some(Linkage::Glibc)) if nsswitch.iter().all(is_known) => Resolver::Go,
        (_, Some(Linkage::Glibc)) => Resolver::Glibc,
        (_, None) => Resolver::Unknown,
    }
}

impl Linkage {
    /// Of an ELF file; none where it cannot be read or is none.
    fn of(file: &Path) -> Option<Self> {
        let mut head = Vec::new();
        let file = File::open(file).ok()?;
        file.take(HEAD).read_to_end(&mut head).ok()?;
        Self::read(&head)
    }

    /// From the program headers: a dynamic program names its loader in one of them. 64 bits, lowest octet first, as all
    /// systems of today are that pull images.
    fn read(head: &[u8]) -> Option<Self> {
        if !head.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        let number = |at: usize, length: usize| {
            let octets = head.get(at..at.checked_add(length)?)?;
            let number = octets.iter().rev();
            Some(number.fold(0_usize, |sum, octet| sum << 8 | usize::from(*octet)))
        };
        let (first, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        for place in 0..count {
            let at = first.checked_add(place * size)?;
            if number(at, 4)? == INTERPRETER {
                let from = number(at.checked_add(8)?, 8)?;
                let length = number(at.checked_add(32)?, 8)?;
                let loader = head.get(from..from.checked_add(length)?)?;
                let is_musl = loader.windows(4).any(|part| part == b"musl");
                return Some(if is_musl { Self::Musl } else { Self::Glibc });
            }
        }
        Some(Self::Static)
    }
}

/// `PT_INTERP`.
const INTERPRETER: usize = 3;
/// Headers and the loader's name stand in the first page; more for those that linkers arrange otherwise.
const HEAD: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_this_system_is_read() {
        let own = std::env::current_exe().unwrap();
        let linkage = Linkage::of(&own).unwrap();
        let expected = if cfg!(target_env = "musl") {
            Linkage::Musl
        } else {
            Linkage::Glibc
        };
        assert!(matches!(linkage, Linkage::Static) == cfg!(target_feature = "crt-static"));
        assert!(linkage == expected || cfg!(target_feature = "crt-static"));
        assert_eq!(Linkage::of(Path::new("/etc/hosts")), None);
    }

    #[test]
    fn broken_files_end_nothing() {
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        for length in [0, 5, 6, 40, 63, 64, 100, 200] {
            assert_ne!(Linkage::read(&own[..length]), Some(Linkage::Musl));
        }
        let mut head = own[..4096].to_vec();
        head[32..40].fill(0xff);
        assert_eq!(Linkage::read(&head), None);
    }

    #[test]
    fn go_asks_the_c_library_only_for_sources_that_it_does_not_know() {
        use Linkage::{Glibc, Musl, Static};
        #[rustfmt::skip]
        let cases = [
            ("containerd", Some(Glibc),  "files dns",                        Resolver::Go),
            ("containerd", Some(Glibc),  "files mdns4_minimal dns myhostname", Resolver::Go),
            ("containerd", Some(Glibc),  "files resolve dns",                Resolver::Glibc),
            ("containerd", Some(Static), "files resolve dns",                Resolver::Go),
            ("dockerd",    Some(Musl),   "files dns",                        Resolver::Go),
            ("k3s",        None,         "files dns",                        Resolver::Musl),
            ("rke2",       None,         "files dns",                        Resolver::Go),
            ("crio",       None,         "files dns",                        Resolver::Unknown),
        ];
        for (name, linkage, nsswitch, want) in cases {
            let nsswitch: Vec<String> = nsswitch.split(' ').map(str::to_owned).collect();
            assert_eq!(
                resolver(name, linkage, &nsswitch),
                want,
                "{name} {linkage:?}"
            );
        }
    }
}
