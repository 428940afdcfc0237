//! `unsix attach`: leads this host's questions to a running unsix for as long as that is well.

use super::{Attach, Failure, complain, print, read};
use crate::attach::{Attachment, Cause, Fault, Host, Mode, Plan, Way, advice, plan, watch};
use crate::config::Config;
use crate::log;
use std::path::PathBuf;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

/// Attaches until it is told to stop.
pub(super) fn attach(wanted: Attach) -> Result<(), Failure> {
    let config = read(wanted.config.as_deref())?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| {
            complain(format_args!(
                "the system refuses what every start needs: {error}"
            ));
            Failure::Unavailable
        })?;
    runtime.block_on(go(wanted, config))
}

async fn go(wanted: Attach, config: Config) -> Result<(), Failure> {
    let host = Host::look().await;
    let plan = plan(wanted.mode, &config, &host).map_err(|fault| tell(&fault))?;
    let mode = match plan.way {
        Way::Print => return print(&advice(&config, &host)),
        Way::Resolved { .. } => Mode::Resolved,
        Way::Redirect { .. } => Mode::Redirect,
    };
    let attachment = Attachment::new(plan, renewal(mode, wanted.config, config.clone(), host));
    let attachment = attachment.map_err(|fault| tell(&fault))?;
    let log = log::start(config.log.level, config.log.format).map_err(|error| {
        complain(format_args!("the log cannot be started: {error}"));
        Failure::Bug
    })?;
    let watched = match stopped() {
        Ok(stop) => watch(attachment, stop).await,
        Err(error) => Err(Fault::Refused("signals cannot be heard", error)),
    };
    log.flush();
    watched.map_err(|fault| tell(&fault))
}

/// The plan as file and host say at each call; a file acts once it was read the same twice running.
fn renewal(
    mode: Mode,
    file: Option<PathBuf>,
    mut config: Config,
    mut host: Host,
) -> impl FnMut() -> Result<Plan, Fault> {
    let text = move || file.as_ref().and_then(|file| std::fs::read(file).ok());
    let mut taken = text();
    let mut seen = taken.clone();
    move || {
        let now = text();
        if now == seen && now != taken {
            taken.clone_from(&now);
            // Of a mistake the daemon tells, which reads the same file.
            if let Some(Ok(read)) = now.as_deref().map(Config::read_octets) {
                config = read;
            }
        }
        seen = now;
        host.look_at_resolv_conf();
        plan(mode, &config, &host)
    }
}

/// SIGTERM and Ctrl-C.
fn stopped() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn tell(fault: &Fault) -> Failure {
    complain(fault);
    match fault.cause() {
        Cause::Rights => Failure::Rights,
        Cause::Host => Failure::Unavailable,
        Cause::Configuration => Failure::Config,
    }
}
