//! unbound and systemd-resolved as forwarders in front of us: they cache by our SOA, and chase CNAMEs on their own.

use crate::Fallible;
use crate::clients::{ask, holds};
use crate::servers::{Server, Unsix, World};
use std::thread::sleep;
use std::time::Duration;

const FORWARDING: &str = include_str!("config/forwarding.conf");

/// Short enough that a test can wait for its end.
const TWO_SECONDS: &str = "rules: [{preset: docker-hub, negative_ttl: 2s}]";

/// Where the listed names' chains end.
const TARGET: &str = "prodextdefblue-1.us-east-1.elb.amazonaws.com";

/// The NODATA that we made is kept for its TTL and not asked for meanwhile; then it is.
pub(crate) fn nodata_is_cached(world: &World) -> Fallible<()> {
    let unsix = Unsix::start(world.resolver()?, TWO_SECONDS)?;
    let unbound = Server::unbound(FORWARDING, unsix.address)?;
    kept_for_its_ttl(&unsix, &unbound)
}

fn kept_for_its_ttl(unsix: &Unsix, client: &Server) -> Fallible<()> {
    let stripped =
        || unsix.metric("unsix_rule_replies_total{rule=\"docker-hub\",effect=\"changed\"}");
    let look = || -> Fallible<()> {
        let reply = ask("kdig", client.address, "registry-1.docker.io AAAA")?;
        let nodata = ["NOERROR", "ANSWER: 0", "AUTHORITY: 1", "SOA"];
        holds(&reply, &nodata, &["2600:"]);
        Ok(())
    };
    look()?;
    assert_eq!(stripped()?, 1, "the first question reaches us");
    let heard = unsix.metric("unsix_queries_total")?;
    for _ in 0..5 {
        look()?;
    }
    let now = unsix.metric("unsix_queries_total")?;
    assert_eq!(now, heard, "the client keeps what we said");
    // Clients count whole seconds.
    sleep(Duration::from_millis(3100));
    look()?;
    assert_eq!(stripped()?, 2, "for its TTL, and no longer");
    // Nothing of the kind happens to who is not listed.
    let reply = ask("kdig", client.address, "quay.io AAAA")?;
    holds(
        &reply,
        &["ANSWER: 3", "2600:1f18:483:cf00:c1d0:1a64:d3a7:6da1"],
        &[],
    );
    Ok(())
}

/// Chasers ask for the CNAME's target by its own name, which is in no rule.
pub(crate) fn chain_is_chased(world: &World) -> Fallible<()> {
    let unsix = Unsix::start(world.resolver()?, TWO_SECONDS)?;
    let unbound = Server::unbound(FORWARDING, unsix.address)?;
    // Before a touched chain led here, the name is like any other.
    let reply = ask("kdig", unsix.address, &format!("{TARGET} AAAA"))?;
    holds(
        &reply,
        &["ANSWER: 1", "2600:1f18:2148:bc01:571f:e759:a87a:2961"],
        &[],
    );
    no_ipv6_along_chains(&unbound)
}

fn no_ipv6_along_chains(client: &Server) -> Fallible<()> {
    for listed in ["hub.docker.com", "index.docker.io"] {
        let reply = ask("kdig", client.address, &format!("{listed} AAAA"))?;
        holds(&reply, &["NOERROR", TARGET], &["2600:"]);
        let reply = ask("kdig", client.address, &format!("{listed} A"))?;
        holds(&reply, &["ANSWER: 4", "44.193.57.117"], &[]);
    }
    let reply = ask("kdig", client.address, &format!("{TARGET} AAAA"))?;
    holds(&reply, &["NOERROR", "ANSWER: 0"], &["2600:"]);
    let reply = ask("kdig", client.address, "cdn01.quay.io AAAA")?;
    holds(
        &reply,
        &["ANSWER: 3", "2600:9000:2250:2200:1c:9a41:7a00:93a1"],
        &[],
    );
    Ok(())
}

/// The same with the forwarder that most desktops and many nodes have.
pub(crate) fn resolved(world: &World) -> Fallible<()> {
    let unsix = Unsix::start(world.resolver()?, TWO_SECONDS)?;
    let resolved = Server::resolved(unsix.address)?;
    kept_for_its_ttl(&unsix, &resolved)?;
    no_ipv6_along_chains(&resolved)
}
