//! `unsix status`: does it run, who is led to it, whom does it ask, what did it do?
//!
//! Asks the daemon's canary and its admin page, and looks at what stands of an attachment. What cannot be seen is said,
//! with the reason.

mod report;
mod samples;
mod table;

use super::health::{self, Heard, read_running, runtime};
use super::{Failure, admin, print};
use crate::attach::{Standing, Wrong};
use crate::config::Config;
use crate::verdict;
use report::{Attached, Daemon, Report, Way};
use std::path::PathBuf;

/// Prints how things are; fails where the daemon is not well.
pub(super) fn status(file: Option<PathBuf>, json: bool) -> Result<(), Failure> {
    let (config, file) = read_running(file)?;
    let report = runtime()?.block_on(look(&config, file));
    let text = if json {
        report.json()
    } else {
        table::table(&report)
    };
    print(&text)?;
    match report.healthy {
        true => Ok(()),
        false => Err(Failure::Unhealthy),
    }
}

async fn look(config: &Config, file: Option<PathBuf>) -> Report {
    let pages = admin::pages(config, ["/ready", "/metrics", "/verdicts"]);
    let (heard, pages) = tokio::join!(health::ask(config), pages);
    let mut report = Report {
        config: file.map(|file| file.display().to_string()),
        ..Report::default()
    };
    match heard {
        Ok(heard) => {
            report.daemon = daemon(config, &heard);
            report.problem = wrong(heard);
        }
        Err(fault) => report.problem = Some(fault.to_string()),
    }
    report.attached = attached(&Standing::look(), &mut report.unseen);
    match pages {
        Ok([ready, metrics, verdicts]) => {
            report.add_pages(config, &ready, &metrics);
            report.verdicts = verdict::Page::read(&verdicts.1);
        }
        Err(why) if report.daemon.running => {
            report
                .unseen
                .push(format!("upstreams, rules and cache: no admin page: {why}"));
        }
        Err(_) => {}
    }
    report.healthy = report.problem.is_none();
    report
}

fn daemon(config: &Config, heard: &Heard) -> Daemon {
    let address = crate::attach::Canary::of(config)
        .ok()
        .map(|canary| canary.at.to_string());
    let identity = heard.own.as_ref().ok();
    Daemon {
        running: matches!(heard.own, Ok(_) | Err(Wrong::Refused(..))),
        address,
        version: identity.map(|identity| identity.version.clone()),
        uid: identity.map(|identity| identity.uid),
    }
}

/// What a client would notice.
fn wrong(heard: Heard) -> Option<String> {
    let wrong = heard.own.err();
    let wrong = wrong.or_else(|| heard.witness.and_then(Result::err))?;
    Some(wrong.to_string())
}

fn attached(standing: &Standing, unseen: &mut Vec<String>) -> Attached {
    let way = match (standing.link, &standing.table) {
        (true, _) => Some(Way::Resolved),
        (false, Ok(true)) => Some(Way::Redirect),
        (false, Ok(false)) => Some(Way::None),
        (false, Err(error)) => {
            unseen.push(match error.kind() {
                std::io::ErrorKind::PermissionDenied => {
                    "the nftables table of `attach`: the kernel shows it to root alone (`sudo unsix status`)".to_owned()
                }
                _ => format!("the nftables table of `attach`: {error}"),
            });
            None
        }
    };
    Attached {
        way,
        process: standing.process,
    }
}
