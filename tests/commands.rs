//! The commands for people, against running daemons: how is it, what does it do, does it act, and is it easy to type?

#![expect(
    clippy::unwrap_used,
    reason = "functions beside the tests are not exempt"
)]

mod daemon;

use daemon::files::Folder;
use daemon::program::{Ended, Program, run};
use daemon::upstream::{Upstream, at_once};
use daemon::{client, now, until, wire};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A daemon on ports that stand in a file, so that another command finds it.
struct Served {
    program: Program,
    file: PathBuf,
    folder: Folder,
}

impl Served {
    fn with(upstream: SocketAddr, rest: &str) -> Self {
        let folder = Folder::new();
        let (port, admin) = (free_port(), free_port());
        let text = format!(
            "listen: [\"127.0.0.1:{port}\"]\nupstreams: [\"{upstream}\"]\nadmin: {{listen: \"127.0.0.1:{admin}\"}}\n{rest}\n"
        );
        let file = folder.write("unsix.yaml", text);
        let program = Program::serve(&file);
        Self {
            program,
            file,
            folder,
        }
    }

    fn asked(&self, command: &[&str]) -> Ended {
        let file = ["--config", self.file.to_str().unwrap()];
        run(&[command, &file].concat())
    }

    /// Another file for the same daemon.
    fn seen_as(&mut self, from: &str, to: &str) {
        let text = fs::read_to_string(&self.file).unwrap();
        assert!(text.contains(from), "{text}");
        self.file = self.folder.write("seen.yaml", text.replace(from, to));
    }
}

/// A port that was free a moment ago, for UDP and TCP; nothing else here asks the kernel for it at once again.
fn free_port() -> u16 {
    until("a port that is free for UDP and TCP both", || {
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = datagrams.local_addr().unwrap();
        // A connection that somebody has just closed may still have it.
        TcpListener::bind(address).ok().map(|_| address.port())
    })
}

/// One that nobody has.
fn nobody() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

#[track_caller]
fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[test]
fn a_healthy_daemon_is_called_so_in_one_line() {
    let upstream = Upstream::plain();
    let served = Served::with(upstream.address, "");
    let ended = served.asked(&["healthcheck"]);
    let line = concat!("healthy: unsix ", env!("CARGO_PKG_VERSION"), " answers\n");
    assert_eq!(
        (ended.code, ended.out.as_str(), ended.err.as_str()),
        (0, line, "")
    );
}

/// Whoever restarts it for its upstreams' faults takes its cache away.
#[test]
fn a_daemon_whose_upstreams_fail_is_healthy_and_says_so() {
    let refusing = Upstream::new(|asked| at_once(wire::failure(&asked.packet, wire::SERVFAIL)));
    let silent = Upstream::silent();
    for address in [refusing.address, silent.address, nobody()] {
        let served = Served::with(address, "deadline: 800ms");
        let ended = served.asked(&["healthcheck"]);
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(ended.out.contains("look at its upstreams"), "{}", ended.out);
    }
}

#[test]
fn a_daemon_without_a_rule_in_force_is_known_too() {
    let upstream = Upstream::plain();
    for rules in ["rules: []", "rules: [{hosts: [a.example], mode: report}]"] {
        let served = Served::with(upstream.address, rules);
        assert_eq!(served.asked(&["healthcheck"]).code, 0, "{rules}");
        assert_eq!(served.asked(&["status"]).code, 0, "{rules}");
    }
}

#[test]
fn a_client_that_the_configuration_refuses_knows_that_it_is_well() {
    let upstream = Upstream::plain();
    let served = Served::with(upstream.address, "access: {allow: [10.0.0.0/8]}");
    let ended = served.asked(&["healthcheck"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended
            .out
            .contains("refuses 127.0.0.1 as `access.allow` says"),
        "{}",
        ended.out
    );
}

#[test]
fn what_is_not_healthy_is_named_within_two_seconds() {
    let upstream = Upstream::plain();
    let gone = Served::with(upstream.address, "");
    gone.program.signal(Signal::KILL);
    let hung = Served::with(upstream.address, "");
    hung.program.signal(Signal::STOP);
    let mut other = Served::with(upstream.address, "rules: [{hosts: [a.example]}]");
    other.seen_as("a.example", "b.example");
    let mut mute = Served::with(upstream.address, "");
    let port = mute.program.address().to_string();
    mute.seen_as(&port, "127.0.0.1:0");
    #[rustfmt::skip]
    let cases = [
        (&gone,  "cannot be asked: connection refused"),
        (&hung,  "did not answer within 1500 ms"),
        (&other, "does not answer _unsix.b.example. TXT as unsix does"),
        (&mute,  "listen: unsix is asked how it is at an address that is always there"),
    ];
    for (served, words) in cases {
        let start = now();
        let ended = served.asked(&["healthcheck"]);
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "{words}: {:?}",
            start.elapsed()
        );
        assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{ended:?}");
        assert!(
            ended.err.starts_with("unhealthy: ") && ended.err.contains(words),
            "{ended:?}"
        );
        assert_eq!(ended.err.lines().count(), 1, "{ended:?}");
    }
    hung.program.signal(Signal::CONT);
}

