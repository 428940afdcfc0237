//! Opens every address of `listen`, before anything runs.

use super::StartError;
use crate::config::Config;
use crate::listen::passed::Passed;
use crate::listen::sockets::{self, BindError, BoundEncrypted, Ear};
use std::net::{SocketAddr, TcpListener};

/// Where we hear, and where this host lacks the family.
#[derive(Default)]
pub(super) struct Listeners {
    /// Where it stands over UDP and TCP.
    pub(super) addresses: Vec<SocketAddr>,
    /// For UDP.
    pub(super) datagrams: Vec<Vec<Ear>>,
    /// For TCP.
    pub(super) streams: Vec<TcpListener>,
    /// For encrypted transports.
    pub(super) encrypted: Vec<BoundEncrypted>,
    /// What could not be.
    pub(super) missing: Vec<BindError>,
}

/// Listens everywhere. A family that this host lacks is left out as long as one plain listener stands.
pub(super) fn all(
    config: &Config,
    workers: usize,
    mut passed: Passed,
) -> Result<Listeners, StartError> {
    for line in passed.compare(&config.listen, &config.encrypted) {
        tracing::warn!("{line}");
    }
    let mut all = Listeners::default();
    for address in &config.listen {
        let here = sockets::bind(*address, workers, &mut passed);
        if let Some(bound) = there(here, &mut all.missing)? {
            all.addresses.push(bound.address);
            all.datagrams.extend(bound.datagrams);
            all.streams.extend(bound.streams);
        }
    }
    if let Some(error) = all.missing.pop_if(|_| all.addresses.is_empty()) {
        return Err(StartError::Bind(error));
    }
    for at in &config.encrypted {
        let here = sockets::bind_encrypted(at, &mut passed);
        all.encrypted.extend(there(here, &mut all.missing)?);
    }
    Ok(all)
}

/// What stands there, unless this host lacks the family.
fn there<T>(
    bound: Result<T, BindError>,
    missing: &mut Vec<BindError>,
) -> Result<Option<T>, StartError> {
    match bound {
        Ok(bound) => Ok(Some(bound)),
        Err(error @ BindError::NoSuchFamily(_)) => {
            missing.push(error);
            Ok(None)
        }
        Err(error) => Err(StartError::Bind(error)),
    }
}
