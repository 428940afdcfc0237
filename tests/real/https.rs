//! DNS over HTTPS as kdig, curl, dnsperf and dnsdist speak it to us.

use crate::Fallible;
use crate::clients::{ask, holds};
use crate::encrypted::{Encrypted, NAME, forwards, loses_nothing, refuses};
use crate::needs::find;
use crate::process::{command, run};
use crate::servers::{Server, World};
use std::process::Command;

const FORWARDING: &str = include_str!("config/dnsdist-https.lua");

/// By GET and by POST, by the right path and name only.
pub(crate) fn kdig(world: &World) -> Fallible<()> {
    let us = Encrypted::start(world, "https")?;
    let ca = us.ca.display().to_string();
    let trusting = |words: &str| ask("kdig", us.at, &format!("+tls-ca={ca} {words}"));
    for (way, shown) in [("+https-get", "HTTP/2-GET"), ("", "HTTP/2-POST")] {
        let words = format!("+https {way} +tls-hostname={NAME} registry-1.docker.io AAAA");
        let all = [
            shown,
            "(status: 200)",
            "NOERROR",
            "ANSWER: 0",
            "EDE: 17 (Filtered): 'docker-hub'",
            "PADDING",
            "Received 468 B",
        ];
        holds(&trusting(&words)?, &all, &["WARNING", "2600:"]);
        let many = format!(
            "+https {way} +tls-hostname={NAME} +keepopen registry-1.docker.io A quay.io AAAA big.odd.example TXT"
        );
        let all = [
            "ANSWER: 3",
            "44.208.254.194",
            "2600:1f18:483:",
            "ANSWER: 16",
        ];
        holds(&trusting(&many)?, &all, &["WARNING"]);
    }
    assert_eq!(asked(&us)?, 8);
    let elsewhere = format!("+https={NAME}/elsewhere +tls-hostname={NAME} quay.io A");
    let refused = trusting(&elsewhere).unwrap_or_else(|error| error);
    holds(&refused, &["404"], &["ANSWER: 1"]);
    let stranger = "+https +tls-hostname=dns.other.example quay.io AAAA";
    let refused = trusting(stranger).expect_err("it is refused");
    holds(&refused, &["WARNING"], &["ANSWER:"]);
    assert_eq!(asked(&us)?, 8);
    Ok(())
}

/// curl with what trusts us.
fn curl(us: &Encrypted) -> Fallible<Command> {
    let mut curl = command(&find("curl").ok_or("no curl")?);
    curl.args(["--silent", "--show-error", "--max-time", "15", "--cacert"]);
    curl.arg(&us.ca);
    curl.args(["--resolve", &format!("{NAME}:{}:127.0.0.1", us.at.port())]);
    Ok(curl)
}

/// By hand, over both versions; and curl's own resolver.
pub(crate) fn curl_asks(world: &World) -> Fallible<()> {
    let us = Encrypted::start(world, "https")?;
    let url = format!("https://{NAME}:{}/dns-query", us.at.port());
    // registry-1.docker.io A, id 0.
    let query = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x0aregistry-1\x06docker\x02io\0\0\x01\0\x01";
    let file = us.folder.path().join("query");
    std::fs::write(&file, query).map_err(|error| error.to_string())?;
    let text = data_encoding::BASE64URL_NOPAD.encode(query);
    let body = format!("@{}", file.display());
    for (version, shown) in [("--http2", "HTTP/2 200"), ("--http1.1", "HTTP/1.1 200 OK")] {
        let reply = us.folder.path().join("reply");
        let get = format!("{url}?dns={text}");
        let post = [
            "-H",
            "Content-Type: application/dns-message",
            "--data-binary",
            &body,
            &url,
        ];
        let head = ["--head", &get];
        for (arguments, length) in [(&[&*get][..], 3), (&post, 3), (&head, 0)] {
            let mut curl = curl(&us)?;
            curl.args([version, "--dump-header", "-", "--output"])
                .arg(&reply)
                .args(arguments);
            let said = run(&mut curl, 20)?;
            let all = [
                shown,
                "content-type: application/dns-message",
                "cache-control: max-age=",
            ];
            holds(&said, &all, &[]);
            if length > 0 {
                let message = std::fs::read(&reply).map_err(|error| error.to_string())?;
                assert_eq!(message.get(7), Some(&length), "{message:?}");
            }
        }
    }
    // Its own resolver asks us for both families; the name leads to us again, and the path to nothing.
    let mut resolving = curl(&us)?;
    resolving.args([
        "--insecure",
        "--doh-url",
        &url,
        "--write-out",
        "%{http_code} from %{remote_ip}",
    ]);
    resolving.arg(format!("https://loopback.odd.example:{}/", us.at.port()));
    let before = asked(&us)?;
    let said = run(&mut resolving, 20)?;
    holds(&said, &["404 from 127.0.0.1"], &[]);
    assert_eq!(asked(&us)?, before + 2);
    Ok(())
}

fn asked(us: &Encrypted) -> Fallible<u64> {
    us.unsix.metric("unsix_queries_total{transport=\"doh\"}")
}

/// Load over a few connections: nothing is lost.
pub(crate) fn dnsperf(world: &World) -> Fallible<()> {
    let us = Encrypted::start(world, "https")?;
    for method in ["GET", "POST"] {
        loses_nothing(&us, &["-m", "doh", "-O", &format!("doh-method={method}")])?;
    }
    assert!(asked(&us)? > 1000);
    Ok(())
}

/// dnsdist forwards to us over HTTPS, and to nobody that it cannot trust.
pub(crate) fn dnsdist(world: &World) -> Fallible<()> {
    let us = Encrypted::start(world, "https")?;
    let forwarding = |name: &str| {
        let template = FORWARDING.replace("{name}", name);
        template.replace("{ca}", &us.ca.display().to_string())
    };
    forwards(&us, &Server::dnsdist(&forwarding(NAME), us.at)?, "doh")?;
    refuses(&Server::dnsdist(&forwarding("dns.other.example"), us.at)?)
}
