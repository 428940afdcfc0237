//! What a server must prove, and what is said where it cannot.

use super::authority::{Authority, Signed};
use super::daemon::client::{Client, ask};
use super::daemon::files::Folder;
use super::daemon::program::run as run_to_end;
use super::daemon::upstream::{Upstream, at_once};
use super::daemon::{http, start, until, wire};
use super::server::{Dot, Seen};
use super::{NAME, configuration, good, named, run};
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use unsix::config::{Config, Server};
use unsix::daemon::Daemon;

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("a_good_server_is_asked_by_its_name_and_padded", asked),
    ("what_cannot_prove_who_it_is_gets_no_question", refused),
    ("a_pinned_key_needs_no_authority", pinned),
    ("a_certificate_that_is_mended_lifts_its_server", mended),
    ("nothing_goes_out_in_clear_text_instead", clear_text),
    ("hosts_that_probes_watch_are_asked_for_over_tls", watched),
    ("trust_that_cannot_be_had_stops_the_start", untrusted),
    ("other_trust_roots_hold_from_a_reload_on", other_roots),
    ("trust_roots_that_are_mended_need_no_reload", mended_roots),
];

fn asked() {
    let (authority, _, server) = good();
    let daemon = start(&format!(
        "upstreams: [\"{}\"]\n",
        named(server.address, &authority)
    ));
    let names = ["a.example", "much.longer.than.the.other.one.example"];
    for name in names {
        let reply = ask(daemon.addresses()[0], name, wire::A);
        assert_eq!(
            wire::addresses(&reply),
            ["192.0.2.1".parse::<std::net::IpAddr>().unwrap()]
        );
    }
    for query in server.queries(".example.") {
        assert_eq!(query.len(), 128, "RFC 8467: {query:?}");
    }
    assert_eq!(server.queries(".example.").len(), 2);
    assert_eq!(server.connections(), 1);
    assert_eq!(server.names(), [Some(NAME.to_owned())], "SNI");
}

fn refused() {
    refused_over("tls", |signed| {
        let server = Dot::plain(&signed.config);
        (server.address, server.seen)
    });
}

pub(crate) fn refused_over(scheme: &str, serve: impl Fn(&Signed) -> (SocketAddr, Arc<Seen>)) {
    let (authority, other) = (Authority::new(), Authority::new());
    let good = authority.sign(NAME);
    let roots = format!("ca={}", authority.file.display());
    let zeros = format!("pin=sha256/{}=", "A".repeat(43));
    let cases = [
        (
            "another name",
            authority.sign("other.test"),
            format!("name={NAME}&{roots}"),
            "not valid for name",
        ),
        (
            "an address it does not hold",
            authority.sign(NAME),
            roots.clone(),
            "not valid for name",
        ),
        (
            "expired",
            authority.sign_until(NAME, 2020),
            format!("name={NAME}&{roots}"),
            "expired",
        ),
        (
            "self-signed",
            authority.self_signed(NAME),
            format!("name={NAME}&{roots}"),
            "by nobody we trust",
        ),
        (
            "by another authority",
            other.sign(NAME),
            format!("name={NAME}&{roots}"),
            "by nobody we trust",
        ),
        (
            "not by the system's roots",
            authority.sign(NAME),
            format!("name={NAME}"),
            "by nobody we trust",
        ),
        (
            "another key",
            good,
            format!("name={NAME}&{roots}&{zeros}"),
            "its key is not pinned, it is sha256/",
        ),
    ];
    for (why, signed, parameters, words) in cases {
        let (address, seen) = serve(&signed);
        is_refused(
            why,
            &format!("{scheme}://{address}?{parameters}"),
            &seen,
            words,
        );
    }
}

/// It is told apart from a server that is not there, in the log once, on `/ready` and in the metrics.
fn is_refused(why: &str, upstream: &str, seen: &Seen, words: &str) {
    let upstream: Server = upstream.parse().unwrap();
    let (upstream, folder) = (upstream.to_string(), Folder::new());
    let program = run(&folder, std::slice::from_ref(&upstream), "");
    for number in 0..5 {
        let reply = ask(program.address(), &format!("n{number}.example"), wire::A);
        assert_eq!(wire::rcode_of(&reply), wire::SERVFAIL, "{why}");
    }
    assert_eq!(seen.queries(".").len(), 0, "{why}");
    let line = program.says("upstream is down");
    assert!(line.contains("reason=certificate"), "{why}: {line}");
    assert!(line.contains(words), "{why}: {line}");
    assert_eq!(program.count("upstream is down"), 1, "{why}");
    let (_, ready) = http::get(program.admin(), "/ready");
    let down = format!("upstream {upstream} is down: ");
    assert!(ready.contains(&down), "{why}: {ready}");
    let (_, page) = http::get(program.admin(), "/metrics");
    let samples = http::samples(&page).unwrap();
    let failures =
        format!("unsix_upstream_failures_total{{upstream=\"{upstream}\",reason=\"certificate\"}}");
    assert!(samples[&failures] >= 1.0, "{why}: {page}");
}

fn pinned() {
    let authority = Authority::new();
    let signed = authority.self_signed("whatever.test");
    let server = Dot::plain(&signed.config);
    let upstream = format!("tls://{}?pin={}", server.address, signed.pin);
    let daemon = start(&format!("upstreams: [\"{upstream}\"]\n"));
    let reply = ask(daemon.addresses()[0], "a.example", wire::A);
    assert_eq!(wire::rcode_of(&reply), wire::NOERROR);
    assert_eq!(server.names(), [None], "an address is no SNI");
}

