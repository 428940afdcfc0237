//! The few rules between options: what each alone may say, but not all together.
//!
//! They read the tree, not the decoded options, so that they are reported beside every other
//! problem and know where the fault stands. What cannot be read is left to `check`.

use super::Problem;
use super::addresses::Upstream;
use super::listen::{Listen, leads_to};
use super::names::Zone;
use super::options::{Cache, Options, Probe};
use super::resolve::default_name;
use super::tree::{Node, Value};
use super::values::{Span, quoted};
use std::collections::HashMap;
use std::str::FromStr;

/// Every rule between options that the file breaks.
pub(super) fn between_options(root: &Node) -> Vec<Problem> {
    let mut found = loops(root);
    found.extend(unresolved_names(root));
    found.extend(admin_port(root));
    found.extend(encrypted_listeners(root));
    found.extend(shared_zones(root));
    found.extend(powerless_rules(root));
    found.extend(shared_names(root));
    found.extend(cache_times(root));
    found.extend(probe_times(root));
    found
}

/// An upstream that is ourselves would send every query round and round.
fn loops(root: &Node) -> Vec<Problem> {
    let ours = listeners(root);
    of_upstreams(root, |upstream| {
        let listen = ours.iter().find(|listen| leads_to(&upstream.0, listen))?;
        Some(format!(
            "{upstream} is our own listen address {listen}: a loop"
        ))
    })
}

/// We cannot resolve the name of a server by asking that server.
fn unresolved_names(root: &Node) -> Vec<Problem> {
    if !list(root, "bootstrap").is_empty() {
        return Vec::new();
    }
    of_upstreams(root, |upstream| {
        upstream.0.ip().is_none().then(|| {
            format!(
                "{upstream} has a name for an address, and nobody resolves it: write \"bootstrap\" \
                 with plain name servers, as bootstrap: [192.0.2.53]"
            )
        })
    })
}

/// What is wrong with upstreams, those of routes too.
fn of_upstreams(root: &Node, wrong: impl Fn(&Upstream) -> Option<String>) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut look = |servers: &[Node], place: &str| {
        for (index, server) in servers.iter().enumerate() {
            if let Some(text) = read(server).and_then(|upstream| wrong(&upstream)) {
                found.push(server.problem(&format!("{place}[{index}]"), text));
            }
        }
    };
    look(list(root, "upstreams"), "upstreams");
    for (index, route) in list(root, "routes").iter().enumerate() {
        look(
            list(route, "upstreams"),
            &format!("routes[{index}].upstreams"),
        );
    }
    found
}

/// DNS over TCP and HTTP cannot share a port.
fn admin_port(root: &Node) -> Option<Problem> {
    let node = root.get("admin")?.get("listen")?;
    let admin = read::<Listen>(node)?;
    let address = admin.address();
    if admin.encrypted().is_some() {
        let text =
            format!("{admin}: the admin page speaks HTTP in clear text: write \"{address}\"");
        return Some(node.problem("admin.listen", text));
    }
    let taken = |listen: &Listen| listen.collides(&admin).is_some();
    listeners(root).iter().any(taken).then(|| {
        node.problem(
            "admin.listen",
            format!("{admin} is an address of \"listen\" already"),
        )
    })
}

/// What clients meet there must be told, the port must be free, and we must be able to ask ourselves.
fn encrypted_listeners(root: &Node) -> Vec<Problem> {
    let Some(node) = root.get("listen") else {
        return Vec::new();
    };
    let all = listeners(root);
    let mut found = Vec::new();
    for (index, item) in node.items().iter().enumerate() {
        let Some(listen) = read::<Listen>(item).filter(|listen| listen.encrypted().is_some())
        else {
            continue;
        };
        let place = format!("listen[{index}]");
        if root.get("tls").is_none() {
            let text = "needs a certificate: write tls: {certificate: cert.pem, key: key.pem}";
            found.push(item.problem(&place, text));
        }
        // Of two such the later is the one that is too much, whatever stands where.
        let mut others = node
            .items()
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index);
        let protocol = others.find_map(|(other, item)| {
            let other_one = read::<Listen>(item)?;
            let is_first = other_one.encrypted().is_none() || other < index;
            listen
                .collides(&other_one)
                .filter(|_| is_first && other_one != listen)
        });
        if let Some(protocol) = protocol {
            let address = listen.address();
            let text = format!("{address} is heard over {protocol} already: take another port");
            found.push(item.problem(&place, text));
        }
    }
    if !all.is_empty() && all.iter().all(|listen| listen.encrypted().is_some()) {
        let text = "has no plain address, and by one unsix sees whether it is well: add \"127.0.0.1:5300\"";
        found.push(node.problem("listen", text));
    }
    found
}

