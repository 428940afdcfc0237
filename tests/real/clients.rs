//! Clients that ask us directly, and what each makes of our replies.

use crate::Fallible;
use crate::namespace;
use crate::needs::{find, python};
use crate::process::{Folder, command, run};
use crate::servers::{Unsix, World};
use std::net::SocketAddr;
use std::path::Path;

/// Asks with `kdig` or `dig`: `words` are the question and options, as one would type them.
pub(crate) fn ask(program: &str, server: SocketAddr, words: &str) -> Fallible<String> {
    let found = find(program).ok_or_else(|| format!("no {program}"))?;
    let mut client = command(&found);
    client.arg(format!("@{}", server.ip()));
    client.args(["-p", &server.port().to_string(), "+timeout=5", "+retry=0"]);
    run(client.args(words.split_whitespace()), 20)
}

/// A reply as kdig prints it holds all of these words, and none of those.
#[track_caller]
pub(crate) fn holds(reply: &str, all: &[&str], none: &[&str]) {
    for word in all {
        assert!(reply.contains(word), "`{word}` is missing from:\n{reply}");
    }
    for word in none {
        assert!(!reply.contains(word), "`{word}` is in:\n{reply}");
    }
}

/// IPv6 addresses and hints of Docker Hub are gone; its IPv4 and all of quay.io are there.
pub(crate) fn kdig_sees_the_rule(world: &World) -> Fallible<()> {
    let unsix = Unsix::start(world.resolver()?, "")?;
    let nodata: &[&str] = &["NOERROR", "ANSWER: 0", "AUTHORITY: 1", "SOA"];
    #[rustfmt::skip]
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("registry-1.docker.io AAAA", nodata, &["2600:"]),
        ("registry-1.docker.io A", &["ANSWER: 3", "44.208.254.194", "98.85.153.80", "3.94.224.37"], &[]),
        ("auth.docker.io AAAA", nodata, &["2600:"]),
        ("hub.docker.com AAAA", &["NOERROR", "ANSWER: 2", "elb-default.us-east-1.aws.dckr.io.", "AUTHORITY: 1", "SOA"], &["2600:"]),
        ("hub.docker.com A", &["ANSWER: 4", "44.193.57.117"], &[]),
        ("production.cloudflare.docker.com HTTPS", &["ANSWER: 1", "alpn=h3,h2", "ipv4hint=104.18.121.25,172.64.66.1"], &["ipv6hint", "2606:"]),
        ("docker.io MX", &["ANSWER: 1", "mail.docker.io."], &["2600:"]),
        ("six-only.docker.io AAAA", &["ANSWER: 1", "2600:1f18:2148:bc03::6"], &[]),
        ("nobody.docker.io AAAA", &["NXDOMAIN", "ns-1168.awsdns-18.org."], &[]),
        ("quay.io AAAA", &["ANSWER: 3", "2600:1f18:483:cf00:c1d0:1a64:d3a7:6da1"], &[]),
        ("quay.io HTTPS", &["ANSWER: 1", "ipv6hint=2600:1f18:483:cf00:c1d0:1a64:d3a7:6da1"], &[]),
        ("cdn01.quay.io AAAA", &["ANSWER: 3", "d3uo42mtx6z2cr.cloudfront.net.", "2600:9000:2250:2200:1c:9a41:7a00:93a1"], &[]),
    ];
    for (words, all, none) in cases {
        for way in ["+notcp", "+tcp"] {
            let reply = ask("kdig", unsix.address, &format!("{words} {way}"))?;
            holds(&reply, all, none);
        }
    }
    // Glue comes only from who has it: knot, not unbound.
    let unsix = Unsix::start(world.knot()?, "")?;
    let reply = ask("kdig", unsix.address, "docker.io MX")?;
    holds(&reply, &["ADDITIONAL: 1", "198.51.100.25"], &["AAAA"]);
    let reply = ask("kdig", unsix.address, "quay.io MX")?;
    let both = ["ADDITIONAL: 4", "198.51.100.26", "2600:1f18:483:cf03::26"];
    holds(&reply, &both, &[]);
    Ok(())
}

