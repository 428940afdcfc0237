//! How the running daemon is, by its canary; and `unsix healthcheck`, which says no more than that.

use super::{Failure, complain, print, read};
use crate::attach::{Canary, Fault, Identity, Wrong};
use crate::config::Config;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// What the daemon said.
pub(super) struct Heard {
    /// Of itself.
    pub(super) own: Result<Identity, Wrong>,
    /// Of a host that its rules are for; `None` where no such host is known.
    pub(super) witness: Option<Result<Identity, Wrong>>,
}

/// The file that an installed daemon runs with.
pub(super) const INSTALLED: &str = "/etc/unsix/unsix.yaml";

/// The configuration that the daemon runs with: of the file that is named, else of the installed one, else the defaults.
pub(super) fn read_running(file: Option<PathBuf>) -> Result<(Config, Option<PathBuf>), Failure> {
    let installed = || Some(PathBuf::from(INSTALLED)).filter(|file| file.exists());
    let file = file.or_else(installed);
    Ok((read(file.as_deref())?, file))
}

/// One thread that waits for the network.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    let built = Builder::new_current_thread().enable_all().build();
    built.map_err(|error| {
        complain(format_args!(
            "the system refuses what every start needs: {error}"
        ));
        Failure::Unavailable
    })
}

/// Asks the daemon of this configuration, for its own answer and for a host's at the same time.
pub(super) async fn ask(config: &Config) -> Result<Heard, Fault> {
    let own = Canary::of(config)?;
    let host = config.witnesses().first().copied();
    let witness = async {
        let canary = Canary {
            witness: Some(host?),
            ..own
        };
        Some(canary.ask(PATIENCE).await)
    };
    let (own, witness) = tokio::join!(own.ask(PATIENCE), witness);
    Ok(Heard { own, witness })
}

/// Says in one line whether the daemon is well. That its upstreams are not is no fault of its own: whoever restarts it
/// for that takes away the answers that it still keeps.
pub(super) fn healthcheck(file: Option<PathBuf>) -> Result<(), Failure> {
    let (config, _) = read_running(file)?;
    let heard = runtime()?.block_on(ask(&config));
    match heard
        .map_err(|fault| fault.to_string())
        .and_then(|heard| verdict(&config, heard))
    {
        Ok(text) => print(&format!("healthy: {text}\n")),
        Err(text) => {
            complain(format_args!("unhealthy: {text}"));
            Err(Failure::Unhealthy)
        }
    }
}

fn verdict(config: &Config, heard: Heard) -> Result<String, String> {
    let is_served = |from: IpAddr| config.access.iter().any(|net| net.contains(&from));
    let identity = match heard.own {
        Ok(identity) => identity,
        // It does as it was told, and answers.
        Err(Wrong::Refused(at, from)) if !is_served(from) => {
            return Ok(format!(
                "{at} answers, and refuses {from} as `access.allow` says"
            ));
        }
        Err(wrong) => return Err(wrong.to_string()),
    };
    let well = format!("unsix {} answers", identity.version);
    match heard.witness {
        Some(Err(wrong @ Wrong::Ipv6(_))) => Err(wrong.to_string()),
        Some(Err(wrong)) => Ok(format!("{well}, though {wrong}: look at its upstreams")),
        Some(Ok(_)) | None => Ok(well),
    }
}

/// How long the daemon may take, so that two seconds are enough for all.
const PATIENCE: Duration = Duration::from_millis(1500);