/// A rule that should act and does not: the daemon runs with another file than the one that is looked at.
#[test]
fn a_daemon_that_still_tells_ipv6_is_not_healthy() {
    let upstream = Upstream::plain();
    let mut served = Served::with(
        upstream.address,
        "rules: [{hosts: [.a.example], except: [x.a.example]}]",
    );
    served.seen_as(
        "hosts: [.a.example], except: [x.a.example]",
        "hosts: [x.a.example, .a.example]",
    );
    for command in ["healthcheck", "status"] {
        let ended = served.asked(&[command]);
        assert_eq!(ended.code, 1, "{ended:?}");
        let said = ended.out + &ended.err;
        assert!(
            said.contains("x.a.example. still has IPv6 addresses"),
            "{said}"
        );
    }
}

/// One that has done something of everything, its upstream, and an upstream of its that is not there.
fn busy() -> (Served, Upstream, SocketAddr) {
    let (upstream, dead) = (Upstream::plain(), nobody());
    let rest = format!(
        "routes: [{{zones: [d.example], upstreams: [\"{dead}\"]}}]\n\
         rules: [{{preset: docker-hub}}, {{name: counted, hosts: [.c.example], mode: report}}]"
    );
    let served = Served::with(upstream.address, &rest);
    for name in [
        "registry-1.docker.io",
        "auth.docker.io",
        "x.c.example",
        "www.example",
        "x.d.example",
    ] {
        client::ask(served.program.address(), name, wire::AAAA);
    }
    (served, upstream, dead)
}

