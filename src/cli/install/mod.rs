//! `unsix install` and `unsix uninstall`: one host from broken to cured, and back to what it was.
//!
//! What is written is decided first (`files`) and noted in a record beside it (`record`), so that whatever stops it can
//! be taken back: by itself at once, or by `uninstall`. A file that somebody else wrote or edited stays as it is, both ways.

mod files;
mod place;
mod record;
mod systemd;

use super::arguments::Install;
use super::health::{self, runtime};
use super::{Failure, complain, print};
use crate::attach::{self, Host, Mode, ResolvConf, Standing};
use crate::config::Config;
use files::{Fate, Plan};
use place::Place;
use record::Record;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;
use systemd::{ATTACH, SERVICE, SOCKET, UNITS};

/// Installs, starts, and waits until it is well; what does not get so far is taken back.
pub(super) fn install(wanted: &Install) -> Result<(), Failure> {
    let place = Place::at(wanted.root.as_deref());
    if wanted.root.is_none() {
        if !systemd::is_here() {
            return without_systemd(wanted);
        }
        must_be_root("install")?;
    }
    let plan = Plan::new(wanted, &place)?;
    let installed = match wanted.root {
        None => install_here(wanted, &plan, &place),
        Some(_) => {
            let written = plan.write(&place);
            written
                .map(|()| Started::default())
                .inspect_err(|_| restore(&plan, &place))
        }
    };
    match installed {
        Ok(started) => print(&told(wanted, &place, &plan, &started)),
        Err(why) => {
            complain(format_args!("{why}: everything is as it was before"));
            Err(Failure::Unavailable)
        }
    }
}

/// On the running system.
fn install_here(wanted: &Install, plan: &Plan, place: &Place) -> Result<Started, String> {
    let enabled = systemd::those_that_are("enabled");
    let active = systemd::those_that_are("active");
    let started = plan.write(place).and_then(|()| {
        start(wanted, plan).map_err(|why| {
            format!("{why} (the journal tells more: `journalctl -u unsix -u unsix-attach`)")
        })
    });
    started.inspect_err(|_| {
        for unit in UNITS.iter().filter(|unit| !enabled.contains(unit)) {
            systemd::stop(unit);
        }
        restore(plan, place);
        // What does not run then did not run before.
        let _ = systemd::call(&["daemon-reload"]);
        if plan.moves_the_socket() {
            let _ = systemd::call(&["stop", SERVICE, SOCKET]);
        }
        for unit in active.iter().rev() {
            let _ = systemd::call(&["restart", unit]);
        }
    })
}

fn restore(plan: &Plan, place: &Place) {
    for failed in plan.restore(place) {
        complain(failed);
    }
}

/// What runs now.
#[derive(Default)]
struct Started {
    /// How the host is led to it; none where it is not to be.
    attached: Option<&'static str>,
    /// What is left to do by hand.
    advice: Option<String>,
}

fn start(wanted: &Install, plan: &Plan) -> Result<Started, String> {
    systemd::call(&["daemon-reload"])?;
    systemd::call(&["enable", "--quiet", SOCKET, SERVICE])?;
    if plan.moves_the_socket() {
        // It cannot take other addresses while its service runs; else what waits in it is not lost.
        systemd::call(&["stop", SERVICE])?;
        systemd::call(&["restart", SOCKET])?;
    }
    systemd::call(&["restart", SERVICE])?;
    let runtime = runtime().map_err(|_| "no runtime".to_owned())?;
    runtime.block_on(well(&plan.config))?;
    let attached = if wanted.mode == Mode::Print {
        systemd::stop(ATTACH);
        None
    } else {
        systemd::call(&["enable", "--quiet", ATTACH])?;
        systemd::call(&["restart", ATTACH])?;
        runtime.block_on(attached())?
    };
    let advice = || attach::advice(&plan.config, &runtime.block_on(Host::look()));
    let advice = attached.is_none().then(advice);
    Ok(Started { attached, advice })
}