/// The same question in every way that kdig can put it.
pub(crate) fn kdig_varies(world: &World) -> Fallible<()> {
    let unsix = Unsix::start(world.resolver()?, "")?;
    let at = unsix.address;
    #[rustfmt::skip]
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("registry-1.docker.io AAAA +noedns", &["NOERROR", "ANSWER: 0"], &["EDE", "EDNS"]),
        ("registry-1.docker.io AAAA +edns", &["NOERROR", "ANSWER: 0", "EDE: 17 (Filtered): 'docker-hub'"], &[]),
        ("registry-1.docker.io AAAA +dnssec", &["NOERROR", "ANSWER: 0", "EDE: 17"], &["Flags: qr aa", " ad"]),
        ("registry-1.docker.io AAAA +cdflag", &["Flags: qr rd ra cd;"], &[]),
        ("quay.io AAAA +padding +cookie +nsid", &["ANSWER: 3"], &["PADDING", "COOKIE", "NSID"]),
        ("quay.io AAAA +edns=1", &["BADVERS"], &["2600:"]),
        ("quay.io CH A", &["REFUSED"], &[]),
        ("big.odd.example TXT +bufsize=512 +ignore", &["Flags: qr tc rd ra;"], &["ANSWER: 16"]),
        ("big.odd.example TXT +bufsize=512", &["ANSWER: 16", "(TCP)", "15pppp"], &[" tc "]),
        ("big.odd.example TXT +noedns", &["ANSWER: 16", "(TCP)"], &[" tc "]),
    ];
    for (words, all, none) in cases {
        holds(&ask("kdig", at, words)?, all, none);
    }
    let connection = "+tcp +keepopen registry-1.docker.io AAAA quay.io AAAA big.odd.example TXT";
    let all = ["ANSWER: 0", "ANSWER: 3", "ANSWER: 16", "(TCP)"];
    let reply = ask("kdig", at, connection)?;
    holds(&reply, &all, &["WARNING", "2600:1f18:2148"]);
    assert_eq!(unsix.metric("unsix_stream_refused_total")?, 0);
    Ok(())
}

/// The extended error names the rule.
pub(crate) fn dig_is_told_why(world: &World) -> Fallible<()> {
    let unsix = Unsix::start(world.resolver()?, "")?;
    let reply = ask("dig", unsix.address, "registry-1.docker.io AAAA")?;
    let why = "EDE: 17 (Filtered): (docker-hub)";
    let doubts = ["WARNING", "Warning", "Malformed", "extra"];
    holds(&reply, &["status: NOERROR", "ANSWER: 0", why], &doubts);
    let reply = ask("dig", unsix.address, "QuAy.iO AAAA")?;
    holds(&reply, &["ANSWER: 3", ";QuAy.iO."], &["EDE", "WARNING"]);
    let reply = ask("dig", unsix.address, "quay.io AAAA +opcode=NOTIFY")?;
    holds(&reply, &["opcode: NOTIFY, status: NOTIMP"], &["2600:"]);
    Ok(())
}

/// dnspython reads every reply strictly; its script says what it looks at.
pub(crate) fn dnspython(world: &World) -> Fallible<()> {
    let unsix = Unsix::start(world.resolver()?, "")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/dnspython.py");
    let mut python = command(&python().ok_or("no dnspython")?);
    // No compiled file is left beside the script, nor is a user's own module loaded.
    python.arg("-I").arg(script);
    run(python.arg(unsix.address.port().to_string()), 60)?;
    Ok(())
}

/// What every program on the host gets that asks the system.
pub(crate) fn glibc(world: &World) -> Fallible<()> {
    let getent = find("getent").ok_or("no getent")?;
    families(world, &|name| {
        run(command(&getent).args(["ahosts", name]), 20)
    })
}

/// What k3s' containerd gets: a static program with musl's resolver, which asks for both families at once.
pub(crate) fn musl(world: &World) -> Fallible<()> {
    let folder = Folder::new()?;
    let program = folder.path().join("getaddrinfo");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/getaddrinfo.c");
    let mut compiler = command(&find("musl-gcc").ok_or("no musl-gcc")?);
    run(
        compiler.arg("-static").arg("-o").arg(&program).arg(source),
        60,
    )?;
    families(world, &|name| run(command(&program).arg(name), 20))
}

/// IPv4 alone for what the rule lists, CNAMEs included; both families for everyone else.
fn families(world: &World, look_up: &dyn Fn(&str) -> Fallible<String>) -> Fallible<()> {
    let _unsix = Unsix::start_on(namespace::LISTEN, world.resolver()?)?;
    // The second round comes from the cache.
    for _ in 0..2 {
        let no_ipv6 = &["2600:", "2606:", "::"];
        holds(
            &look_up("registry-1.docker.io")?,
            &["44.208.254.194"],
            no_ipv6,
        );
        holds(&look_up("hub.docker.com")?, &["44.193.57.117"], no_ipv6);
        holds(
            &look_up("production.cloudflare.docker.com")?,
            &["172.64.66.1"],
            no_ipv6,
        );
        holds(
            &look_up("six-only.docker.io")?,
            &["2600:1f18:2148:bc03::6"],
            &[],
        );
        let both = ["3.216.152.103", "2600:1f18:483:cf00:c1d0:1a64:d3a7:6da1"];
        holds(&look_up("quay.io")?, &both, &[]);
        let both = ["18.160.10.22", "2600:9000:2250:2200:1c:9a41:7a00:93a1"];
        holds(&look_up("cdn01.quay.io")?, &both, &[]);
    }
    Ok(())
}