#[test]
fn status_tells_programs_who_runs_and_what_it_did() {
    let (served, upstream, dead) = busy();
    let ended = served.asked(&["status", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let report = json(&ended);
    let daemon = serde_json::json!({
        "running": true,
        "address": served.program.address().to_string(),
        "version": env!("CARGO_PKG_VERSION"),
        "uid": rustix::process::geteuid().as_raw(),
    });
    #[rustfmt::skip]
    let exact = [
        ("/healthy",              true.into()),
        ("/problem",              Value::Null),
        ("/config",               served.file.to_str().unwrap().into()),
        ("/daemon",               daemon),
        ("/upstreams/0/address",  upstream.address.to_string().into()),
        ("/upstreams/0/state",    "up".into()),
        ("/upstreams/1/address",  dead.to_string().into()),
        ("/upstreams/1/state",    "down".into()),
        ("/upstreams/1/rtt_seconds", Value::Null),
        ("/rules/0/name",         "docker-hub".into()),
        ("/rules/0/reported",     0.into()),
        ("/rules/1/name",         "counted".into()),
        ("/rules/1/changed",      0.into()),
        ("/rules/1/reported",     1.into()),
        ("/cache/size",           (64 << 20).into()),
    ];
    for (place, value) in exact {
        assert_eq!(report.pointer(place), Some(&value), "{place}: {report:#}");
    }
    // What status itself asks is counted too, sooner or later.
    #[rustfmt::skip]
    let between = [
        ("/upstreams/0/queries",     4.0, 20.0),
        ("/upstreams/0/rtt_seconds", 0.0, 1.0),
        ("/upstreams/1/failures",    1.0, 20.0),
        ("/rules/0/changed",         2.0, 3.0),
        ("/cache/entries",           4.0, 20.0),
        ("/replies/filtered",        2.0, 3.0),
    ];
    for (place, least, most) in between {
        let found = report.pointer(place).and_then(Value::as_f64).unwrap();
        assert!((least..=most).contains(&found), "{place}: {report:#}");
    }
    let note = report["notes"][0].as_str().unwrap();
    assert!(note.contains(&format!("upstream {dead} is down")), "{note}");
}

#[test]
fn status_tells_people_who_runs_and_what_it_did() {
    let (served, upstream, dead) = busy();
    let ended = served.asked(&["status"]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{ended:?}");
    for words in [
        format!(
            "daemon     well: unsix {} answers at {} as user {}\n",
            env!("CARGO_PKG_VERSION"),
            served.program.address(),
            rustix::process::geteuid().as_raw()
        ),
        format!("config     {}\n", served.file.display()),
        format!("upstream   {:<22} up ", upstream.address.to_string()),
        format!("           {:<22} down  not measured ", dead.to_string()),
        "rule       docker-hub: changed ".to_owned(),
        "           counted: changed 0 replies, would have changed 1\n".to_owned(),
        " of 64.0 MiB, 0 evicted\n".to_owned(),
        format!("note       upstream {dead} is down"),
    ] {
        assert!(ended.out.contains(&words), "no {words:?} in\n{}", ended.out);
    }
}

#[test]
fn status_says_what_it_cannot_see_and_why() {
    let upstream = Upstream::plain();
    let mut served = Served::with(upstream.address, "");
    let admin = served.program.admin().to_string();
    served.seen_as(&format!("{{listen: \"{admin}\"}}"), "off");
    let ended = served.asked(&["status"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let words = "not seen   upstreams, rules and cache: no admin page: `admin: off`\n";
    assert!(ended.out.contains(words), "{}", ended.out);
    served.seen_as(
        "admin: off",
        &format!("admin: {{listen: \"{}\"}}", nobody()),
    );
    assert!(served.asked(&["status"]).out.contains("Connection refused"));
}

#[test]
fn status_of_a_daemon_that_is_gone_or_cannot_do_its_work() {
    let silent = Upstream::silent();
    let served = Served::with(silent.address, "deadline: 500ms");
    let ended = served.asked(&["status"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended
            .out
            .contains("problem    registry-1.docker.io. has no IPv4 address (SERVFAIL)\n"),
        "{}",
        ended.out
    );
    assert!(
        ended.out.contains("daemon     not well: unsix "),
        "{}",
        ended.out
    );
    served.program.signal(Signal::KILL);
    until("its end", || {
        (served.asked(&["healthcheck"]).code == 1).then_some(())
    });
    let ended = served.asked(&["status"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended
            .out
            .contains("daemon     nobody answers at 127.0.0.1:"),
        "{}",
        ended.out
    );
    let report = json(&served.asked(&["status", "--json"]));
    assert_eq!(
        (&report["healthy"], &report["daemon"]["running"]),
        (&false.into(), &false.into())
    );
    assert_eq!(report["upstreams"], Value::Null);
}

/// With a forwarding loop the page of readiness knows more than the metrics do.
#[test]
fn status_names_a_loop() {
    let folder = Folder::new();
    let (port, admin) = (free_port(), free_port());
    let upstream = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap();
    let server = SocketAddr::from(([127, 0, 0, 1], port));
    std::thread::spawn(move || {
        // Back to where it came from, as a resolver that forwards to us would.
        let mut packet = [0; 4096];
        while let Ok((length, _)) = upstream.recv_from(&mut packet) {
            upstream.send_to(&packet[..length], server).unwrap();
        }
    });
    let text = format!(
        "listen: [\"{server}\"]\nupstreams: [\"{address}\"]\nadmin: {{listen: \"127.0.0.1:{admin}\"}}\ndeadline: 500ms\n"
    );
    let file = folder.write("unsix.yaml", text);
    let _program = Program::serve(&file);
    let state = until("the loop", || {
        let report = json(&run(&[
            "status",
            "--json",
            "--config",
            file.to_str().unwrap(),
        ]));
        let state = report["upstreams"][0]["state"].as_str()?.to_owned();
        (state != "up").then_some(state)
    });
    assert_eq!(state, "looping");
}

#[test]
fn bash_completes_commands_and_options() {
    let script = run(&["completions", "bash"]);
    assert_eq!((script.code, script.err.as_str()), (0, ""));
    let folder = Folder::new();
    let file = folder.write("unsix.bash", script.out);
    let complete = |words: &[&str]| {
        let test = "source \"$0\"; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
            _unsix unsix \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"; echo \"${COMPREPLY[*]}\"";
        let bash = Command::new("bash")
            .args(["-c", test])
            .arg(&file)
            .args(words)
            .output()
            .unwrap();
        String::from_utf8(bash.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(complete(&["unsix", "healthc"]), "healthcheck");
    assert_eq!(
        complete(&["unsix", "attach", "--mode", "re"]),
        "resolved redirect"
    );
    assert_eq!(complete(&["unsix", "status", "--j"]), "--json");
}

#[test]
fn other_shells_get_a_script_of_theirs() {
    for (shell, words) in [("zsh", "#compdef unsix"), ("fish", "complete -c unsix")] {
        let ended = run(&["completions", shell]);
        assert_eq!(ended.code, 0);
        assert!(
            ended.out.contains(words) && ended.out.contains("healthcheck"),
            "{shell}"
        );
        if let Some(program) = program(shell) {
            let folder = Folder::new();
            let file = folder.write("script", &ended.out);
            let output = Command::new(program).arg("-n").arg(file).output().unwrap();
            assert!(output.status.success(), "{shell}: {output:?}");
        }
    }
    assert_eq!(run(&["completions", "tcsh"]).code, 64);
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|folder| folder.join(name));
    found.find(|file| Path::is_file(file))
}
