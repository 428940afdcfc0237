//! unbound as a forwarder in front of us: it caches by our SOA, and chases CNAMEs on its own.

use crate::Fallible;
use crate::clients::{ask, holds};
use crate::servers::{Server, Unsix, World};
use std::thread::sleep;
use std::time::Duration;

const FORWARDING: &str = include_str!("config/forwarding.conf");

/// Short enough that a test can wait for its end.
const TWO_SECONDS: &str = "rules: [{preset: docker-hub, negative_ttl: 2s}]";

/// The NODATA that we made is kept for its TTL and not asked for meanwhile; then it is.
pub(crate) fn nodata_is_cached(world: &World) -> Fallible<()> {
    let unsix = Unsix::start(world.resolver()?, TWO_SECONDS)?;
    let unbound = Server::unbound(FORWARDING, unsix.address)?;
    let stripped =
        || unsix.metric("unsix_rule_replies_total{rule=\"docker-hub\",effect=\"changed\"}");
    let look = || -> Fallible<()> {
        let reply = ask("kdig", unbound.address, "registry-1.docker.io AAAA")?;
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
    assert_eq!(
        unsix.metric("unsix_queries_total")?,
        heard,
        "unbound keeps what we said"
    );
    // unbound counts whole seconds.
    sleep(Duration::from_millis(3100));
    look()?;
    assert_eq!(stripped()?, 2, "for its TTL, and no longer");
    // Nothing of the kind happens to who is not listed.
    let reply = ask("kdig", unbound.address, "quay.io AAAA")?;
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
    let target = "prodextdefblue-1.us-east-1.elb.amazonaws.com";
    // Before a touched chain led here, the name is like any other.
    let reply = ask("kdig", unsix.address, &format!("{target} AAAA"))?;
    holds(
        &reply,
        &["ANSWER: 1", "2600:1f18:2148:bc01:571f:e759:a87a:2961"],
        &[],
    );
    for listed in ["hub.docker.com", "index.docker.io"] {
        let reply = ask("kdig", unbound.address, &format!("{listed} AAAA"))?;
        holds(&reply, &["NOERROR", target], &["2600:"]);
        let reply = ask("kdig", unbound.address, &format!("{listed} A"))?;
        holds(&reply, &["ANSWER: 4", "44.193.57.117"], &[]);
    }
    let reply = ask("kdig", unbound.address, &format!("{target} AAAA"))?;
    holds(&reply, &["NOERROR", "ANSWER: 0"], &["2600:"]);
    let reply = ask("kdig", unbound.address, "cdn01.quay.io AAAA")?;
    holds(
        &reply,
        &["ANSWER: 3", "2600:9000:2250:2200:1c:9a41:7a00:93a1"],
        &[],
    );
    Ok(())
}