/// Waits for the daemon's own answer.
async fn well(config: &Config) -> Result<(), String> {
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        match health::ask(config).await {
            Err(fault) => return Err(fault.to_string()),
            Ok(heard) => match heard.own {
                Ok(_) => return Ok(()),
                Err(wrong) => last = wrong.to_string(),
            },
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(format!("unsix does not get well: {last}"))
}

/// Waits until attach holds a way, or has ended because there is none on this system.
async fn attached() -> Result<Option<&'static str>, String> {
    let mut before = None;
    for _ in 0..ATTEMPTS {
        let standing = Standing::look();
        let way = match standing.table {
            _ if standing.link => Some("by systemd-resolved: the link unsix0 stands"),
            Ok(true) => Some("by redirection: the nftables table inet unsix stands"),
            _ => None,
        };
        // It takes its way back at once if no right answer comes by it.
        if way.is_some() && way == before {
            return Ok(way);
        }
        before = way;
        let state = systemd::call(&["show", ATTACH, "--value", "--property=ActiveState"])?;
        match state.trim() {
            "inactive" => return Ok(None),
            "failed" => break,
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
    let said = systemd::last_line(ATTACH);
    Err(format!("unsix attach does not hold: {said}"))
}

/// What was done, and how to undo it.
fn told(wanted: &Install, place: &Place, plan: &Plan, started: &Started) -> String {
    let mut lines: Vec<(&str, String)> = Vec::new();
    for file in &plan.files {
        let word = match file.fate {
            Fate::Written => "wrote",
            Fate::Same => "unchanged",
            Fate::Kept => "kept",
        };
        lines.push((word, place.shown(file.path)));
    }
    let mut undo = "sudo unsix uninstall".to_owned();
    if let Some(root) = &wanted.root {
        let root = root.display();
        lines.push((
            "started",
            format!("nothing: {root} is not the running system; there: systemctl enable {SOCKET} {SERVICE} {ATTACH}"),
        ));
        let _ = write!(undo, " --root {root}");
    } else {
        let attach = if started.attached.is_some() {
            ", unsix-attach.service"
        } else {
            ""
        };
        lines.push(("started", format!("{SOCKET}, {SERVICE}{attach}")));
    }
    if let Some(way) = started.attached {
        lines.push(("attached", way.to_owned()));
    }
    lines.push(("undo", undo));
    lines.push((
        "look",
        "unsix status; unsix verify registry-1.docker.io".to_owned(),
    ));
    let lines = lines
        .iter()
        .map(|(what, text)| format!("{what:<10} {text}\n"));
    let advice = started.advice.iter().map(|advice| format!("\n{advice}"));
    lines.chain(advice).collect()
}

/// Takes back what `install` did.
pub(super) fn uninstall(root: Option<&Path>) -> Result<(), Failure> {
    let place = Place::at(root);
    if root.is_none() {
        must_be_root("uninstall")?;
    }
    let record = Record::read(&place).map_err(|why| {
        complain(why);
        Failure::Unavailable
    })?;
    if record == Record::default() {
        complain(format_args!(
            "nothing to take back: `unsix install` has left no {}",
            place.shown(record::PATH)
        ));
        return Err(Failure::Unavailable);
    }
    let is_live = root.is_none() && systemd::is_here();
    if is_live {
        must_not_be_asked()?;
        let ours = |unit: &&&str| {
            record
                .files
                .keys()
                .any(|path| Path::new(path).ends_with(unit))
        };
        UNITS
            .iter()
            .filter(ours)
            .for_each(|unit| systemd::stop(unit));
    }
    let kept = record.undo(&place);
    if is_live {
        let _ = systemd::call(&["daemon-reload"]);
    }
    let removed = super::counted(record.files.len() + 1 - kept.len(), "file");
    let kept = kept
        .iter()
        .map(|(path, why)| format!("kept       {path}: {why}\n"));
    print(&format!(
        "removed    {removed}\n{}",
        kept.collect::<String>()
    ))
}

/// A resolv.conf that leads to it for good would then lead nowhere.
fn must_not_be_asked() -> Result<(), Failure> {
    let config = fs::read(health::INSTALLED).ok();
    let config = config.and_then(|text| Config::read_octets(&text).ok());
    match attach::leads_to_us(&config.unwrap_or_default(), &ResolvConf::read()) {
        None => Ok(()),
        Some(server) => {
            complain(format_args!(
                "/etc/resolv.conf names {}, which is unsix itself: put your own name servers back first, or nothing resolves any more",
                server.ip()
            ));
            Err(Failure::Unavailable)
        }
    }
}

fn must_be_root(command: &str) -> Result<(), Failure> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    complain(format_args!(
        "{command} writes system files: run it as root (`sudo unsix {command}`)"
    ));
    Err(Failure::Rights)
}

/// No systemd: the steps by hand.
fn without_systemd(wanted: &Install) -> Result<(), Failure> {
    let exe = fs::read_link("/proc/self/exe").unwrap_or_default();
    let exe = exe.display();
    let config = files::config_text(&wanted.preset);
    let (binary, file) = (files::BINARY, health::INSTALLED);
    let attach = files::attach_command(wanted.mode);
    print(&format!(
        "# This system does not run systemd, so nothing was installed. By hand:
install -m 755 {exe} {binary}
mkdir -p /etc/unsix
cat > {file} <<'END'
{config}END
# Have your init system run these two, the first as a user of its own who may open port 53 (CAP_NET_BIND_SERVICE),
# the second as root, both started anew whenever they end:
unsix run --config {file}
{attach}--config {file}
# Undo: stop both and remove these files.\n"
    ))?;
    complain("nothing was installed: there is no systemd here");
    Err(Failure::Unavailable)
}

/// Ten seconds in all, for a daemon that starts, and one that attaches.
const ATTEMPTS: usize = 50;
const PAUSE: Duration = Duration::from_millis(200);
