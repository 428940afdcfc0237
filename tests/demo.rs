//! `unsix demo`, as whoever has just heard of it runs it: nobody in particular, without a network.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod daemon;

use daemon::client::ask;
use daemon::files::Folder;
use daemon::namespace::{self, Test};
use daemon::{millis, now, wire};
use libtest_mimic::{Arguments, Trial};
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

const AS_IT_IS: &str = "true";

const NO_IPV6: &str = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6";

const NO_LOOPBACK: &str = "ip link set lo down && ip address flush dev lo";

#[rustfmt::skip]
const TESTS: &[Test] = &[
    Test { name: "the_story_is_told_in_order", setup: AS_IT_IS, run: in_order },
    Test { name: "a_reader_that_has_seen_enough_is_no_fault", setup: AS_IT_IS, run: seen_enough },
    Test { name: "without_ipv6_it_says_so", setup: NO_IPV6, run: || refuses("has no IPv6, not even ::1") },
    Test { name: "without_a_loopback_it_says_so", setup: NO_LOOPBACK, run: || refuses("`ip link set lo up`") },
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = TESTS.iter().map(trial).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Where no network of its own can be had, the machine's loopback will do, if it need not be broken.
fn trial(test: &'static Test) -> Trial {
    match test.setup == AS_IT_IS && namespace::possible(AS_IT_IS).is_err() {
        true => test.here(),
        false => test.trial(),
    }
}

/// A copy of the program that everyone can reach, and the folder that it is in.
fn program() -> (Folder, PathBuf) {
    let folder = Folder::new();
    let program = folder.write("unsix", fs::read(env!("CARGO_BIN_EXE_unsix")).unwrap());
    for (path, mode) in [(program.parent().unwrap(), 0o711), (&program, 0o755)] {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    (folder, program)
}

/// The demo, as a user without any right where there is one to become.
fn demo(program: &PathBuf) -> Command {
    const NOBODY: [&str; 4] = [
        "--reuid=65532",
        "--regid=65532",
        "--clear-groups",
        "--bounding-set=-all",
    ];
    let mut setpriv = Command::new("setpriv");
    setpriv.args(NOBODY);
    let possible = Command::new("setpriv").args(NOBODY).arg("true").output();
    let mut command = match possible {
        Ok(output) if output.status.success() => {
            setpriv.arg(program);
            setpriv
        }
        _ => Command::new(program),
    };
    command.arg("demo");
    command
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

/// What must be told, in this order.
const STORY: &[&str] = &[
    "registry-1.docker.io  A 127.0.0.2  AAAA ::1",
    "quay.io/acme/hello: pulled over IPv6, from [::1]:",
    "docker.io/library/hello: pulling as containerd does",
    "TLS_STALL  registry-1.docker.io:",
    "HEALTHY  quay.io:",
    "/v2/library/hello/manifests/latest\": net/http: TLS handshake timeout",
    "rules: [{preset: docker-hub, when: broken, initial: pass, port: ",
    "registry-1.docker.io AAAA: none any more; the reply says \"Filtered: docker-hub: TLS over IPv6 stalls since ",
    "docker.io/library/hello: pulled over IPv4, from 127.0.0.2:",
    "quay.io/acme/hello: pulled over IPv6, from [::1]:",
    "its IPv6 answers from now on",
    "registry-1.docker.io AAAA: ::1 again",
    "docker.io/library/hello: pulled over IPv6, from [::1]:",
    "`sudo unsix install` mends it",
];

fn in_order() {
    let (_folder, program) = program();
    let begun = now();
    let mut demo = demo(&program);
    let mut child = demo
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = Seen::default();
    let mut told = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        seen.look(&line);
        told.push(line);
    }
    let ended = child.wait_with_output().unwrap();
    let took = begun.elapsed();
    assert_eq!(
        (ended.status.code(), text(&ended.stderr).as_str()),
        (Some(0), ""),
        "{told:#?}"
    );
    let mut lines = told.iter();
    for words in STORY {
        let found = lines.any(|line| line.contains(words));
        assert!(found, "{words:?}, or not there: {told:#?}");
    }
    let seconds = |words: &str| {
        let line = told.iter().find(|line| line.contains(words)).unwrap();
        let (seconds, _) = line.split_once(" s  ").unwrap();
        seconds.trim().parse::<f64>().unwrap()
    };
    // What Go gives TLS, and no more.
    let hung = seconds("TLS handshake timeout") - seconds("pulling as containerd does");
    assert!((9.9..11.0).contains(&hung), "{hung}");
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert_eq!(seen.looks, 3, "{told:#?}");
    seen.nothing_is_left();
}

/// What an onlooker finds of what the story tells, while it is told.
#[derive(Default)]
struct Seen {
    name_server: Option<SocketAddr>,
    registry: Option<u16>,
    unsix: Option<SocketAddr>,
    looks: usize,
}

impl Seen {
    /// Each of the three looks has a second at least before the story goes on.
    fn look(&mut self, line: &str) {
        let after = |words: &str| {
            let (_, rest) = line.split_once(words)?;
            rest.split([' ', ';', ',']).next()
        };
        if let Some(address) = after("a name server on ") {
            self.name_server = Some(address.parse().unwrap());
        } else if line.contains("registry-1.docker.io  A ") {
            self.registry = after("  port ").map(|port| port.parse().unwrap());
        } else if let Some(address) = after("unsix listens on ") {
            self.unsix = Some(address.parse().unwrap());
        } else if line.contains("pulling as containerd does") {
            assert_eq!(ipv6(self.name_server, HUB), 1);
            assert!(!self.answers());
            self.looks += 1;
        } else if line.contains("none any more") {
            assert_eq!((ipv6(self.unsix, HUB), ipv6(self.unsix, "quay.io")), (0, 1));
            self.looks += 1;
        } else if line.contains("answers from now on") {
            assert!(self.answers());
            self.looks += 1;
        }
    }

    /// Whether the registry's IPv6 address says anything to a greeting that is no TLS; connect it does.
    fn answers(&self) -> bool {
        let mut stream = TcpStream::connect((Ipv6Addr::LOCALHOST, self.registry.unwrap())).unwrap();
        stream.set_read_timeout(Some(millis(300))).unwrap();
        stream
            .write_all(b"no TLS, and more than five octets\r\n")
            .unwrap();
        match stream.read(&mut [0; 100]) {
            Ok(length) => length > 0,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                false
            }
        }
    }

    fn nothing_is_left(&self) {
        let registry = (Ipv6Addr::LOCALHOST, self.registry.unwrap());
        let unsix = self.unsix.unwrap();
        let refused = [TcpStream::connect(registry), TcpStream::connect(unsix)];
        for end in refused {
            assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        }
    }
}

const HUB: &str = "registry-1.docker.io";

/// How many IPv6 addresses the host has there.
fn ipv6(server: Option<SocketAddr>, host: &str) -> usize {
    wire::addresses(&ask(server.unwrap(), host, wire::AAAA)).len()
}

fn seen_enough() {
    let (_folder, program) = program();
    let mut demo = demo(&program);
    let mut child = demo
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    // Dropped with what it reads from.
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert!(first.contains("An image pull that hangs"), "{first}");
    let ended = child.wait_with_output().unwrap();
    assert_eq!(
        (ended.status.code(), text(&ended.stderr).as_str()),
        (Some(0), "")
    );
}

/// One line, which names what is missing; nothing is told.
fn refuses(words: &str) {
    let (_folder, program) = program();
    let ended = demo(&program).output().unwrap();
    let err = text(&ended.stderr);
    assert_eq!(
        (ended.status.code(), err.lines().count()),
        (Some(69), 1),
        "{err}"
    );
    assert!(err.contains(words), "{err}");
    assert_eq!(text(&ended.stdout), "");
}
