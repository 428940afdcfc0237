//! A server that is compared, as its file in `benches/peers/` describes it. Adding one is adding a file.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A peer's file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peer {
    /// What rows and tables call it.
    pub(crate) name: String,
    /// Whether it is compared, or serves those that are.
    #[serde(default)]
    pub(crate) role: Role,
    /// Its program, looked for where shells look and in the `sbin` folders; `{unsix}` and `{compare}` are ours.
    pub(crate) program: String,
    /// Arguments that make the program tell its version.
    #[serde(default)]
    pub(crate) version: Vec<String>,
    /// Files that are written before it starts, by name.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    /// Arguments that start it in the foreground.
    pub(crate) run: Vec<String>,
    /// What `{hosts}` holds for each host whose AAAA are to be filtered.
    #[serde(default)]
    pub(crate) host: Option<String>,
    /// What `{ranges}` holds for each range in which addresses are to be filtered.
    #[serde(default)]
    pub(crate) range: Option<String>,
    /// What `{encrypted}` holds in a scenario that asks over an encrypted carrier, by the scenario's name.
    #[serde(default)]
    pub(crate) encrypted: BTreeMap<String, String>,
    /// Scenarios it cannot take part in.
    #[serde(default)]
    pub(crate) leaves_out: Vec<String>,
}

/// What a peer is there for.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// It is measured.
    #[default]
    Server,
    /// It answers what measured servers do not know.
    Upstream,
}

/// What stands for something else in a peer's `files` and `run`.
#[rustfmt::skip]
const PLACEHOLDERS: &[&str] = &[
    "address",          // where to listen
    "port",             // the same over UDP and TCP
    "encrypted",        // `encrypted` of the scenario, if it has one
    "encrypted_port",   // where to listen then, beside the other port
    "certificate",      // the file of its certificate, PEM
    "key",              // and of its private key
    "upstream_address", // whom to ask
    "upstream_port",
    "threads",          // how many threads serve; a server without it has one
    "cache_mib",        // memory for its cache; a server that counts entries instead has room for 700,000
    "half_cache_mib",   // the same for each of two caches
    "dir",              // the folder of the peer's files
    "hosts",            // `host` for each host whose AAAA are to be filtered
    "ranges",           // `range` for each range in which addresses are
];

impl Peer {
    /// Reads every peer's file, in order of their names.
    pub(crate) fn read_all(folder: &Path) -> io::Result<Vec<Self>> {
        let mut files = fs::read_dir(folder)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()?;
        files.sort();
        let is_peer = |file: &&PathBuf| {
            file.extension()
                .is_some_and(|extension| extension == "yaml")
        };
        files
            .iter()
            .filter(is_peer)
            .map(|file| Self::read(file))
            .collect()
    }

    fn read(file: &Path) -> io::Result<Self> {
        let fault =
            |what: &dyn fmt::Display| io::Error::other(format!("{}: {what}", file.display()));
        let text = fs::read_to_string(file)?;
        let peer: Self = serde_yaml::from_str(&text).map_err(|error| fault(&error))?;
        match peer.unknown_placeholder() {
            Some(word) => Err(fault(&format!(
                "there is nothing to put in the place of {{{word}}}"
            ))),
            None => Ok(peer),
        }
    }

    fn unknown_placeholder(&self) -> Option<&str> {
        let texts = self
            .files
            .values()
            .chain(&self.run)
            .chain(self.encrypted.values());
        let words = texts.flat_map(|text| {
            let behind_braces = text.split('{').skip(1);
            behind_braces.filter_map(|behind| behind.split_once('}').map(|(word, _)| word))
        });
        let is_word = |word: &str| {
            word.chars()
                .all(|letter| letter.is_ascii_lowercase() || letter == '_')
        };
        words
            .filter(|word| !word.is_empty() && is_word(word))
            .find(|word| !PLACEHOLDERS.contains(word))
    }

    /// Its program is one of this project.
    pub(crate) fn is_ours(&self) -> bool {
        self.program.starts_with('{')
    }

    /// Where its program is, if it is installed.
    pub(crate) fn find(&self) -> Option<PathBuf> {
        match self.program.as_str() {
            "{unsix}" => Some(env!("CARGO_BIN_EXE_unsix").into()),
            "{compare}" => env::current_exe().ok(),
            program => {
                let path = env::var_os("PATH").unwrap_or_default();
                let folders = env::split_paths(&path).chain(SBIN.iter().map(PathBuf::from));
                folders
                    .map(|folder| folder.join(program))
                    .find(|file| file.is_file())
            }
        }
    }

    /// The line in which it tells its version.
    pub(crate) fn tell_version(&self) -> Option<String> {
        if self.version.is_empty() {
            return None;
        }
        let output = Command::new(self.find()?)
            .args(&self.version)
            .output()
            .ok()?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        let with_number = |line: &&str| line.contains(|letter: char| letter.is_ascii_digit());
        said.lines()
            .find(with_number)
            .map(|line| line.trim().to_owned())
    }

    /// Whether this placeholder is in its files or arguments.
    pub(crate) fn mentions(&self, placeholder: &str) -> bool {
        let mut texts = self.files.values().chain(&self.run);
        texts.any(|text| text.contains(placeholder))
    }

    /// Whether it can be asked over the encrypted carrier of that scenario.
    pub(crate) fn encrypts(&self, scenario: &str) -> bool {
        self.encrypted.contains_key(scenario)
    }

    /// Whether it can filter at all: not every server can by host or by range.
    pub(crate) fn filters(&self) -> bool {
        self.host.is_some() || self.range.is_some()
    }
}

/// Where servers are, on no ordinary user's path.
const SBIN: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin"];
