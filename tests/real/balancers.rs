//! Load balancers in front of us that say whose connections they bring: haproxy over TCP and TLS, dnsdist over TCP.

use crate::Fallible;
use crate::clients::{ask, holds};
use crate::encrypted::{Encrypted, NAME};
use crate::needs::find;
use crate::process::{command, run, wait_for};
use crate::servers::{Server, World, free_address};
use std::net::SocketAddr;

/// Clients differ by their address; load balancers connect from 127.0.7.0/24.
const LINES: &str = "proxy_protocol: [127.0.7.0/24]\nrules: [{preset: docker-hub, clients: [127.0.0.2]}]\n\
    access: {allow: [127.0.0.1, 127.0.0.2, 127.0.0.3, 127.0.7.0/24]}";
const GOOD: &str = "unsix_proxy_headers_total{result=\"success\"}";
const BAD: &str = "unsix_proxy_headers_total{result=\"failure\"}";

/// haproxy before both listeners, and where it hears for them, and for a server that it tells in version 1.
struct Behind {
    us: Encrypted,
    _haproxy: Server,
    clear: SocketAddr,
    tls: SocketAddr,
    text: SocketAddr,
}

impl Behind {
    fn start(world: &World) -> Fallible<Self> {
        let us = Encrypted::with(world, &["tls"], LINES)?;
        let (tls, text) = (free_address()?, free_address()?);
        let template = include_str!("config/haproxy.conf")
            .replace("{tls}", &tls.port().to_string())
            .replace("{text}", &text.port().to_string())
            .replace("{behind}", &us.at.port().to_string());
        let haproxy = Server::haproxy(&template, us.unsix.address)?;
        Ok(Self {
            clear: haproxy.address,
            _haproxy: haproxy,
            us,
            tls,
            text,
        })
    }
}

/// What kdig makes of Docker Hub's AAAA from each of these addresses: the rule is for one, one is not served.
fn differ(ask: &dyn Fn(&str) -> Fallible<String>) -> Fallible<()> {
    let ours = "registry-1.docker.io AAAA +edns -b 127.0.0";
    let all = ["NOERROR", "ANSWER: 0", "EDE: 17 (Filtered): 'docker-hub'"];
    holds(&ask(&format!("{ours}.2"))?, &all, &["2600:"]);
    holds(
        &ask(&format!("{ours}.3"))?,
        &["NOERROR", "2600:1f18:"],
        &["EDE"],
    );
    holds(
        &ask(&format!("{ours}.4"))?,
        &["REFUSED", "EDE: 18"],
        &["2600:"],
    );
    Ok(())
}

/// The rule and the access list see who is behind it; its health check is its own.
pub(crate) fn haproxy(world: &World) -> Fallible<()> {
    let all = Behind::start(world)?;
    let (us, ca) = (&all.us.unsix, all.us.ca.display());
    differ(&|words| ask("kdig", all.clear, &format!("+tcp {words}")))?;
    let tls = format!("+tls-ca={ca} +tls-hostname={NAME}");
    differ(&|words| ask("kdig", all.tls, &format!("{tls} {words}")))?;
    // To us without it, and from elsewhere: no header, the client itself.
    differ(&|words| ask("kdig", us.address, &format!("+tcp {words}")))?;
    differ(&|words| ask("kdig", all.us.at, &format!("{tls} {words}")))?;
    let (headers, queries) = (us.metric(GOOD)?, us.metric("unsix_queries_total")?);
    wait_for(10, || Ok((us.metric(GOOD)? >= headers + 3).then_some(())))?;
    let asked = us.metric("unsix_queries_total")? - queries;
    assert!(asked >= 2, "each health check asks: {asked}");
    assert_eq!(us.metric(BAD)?, 0, "{}", us.said());
    // Version 1 gets nothing, and the log says from whom it came and what to do, once.
    for _ in 0..3 {
        let refused = ask("kdig", all.text, "+tcp quay.io AAAA").expect_err("no reply");
        holds(&refused, &["WARNING"], &["ANSWER:"]);
    }
    let said = us.said();
    let words =
        "balancer=127.0.7.1 problem=\"it is of version 1: have the load balancer send version 2\"";
    assert_eq!(
        said.matches("must begin with a PROXY header").count(),
        1,
        "{said}"
    );
    holds(&said, &[words], &[]);
    // haproxy may try again for a client that it has not answered yet.
    assert!(us.metric(BAD)? >= 3);
    Ok(())
}

/// Connections that come and go, over TCP and TLS. Few at a time: haproxy may hold those that ended a while longer, and
/// they are all one client's.
pub(crate) fn load(world: &World) -> Fallible<()> {
    let all = Behind::start(world)?;
    let names =
        "registry-1.docker.io A\nregistry-1.docker.io AAAA\nquay.io AAAA\nhub.docker.com A\n";
    let questions = all.us.folder.write("questions", names)?;
    for (mode, at) in [("tcp", all.clear), ("dot", all.tls)] {
        let mut dnsperf = command(&find("dnsperf").ok_or("no dnsperf")?);
        let words = "-s 127.0.0.1 -a 127.0.0.2 -c 10 -l 2 -O num-queries-per-conn=20";
        dnsperf.args(["-m", mode]).args(words.split_whitespace());
        dnsperf.args(["-p", &at.port().to_string(), "-d"]);
        let said = run(dnsperf.arg(&questions), 60)?;
        println!("{said}");
        holds(
            &said,
            &["Queries lost:         0 (0.00%)", "NOERROR"],
            &["SERVFAIL"],
        );
    }
    let us = &all.us.unsix;
    assert!(us.metric(GOOD)? >= 40, "{}", us.metric(GOOD)?);
    assert_eq!(us.metric(BAD)?, 0, "{}", us.said());
    Ok(())
}

/// Whatever way its clients come by, dnsdist tells who they are; and asks as itself whether we are well.
pub(crate) fn dnsdist(world: &World) -> Fallible<()> {
    let us = Encrypted::with(world, &["tls"], LINES)?;
    let dnsdist = Server::dnsdist(include_str!("config/dnsdist.lua"), us.unsix.address)?;
    for way in ["+notcp", "+tcp"] {
        differ(&|words| ask("kdig", dnsdist.address, &format!("{way} {words}")))?;
    }
    assert_eq!(
        us.unsix.metric("unsix_queries_total{transport=\"udp\"}")?,
        1,
        "our own first one"
    );
    assert_eq!(us.unsix.metric(BAD)?, 0, "{}", us.unsix.said());
    Ok(())
}
