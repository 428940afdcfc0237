//! The server block in its three forms, and the one that does without us.

use crate::tree::{documents, list, read, text};
use serde_json::Value;
use unsix::config::Config;

/// Each form is the Corefile's block; each is for the zones of the preset.
pub(crate) fn blocks() {
    let block = words(&read("deploy/coredns/Corefile"));
    let zones = &Config::default().rules[0].hosts;
    let heads: Vec<String> = zones
        .iter()
        .map(|zone| format!("{}:53", zone.to_string().trim_matches('.')))
        .collect();
    assert_eq!(
        block[..=heads.len()],
        [heads.clone(), vec!["{".to_owned()]].concat()
    );
    assert!(
        block
            .windows(2)
            .any(|pair| pair == ["policy", "sequential"])
    );

    let k3s = documents(&read("deploy/coredns/k3s.yaml")).remove(0);
    assert_eq!(words(text(&k3s, "/data/unsix.server")), block);

    let rke2 = documents(&read("deploy/coredns/rke2.yaml")).remove(0);
    let values = documents(text(&rke2, "/spec/valuesContent")).remove(0);
    let servers = list(&values, "/servers");
    assert_eq!(
        text(&servers[0], "/zones/0/zone"),
        ".",
        "the chart's own comes first"
    );
    assert_eq!(words(&corefile(servers.last().unwrap())), block);

    let template = words(&read("deploy/coredns/template.Corefile"));
    assert_eq!(template[..heads.len()], heads);
    assert!(template.windows(2).any(|pair| pair == ["rcode", "NOERROR"]));
}

/// The words of a Corefile, its remarks left out.
fn words(corefile: &str) -> Vec<String> {
    let lines = corefile
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    lines
        .flat_map(str::split_whitespace)
        .map(str::to_owned)
        .collect()
}

/// What CoreDNS' chart makes of one of its `servers`.
fn corefile(server: &Value) -> String {
    let zones = list(server, "/zones").iter();
    let heads: Vec<String> = zones
        .map(|zone| format!("{}:{}", text(zone, "/zone"), server["port"]))
        .collect();
    let plugins = list(server, "/plugins").iter().map(|plugin| {
        let parameters = match &plugin["parameters"] {
            Value::Null => String::new(),
            Value::String(words) => words.clone(),
            number => number.to_string(),
        };
        match text(plugin, "/configBlock") {
            "" => format!("{} {parameters}\n", text(plugin, "/name")),
            block => format!("{} {parameters} {{\n{block}\n}}\n", text(plugin, "/name")),
        }
    });
    format!(
        "{} {{\n{}}}\n",
        heads.join(" "),
        plugins.collect::<String>()
    )
}
