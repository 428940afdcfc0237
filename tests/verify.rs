//! `unsix verify`: by getaddrinfo to real TLS servers on loopback. Before and after attaching: `tests/attach`.

#![expect(
    clippy::unwrap_used,
    reason = "functions beside the tests are not exempt"
)]

mod daemon;

use daemon::files::Folder;
use daemon::now;
use daemon::program::Ended;
use daemon::tls::{TlsServer, tarpit};
use std::fs;
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

/// Runs verify with the server's certificate among the system's roots.
fn verify(hosts: &[&str], server: &TlsServer) -> Ended {
    let folder = Folder::new();
    let file = folder.write("unsix.yaml", "rules: [{hosts: [other.example]}]\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_unsix"));
    command.arg("verify").args(hosts).arg("--config").arg(file);
    let output = command
        .env("SSL_CERT_FILE", &server.certificate)
        .output()
        .unwrap();
    Ended {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// `localhost` is IPv4 here alone where /etc/hosts says no more; else it is one of the hosts that keep IPv6.
#[test]
fn verify_connects_to_what_the_system_tells() {
    let server = TlsServer::on("127.0.0.1:0", &["localhost"]);
    let host = format!("localhost:{}", server.address.port());
    let ended = verify(&[&host], &server);
    let ipv6_too = fs::read_to_string("/etc/hosts")
        .unwrap()
        .lines()
        .any(|line| {
            line.starts_with("::1") && line.split_whitespace().any(|word| word == "localhost")
        });
    assert!(ended.out.starts_with(&format!("{host}: ")), "{ended:?}");
    assert!(ended.out.contains("127.0.0.1 (TCP "), "{ended:?}");
    assert!(!ended.out.contains("certificate"), "{ended:?}");
    if ipv6_too {
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(
            ended
                .out
                .contains("no, programs are still told IPv6: ::1 (TCP: Connection refused"),
            "{ended:?}"
        );
        assert!(
            ended.out.contains("names it: write it into `hosts` of one"),
            "{ended:?}"
        );
    } else {
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(
            ended.out.contains("yes, programs are told IPv4 alone (in ")
                && ended.out.contains("unsix has no part in that: no rule in "),
            "{ended:?}"
        );
    }
}

#[test]
fn verify_tells_what_hangs_what_refuses_and_what_is_not_there() {
    let stranger = TlsServer::on("127.0.0.1:0", &["other.example"]);
    let hole = tarpit("127.0.0.1:0");
    let free = UdpSocket::bind("127.0.0.1:0").unwrap();
    let nobody = free.local_addr().unwrap().port();
    #[rustfmt::skip]
    let cases = [
        (format!("localhost:{}", stranger.address.port()),           "though its certificate is not good here: "),
        (format!("localhost:{}", hole.local_addr().unwrap().port()), "127.0.0.1 (TLS: no answer within 5 s)"),
        (format!("localhost:{}", nobody),                   "127.0.0.1 (TCP: Connection refused"),
        ("no-such-host.invalid".to_owned(),                          "the system cannot look it up (after "),
    ];
    let hosts: Vec<&str> = cases.iter().map(|(host, _)| host.as_str()).collect();
    let start = now();
    let ended = verify(&hosts, &stranger);
    assert!(start.elapsed() < Duration::from_secs(25), "all at once");
    assert_eq!((ended.code, ended.err.as_str()), (1, ""), "{ended:?}");
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_eq!(
        lines.len(),
        cases.len(),
        "one sentence per host, in their order: {}",
        ended.out
    );
    for (line, (host, words)) in lines.iter().zip(&cases) {
        assert!(
            line.starts_with(&format!("{host}: ")) && line.contains(words),
            "{line}\nhas no {words}"
        );
    }
}
