//! The shipped units under a real systemd: its sockets, its sandbox, its watchdog.
//!
//! Each test has a systemd of its own, in namespaces of its own. Where none can be had, the tests are ignored and
//! their names say why; they never pass unrun.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

#[path = "../daemon/mod.rs"]
mod daemon;
mod install;
mod package;
mod world;

use daemon::client::{Client, Connection, ask};
use daemon::load::Load;
use daemon::tls::{TlsServer, tarpit};
use daemon::upstream::{Upstream, after, at_once, usual};
use daemon::{http, millis, now, until, wire};
use libtest_mimic::{Arguments, Failed, Trial};
use std::env;
use std::fs;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

const TESTS: &[(&str, fn())] = &[
    ("a_restart_loses_no_query", restart),
    ("a_kill_loses_nothing_that_waits", kill),
    ("a_reload_and_the_status_say_what_is_in_force", reload),
    (
        "the_sandbox_leaves_no_right_and_lets_threads_be_pinned",
        sandbox,
    ),
    ("attach_leads_the_host_to_it_and_away_again", attach),
    ("a_worker_that_hangs_is_started_anew", watchdog),
    ("verdicts_of_probes_outlive_a_restart", verdicts),
    (
        "install_cures_a_host_and_uninstall_leaves_nothing",
        install::cured_and_back,
    ),
    ("what_does_not_start_is_not_installed", install::taken_back),
];

/// The same with a package to install.
const PACKAGED: (&str, fn()) = (
    "the_package_cures_a_host_and_its_purge_leaves_nothing",
    package::cured_and_back,
);

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each is a system of its own; the load is measured.
    arguments.test_threads = Some(1);
    let missing = if world::is_inside() {
        None
    } else {
        world::missing()
    };
    let mut trials = Vec::new();
    if world::is_inside() {
        for (name, run) in TESTS.iter().chain([&PACKAGED]) {
            trials.push(trial(name, None, false, || {
                run();
                Ok(())
            }));
        }
    } else {
        for (name, _) in TESTS {
            trials.push(trial(name, missing.as_deref(), false, || {
                world::run_inside(name, None)
            }));
        }
        let no_tool = package::missing();
        let must = no_tool.is_some() && env::var_os("CI").is_some();
        let no_package = missing.as_deref().or(no_tool.as_deref());
        trials.push(trial(PACKAGED.0, no_package, must, || {
            world::run_inside(PACKAGED.0, Some(&package::build()?))
        }));
        trials.push(trial(
            "lintian_finds_nothing_in_the_package",
            no_tool.as_deref(),
            must,
            package::lintian,
        ));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A test, or what it lacks: a failure where that must be there.
fn trial(
    name: &'static str,
    missing: Option<&str>,
    must: bool,
    run: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> Trial {
    match missing {
        None => Trial::test(name, || run().map_err(Failed::from)),
        Some(reason) => {
            let failure = Failed::from(reason);
            Trial::test(format!("{name} [ignored: {reason}]"), || Err(failure))
                .with_ignored_flag(!must)
        }
    }
}

/// Where `unsix.socket` listens.
fn server() -> SocketAddr {
    "127.0.6.53:53".parse().unwrap()
}

/// Answers what is new after 60 ms, all else at once.
fn upstream() -> Upstream {
    Upstream::new(|asked| match asked.name.ends_with(".new.example.") {
        true => after(60, usual(&asked.packet)),
        false => after(1, usual(&asked.packet)),
    })
}

/// Has programs ask these.
fn configured_servers(servers: &[&str]) {
    let lines: String = servers
        .iter()
        .map(|one| format!("nameserver {one}\n"))
        .collect();
    // It may be a link to where the host's own is.
    let _ = fs::remove_file("/etc/resolv.conf");
    fs::write("/etc/resolv.conf", lines).unwrap();
    fs::write("/etc/nsswitch.conf", "hosts: files dns\n").unwrap();
}

/// Writes the configuration of the service.
fn configure(upstream: &Upstream, rest: &str) {
    let text = format!(
        "listen: [\"{}\", \"169.254.6.53:53\", \"[::1]:5300\"]\nupstreams: [\"{}\"]\n{rest}\n",
        server(),
        upstream.address
    );
    fs::write("/etc/unsix/unsix.yaml", text).unwrap();
}

/// Adds these lines to the service's unit.
fn add(lines: &str) {
    fs::create_dir_all("/etc/systemd/system/unsix.service.d").unwrap();
    let lines = format!("[Service]\n{lines}\n");
    fs::write("/etc/systemd/system/unsix.service.d/test.conf", lines).unwrap();
    systemctl(&["daemon-reload"]);
}

fn systemctl(arguments: &[&str]) -> String {
    run("systemctl", arguments)
}

/// What a program says; a failure ends the test.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn property(name: &str) -> String {
    let said = systemctl(&["show", "unsix.service", "--value", "--property", name]);
    said.trim().to_owned()
}

fn restart() {
    let upstream = upstream();
    configure(&upstream, "rules: [{hosts: [.example]}]");
    systemctl(&["start", "unsix.service"]);
    let load = Load::on(server());
    for _ in 0..3 {
        thread::sleep(millis(1000));
        let before = property("MainPID");
        systemctl(&["restart", "unsix.service"]);
        assert_ne!(property("MainPID"), before);
    }
    thread::sleep(millis(1000));
    let account = load.end();
    println!("{account:?}");
    assert_eq!(account.answered, account.asked, "{account:?}");
    assert!(account.asked > 15_000, "5,000 a second: {account:?}");
}

fn kill() {
    let upstream = upstream();
    configure(&upstream, "");
    systemctl(&["start", "unsix.service"]);
    for _ in 0..10 {
        let before = property("MainPID");
        systemctl(&["kill", "--signal=KILL", "unsix.service"]);
        until("its end", || (property("MainPID") != before).then_some(()));
        let (start, client) = (now(), Client::of(server()));
        client.send(&wire::query(1, "www.example", wire::A));
        let mut connection = Connection::to(server());
        connection.send(&[wire::query(2, "www.example", wire::A)]);
        for reply in [client.receive(), connection.receive()] {
            assert_eq!(wire::addresses(&reply.expect("the next one's")).len(), 1);
        }
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "{:?}",
            start.elapsed()
        );
        until("the service again", || {
            (property("ActiveState") == "active").then_some(())
        });
    }
    assert_eq!(property("NRestarts"), "10", "however often");
}