fn mended() {
    let authority = Authority::new();
    let bad = Dot::plain(&authority.sign_until(NAME, 2020).config);
    let folder = Folder::new();
    let zone = Upstream::new(move |asked| {
        at_once(match asked.kind {
            wire::A => wire::ipv4(&asked.packet, [127, 0, 0, 1]),
            _ => wire::no_data(&asked.packet),
        })
    });
    let upstream = format!(
        "tls://{NAME}:{}?ca={}",
        bad.address.port(),
        authority.file.display()
    );
    let bootstrap = format!("bootstrap: [\"{}\"]", zone.address);
    let program = run(&folder, std::slice::from_ref(&upstream), &bootstrap);
    let reply = ask(program.address(), "a.example", wire::A);
    assert_eq!(wire::rcode_of(&reply), wire::SERVFAIL);
    assert!(program.says("upstream is down").contains("expired"));
    // Its operator finds out, and a reload brings another place.
    let server = Dot::plain(&authority.sign(NAME).config);
    let upstreams = [named(server.address, &authority)];
    folder.write("unsix.yaml", configuration(&upstreams, &bootstrap));
    program.signal(rustix::process::Signal::HUP);
    program.says("configuration reloaded");
    let client = Client::of(program.address());
    until("an answer", || {
        let reply = client.ask(&wire::query(7, "b.example", wire::A));
        (wire::rcode_of(&reply) == wire::NOERROR).then_some(())
    });
}

fn clear_text() {
    // At that port something answers, over UDP and TCP both, and speaks no TLS.
    let clear = Upstream::plain();
    let authority = Authority::new();
    let folder = Folder::new();
    let program = run(&folder, &[named(clear.address, &authority)], "");
    let reply = ask(program.address(), "a.example", wire::A);
    assert_eq!(wire::rcode_of(&reply), wire::SERVFAIL);
    program.says("upstream is down");
    assert!(clear.asked("a.example.").is_empty());
}

fn watched() {
    let (authority, _, server) = good();
    let plain = Upstream::plain();
    let daemon = start(&format!(
        "upstreams: [\"{}\", \"{}\"]\nrules: [{{hosts: [w.example], when: broken}}]\nprobe: {{controls: []}}\n",
        named(server.address, &authority),
        plain.address
    ));
    until("both questions", || {
        (server.queries("w.example.").len() >= 2).then_some(())
    });
    assert!(plain.asked("w.example.").is_empty(), "in clear text");
    drop(daemon);
}

fn untrusted() {
    let folder = Folder::new();
    let empty = folder.write("empty.pem", "");
    let text = folder.write(
        "text.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let nowhere = folder.path("nowhere.pem");
    let cases = [
        (&nowhere, "cannot be read: No such file"),
        (&empty, "holds no certificate"),
        (&text, "certificate 1 is none"),
    ];
    for (file, words) in cases {
        let upstream = format!("tls://192.0.2.1?name={NAME}&ca={}", file.display());
        let text = configuration(std::slice::from_ref(&upstream), "");
        let error = match Daemon::start(&Config::read(&text).unwrap(), None) {
            Ok(_) => panic!("{words}: it starts"),
            Err(error) => error.to_string(),
        };
        assert!(
            error.starts_with(&format!("upstream {upstream}: ca ")),
            "{error}"
        );
        assert!(error.contains(words), "{error}");
        let path = folder.write("unsix.yaml", text);
        let checked = run_to_end(&["check", path.to_str().unwrap()]);
        assert_eq!(checked.code, 78, "{words}");
        assert!(checked.err.contains(words), "{}", checked.err);
        let ended = run_to_end(&["run", "--config", path.to_str().unwrap()]);
        assert_ne!(ended.code, 0);
        assert!(ended.err.contains(words), "{}", ended.err);
    }
}

fn other_roots() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = Dot::plain(&other.sign(NAME).config);
    let folder = Folder::new();
    let roots = folder.write("roots.pem", fs::read(&authority.file).unwrap());
    let upstream = format!(
        "tls://{}?name={NAME}&ca={}",
        server.address,
        roots.display()
    );
    let program = run(&folder, &[upstream], "");
    let reply = ask(program.address(), "a.example", wire::A);
    assert_eq!(wire::rcode_of(&reply), wire::SERVFAIL);
    program.says("by nobody we trust");
    folder.write("roots.pem", fs::read(&other.file).unwrap());
    program.signal(rustix::process::Signal::HUP);
    program.says("configuration reloaded");
    program.says("upstream is up");
    let reply = ask(program.address(), "b.example", wire::A);
    assert_eq!(wire::rcode_of(&reply), wire::NOERROR);
}

fn mended_roots() {
    let (authority, _, server) = good();
    let plain = Upstream::plain();
    let folder = Folder::new();
    let roots = folder.path("roots.pem");
    let program = run(&folder, &[plain.address.to_string()], "");
    program.says("ready");
    let upstream = format!(
        "tls://{}?name={NAME}&ca={}",
        server.address,
        roots.display()
    );
    folder.write("unsix.yaml", configuration(&[upstream], ""));
    let line = program.says("configuration not reloaded");
    assert!(line.contains("cannot be read: No such file"), "{line}");
    folder.write("roots.pem", fs::read(&authority.file).unwrap());
    program.says("configuration reloaded");
    let reply = ask(program.address(), "b.example", wire::A);
    assert_eq!(wire::rcode_of(&reply), wire::NOERROR);
    assert_eq!(server.queries("b.example.").len(), 1);
    assert_eq!(program.count("configuration not reloaded"), 1);
}
