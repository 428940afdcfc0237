//! Clients that know our plain address and find the encrypted ones (RFC 9462).

use crate::Fallible;
use crate::clients::{ask, holds};
use crate::encrypted::{Encrypted, NAME};
use crate::needs::python;
use crate::process::{command, run};
use crate::servers::World;
use std::net::SocketAddr;
use std::path::Path;

const QUESTION: &str = "_dns.resolver.arpa SVCB +edns";

/// Two other implementations read the same records, and what they name is there.
pub(crate) fn shown(world: &World) -> Fallible<()> {
    let us = Encrypted::with(world, &["tls", "https", "quic"], "")?;
    let plain = us.unsix.address;
    let dot = format!(
        "1 {NAME}. alpn=dot port={} ipv4hint=127.0.0.1",
        us.at.port()
    );
    let doh = format!("2 {NAME}. alpn=h2 port=");
    let path = "ipv4hint=127.0.0.1 key7=/dns-query{?dns}";
    let doq = format!("3 {NAME}. alpn=doq port=");
    let mut port = 0;
    for program in ["kdig", "dig"] {
        for way in ["+notcp", "+tcp"] {
            let reply = ask(program, plain, &format!("{QUESTION} {way}"))?.replace('"', "");
            holds(
                &reply,
                &["NOERROR", "ANSWER: 3", &dot, &doh, path, &doq],
                &["Malformed"],
            );
            let rest = reply.split(&doh).nth(1).unwrap_or_default();
            let told = rest
                .split_whitespace()
                .next()
                .and_then(|port| port.parse().ok());
            port = told.ok_or_else(|| format!("no port in:\n{reply}"))?;
        }
    }
    let https = SocketAddr::new(plain.ip(), port);
    let words = format!(
        "+https=/dns-query +tls-ca={} +tls-hostname={NAME} registry-1.docker.io AAAA",
        us.ca.display()
    );
    holds(
        &ask("kdig", https, &words)?,
        &["(HTTP/2-POST)", "NOERROR", "ANSWER: 0"],
        &["WARNING"],
    );
    for nothing in [
        "resolver.arpa SVCB",
        "_dns.resolver.arpa A",
        "a._dns.resolver.arpa SVCB",
    ] {
        let reply = ask("kdig", plain, nothing)?;
        holds(
            &reply,
            &["NOERROR", "ANSWER: 0", "resolver.arpa.", "SOA"],
            &["dns.example"],
        );
    }
    Ok(())
}

/// From the question to a reply that came encrypted, the way verified discovery is done; its script says how.
pub(crate) fn dnspython(world: &World) -> Fallible<()> {
    let us = Encrypted::start(world, "tls")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/discovery.py");
    let mut python = command(&python().ok_or("no dnspython")?);
    python.arg("-I").arg(script);
    python.arg(us.unsix.address.port().to_string());
    run(python.arg(&us.ca), 60)?;
    assert_eq!(
        us.unsix.metric("unsix_queries_total{transport=\"dot\"}")?,
        1
    );
    Ok(())
}
