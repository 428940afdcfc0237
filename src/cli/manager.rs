//! What systemd is told of us (`sd_notify(3)`): nothing where it did not start us.

use crate::daemon::Daemon;
use sd_notify::NotifyState;
use std::time::Duration;

/// The one who started us and looks after us.
pub(super) struct Manager {
    /// How often it wants to hear that we live.
    pub(super) beat: Option<Duration>,
    /// What `systemctl status` shows.
    status: String,
    /// It could not be told something: said once.
    deaf: bool,
}

impl Manager {
    /// As the environment says.
    pub(super) fn new() -> Self {
        Self {
            // Half of what it allows, as sd_watchdog_enabled(3) asks for; 0 is never.
            beat: sd_notify::watchdog_enabled()
                .filter(|most| !most.is_zero())
                .map(|most| (most / 2).max(Duration::from_millis(1))),
            status: String::new(),
            deaf: false,
        }
    }

    /// Clients are answered from now on, after a start or a reload.
    pub(super) fn ready(&mut self, daemon: &Daemon) {
        self.status = status(daemon);
        let status = std::mem::take(&mut self.status);
        self.tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
        self.status = status;
    }

    /// The configuration is about to be read again; [`Self::ready`] ends it.
    pub(super) fn reloading(&mut self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(error) => self.cannot(&error),
        }
    }

    /// Tells what has changed since.
    pub(super) fn follow(&mut self, daemon: &Daemon) {
        let status = status(daemon);
        if status != self.status {
            self.tell(&[NotifyState::Status(&status)]);
            self.status = status;
        }
    }

    /// We live.
    pub(super) fn beat(&mut self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    /// What is in flight is finished, and nothing new begun.
    pub(super) fn stopping(&mut self) {
        self.tell(&[
            NotifyState::Stopping,
            NotifyState::Status("finishing what is in flight"),
        ]);
    }

    fn tell(&mut self, states: &[NotifyState<'_>]) {
        if let Err(error) = sd_notify::notify(states) {
            self.cannot(&error);
        }
    }

    fn cannot(&mut self, error: &std::io::Error) {
        if !std::mem::replace(&mut self.deaf, true) {
            tracing::warn!(%error, "systemd cannot be told how we are: does the unit allow AF_UNIX?");
        }
    }
}

/// One line: what is wrong, or that nothing is.
fn status(daemon: &Daemon) -> String {
    let troubles = daemon.troubles();
    if troubles.is_empty() {
        "ready".to_owned()
    } else {
        format!("ready, but {}", troubles.trim_end().replace('\n', "; "))
    }
}
