//! DNS over TLS as kdig, openssl, dnsperf, unbound, stubby and systemd-resolved speak it to us.

use crate::Fallible;
use crate::authority::Authority;
use crate::clients::{ask, holds};
use crate::needs::find;
use crate::process::{Folder, command, run};
use crate::servers::{Server, Unsix, World};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub(crate) const NAME: &str = "dns.example";
const FORWARDING: &str = include_str!("config/forwarding.conf");
const STUBBY: &str = include_str!("config/stubby.yml");

/// unsix with a listener of one scheme, and the file by which clients trust it.
pub(crate) struct Encrypted {
    pub(crate) unsix: Unsix,
    pub(crate) at: SocketAddr,
    pub(crate) ca: PathBuf,
    pub(crate) folder: Folder,
}

impl Encrypted {
    pub(crate) fn start(world: &World, scheme: &str) -> Fallible<Self> {
        Self::with(world, &[scheme], "")
    }

    /// With a listener of each scheme, of which the first is meant, and these lines in its file. Its certificate is
    /// for its address too.
    pub(crate) fn with(world: &World, schemes: &[&str], lines: &str) -> Fallible<Self> {
        let (folder, authority) = (Folder::new()?, Authority::new());
        let (certificate, key) = authority.issue(&[NAME, "127.0.0.1"]);
        let certificate = folder.write("cert.pem", &certificate)?;
        let key = folder.write("key.pem", &key)?;
        let tls = format!(
            "tls: {{certificate: {}, key: {}, name: {NAME}}}\n{lines}",
            certificate.display(),
            key.display()
        );
        let program = command(Path::new(env!("CARGO_BIN_EXE_unsix")));
        let others = schemes
            .iter()
            .map(|scheme| format!("{scheme}://127.0.0.1:0"));
        let listen: Vec<String> = ["127.0.0.1:0".to_owned()]
            .into_iter()
            .chain(others)
            .collect();
        let listen = listen.join("\", \"");
        let unsix = Unsix::start_as(program, &listen, world.resolver()?, &tls)?;
        let said = unsix.said();
        let scheme = schemes.first().ok_or("no scheme")?;
        let at = said.split(&format!("listening address={scheme}://")).nth(1);
        let at = at.and_then(|rest| rest.split(['/', '\n']).next()?.trim().parse().ok());
        Ok(Self {
            unsix,
            at: at.ok_or_else(|| format!("where is {scheme}?\n{said}"))?,
            ca: folder.write("ca.pem", &authority.pem)?,
            folder,
        })
    }
}

/// Strict by CA and name, many questions on one connection, padded both ways.
pub(crate) fn kdig(world: &World) -> Fallible<()> {
    let us = Encrypted::start(world, "tls")?;
    let trusting = |name: &str, words: &str| {
        let ca = us.ca.display();
        ask(
            "kdig",
            us.at,
            &format!("+tls-ca={ca} +tls-hostname={name} {words}"),
        )
    };
    let reply = trusting(NAME, "registry-1.docker.io AAAA")?;
    let all = [
        "(TLS",
        "NOERROR",
        "ANSWER: 0",
        "EDE: 17 (Filtered): 'docker-hub'",
        "PADDING",
    ];
    holds(&reply, &all, &["WARNING", "2600:"]);
    let many = "+keepopen registry-1.docker.io A quay.io AAAA big.odd.example TXT";
    let all = [
        "ANSWER: 3",
        "44.208.254.194",
        "2600:1f18:483:",
        "ANSWER: 16",
        "(TLS",
    ];
    holds(&trusting(NAME, many)?, &all, &["WARNING"]);
    let queries = us.unsix.metric("unsix_queries_total{transport=\"dot\"}")?;
    assert_eq!(queries, 4);
    let refused = trusting("dns.other.example", "quay.io AAAA").expect_err("it is refused");
    holds(&refused, &["WARNING"], &["ANSWER:"]);
    let stranger = us.folder.write("other.pem", &Authority::new().pem)?;
    let words = format!(
        "+tls-ca={} +tls-hostname={NAME} quay.io AAAA",
        stranger.display()
    );
    let refused = ask("kdig", us.at, &words).expect_err("it is refused");
    holds(&refused, &["WARNING"], &["ANSWER:"]);
    assert_eq!(
        us.unsix.metric("unsix_queries_total{transport=\"dot\"}")?,
        4
    );
    Ok(())
}

