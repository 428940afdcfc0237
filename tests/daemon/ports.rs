//! Whether a stranger could guess what an answer must match (RFC 5452).

use super::client::Client;
use super::upstream::Upstream;
use super::{start, wire};
use std::collections::HashSet;

/// Sees 200 queries to this upstream, which is to be asked from at least so many ports.
pub(crate) fn guess_ports_and_ids(upstream: &Upstream, least: usize) {
    let daemon = start(&format!("upstreams: [\"{}\"]\n", upstream.address));
    let client = Client::of(daemon.addresses()[0]);
    for number in 0..200 {
        let name = format!("n{number}.example");
        client.ask(&wire::query(number, &name, wire::A));
    }
    let asked = upstream.asked_below(".example.");
    assert_eq!(asked.len(), 200);
    let ports: HashSet<u16> = asked.iter().map(|asked| asked.peer.port()).collect();
    assert!(ports.len() >= least, "{} ports", ports.len());
    let ids: Vec<u16> = asked
        .iter()
        .map(|asked| wire::id_of(&asked.packet))
        .collect();
    assert!(ids.iter().collect::<HashSet<_>>().len() >= 195);
    let distance = |one: u16, other: u16| one.wrapping_sub(other).min(other.wrapping_sub(one));
    let near = ids
        .windows(2)
        .filter(|pair| distance(pair[0], pair[1]) < 256);
    assert!(near.count() <= 10, "{ids:?}");
    let clients = ids.iter().filter(|id| **id < 200).count();
    assert!(clients <= 5, "not the clients' own: {ids:?}");
}
