//! Which files an installation has, what stands in each, and what becomes of one that is there already.

use super::place::Place;
use super::record::{self, Record};
use super::systemd::SOCKET;
use crate::attach::Mode;
use crate::cli::arguments::Install;
use crate::cli::health::INSTALLED;
use crate::cli::{Failure, complain, read};
use crate::config::Config;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;

/// Where the program is put; systemd finds it there, as it finds a package's.
pub(super) const BINARY: &str = "/usr/local/bin/unsix";

const SAMPLE: &str = include_str!("../../../config/node.yaml");
const UNITS: [(&str, &str); 3] = [
    (
        "/etc/systemd/system/unsix.socket",
        include_str!("../../../deploy/systemd/unsix.socket"),
    ),
    (
        "/etc/systemd/system/unsix.service",
        include_str!("../../../deploy/systemd/unsix.service"),
    ),
    (
        "/etc/systemd/system/unsix-attach.service",
        include_str!("../../../deploy/systemd/unsix-attach.service"),
    ),
];
/// A unit of a package: ours would hide it, and its updates.
const PACKAGED: &str = "/usr/lib/systemd/system/unsix.service";

/// A file of the installation.
pub(super) struct File {
    /// Its path on the system.
    pub(super) path: &'static str,
    pub(super) content: Vec<u8>,
    /// What stands there now.
    former: Option<Vec<u8>>,
    pub(super) fate: Fate,
}

/// What becomes of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is not there, or is ours and as we wrote it.
    Written,
    /// Just that is there.
    Same,
    /// Something else is there: it stays.
    Kept,
}

/// All files, and the configuration that will be in force.
pub(super) struct Plan {
    pub(super) files: Vec<File>,
    pub(super) config: Config,
    /// The folders that are not there.
    missing: Vec<String>,
}

impl File {
    /// With what becomes of it.
    fn judged(
        path: &'static str,
        content: Vec<u8>,
        place: &Place,
        record: &Record,
    ) -> Result<Self, Failure> {
        let former = place.read(path).map_err(refuse)?;
        let fate = match &former {
            None => Fate::Written,
            Some(found) if record.is_ours(path, found) => Fate::Written,
            Some(found) if content == *found => Fate::Same,
            Some(_) => Fate::Kept,
        };
        Ok(Self {
            path,
            content,
            former,
            fate,
        })
    }

    /// Whether it will be ours.
    pub(super) fn is_written(&self) -> bool {
        self.fate == Fate::Written
    }

    fn mode(&self) -> u32 {
        if self.path == BINARY { 0o755 } else { 0o644 }
    }
}

impl Plan {
    /// What to write where.
    pub(super) fn new(wanted: &Install, place: &Place) -> Result<Self, Failure> {
        let record = Record::read(place).map_err(refuse)?;
        let judged = |path, content| File::judged(path, content, place, &record);
        let mut files = vec![judged(BINARY, program(place)?)?];
        if files.iter().any(|file| file.fate == Fate::Kept) {
            return Err(refuse(format!(
                "{} is another version that `unsix install` did not put there: move it away first",
                place.shown(BINARY)
            )));
        }
        let sample = config_text(&wanted.preset);
        let file = judged(INSTALLED, sample.clone().into_bytes())?;
        let config = match file.fate {
            Fate::Kept => read(Some(&place.path(INSTALLED)))?,
            Fate::Written | Fate::Same => Config::read(&sample).map_err(|_| Failure::Bug)?,
        };
        files.push(file);
        for (path, shipped) in UNITS {
            let text = unit(shipped, &config, wanted.mode);
            files.push(judged(path, text.into_bytes())?);
        }
        let paths = files.iter().filter(|file| file.is_written());
        let paths = paths.map(|file| file.path).chain([record::PATH]);
        let missing = place.missing_folders(paths);
        // Noted before it is written: whatever stops that, `uninstall` finds all of it.
        let former = place.read(record::PATH).map_err(refuse)?;
        let note = File {
            path: record::PATH,
            content: record.and(&files, &missing).text(),
            former,
            fate: Fate::Written,
        };
        files.insert(0, note);
        Ok(Self {
            files,
            config,
            missing,
        })
    }

    /// Writes what is to be written.
    pub(super) fn write(&self, place: &Place) -> Result<(), String> {
        place.make_folders(&self.missing)?;
        for file in self.files.iter().filter(|file| file.is_written()) {
            place.write(file.path, &file.content, file.mode())?;
        }
        Ok(())
    }

    /// Puts back what stood there. Gives what cannot be.
    pub(super) fn restore(&self, place: &Place) -> Vec<String> {
        let put_back = |file: &File| match &file.former {
            Some(content) => place.write(file.path, content, file.mode()).err(),
            None => place.remove(file.path).err(),
        };
        let is_changed = |file: &&File| place.read(file.path).as_ref() != Ok(&file.former);
        let written = self.files.iter().filter(|file| file.is_written());
        let failed = written.filter(is_changed).filter_map(put_back).collect();
        place.remove_empty(&self.missing);
        failed
    }

    /// Whether the socket will have other addresses than it has now.
    pub(super) fn moves_the_socket(&self) -> bool {
        let socket = |file: &&File| Path::new(file.path).ends_with(SOCKET) && file.is_written();
        let socket = self.files.iter().find(socket);
        socket.is_some_and(|file| file.former.as_ref() != Some(&file.content))
    }
}

fn refuse(why: String) -> Failure {
    complain(why);
    Failure::Unavailable
}

/// This program, for a system that no package has brought it to.
fn program(place: &Place) -> Result<Vec<u8>, Failure> {
    if place.path(PACKAGED).exists() {
        return Err(refuse(format!(
            "a package has brought unsix to this system ({}): `systemctl enable --now unsix unsix-attach` starts it, and who removes the package takes it back",
            place.shown(PACKAGED)
        )));
    }
    let read = fs::read("/proc/self/exe");
    read.map_err(|error| refuse(format!("this program's own file cannot be read: {error}")))
}

/// The sample for a host that attach leads to us.
pub(super) fn config_text(preset: &str) -> String {
    SAMPLE.replace("preset: docker-hub", &format!("preset: {preset}"))
}

/// A shipped unit, with the addresses of this configuration and the mode that is wanted.
fn unit(shipped: &str, config: &Config, mode: Mode) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in shipped.lines() {
        if line.starts_with("ListenStream=") {
            continue;
        }
        if !line.starts_with("ListenDatagram=") {
            lines.push(line.replace("unsix attach ", &attach_command(mode)));
        } else if !lines.iter().any(|line| line.starts_with("Listen")) {
            lines.extend(addresses(config));
        }
    }
    lines.join("\n") + "\n"
}

/// The socket opens all of `listen`, so that it outlives the service.
fn addresses(config: &Config) -> Vec<String> {
    // Where the kernel has no IPv6 such a line would fail the socket; the service leaves the address out.
    let ipv6 = UdpSocket::bind("[::1]:0").is_ok();
    let there = |address: &&SocketAddr| address.port() != 0 && (ipv6 || address.is_ipv4());
    let listen = config.listen.iter().filter(there);
    let lines =
        listen.flat_map(|at| [format!("ListenDatagram={at}"), format!("ListenStream={at}")]);
    lines.collect()
}

/// The beginning of the command line.
pub(super) fn attach_command(mode: Mode) -> String {
    let value = clap::ValueEnum::to_possible_value(&mode);
    match value.filter(|_| mode != Mode::Auto) {
        Some(value) => format!("unsix attach --mode {} ", value.get_name()),
        None => "unsix attach ".to_owned(),
    }
}
