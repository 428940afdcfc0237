//! DNS over QUIC as kdig, dnspython and aioquic speak it to us: two libraries that are not ours.

use crate::Fallible;
use crate::clients::{ask, holds};
use crate::encrypted::{Encrypted, NAME};
use crate::needs::find;
use crate::process::{command, run};
use crate::servers::World;
use std::path::Path;

/// By ngtcp2: strict by CA and name, many questions on one connection, padded both ways.
pub(crate) fn kdig(world: &World) -> Fallible<()> {
    let us = Encrypted::start(world, "quic")?;
    let ca = us.ca.display().to_string();
    let trusting = |name: &str, words: &str| {
        let words = format!("+tls-ca={ca} +tls-hostname={name} +quic {words}");
        ask("kdig", us.at, &words)
    };
    let reply = trusting(NAME, "registry-1.docker.io AAAA")?;
    let all = [
        "QUIC session (QUICv1)",
        "id: 0",
        "NOERROR",
        "ANSWER: 0",
        "EDE: 17 (Filtered): 'docker-hub'",
        "PADDING",
        "Received 468 B",
    ];
    holds(&reply, &all, &["WARNING", "2600:"]);
    let many = "+keepopen registry-1.docker.io A quay.io AAAA big.odd.example TXT";
    let all = [
        "ANSWER: 3",
        "44.208.254.194",
        "2600:1f18:483:",
        "ANSWER: 16",
    ];
    holds(&trusting(NAME, many)?, &all, &["WARNING"]);
    assert_eq!(us.unsix.metric(QUERIES)?, 4);
    let refused = trusting("dns.other.example", "quay.io AAAA").expect_err("it is refused");
    holds(&refused, &[], &["ANSWER:"]);
    assert_eq!(us.unsix.metric(QUERIES)?, 4);
    Ok(())
}

/// By aioquic: the same, 1,000 queries on one connection, and what no client should do.
pub(crate) fn aioquic(world: &World) -> Fallible<()> {
    let us = Encrypted::start(world, "quic")?;
    let mut python = command(&find("aioquic-python").ok_or("no aioquic-python")?);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/quic.py");
    python.arg("-I").arg(script).arg(us.at.port().to_string());
    let said = run(python.arg(&us.ca).arg(NAME), 60)?;
    println!("{said}");
    let all = [
        "registry-1.docker.io AAAA NOERROR id 0 records 0",
        "registry-1.docker.io A NOERROR id 0 records 3",
        "44.208.254.194",
        "2600:1f18:483:",
        "big.odd.example TXT NOERROR id 0 records 16",
        "padded to 468",
        "on one connection 1000",
        "another name is refused",
        "after new keys and another id 2",
        "resumed True early data None answered True",
        // STREAM_LIMIT_ERROR (RFC 9000 §20.1).
        "a one-way stream ends by 4",
        // DOQ_PROTOCOL_ERROR
        "an id ends by 2 the message id of a query is not 0",
    ];
    holds(&said, &all, &["Traceback"]);
    assert_eq!(us.unsix.metric(QUERIES)?, 1008);
    Ok(())
}

const QUERIES: &str = "unsix_queries_total{transport=\"doq\"}";
