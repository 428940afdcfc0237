//! Descriptors that were opened before us, by whoever started us.
//!
//! A number in the environment becomes a descriptor that we own. The rule that keeps it sound: they are taken
//! once, and the environment names this very process, so that nobody else in it has opened or closed them.

#![expect(
    unsafe_code,
    reason = "no safe call turns a number into a descriptor that is owned"
)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Whether they are taken.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The descriptors passed to this process, each with the name it was given (`sd_listen_fds_with_names(3)`). They
/// are there at the first call only; a child of ours inherits none.
///
/// # Errors
/// The environment speaks of descriptors that are not there, or makes no sense.
pub(crate) fn take_passed() -> io::Result<Vec<(OwnedFd, String)>> {
    if TAKEN.swap(true, Relaxed) {
        return Ok(Vec::new());
    }
    let passed = sd_notify::listen_fds_with_names()?;
    // SAFETY: `LISTEN_PID` is ours, so whoever started us has left these for us; each was just made
    // close-on-exec, so it is open; and nobody has taken them before, as `TAKEN` says.
    let own = |number| unsafe { OwnedFd::from_raw_fd(number) };
    Ok(passed.map(|(number, name)| (own(number), name)).collect())
}
