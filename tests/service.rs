//! What a service manager hears of the program (`sd_notify(3)`): the test listens in systemd's place.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what cannot be had here ends the test"
)]

mod daemon;

use daemon::client::ask;
use daemon::files::Folder;
use daemon::program::{Program, shell};
use daemon::upstream::{Upstream, at_once, usual};
use daemon::{millis, now, until, wire};
use rustix::process::Signal;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The manager's socket, and the program's file.
struct Manager {
    socket: UnixDatagram,
    folder: Folder,
    file: PathBuf,
}

impl Manager {
    fn new(upstream: &Upstream, rest: &str) -> Self {
        let folder = Folder::new();
        let socket = UnixDatagram::bind(folder.path("notify")).unwrap();
        socket.set_read_timeout(Some(millis(5000))).unwrap();
        let file = folder.write("unsix.yaml", text(upstream, rest));
        Self {
            socket,
            folder,
            file,
        }
    }

    /// Starts the program in such an environment.
    fn start(&self, environment: &[(&str, &str)]) -> Program {
        let mut command = shell(&self.file, "export WATCHDOG_PID=$$; exec \"$0\" \"$@\"");
        command.env("NOTIFY_SOCKET", self.folder.path("notify"));
        command.envs(environment.iter().copied());
        Program::of(command)
    }

    /// The next message.
    #[track_caller]
    fn hear(&self) -> String {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).expect("a message");
        String::from_utf8(message[..length].to_vec()).unwrap()
    }
}

fn text(upstream: &Upstream, rest: &str) -> String {
    format!(
        "listen: [\"127.0.0.1:0\"]\nadmin: off\nupstreams: [\"{}\"]\n{rest}\n",
        upstream.address
    )
}

#[test]
fn ready_reloading_and_stopping_are_told_in_order() {
    let upstream = Upstream::plain();
    let manager = Manager::new(&upstream, "");
    let mut program = manager.start(&[]);
    assert_eq!(manager.hear(), "READY=1\nSTATUS=ready\n");
    // It is true: the first query after it is answered.
    let address = program.address();
    assert_eq!(
        wire::addresses(&ask(address, "www.example", wire::A)).len(),
        1
    );
    for (rest, status) in [
        ("rules: []", "ready".to_owned()),
        (
            "rulse: []",
            format!(
                "ready, but the configuration file was not reloaded: {}:4:1: rulse: no such option",
                manager.file.display()
            ),
        ),
        ("", "ready".to_owned()),
    ] {
        manager.folder.write("unsix.yaml", text(&upstream, rest));
        program.signal(Signal::HUP);
        let reloading = manager.hear();
        let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        let time: u64 = time.expect(&reloading).trim_end().parse().unwrap();
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        // systemd refuses one from before it has sent the signal.
        assert!((uptime - time as f64 / 1e6).abs() < 5.0, "{time} {uptime}");
        let ready = manager.hear();
        let told = ready.strip_prefix("READY=1\nSTATUS=").expect(&ready);
        assert!(told.starts_with(&status), "{told}");
        assert_eq!(told.lines().count(), 1);
    }
    program.signal(Signal::TERM);
    assert_eq!(
        manager.hear(),
        "STOPPING=1\nSTATUS=finishing what is in flight\n"
    );
    assert_eq!(program.ends(), Some(0));
}

#[test]
fn the_status_follows_the_upstreams() {
    let silent = Arc::new(AtomicBool::new(false));
    let script = silent.clone();
    let upstream = Upstream::new(move |asked| match script.load(Relaxed) {
        true => Vec::new(),
        false => at_once(usual(&asked.packet)),
    });
    let manager = Manager::new(&upstream, "deadline: 500ms");
    let program = manager.start(&[]);
    assert_eq!(manager.hear(), "READY=1\nSTATUS=ready\n");
    silent.store(true, Relaxed);
    for number in 0..4 {
        ask(program.address(), &format!("n{number}.example"), wire::A);
    }
    let down = format!("STATUS=ready, but upstream {} is down\n", upstream.address);
    until("that it is down", || (manager.hear() == down).then_some(()));
    silent.store(false, Relaxed);
    assert_eq!(manager.hear(), "STATUS=ready\n");
}

#[test]
fn a_watchdog_hears_it_twice_in_its_time() {
    let upstream = Upstream::plain();
    let manager = Manager::new(&upstream, "");
    let _program = manager.start(&[("WATCHDOG_USEC", "400000")]);
    let beat = |_| {
        until("a beat", || {
            (manager.hear() == "WATCHDOG=1\n").then_some(())
        });
        now()
    };
    let beats: Vec<_> = (0..12).map(beat).collect();
    let time = (beats[11] - beats[1]).as_millis();
    assert!((1900..3000).contains(&time), "10 beats in {time} ms");
}

#[test]
fn whoever_has_no_manager_or_a_deaf_one_is_served_all_the_same() {
    let upstream = Upstream::plain();
    let manager = Manager::new(&upstream, "");
    for (environment, complaints) in [
        (
            [("NOTIFY_SOCKET", "/nowhere/at/all"), ("WATCHDOG_USEC", "0")],
            1,
        ),
        ([("NOTIFY_SOCKET", ""), ("WATCHDOG_USEC", "no number")], 1),
    ] {
        let program = manager.start(&environment);
        program.says(" ready");
        assert_eq!(
            wire::addresses(&ask(program.address(), "www.example", wire::A)).len(),
            1
        );
        program.signal(Signal::HUP);
        program.says("configuration reloaded");
        assert_eq!(program.count("systemd cannot be told"), complaints, "once");
    }
}
