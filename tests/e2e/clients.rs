//! Programs that fetch a page: who hangs without us, and that all work with us.

use crate::daemon::now;
use crate::internet::{CA, Internet};
use crate::pulls::PROMPT;
use crate::ways::Way;
use std::process::Command;
use std::time::Duration;

/// A client: its command, which fetches the URL in its last argument within 10 s or fails, and what it says then.
pub(crate) struct Client {
    command: &'static [&'static str],
    failure: &'static str,
}

pub(crate) const CURL: Client = Client {
    command: &[
        "curl",
        "--silent",
        "--show-error",
        "--fail",
        "--max-time",
        "10",
        "--cacert",
        CA,
    ],
    failure: "timed out after 100",
};

pub(crate) const PYTHON: Client = Client {
    command: &[
        "python3",
        "-c",
        "import sys, urllib.request\nurllib.request.urlopen(sys.argv[1], timeout=10).read()",
    ],
    failure: "handshake operation timed out",
};

pub(crate) const NODE: Client = Client {
    command: &[
        "node",
        "--eval",
        "fetch(process.argv[1]).then(reply => reply.text()).catch(error => { console.error(error.cause); process.exit(1) })",
    ],
    failure: "Connect Timeout Error",
};

pub(crate) const GO: Client = Client {
    command: &[
        "yaegi",
        "run",
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/fetch.go"),
    ],
    failure: "net/http: TLS handshake timeout",
};

impl Client {
    /// Fetches from the listed host: how long it took, and what it said if it failed.
    fn fetch(&self) -> (Duration, Result<(), String>) {
        let begun = now();
        let output = Command::new("timeout")
            .arg("30")
            .args(self.command)
            .arg("https://registry-1.docker.io/v2/")
            .env("SSL_CERT_FILE", CA)
            .env("NODE_EXTRA_CA_CERTS", CA)
            .env("GODEBUG", "netdns=go")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let result = if output.status.success() {
            Ok(())
        } else {
            Err(said)
        };
        (begun.elapsed(), result)
    }
}

/// None of them turns to IPv4 once IPv6 has connected.
#[expect(clippy::needless_pass_by_value, reason = "it is a constant")]
pub(crate) fn hangs_then_works(client: Client) {
    let _internet = Internet::start();
    let mut host = Way::Redirect.without_us();
    let (took, result) = client.fetch();
    let said = result.expect_err("a fetch without us");
    assert!(said.contains(client.failure), "{said}");
    assert!(took > Duration::from_secs(9), "{took:?}");

    let _led = host.lead();
    let (took, result) = client.fetch();
    result.unwrap();
    assert!(took < PROMPT, "{took:?}");
}
