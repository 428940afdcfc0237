//! The program while it runs: its start, its log, its signals, and how it follows its file.

mod daemon;

use daemon::client::{Client, Connection, ask};
use daemon::files::Folder;
use daemon::program::Program;
use daemon::upstream::{Upstream, after, at_once, usual};
use daemon::{http, millis, now, until, wire};
use rustix::process::Signal;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;
use unsix::config::Config;
use unsix::daemon::Daemon;
use unsix::daemon::Reloaded::{Applied, Refused, Unchanged};

/// A configuration with every port of the kernel's choice.
fn config(upstream: &Upstream, rest: &str) -> String {
    format!(
        "listen: [\"127.0.0.1:0\"]\nadmin: {{listen: \"127.0.0.2:0\"}}\nupstreams: [\"{}\"]\n{rest}\n",
        upstream.address
    )
}

#[test]
fn sigterm_lets_what_is_in_flight_finish() {
    let upstream = Upstream::new(|asked| match asked.name.as_str() {
        "slow.example." => after(300, usual(&asked.packet)),
        _ => at_once(usual(&asked.packet)),
    });
    let folder = Folder::new();
    for signal in [Signal::TERM, Signal::INT] {
        let mut program = Program::serve(&folder.write("unsix.yaml", config(&upstream, "")));
        let server = program.address();
        let (client, mut connection) = (Client::of(server), Connection::to(server));
        client.send(&wire::query(1, "slow.example", wire::A));
        connection.send(&[wire::query(2, "slow.example", wire::AAAA)]);
        let asked = upstream.asked("slow.example.").len();
        until("the questions at the upstream", || {
            (upstream.asked("slow.example.").len() >= asked.max(2)).then_some(())
        });
        program.signal(signal);
        let reply = client.receive().expect("the reply over UDP");
        assert_eq!(wire::addresses(&reply).len(), 1);
        let reply = connection.receive().expect("the reply over TCP");
        assert_eq!(wire::addresses(&reply).len(), 1);
        assert_eq!(program.ends(), Some(0));
        assert_eq!(program.count("stopping"), 1);
        upstream.forget();
    }
}