fn reload() {
    let upstream = upstream();
    configure(&upstream, "rules: []");
    systemctl(&["start", "unsix.service"]);
    assert_eq!(property("StatusText"), "ready");
    let sixes = || wire::addresses(&ask(server(), "www.example", wire::AAAA)).len();
    assert_eq!(sixes(), 1);
    let before = property("MainPID");
    configure(&upstream, "rules: [{hosts: [www.example]}]");
    systemctl(&["reload", "unsix.service"]);
    until("the new rule", || (sixes() == 0).then_some(()));
    configure(&upstream, "rulse: []");
    systemctl(&["reload", "unsix.service"]);
    let status = until("the mistake", || {
        let status = property("StatusText");
        status.contains("not reloaded").then_some(status)
    });
    assert!(
        status.contains("unsix.yaml:3:1: rulse: no such option"),
        "{status}"
    );
    assert_eq!(
        (property("ActiveState"), property("MainPID")),
        ("active".into(), before)
    );
}

fn sandbox() {
    let upstream = upstream();
    configure(&upstream, "");
    // Behind the same filter, as the same user; all others would end the start.
    add(
        "ExecStartPre=/usr/bin/taskset --cpu-list 0 /bin/true\nExecStartPre=/bin/sh -c '! chmod 777 /etc/unsix'",
    );
    systemctl(&["start", "unsix.service"]);
    let status = fs::read_to_string(format!("/proc/{}/status", property("MainPID"))).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().split_whitespace().next().unwrap().to_owned()
    };
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(u64::from_str_radix(&field(set), 16), Ok(0), "{set}");
    }
    assert_eq!(
        (field("Seccomp:"), field("NoNewPrivs:")),
        ("2".into(), "1".into())
    );
    assert_ne!(field("Uid:"), "0");
    let journal = Command::new("journalctl")
        .args(["-u", "unsix"])
        .output()
        .unwrap();
    let journal = String::from_utf8(journal.stdout).unwrap();
    assert!(
        journal.contains(" ready") && !journal.contains(" WARN "),
        "{journal}"
    );
    assert_eq!(
        http::get("127.0.0.1:9353".parse().unwrap(), "/ready").0,
        200
    );
}