/// Versions and protocols as another library sees them.
pub(crate) fn openssl(world: &World) -> Fallible<()> {
    let us = Encrypted::start(world, "tls")?;
    let connect = |words: &str| {
        let mut openssl = command(&find("openssl").ok_or("no openssl")?);
        openssl.args(["s_client", "-connect", &us.at.to_string(), "-CAfile"]);
        openssl.arg(&us.ca);
        openssl.args(["-verify_return_error", "-verify_hostname"]);
        run(openssl.args(words.split_whitespace()), 20)
    };
    for version in ["-tls1_2", "-tls1_3"] {
        let said = connect(&format!("{NAME} {version} -alpn dot"))?;
        let all = [
            "Verification: OK",
            "ALPN protocol: dot",
            "Verified peername: dns.example",
        ];
        holds(&said, &all, &["Max Early Data: 1"]);
        holds(
            &connect(&format!("{NAME} {version}"))?,
            &["Verification: OK"],
            &[],
        );
    }
    let said = connect("dns.other.example -tls1_3").expect_err("it is refused");
    holds(&said, &["hostname mismatch"], &[]);
    let said =
        connect(&format!("{NAME} -tls1_1 -cipher DEFAULT@SECLEVEL=0")).expect_err("it is refused");
    holds(&said, &["alert", "Cipher is (NONE)"], &[]);
    Ok(())
}

/// Load over a few connections: nothing is lost.
pub(crate) fn dnsperf(world: &World) -> Fallible<()> {
    let us = Encrypted::start(world, "tls")?;
    loses_nothing(&us, &["-m", "dot"])
}

/// Load of dnsperf's over 8 connections.
pub(crate) fn loses_nothing(us: &Encrypted, options: &[&str]) -> Fallible<()> {
    let names =
        "registry-1.docker.io A\nregistry-1.docker.io AAAA\nquay.io AAAA\nhub.docker.com A\n";
    let questions = us.folder.write("questions", names)?;
    let mut dnsperf = command(&find("dnsperf").ok_or("no dnsperf")?);
    dnsperf.args(["-s", "127.0.0.1", "-c", "8", "-l", "2", "-p"]);
    dnsperf
        .arg(us.at.port().to_string())
        .arg("-d")
        .arg(questions)
        .args(options);
    let said = run(&mut dnsperf, 30)?;
    println!("{said}");
    holds(
        &said,
        &["Queries lost:         0 (0.00%)", "NOERROR"],
        &["SERVFAIL"],
    );
    Ok(())
}

/// unbound forwards to us over TLS, and to nobody that it cannot trust.
pub(crate) fn unbound(world: &World) -> Fallible<()> {
    let us = Encrypted::start(world, "tls")?;
    let forwarding = |name: &str| {
        let ca = format!("server:\n    tls-cert-bundle: \"{}\"", us.ca.display());
        let template = FORWARDING.replace("{upstream}", &format!("{{upstream}}#{name}"));
        template.replacen("server:", &ca, 1) + "\n    forward-tls-upstream: yes\n"
    };
    forwards(&us, &Server::unbound(&forwarding(NAME), us.at)?, "dot")?;
    refuses(&Server::unbound(&forwarding("dns.other.example"), us.at)?)
}

/// The stub resolver that is made for it.
pub(crate) fn stubby(world: &World) -> Fallible<()> {
    let us = Encrypted::start(world, "tls")?;
    let configured = |name: &str| {
        let ca = us.ca.display().to_string();
        STUBBY.replace("{ca}", &ca).replace("{name}", name)
    };
    forwards(&us, &Server::stubby(&configured(NAME), us.at)?, "dot")?;
    refuses(&Server::stubby(&configured("dns.other.example"), us.at)?)
}

/// The stub resolver of most desktops and many nodes, strict.
pub(crate) fn resolved(world: &World) -> Fallible<()> {
    let us = Encrypted::start(world, "tls")?;
    forwards(&us, &Server::resolved_over_tls(us.at, NAME, &us.ca)?, "dot")
}

/// It trusts us not, and asks nobody.
pub(crate) fn refuses(client: &Server) -> Fallible<()> {
    let reply = ask("kdig", client.address, "quay.io A")?;
    holds(&reply, &["SERVFAIL"], &["34.", "ANSWER: 1"]);
    Ok(())
}

/// What a client of theirs gets is what a client of ours would, and came to us over that transport alone.
pub(crate) fn forwards(us: &Encrypted, client: &Server, over: &str) -> Fallible<()> {
    let reply = ask("kdig", client.address, "registry-1.docker.io A")?;
    holds(&reply, &["NOERROR", "44.208.254.194"], &[]);
    let reply = ask("kdig", client.address, "registry-1.docker.io AAAA")?;
    holds(&reply, &["NOERROR", "ANSWER: 0"], &["2600:"]);
    let asked = |transport: &str| {
        let sample = format!("unsix_queries_total{{transport=\"{transport}\"}}");
        us.unsix.metric(&sample)
    };
    let secret = asked(over)?;
    assert!(secret >= 2, "{secret}");
    // By one question of its own it sees that it is ready.
    let clear = asked("udp")? + asked("tcp")?;
    assert!(clear <= 1, "{clear}");
    Ok(())
}
