//! `unsix demo`: the failure and the cure, on this machine alone.

use super::health::runtime;
use super::{Failure, complain};
use crate::demo::{self, Fault};
use std::io::ErrorKind;

/// Tells the story on standard output.
pub(super) fn demo() -> Result<(), Failure> {
    let told = runtime()?.block_on(demo::run(&mut std::io::stdout()));
    let Err(fault) = told else {
        return Ok(());
    };
    let failure = match &fault {
        // A reader that has seen enough is no fault.
        Fault::Output(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
        Fault::Output(_) => Failure::Output,
        Fault::NoLoopback(_) | Fault::System(_) | Fault::Start(_) => Failure::Unavailable,
        Fault::Otherwise(_) => Failure::Bug,
    };
    complain(fault);
    Err(failure)
}