/// A name must have one way to go.
fn shared_zones(root: &Node) -> Vec<Problem> {
    let mut routes = HashMap::new();
    let mut found = Vec::new();
    for (route, node) in list(root, "routes").iter().enumerate() {
        for (index, item) in list(node, "zones").iter().enumerate() {
            let Some(zone) = read::<Zone>(item) else {
                continue;
            };
            // Two of one route are a double that `check` reports.
            if let Some(other) = routes
                .insert(zone.to_string(), route)
                .filter(|other| *other != route)
            {
                let place = format!("routes[{route}].zones[{index}]");
                found.push(item.problem(&place, format!("{zone} stands in routes[{other}] too")));
            }
        }
    }
    found
}

/// A rule must say what it is about.
fn powerless_rules(root: &Node) -> Vec<Problem> {
    list(root, "rules")
        .iter()
        .enumerate()
        .filter(|(_, rule)| matches!(rule.value, Value::Mapping(_)))
        .filter(|(_, rule)| {
            ["preset", "hosts", "addresses"]
                .iter()
                .all(|key| rule.get(key).is_none())
        })
        .map(|(index, rule)| {
            rule.problem(
                &format!("rules[{index}]"),
                "names nothing: write \"preset\", \"hosts\" or \"addresses\"",
            )
        })
        .collect()
}

/// Metrics and replies name the rule, so a name must lead to one rule.
fn shared_names(root: &Node) -> Vec<Problem> {
    let mut rules = HashMap::new();
    let mut found = Vec::new();
    for (index, rule) in list(root, "rules").iter().enumerate() {
        let written = rule.get("name");
        let name = match (written, rule.get("preset")) {
            (Some(name), _) => name.text().map(str::to_owned),
            (None, Some(preset)) => preset.text().map(str::to_owned),
            (None, None) => Some(default_name(None, index)),
        };
        let Some(name) = name else { continue };
        if let Some(other) = rules.insert(name.clone(), index) {
            let (node, place) = match written {
                Some(node) => (node, format!("rules[{index}].name")),
                None => (rule, format!("rules[{index}]")),
            };
            let text = format!(
                "is called {} as rules[{other}] is: give it a \"name\" of its own",
                quoted(&name)
            );
            found.push(node.problem(&place, text));
        }
    }
    found
}

fn cache_times(root: &Node) -> Option<Problem> {
    let default = Cache::default();
    in_order(
        (root, "cache"),
        ("min_ttl", default.min_ttl),
        ("max_ttl", default.max_ttl),
    )
}

/// The next probe of a host must not begin before the last one has its result.
fn probe_times(root: &Node) -> Option<Problem> {
    let default = Probe::default();
    in_order(
        (root, "probe"),
        ("timeout", default.timeout),
        ("interval", default.interval),
    )
}

/// Two times of a section, one of which must not be less than the other.
fn in_order(
    (root, section): (&Node, &str),
    (lesser, least): (&str, Span),
    (greater, most): (&str, Span),
) -> Option<Problem> {
    let node = root.get(section)?;
    let time = |key: &str, default: Span| match node.get(key) {
        Some(node) => read::<Span>(node),
        None => Some(default),
    };
    let (least, most) = (time(lesser, least)?, time(greater, most)?);
    let node = node.get(greater).or_else(|| node.get(lesser))?;
    (most < least).then(|| {
        node.problem(
            &format!("{section}.{greater}"),
            format!("{most} is less than {lesser}, {least}"),
        )
    })
}

/// The addresses we hear on, written or by default.
fn listeners(root: &Node) -> Vec<Listen> {
    match root.get("listen") {
        Some(node) => node.items().iter().filter_map(read).collect(),
        None => Options::default().listen,
    }
}

fn list<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    node.get(key).map_or(&[], Node::items)
}

fn read<T: FromStr>(node: &Node) -> Option<T> {
    node.text()?.parse().ok()
}