#[test]
fn a_dead_upstream_does_not_hold_up_the_end() {
    let upstream = Upstream::silent();
    let folder = Folder::new();
    let mut program = Program::serve(&folder.write("unsix.yaml", config(&upstream, "")));
    Client::of(program.address()).send(&wire::query(1, "www.example", wire::A));
    let start = now();
    program.signal(Signal::TERM);
    assert_eq!(program.ends(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn who_is_told_to_stop_gets_ready_no_more() {
    let upstream = Upstream::silent();
    let folder = Folder::new();
    let file = folder.write("unsix.yaml", config(&upstream, ""));
    let mut program = Program::start(&file, "exec \"$0\" \"$@\"");
    Client::of(program.address()).send(&wire::query(1, "www.example", wire::A));
    until("the question at the upstream", || {
        upstream.asked("www.example.").first().map(drop)
    });
    // The self-query is answered 900 ms after the start at the latest, the client's question later.
    program.signal(Signal::TERM);
    assert_eq!(program.ends(), Some(0));
    assert_eq!(program.count(" ready"), 0, "{:#?}", program.lines());
}

#[test]
fn with_few_descriptors_connections_leave_some_for_udp() {
    let upstream = Upstream::plain();
    let folder = Folder::new();
    let file = folder.write("unsix.yaml", config(&upstream, "threads: 2"));
    let program = Program::serve_within(64, &file);
    let server = program.address();
    let open: Vec<_> = (0..80).map(|_| Connection::to(server)).collect();
    let client = Client::of(server);
    for number in 0..50 {
        let query = wire::query(number, &format!("n{number}.example"), wire::A);
        assert_eq!(wire::addresses(&client.ask(&query)).len(), 1);
    }
    assert_eq!(program.count("upstream is down"), 0);
    drop(open);
    until("a place for a connection", || {
        let mut connection = Connection::to(server);
        connection.send(&[wire::query(1, "n1.example", wire::A)]);
        connection.receive()
    });
}

#[test]
fn it_starts_again_on_the_port_it_was_killed_on() {
    let upstream = Upstream::plain();
    let folder = Folder::new();
    let file = folder.write("unsix.yaml", config(&upstream, ""));
    let first = Program::serve(&file);
    let server = first.address();
    let mut connection = Connection::to(server);
    connection.ask(wire::query(1, "www.example", wire::A));
    drop(first);
    let text = fs::read_to_string(&file).unwrap();
    folder.write(
        "unsix.yaml",
        text.replace("127.0.0.1:0", &server.to_string()),
    );
    let second = Program::serve(&file);
    assert_eq!(second.address(), server);
    assert_eq!(
        wire::addresses(&ask(server, "www.example", wire::A)).len(),
        1
    );
}

#[test]
fn sighup_changes_rules_from_the_next_reply_and_keeps_the_cache() {
    let upstream = Upstream::plain();
    let folder = Folder::new();
    let plain = config(&upstream, "rules: []");
    let file = folder.write("unsix.yaml", &plain);
    let mut program = Program::serve(&file);
    let server = program.address();
    let sixes = || wire::addresses(&ask(server, "www.example", wire::AAAA)).len();
    assert_eq!(sixes(), 1);
    assert_eq!(
        wire::addresses(&ask(server, "www.example", wire::A)).len(),
        1
    );
    for (round, rules) in [(1, "rules: [{hosts: [www.example]}]"), (2, "rules: []")] {
        folder.write("unsix.yaml", plain.replace("rules: []", rules));
        program.signal(Signal::HUP);
        until("the reload", || {
            (program.count("configuration reloaded") == round).then_some(())
        });
        assert_eq!(sixes(), round - 1, "{rules}");
    }
    let asked = upstream.asked("www.example.");
    for kind in [wire::A, wire::AAAA] {
        assert_eq!(asked.iter().filter(|asked| asked.kind == kind).count(), 1);
    }
    assert!(program.lives());
}

#[test]
fn a_storm_of_reloads_loses_no_query() {
    let upstream = Upstream::plain();
    let folder = Folder::new();
    let text = config(&upstream, "rules: [{hosts: [www.example]}]\nthreads: 2");
    let mut program = Program::serve(&folder.write("unsix.yaml", &text));
    let client = Client::of(program.address());
    let memory = program.memory();
    for number in 0..500 {
        program.signal(Signal::HUP);
        client.ask(&wire::query(number, "www.example", wire::AAAA));
        client.ask(&wire::query(number, &format!("n{number}.example"), wire::A));
    }
    // Sockets towards upstreams are kept for later, a bounded number of them.
    until("no more descriptors than are kept", || {
        (program.descriptors() < 300).then_some(())
    });
    assert!(program.lives() && program.memory() < memory + (4 << 20));
}

#[test]
fn what_needs_a_restart_says_so() {
    let upstream = Upstream::plain();
    let folder = Folder::new();
    let text = config(&upstream, "");
    let file = folder.write("unsix.yaml", &text);
    let program = Program::serve(&file);
    let listen = text.replace("127.0.0.1:0", "127.0.0.3:0");
    folder.write(
        "unsix.yaml",
        format!("{listen}threads: 3\ncache: {{size: 1MiB}}\n"),
    );
    program.signal(Signal::HUP);
    program.says("configuration reloaded");
    for option in ["listen", "threads", "cache.size"] {
        let line = program.says(&format!("option={option}"));
        assert!(line.contains("needs a restart"), "{line}");
    }
    assert_eq!(program.count("needs a restart"), 3);
    assert_eq!(
        wire::addresses(&ask(program.address(), "www.example", wire::A)).len(),
        1
    );
}

#[test]
fn a_swapped_config_map_is_seen_by_its_content() {
    let upstream = Upstream::plain();
    let folder = Folder::new();
    for (name, rules) in [
        ("one", "rules: []"),
        ("two", "rules: [{hosts: [www.example]}]"),
        ("bad", "rulse: []"),
    ] {
        fs::create_dir(folder.path(name)).unwrap();
        fs::write(
            folder.path(name).join("unsix.yaml"),
            config(&upstream, rules),
        )
        .unwrap();
    }
    // As the kubelet does it: the file is a link through a link that is swapped.
    folder.link("data", "one");
    let file = folder.link("unsix.yaml", "data/unsix.yaml");
    let program = Program::serve(&file);
    let sixes = || wire::addresses(&ask(program.address(), "www.example", wire::AAAA)).len();
    assert_eq!(sixes(), 1);
    folder.link("data", "bad");
    let line = program.says("not reloaded");
    assert!(
        line.contains("unsix.yaml:4:1: rulse: no such option"),
        "{line}"
    );
    thread::sleep(millis(2500));
    assert_eq!(program.count("not reloaded"), 1, "{:#?}", program.lines());
    assert_eq!(sixes(), 1, "the old configuration stays");
    folder.link("data", "two");
    program.says("configuration reloaded");
    assert_eq!(sixes(), 0);
}

#[test]
fn a_file_acts_when_it_was_seen_equal_twice() {
    let upstream = Upstream::plain();
    let folder = Folder::new();
    let (strip, pass) = (
        config(&upstream, "rules: [{hosts: [www.example]}]"),
        config(&upstream, "rules: []"),
    );
    let file = folder.write("unsix.yaml", &pass);
    let read = Config::read(&pass).unwrap();
    let daemon = Daemon::start(&read, None).unwrap();
    let mut watch = daemon.watch(Some(file.clone()), read);
    let sixes = || wire::addresses(&ask(daemon.addresses()[0], "www.example", wire::AAAA)).len();
    let said = || http::get(daemon.admin_address().unwrap(), "/ready").1;
    until("readiness", || daemon.is_ready().then_some(()));
    // What is written before each look, what the look does, and how many AAAA there are then.
    #[rustfmt::skip]
    let looks = [
        ("nothing new",           Some(pass.as_bytes()),  Unchanged, 1),
        ("new",                   Some(strip.as_bytes()), Unchanged, 1),
        ("still being written",   Some(&strip.as_bytes()[..70]), Unchanged, 1),
        ("whole",                 Some(strip.as_bytes()), Unchanged, 1),
        ("the same",              Some(strip.as_bytes()), Applied,   0),
        ("no news",               Some(strip.as_bytes()), Unchanged, 0),
        ("empty",                 Some(b"".as_slice()),   Unchanged, 0),
        ("empty, so it is meant", Some(b"".as_slice()),   Refused,   0),
        ("said already",          Some(b"".as_slice()),   Unchanged, 0),
        ("no text",               Some(b"rules: \xff".as_slice()), Unchanged, 0),
        ("no text at all",        Some(b"rules: \xff".as_slice()), Refused,   0),
        ("gone for a moment",     None,                   Unchanged, 0),
        ("gone",                  None,                   Refused,   0),
        ("gone, said already",    None,                   Unchanged, 0),
        ("as it was",             Some(strip.as_bytes()), Unchanged, 0),
        ("empty again",           Some(b"".as_slice()),   Unchanged, 0),
        ("and said again",        Some(b"".as_slice()),   Refused,   0),
        ("new again",             Some(pass.as_bytes()),  Unchanged, 0),
        ("the same again",        Some(pass.as_bytes()),  Applied,   1),
    ];
    for (why, content, want, count) in looks {
        match content {
            Some(content) => drop(folder.write("unsix.yaml", content)),
            None => drop(fs::remove_file(&file)),
        }
        assert_eq!(watch.poll(), want, "{why}");
        assert_eq!(sixes(), count, "{why}");
        if want == Refused {
            assert!(said().contains("unsix.yaml:"), "{why}: {}", said());
        }
        if why == "as it was" {
            assert_eq!(said(), "ready\n", "what was wrong was taken back");
        }
    }
    assert_eq!(said(), "ready\n", "what was wrong is mended");
}

#[test]
fn one_line_for_each_change_of_state_and_none_for_queries() {
    let silent = Arc::new(AtomicBool::new(false));
    let script = silent.clone();
    let upstream = Upstream::new(move |asked| match script.load(Relaxed) {
        true => Vec::new(),
        false => at_once(usual(&asked.packet)),
    });
    let folder = Folder::new();
    let text = config(
        &upstream,
        "rules: [{hosts: [www.example]}]\ndeadline: 500ms",
    );
    let program = Program::serve(&folder.write("unsix.yaml", text));
    // Whatever the start has still to say is said.
    program.says("ready");
    let before = program.lines().len();
    let client = Client::of(program.address());
    for number in 0..200 {
        let kind = if number % 2 == 0 { wire::A } else { wire::AAAA };
        client.ask(&wire::query(number, "www.example", kind));
        client.send(b"no query at all, of a stranger\n\x1b[31m");
    }
    assert_eq!(program.lines().len(), before, "{:#?}", program.lines());
    silent.store(true, Relaxed);
    for number in 0..4 {
        client.ask(&wire::query(number, &format!("{number}.example"), wire::A));
    }
    silent.store(false, Relaxed);
    program.says("upstream is up");
    let news = program.lines().split_off(before);
    assert_eq!(news.len(), 2, "{news:#?}");
    let down = format!(
        " WARN upstream is down upstream={} reason=timeout",
        upstream.address
    );
    assert!(news[0].contains(&down), "{news:#?}");
}

#[test]
fn debug_has_one_line_for_each_query_and_can_be_turned_on() {
    let upstream = Upstream::plain();
    let folder = Folder::new();
    let text = config(&upstream, "rules: [{name: hubs, hosts: [hub.example]}]");
    let program = Program::serve(&folder.write("unsix.yaml", &text));
    folder.write("unsix.yaml", text + "log: {level: debug}\n");
    program.signal(Signal::HUP);
    program.says("configuration reloaded");
    let (client, mut connection) = (
        Client::of(program.address()),
        Connection::to(program.address()),
    );
    client.ask(&wire::query(1, "WWW.example", wire::A));
    connection.ask(wire::query(2, "hub.example", wire::AAAA));
    client.ask(&wire::query(3, "\u{1b}[31m\n.example", wire::TXT));
    // A name with a pointer: nothing that a line could tell of it.
    client.ask(&[0, 4, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1]);
    for words in [
        "DEBUG reply client=127.0.0.1 question=\"WWW.example. A\" rcode=NOERROR source=upstream",
        "DEBUG reply client=127.0.0.1 question=\"hub.example. AAAA\" rcode=NOERROR source=filtered rule=hubs",
        "DEBUG reply client=127.0.0.1 question=- rcode=FORMERR source=error",
    ] {
        program.says(words);
    }
    program.says(".example. TXT\"");
    assert_eq!(program.count("DEBUG"), 4, "{:#?}", program.lines());
    assert!(program.lines().iter().all(|line| !line.contains('\u{1b}')));
}

#[test]
fn a_log_in_json_is_json_line_by_line() {
    let upstream = Upstream::plain();
    let folder = Folder::new();
    let text = config(&upstream, "log: {format: json}");
    let mut program = Program::serve(&folder.write("unsix.yaml", text));
    folder.write("unsix.yaml", "\"quotes\\n\": [");
    program.signal(Signal::HUP);
    program.says("not reloaded");
    program.signal(Signal::TERM);
    assert_eq!(program.ends(), Some(0));
    program.says("stopping");
    for line in program.lines() {
        let value: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for field in ["timestamp", "level", "message"] {
            assert!(value[field].is_string(), "{field} in {line}");
        }
    }
}

#[test]
fn the_admin_page_tells_of_a_reload_that_failed() {
    let upstream = Upstream::plain();
    let folder = Folder::new();
    let text = config(&upstream, "");
    let program = Program::serve(&folder.write("unsix.yaml", &text));
    let told = |status: u16, words: &str| {
        let (got, body) = http::get(program.admin(), "/ready");
        assert_eq!((got, body.contains(words)), (status, true), "{body}");
    };
    folder.write("unsix.yaml", "");
    program.signal(Signal::HUP);
    program.says("not reloaded");
    told(200, "the configuration file was not reloaded: ");
    folder.write("unsix.yaml", &text);
    program.signal(Signal::HUP);
    program.says("configuration reloaded");
    told(200, "ready\n");
    let samples = http::samples(&http::get(program.admin(), "/metrics").1).unwrap();
    assert_eq!(
        samples["unsix_config_reloads_total{result=\"failure\"}"],
        1.0
    );
    assert_eq!(
        samples["unsix_config_reloads_total{result=\"success\"}"],
        1.0
    );
    assert_eq!(samples["unsix_config_last_reload_successful"], 1.0);
}
