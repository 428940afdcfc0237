//! What a test cannot do without, and how to tell whether this machine has it.
//!
//! Nothing here installs anything: `.ci/run` does.

use crate::namespace;
use crate::process::{command, run};
use std::env;
use std::path::PathBuf;

/// Something that not every machine has.
#[derive(Clone, Copy)]
pub(crate) enum Need {
    /// A program, and the Debian package it comes with.
    Program(&'static str, &'static str),
    /// A Python that can import dnspython.
    Dnspython,
    /// Debian's libfaketime.
    Faketime,
    /// systemd-resolved, which may only be unpacked: installing it changes the machine's own resolver.
    Resolved,
    /// The right to make a network and a mount namespace.
    Namespaces,
}

/// Why a test cannot run here.
pub(crate) struct Missing {
    pub(crate) reason: String,
    /// Some things cannot be had everywhere, not even by `.ci/run`.
    pub(crate) could_be_installed: bool,
}

impl Need {
    /// Why this need is not met, if so.
    pub(crate) fn missing(self) -> Option<Missing> {
        let (met, reason) = match self {
            Self::Program(name, package) => (
                find(name).is_some(),
                format!("no {name}, install {package}"),
            ),
            Self::Dnspython => (
                python().is_some(),
                "no dnspython, install python3-dnspython".to_owned(),
            ),
            Self::Faketime => (
                faketime().is_some(),
                "no libfaketime, install faketime".to_owned(),
            ),
            Self::Resolved => (
                resolved().is_some(),
                "no systemd-resolved, name one in SYSTEMD_RESOLVED".to_owned(),
            ),
            Self::Namespaces => (
                namespace::is_inside() || namespace::is_allowed(),
                "no right to make namespaces".to_owned(),
            ),
        };
        (!met).then_some(Missing {
            reason,
            could_be_installed: !matches!(self, Self::Namespaces | Self::Resolved),
        })
    }
}

/// Where a program is. Servers are not on everyone's `PATH`.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let servers = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(servers)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// A Python that can import dnspython: the first on the path may be another than Debian's.
pub(crate) fn python() -> Option<PathBuf> {
    [find("python3"), Some(PathBuf::from("/usr/bin/python3"))]
        .into_iter()
        .flatten()
        .find(|python| run(command(python).args(["-I", "-c", "import dns.edns"]), 20).is_ok())
}

/// Where systemd-resolved is: installed, or unpacked where the environment says.
pub(crate) fn resolved() -> Option<PathBuf> {
    let named = env::var_os("SYSTEMD_RESOLVED").map(PathBuf::from);
    let installed = PathBuf::from("/lib/systemd/systemd-resolved");
    named
        .into_iter()
        .chain([installed])
        .find(|file| file.is_file())
}

/// The library for programs with threads, as the `faketime` program would load it.
pub(crate) fn faketime() -> Option<PathBuf> {
    let triplet = format!("{}-linux-gnu", env::consts::ARCH);
    ["/usr/lib", "/usr/local/lib"]
        .map(PathBuf::from)
        .into_iter()
        .flat_map(|folder| [folder.join(&triplet), folder])
        .map(|folder| folder.join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.is_file())
}
