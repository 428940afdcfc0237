//! The report for people: a table, the verdicts, and what to do.

use super::puller::Resolver;
use super::report::{Advice, Answered, Host, Place, Probed, Report, Role, Said};
use super::surroundings::Surroundings;
use super::verdict::Verdict;
use std::fmt::Write;

/// Whether colors may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// They may: somebody looks at a terminal.
    Colors,
    /// They may not.
    Plain,
}

impl Paint {
    /// With an SGR code of ECMA-48 §8.3.117.
    fn with(self, code: &str, text: &str) -> String {
        match self {
            Self::Colors => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Plain => text.to_owned(),
        }
    }

    fn verdict(self, verdict: Verdict) -> String {
        let code = match (verdict, verdict.exit_code()) {
            (Verdict::CannotTell | Verdict::NoIpv6Route, _) => YELLOW,
            (_, 0) => GREEN,
            _ => RED,
        };
        self.with(code, verdict.label())
    }
}

const RED: &str = "1;31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const BOLD: &str = "1";

impl Report {
    /// As lines of text.
    pub fn page(&self, paint: Paint) -> String {
        let mut out = String::new();
        let control = |host| (host, " (control)");
        let hosts = self.hosts.iter().map(|host| (host, ""));
        let all: Vec<(&Host, &str)> = hosts.chain(self.controls.iter().map(control)).collect();
        addresses(&all, paint, &mut out);
        name_servers(&all, paint, &mut out);
        heading("this host", paint, &mut out);
        for (what, text) in self.surroundings.lines() {
            say(&mut out, format_args!("  {what:<12}  {text}"));
        }
        heading("verdict", paint, &mut out);
        for host in &self.hosts {
            let verdict = paint.verdict(host.verdict);
            let (shown, sentence) = (host.shown(), &host.sentence);
            say(&mut out, format_args!("  {verdict}  {shown}: {sentence}"));
            for remark in &host.remarks {
                say(&mut out, format_args!("    {remark}"));
            }
        }
        self.advice.write(&self.surroundings, paint, &mut out);
        out
    }
}

/// Writing to a String cannot fail.
fn say(out: &mut String, line: std::fmt::Arguments<'_>) {
    let _ = writeln!(out, "{line}");
}

fn heading(text: &str, paint: Paint, out: &mut String) {
    if !out.is_empty() {
        out.push('\n');
    }
    say(out, format_args!("{}", paint.with(BOLD, text)));
}

fn addresses(hosts: &[(&Host, &str)], paint: Paint, out: &mut String) {
    let all = hosts.iter().flat_map(|(host, _)| &host.addresses);
    let width = all.map(|one| one.address.to_string().len()).max();
    for (host, remark) in hosts {
        let text = format!("{}{remark}", host.shown());
        say(out, format_args!("{}", paint.with(BOLD, &text)));
        if host.addresses.is_empty() {
            say(out, format_args!("  no address to probe"));
        }
        for one in &host.addresses {
            let family = if one.address.is_ipv4() {
                "IPv4"
            } else {
                "IPv6"
            };
            let address = one.address.to_string();
            let width = width.unwrap_or_default();
            let (tcp, tls) = steps(one, paint);
            say(
                out,
                format_args!("  {family}  {address:<width$}  {tcp:<11}  {tls}"),
            );
        }
    }
}

/// How far it got.
fn steps(one: &Probed, paint: Paint) -> (String, String) {
    let tcp = one
        .connected_seconds
        .map(|time| format!("TCP {}", span(time)));
    let tls = one
        .answered_seconds
        .map(|time| format!("TLS {}", span(time)));
    let bad = |text: &str| paint.with(RED, text);
    let helped = match (one.outcome.mss_1220, one.outcome.small_hello) {
        (Some(true), _) => ", but it answers with segments of 1,220 octets",
        (_, Some(true)) => ", but it answers a small ClientHello",
        _ => "",
    };
    let end = match one.outcome.outcome {
        "reachable" => tls.unwrap_or_else(|| "no TLS on this port".to_owned()),
        "refused" => bad("TCP REFUSED"),
        "unreachable" => bad("NO WAY THERE"),
        "connect_timeout" => bad("TCP SILENT"),
        "tls_stall" => bad("TLS SILENT") + helped,
        "tls_cut" => bad("TLS CUT OFF") + helped,
        "not_tls" => bad("NOT TLS"),
        _ => bad(one.error.as_deref().unwrap_or("not probed")),
    };
    (tcp.unwrap_or_default(), end)
}

fn name_servers(hosts: &[(&Host, &str)], paint: Paint, out: &mut String) {
    heading("name servers", paint, out);
    let all = || {
        let each = hosts.iter();
        each.flat_map(|(host, _)| host.name_servers.iter().map(move |said| (host, said)))
    };
    if all().next().is_none() {
        say(out, format_args!("  none"));
    }
    let width = all()
        .map(|(_, said)| said.shown().len())
        .max()
        .unwrap_or_default();
    for (host, said) in all() {
        let server = said.shown();
        let (shown, told) = (&host.host, told(said));
        let who = match said.role {
            Role::Programs | Role::HostsFile => "",
            Role::Resolved => " (behind systemd-resolved)",
            Role::Unsix => " (behind unsix)",
        };
        let unsix = said
            .unsix
            .as_ref()
            .map(|version| format!(" (unsix {version})"));
        let unsix = unsix.unwrap_or_default();
        say(
            out,
            format_args!("  {server:<width$}{who}{unsix}  {shown}: {told}"),
        );
    }
}