fn attach() {
    let upstream = upstream();
    configure(&upstream, "");
    let resolver: SocketAddr = "10.7.0.53:53".parse().unwrap();
    run("ip", &["address", "add", "10.7.0.53/32", "dev", "lo"]);
    fs::remove_file("/etc/resolv.conf").unwrap();
    fs::write("/etc/resolv.conf", "nameserver 10.7.0.53\n").unwrap();
    systemctl(&["start", "unsix.service", "unsix-attach.service"]);
    until("an answer by the way of the host", || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(millis(300))).unwrap();
        // Refused until it is attached.
        socket
            .send_to(&wire::query(1, "www.example", wire::A), resolver)
            .ok()?;
        socket.recv_from(&mut [0; 512]).ok()
    });
    assert!(run("nft", &["list", "tables"]).contains("inet unsix"));
    systemctl(&["stop", "unsix-attach.service"]);
    assert_eq!(run("nft", &["list", "tables"]), "");
}

/// The sandbox lets the service write down what it found, and read it.
fn verdicts() {
    let upstream = Upstream::new(|asked| {
        at_once(match asked.kind {
            wire::A => wire::ipv4(&asked.packet, [127, 0, 0, 1]),
            wire::AAAA => wire::ipv6(&asked.packet, Ipv6Addr::LOCALHOST),
            _ => wire::no_data(&asked.packet),
        })
    });
    let ipv4 = TlsServer::on("127.0.0.1:0", &["hub.example"]);
    let port = ipv4.address.port();
    let _ipv6 = tarpit(&format!("[::1]:{port}"));
    let rule =
        format!("rules: [{{hosts: [hub.example], when: broken, initial: pass, port: {port}}}]");
    let probe = "probe: {interval: 200ms, timeout: 100ms, fall: 1, controls: [], allow: [127.0.0.0/8, \"::1/128\"]}";
    configure(&upstream, &format!("{rule}\n{probe}"));
    systemctl(&["start", "unsix.service"]);
    let is_stripped = || wire::addresses(&ask(server(), "hub.example", wire::AAAA)).is_empty();
    until("a verdict", || is_stripped().then_some(()));
    let file = Path::new("/var/lib/private/unsix/verdicts.json");
    until("the file", || file.exists().then_some(()));
    systemctl(&["kill", "--signal=KILL", "unsix.service"]);
    until("the next process, which knows it", || {
        let journal = Command::new("journalctl").args(["-u", "unsix"]).output();
        let journal = String::from_utf8(journal.unwrap().stdout).unwrap();
        journal
            .contains("verdicts of before are taken over")
            .then_some(())
    });
    assert!(is_stripped());
}

fn watchdog() {
    let upstream = upstream();
    configure(&upstream, "threads: 2");
    add("WatchdogSec=1s");
    systemctl(&["start", "unsix.service"]);
    let before = property("MainPID");
    thread::sleep(millis(2500));
    assert_eq!(property("MainPID"), before, "it beats");
    let tasks = fs::read_dir(format!("/proc/{before}/task")).unwrap();
    let worker = tasks
        .map(|task| task.unwrap().path())
        .find(|task| fs::read_to_string(task.join("comm")).is_ok_and(|name| name == "worker-1\n"));
    let worker = worker.unwrap();
    // A tracer halts one thread and leaves the others be.
    let halt = "import ctypes, sys, time\n\
        libc = ctypes.CDLL(None, use_errno=True)\n\
        assert libc.ptrace(16, int(sys.argv[1]), None, None) == 0, ctypes.get_errno()\n\
        time.sleep(60)";
    let mut tracer = Command::new("/usr/bin/python3")
        .args(["-c", halt])
        .arg(worker.file_name().unwrap())
        .spawn()
        .unwrap();
    until("silence", || {
        (property("SubState") == "stop-watchdog").then_some(())
    });
    // What is traced cannot die before its tracer lets go.
    tracer.kill().unwrap();
    tracer.wait().unwrap();
    until("another process", || {
        let pid = property("MainPID");
        (pid != before && property("ActiveState") == "active").then_some(())
    });
    ask(server(), "www.example", wire::A);
}
