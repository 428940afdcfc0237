//! `unsix run`: serves until it is told to stop.

use super::manager::Manager;
use super::{Failure, complain, read};
use crate::daemon::{Daemon, StartError, Watch};
use crate::listen::passed::Passed;
use crate::log;
use std::path::PathBuf;
use std::time::Duration;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Runs the daemon.
pub(super) fn run(file: Option<PathBuf>) -> Result<(), Failure> {
    // Before anything is opened that could take their numbers.
    let passed = Passed::take();
    let config = read(file.as_deref())?;
    let passed = passed.map_err(|error| {
        complain(format_args!(
            "the sockets that were passed to us (LISTEN_FDS) cannot be taken: {error}"
        ));
        Failure::Unavailable
    })?;
    let log = log::start(config.log.level, config.log.format).map_err(|error| {
        complain(format_args!("the log cannot be started: {error}"));
        Failure::Bug
    })?;
    raise_descriptor_limit();
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build();
    let signals = runtime.map_err(|error| {
        complain(StartError::System(error));
        Failure::Unavailable
    })?;
    let daemon =
        Daemon::start_with(&config, Some(log.clone()), passed, state_file()).map_err(|error| {
            log.flush();
            complain(&error);
            match error {
                StartError::Upstreams(_) | StartError::Certificate(_) => Failure::Config,
                _ => Failure::Unavailable,
            }
        })?;
    let watch = daemon.watch(file, config);
    let mut manager = Manager::new();
    let ended = signals.block_on(until_stopped(&daemon, watch, &mut manager));
    tracing::info!("stopping");
    manager.stopping();
    let broken = daemon.is_broken();
    daemon.stop();
    log.flush();
    match ended {
        Ok(()) if !broken => Ok(()),
        _ => Err(Failure::Bug),
    }
}

/// Signals, the poll of the configuration, and the watch over our own threads.
async fn until_stopped(
    daemon: &Daemon,
    mut watch: Watch,
    manager: &mut Manager,
) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut poll = tokio::time::interval(POLL);
    // Where nobody wants to hear of it, nobody is told.
    let mut beat = tokio::time::interval(manager.beat.unwrap_or(POLL));
    let mut ready = false;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            () = daemon.ready(), if !ready => {
                ready = true;
                manager.ready(daemon);
            }
            () = heard(&mut hangup) => {
                if ready {
                    manager.reloading();
                }
                watch.reload();
                if ready {
                    manager.ready(daemon);
                }
            }
            _ = beat.tick(), if manager.beat.is_some() => {
                // In silence it starts us anew.
                if daemon.is_alive() {
                    manager.beat();
                }
            }
            _ = poll.tick() => {
                if daemon.is_broken() {
                    tracing::error!("a thread has ended that should not: this is a bug; the process ends so that it is started anew");
                    return Ok(());
                }
                watch.poll();
                if ready {
                    manager.follow(daemon);
                }
            }
        }
    }
}

async fn heard(signal: &mut Signal) {
    // None would mean that no signal can come any more: then this never does.
    if signal.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}

/// Where verdicts of probes survive a restart: in the directory that systemd gives the service, if it does.
fn state_file() -> Option<PathBuf> {
    let directories = std::env::var_os("STATE_DIRECTORY")?;
    // systemd.exec(5): several are separated by colons.
    let first = std::env::split_paths(&directories).next()?;
    first.is_absolute().then(|| first.join("verdicts.json"))
}

/// Each question in flight holds a descriptor: as many as we may have.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if setrlimit(Resource::Nofile, raised).is_err() {
        tracing::warn!(current = ?limit.current, "the limit of open files cannot be raised");
    }
}

/// How often the configuration file is looked at.
const POLL: Duration = Duration::from_secs(2);