fn told(said: &Said) -> String {
    let counted = |name: &str, one: &Answered| match (one.known, one.records) {
        (true, 0) if one.status == "NOERROR" => format!("no {name}"),
        (true, 1..) => format!("{name} {}", one.records),
        _ => format!("{name} {}", one.status),
    };
    let all = [("A", &said.a), ("AAAA", &said.aaaa), ("HTTPS", &said.https)];
    let mut parts: Vec<String> = all.iter().map(|(name, one)| counted(name, one)).collect();
    let chain = said.a.chain.iter().chain(&said.aaaa.chain).next_back();
    parts.extend(chain.map(|last| format!("by way of {last}")));
    let ttls = all.iter().filter_map(|(_, one)| one.ttl);
    parts.extend(ttls.min().map(|ttl| format!("TTL {ttl} s")));
    let filtered = all.iter().find_map(|(_, one)| one.filtered.as_ref());
    parts.extend(filtered.map(|text| format!("filtered: {text}")));
    let time = said.a.seconds.or(said.aaaa.seconds);
    parts.extend(time.map(|time| format!("in {}", span(time))));
    parts.join(", ")
}

impl Surroundings {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let list = |all: &[std::net::IpAddr]| {
            let all: Vec<String> = all.iter().map(ToString::to_string).collect();
            all.join(", ")
        };
        let conf = &self.resolv_conf;
        let mut text = match (&conf.error, conf.servers.is_empty()) {
            (Some(error), _) => format!("cannot be read: {error}"),
            (None, true) => "names no name server".to_owned(),
            (None, false) => list(&conf.servers),
        };
        if let Some(writer) = &conf.writer {
            text += &format!(", written by {writer}");
        }
        if !conf.options.is_empty() {
            text += &format!(", options {}", conf.options.join(" "));
        }
        let mut lines = vec![("resolv.conf", text)];
        let resolved = self.resolved.as_ref();
        lines.extend(resolved.map(|behind| ("resolved", format!("asks {}", list(behind)))));
        if !self.nsswitch.is_empty() {
            lines.push(("nsswitch", format!("hosts: {}", self.nsswitch.join(" "))));
        }
        let gai = self.gai_conf.first();
        lines.extend(gai.map(|line| ("gai.conf", line.clone())));
        lines.extend(self.pullers.iter().map(|one| {
            let by = match one.resolver {
                Resolver::Go => "looks names up by Go's own resolver, which ignores gai.conf",
                Resolver::Glibc => "looks names up by glibc, which heeds gai.conf",
                Resolver::Musl => "looks names up by musl, which ignores gai.conf",
                Resolver::Unknown => "its file cannot be seen: how it looks names up is unknown",
            };
            ("puller", format!("{} {by}", one.name))
        }));
        lines.extend(self.kubernetes.clone().map(|one| ("kubernetes", one)));
        lines.push(("unsix", self.unsix_line()));
        lines.extend(self.notes.iter().map(|note| ("note", note.clone())));
        lines
    }

    fn unsix_line(&self) -> String {
        let version = self.unsix.version.as_ref();
        let runs = version.map_or_else(
            || "does not run".to_owned(),
            |version| format!("{version} runs"),
        );
        match self.unsix.attached.as_str() {
            "none" => format!("{runs}, and nothing is attached"),
            "unknown" => format!("{runs}; what is attached the kernel shows to root alone"),
            way => format!("{runs}, attached by {way}"),
        }
    }
}

impl Advice {
    fn write(&self, surroundings: &Surroundings, paint: Paint, out: &mut String) {
        if let Some(rule) = &self.rule {
            let title = "fix now: take its IPv6 addresses away while they are broken";
            heading(title, paint, out);
            let file = surroundings.unsix.config.as_deref();
            let place = file
                .unwrap_or("/etc/unsix/unsix.yaml (`install` writes docker-hub, without `when`)");
            say(out, format_args!("  in {place}:"));
            for line in rule.lines() {
                say(out, format_args!("    {line}"));
            }
        } else if !self.apply.is_empty() {
            heading("fix now: a rule names it, and does not act", paint, out);
        }
        for line in &self.apply {
            say(out, format_args!("  {line}"));
        }
        for line in &self.undo {
            say(out, format_args!("  undo: {line}"));
        }
        for repair in &self.repairs {
            let place = match repair.place {
                Place::Here => "on this host",
                Place::Router => "on the router",
            };
            heading(
                &format!("or mend the cause: {} ({place})", repair.title),
                paint,
                out,
            );
            for line in &repair.apply {
                say(out, format_args!("  {line}"));
            }
            for line in &repair.undo {
                say(out, format_args!("  undo: {line}"));
            }
        }
        for note in &self.notes {
            say(out, format_args!("\n{note}"));
        }
    }
}

fn span(seconds: f64) -> String {
    match seconds * 1000.0 {
        short if short < 10.0 => format!("{short:.1} ms"),
        long => format!("{long:.0} ms"),
    }
}
