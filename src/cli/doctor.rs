//! `unsix doctor`: shows how far it is, prints what was found, and ends with the verdict.

use super::arguments::Doctor;
use super::health::{read_running, runtime};
use super::target::Target;
use super::{Failure, print};
use crate::doctor::{Paint, Progress, Subject, Wanted, controls, examine, of_rules};
use crate::probe::Limits;
use std::env;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::sync::Arc;
use std::time::Duration;

/// Examines the hosts.
pub(super) fn doctor(asked: Doctor) -> Result<(), Failure> {
    let (config, file) = read_running(asked.config)?;
    let named = |targets: Vec<Target>, others: Vec<Subject>| match targets.is_empty() {
        true => others,
        false => targets.into_iter().map(Subject::from).collect(),
    };
    let wanted = Wanted {
        hosts: named(asked.hosts, of_rules(&config)),
        controls: named(asked.control, controls()),
        config,
        file,
        limits: Limits::default(),
    };
    let progress = Arc::new(Progress::default());
    let report = runtime()?.block_on(async {
        let mut shown = Shown::default();
        let mut examined = std::pin::pin!(examine(wanted, Arc::clone(&progress)));
        loop {
            tokio::select! {
                report = &mut examined => break report,
                () = tokio::time::sleep(EVERY) => shown.renew(&progress),
            }
        }
    });
    print(&match asked.json {
        true => report.json(),
        false => report.page(paint()),
    })?;
    match report.exit_code {
        0 => Ok(()),
        code => Err(Failure::Verdict(code)),
    }
}

impl From<Target> for Subject {
    fn from(target: Target) -> Self {
        let Target { host, name, port } = target;
        Self { host, name, port }
    }
}

/// Colors are for those who look at a terminal and did not say no (<https://no-color.org>).
fn paint() -> Paint {
    let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = env::var_os("TERM").is_some_and(|value| value == "dumb");
    match stdout().is_terminal() && !refused && !is_dumb {
        true => Paint::Colors,
        false => Paint::Plain,
    }
}

/// A line on standard error that is written over itself, where that is a terminal; gone when this is dropped.
#[derive(Default)]
struct Shown {
    times: u32,
}

impl Shown {
    fn renew(&mut self, progress: &Progress) {
        if !stderr().is_terminal() {
            return;
        }
        self.times += 1;
        let (done, begun) = progress.counts();
        let seconds = (EVERY * self.times).as_secs();
        // Nobody can be told where this cannot be written.
        let _ = write!(
            stderr(),
            "\r\x1b[Kexamining: {done} of {begun} answers are there ({seconds} s)"
        );
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if self.times > 0 {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

const EVERY: Duration = Duration::from_millis(200);
