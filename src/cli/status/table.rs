//! What `unsix status` prints for people.

use super::report::{Attached, Report, State, Upstream, Way};
use crate::verdict;

/// The report as lines, each under the word it is about.
pub(super) fn table(report: &Report) -> String {
    let mut lines = vec![("daemon", daemon(report))];
    lines.extend(report.problem.clone().map(|problem| ("problem", problem)));
    lines.push(("attached", attached(&report.attached).to_owned()));
    let config = report.config.as_deref();
    lines.push((
        "config",
        config
            .unwrap_or("no file: every option is at its default")
            .to_owned(),
    ));
    let upstreams = report.upstreams.iter().flatten();
    lines.extend(upstreams.map(|one| ("upstream", upstream(one))));
    lines.extend(report.rules.iter().flatten().map(|rule| {
        let retries = match rule.retries {
            0 => String::new(),
            some => format!("; {} of clients", counted(some, "retry", "retries")),
        };
        let text = format!(
            "{}: changed {}, would have changed {}{retries}",
            rule.name,
            counted(rule.changed, "reply", "replies"),
            rule.reported
        );
        ("rule", text)
    }));
    lines.extend(report.verdicts.iter().flat_map(probed));
    lines.extend(report.cache.iter().map(|cache| {
        let text = format!(
            "{} in {:.1} of {:.1} MiB, {} evicted",
            counted(cache.entries, "answer", "answers"),
            mebibytes(cache.octets),
            mebibytes(cache.size),
            cache.evictions
        );
        ("cache", text)
    }));
    lines.extend(report.replies.iter().map(|replies| {
        let parts = replies.iter().filter(|(_, count)| **count > 0);
        let parts: Vec<String> = parts
            .map(|(source, count)| format!(", {count} {source}"))
            .collect();
        (
            "replies",
            format!("{}{}", replies.values().sum::<u64>(), parts.concat()),
        )
    }));
    lines.extend(report.notes.iter().map(|note| ("note", note.clone())));
    lines.extend(report.unseen.iter().map(|what| ("not seen", what.clone())));
    let mut before = "";
    let lines = lines.iter().map(|(what, text)| {
        let shown = if *what == before { "" } else { what };
        before = what;
        format!("{shown:<10} {text}\n")
    });
    lines.collect()
}

fn daemon(report: &Report) -> String {
    let daemon = &report.daemon;
    let at = daemon.address.as_deref().unwrap_or("an unknown address");
    match (&daemon.version, daemon.uid) {
        (Some(version), Some(uid)) => {
            let verdict = if report.healthy { "well" } else { "not well" };
            format!("{verdict}: unsix {version} answers at {at} as user {uid}")
        }
        _ if daemon.running => format!("it answers at {at}, and does not say who it is"),
        _ => format!("nobody answers at {at}: start it (`systemctl start unsix`, or `unsix run`)"),
    }
}

const fn attached(attached: &Attached) -> &'static str {
    match (attached.way, attached.process) {
        (Some(Way::Resolved), true) => "by systemd-resolved: the link unsix0 stands",
        (Some(Way::Resolved), false) => "a link unsix0 stands, and no `unsix attach` runs here",
        (Some(Way::Redirect), true) => "by redirection: the nftables table inet unsix stands",
        (Some(Way::Redirect), false) => {
            "a table inet unsix stands, and no `unsix attach` runs here"
        }
        (Some(Way::None), true) => "no: `unsix attach` runs and waits until the daemon is well",
        (Some(Way::None), false) => "no: `unsix attach` does not run",
        (None, true) => "by redirection, or waiting: `unsix attach` runs, and no link stands",
        (None, false) => "no: `unsix attach` does not run, and no link stands",
    }
}

/// What probes found: each address that is broken, and how many hosts are looked at how often.
fn probed(page: &verdict::Page) -> Vec<(&'static str, String)> {
    if page.hosts.is_empty() {
        return Vec::new();
    }
    let count = page.hosts.len() as u64;
    let slow = match page.stretched {
        true => ": `probe.max_per_second` does not suffice for `probe.interval`",
        false => "",
    };
    let every = format!(
        "{} each {:.0} s{slow}",
        counted(count, "host", "hosts"),
        page.round
    );
    let mut lines = vec![("probed", every)];
    let broken = page.hosts.iter().flat_map(|host| {
        let broken = host.addresses.iter().filter(|one| one.verdict == "broken");
        broken.map(move |one| {
            let since = one.since.as_deref().unwrap_or_default();
            let cause = one.cause.cause.as_deref().unwrap_or("broken");
            format!("{} {}: {cause} since {since}", host.host, one.address)
        })
    });
    lines.extend(
        broken
            .clone()
            .take(MOST_BROKEN)
            .map(|text| ("broken", text)),
    );
    let rest = broken.count().saturating_sub(MOST_BROKEN) as u64;
    if rest > 0 {
        let text = format!(
            "and {} more: `--json` shows all",
            counted(rest, "address", "addresses")
        );
        lines.push(("broken", text));
    }
    lines
}

/// Broken addresses that are shown.
const MOST_BROKEN: usize = 20;

fn upstream(one: &Upstream) -> String {
    let state = match one.state {
        State::Up => "up",
        State::Down => "down",
        State::Looping => "loop",
    };
    let rtt = one.rtt_seconds.map_or_else(
        || "not measured".to_owned(),
        |seconds| format!("{:.1} ms", seconds * 1000.0),
    );
    format!(
        "{:<22} {state:<5} {rtt:<13} {}, {}",
        one.address,
        counted(one.queries, "query", "queries"),
        counted(one.failures, "failure", "failures")
    )
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn mebibytes(octets: u64) -> f64 {
    octets as f64 / f64::from(1 << 20)
}
