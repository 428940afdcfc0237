//! Opens every address of `listen`, before anything runs.

use super::StartError;
use crate::config::Config;
use crate::listen::passed::Passed;
use crate::listen::sockets::{self, BindError, Bound, BoundTls};

/// Where we hear, and where this host lacks the family.
pub(super) struct Listeners {
    /// Over UDP and TCP.
    pub(super) bound: Vec<Bound>,
    /// Over TLS.
    pub(super) tls: Vec<BoundTls>,
    /// What could not be.
    pub(super) missing: Vec<BindError>,
}

/// Listens everywhere. A family that this host lacks is left out as long as one plain listener stands.
pub(super) fn all(
    config: &Config,
    workers: usize,
    mut passed: Passed,
) -> Result<Listeners, StartError> {
    let mut missing = Vec::new();
    let mut bound = Vec::new();
    for address in &config.listen {
        let here = sockets::bind(*address, workers, &mut passed);
        bound.extend(there(here, &mut missing)?);
    }
    if let Some(error) = missing.pop_if(|_| bound.is_empty()) {
        return Err(StartError::Bind(error));
    }
    let mut tls = Vec::new();
    for address in &config.listen_tls {
        let here = sockets::bind_tls(*address, &mut passed);
        tls.extend(there(here, &mut missing)?);
    }
    Ok(Listeners {
        bound,
        tls,
        missing,
    })
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
