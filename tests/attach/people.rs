//! What the commands for people say of a host before, during and after.

use crate::daemon::host::resolved as program;
use crate::daemon::program::run as call;
use crate::daemon::tls::{TlsServer, tarpit};
use crate::daemon::until;
use crate::world::{
    LISTED, PROVIDER, ask_servers, attach, config, lookup, provider, run, shell, systemd_resolved,
};
use rustix::process::Signal;
use std::net::ToSocketAddrs;
use std::path::Path;

/// Listens with the admin page on.
pub(crate) const CONFIG: &str = "listen: ['127.0.6.53:53', '[::1]:5300', '169.254.6.53:53']\nthreads: 1\n\
    access: {allow: ['0.0.0.0/0', '::/0']}\n";

/// The registry as a broken provider shows it: IPv4 works, IPv6 connects and then hangs.
pub(crate) fn registry() -> TlsServer {
    let found = (LISTED, 443).to_socket_addrs().unwrap();
    for address in found.map(|address| address.ip()) {
        shell(&format!(
            "ip address add {address} dev lo nodad 2>/dev/null || ip address add {address} dev lo"
        ));
    }
    TlsServer::on("0.0.0.0:443", &[LISTED])
}

fn verify(file: &Path, server: &TlsServer) -> (bool, String) {
    let (file, certificate) = (file.display(), server.certificate.display());
    let told = shell(&format!(
        "SSL_CERT_FILE={certificate} {} verify {LISTED} --config {file}; echo \"ended $?\"",
        env!("CARGO_BIN_EXE_unsix")
    ));
    (told.ends_with("\nended 0\n"), told)
}

fn status(file: &Path) -> (i32, String) {
    let ended = call(&["status", "--config", file.to_str().unwrap()]);
    assert_eq!(ended.err, "");
    (ended.code, ended.out)
}

/// From the founding failure to cured, and back.
fn told(mode: &str, line: &str) {
    let server = registry();
    let _hole = tarpit("[::]:443");
    let file = config(CONFIG);
    let (acts, said) = verify(&file, &server);
    assert!(
        !acts && said.contains("(TLS: no answer within 5 s)"),
        "{said}"
    );
    assert!(
        said.contains("lead them there with `unsix attach`"),
        "{said}"
    );
    let daemon = run(&file);
    let (code, said) = status(&file);
    assert!(
        code == 0 && said.contains("attached   no: `unsix attach` does not run\n"),
        "{said}"
    );

    let mut attach = attach(mode, &file);
    attach.says("attached way=");
    let (acts, said) = verify(&file, &server);
    assert!(
        acts && said.contains("yes, programs are told IPv4 alone (in "),
        "{said}"
    );
    let (code, said) = status(&file);
    assert!(code == 0 && said.contains(line), "{said}");
    assert!(!said.contains("not seen"), "{said}");

    daemon.signal(Signal::STOP);
    attach.says("let go");
    let (code, said) = status(&file);
    assert!(
        code == 1 && said.contains("no: `unsix attach` runs and waits until the daemon is well\n"),
        "{said}"
    );
    daemon.signal(Signal::CONT);
    attach.signal(Signal::TERM);
    assert_eq!(attach.ends(), Some(0));
    until("as before", || {
        matches!(lookup(LISTED), Ok((1.., 1..))).then_some(())
    });
}

pub(crate) fn redirected() {
    let _provider = provider();
    ask_servers(&[PROVIDER]);
    told(
        "redirect",
        "attached   by redirection: the nftables table inet unsix stands\n",
    );
}

pub(crate) fn resolved() {
    let _provider = provider();
    let _resolved = systemd_resolved(&program().unwrap());
    told(
        "resolved",
        "attached   by systemd-resolved: the link unsix0 stands\n",
    );
}

/// In this world there is no systemd to start anything.
pub(crate) fn without_systemd() {
    let ended = call(&["install", "--mode", "redirect"]);
    assert_eq!(
        (ended.code, ended.err.as_str()),
        (69, "nothing was installed: there is no systemd here\n")
    );
    for words in [
        "# This system does not run systemd, so nothing was installed. By hand:\n",
        "\nunsix attach --mode redirect --config /etc/unsix/unsix.yaml\n",
    ] {
        assert!(ended.out.contains(words), "no {words:?} in\n{}", ended.out);
    }
    let start = "cat > /etc/unsix/unsix.yaml <<'END'\n";
    let config = ended
        .out
        .split(start)
        .nth(1)
        .and_then(|rest| rest.split("END\n").next());
    unsix::config::Config::read(config.unwrap()).unwrap();
    assert!(!Path::new("/etc/unsix").exists());
}

/// Who is nobody sees all but the table, and is told so.
pub(crate) fn nobody() {
    let _provider = provider();
    ask_servers(&[PROVIDER]);
    let file = config(CONFIG);
    let _daemon = run(&file);
    let attach = attach("redirect", &file);
    attach.says("attached way=");
    let said = shell(&format!(
        "setpriv --reuid 4254 --clear-groups --bounding-set -all /run/host/unsix status --config {}; echo \"ended $?\"",
        file.display()
    ));
    for words in [
        "attached   by redirection, or waiting: `unsix attach` runs, and no link stands\n",
        "not seen   the nftables table of `attach`: the kernel shows it to root alone (`sudo unsix status`)\nended 0\n",
    ] {
        assert!(said.contains(words), "no {words:?} in\n{said}");
    }
}
