//! What `unsix doctor` says of a host whose questions are led to a daemon.

use crate::daemon::host::resolved;
use crate::daemon::program::run as call;
use crate::daemon::tls::tarpit;
use crate::people::{CONFIG, registry};
use crate::world::{
    LISTED, PROVIDER, ask_servers, attach, config, provider, run, systemd_resolved,
};
use serde_json::Value;
use std::path::Path;

fn doctor(file: &Path) -> (Value, i32) {
    let file = file.to_str().unwrap();
    let ended = call(&[
        "doctor",
        LISTED,
        "--control",
        LISTED,
        "--json",
        "--config",
        file,
    ]);
    assert_eq!(ended.err, "");
    (serde_json::from_str(&ended.out).unwrap(), ended.code)
}

/// From the founding failure to cured; `behind` is what it still knows of the host then.
fn told(way: &str, behind: &Value) {
    let _server = registry();
    let _hole = tarpit("[::]:443");
    let file = config(CONFIG);
    let (report, code) = doctor(&file);
    assert_eq!(
        (&report["hosts"][0]["verdict"], code),
        (&"TLS_STALL".into(), 10),
        "{report:#}"
    );
    assert_eq!(report["surroundings"]["unsix"]["attached"], "none");
    let _daemon = run(&file);
    let attach = attach(way, &file);
    attach.says("attached way=");
    let (report, code) = doctor(&file);
    let host = &report["hosts"][0];
    assert_eq!(
        (&host["verdict"], code),
        (&"NOTHING_TO_STRIP".into(), 0),
        "{report:#}"
    );
    assert_eq!(&host["behind_unsix"], behind, "{report:#}");
    let sentence = host["sentence"].as_str().unwrap();
    assert!(
        sentence.contains("already keeps its IPv6 addresses from programs here"),
        "{sentence}"
    );
    assert_eq!(report["surroundings"]["unsix"]["attached"], way);
    assert_eq!(report["advice"]["apply"], Value::Array(Vec::new()));
}

/// Every question to the servers of resolv.conf is led away, doctor's too: it sees what programs see.
pub(crate) fn redirected() {
    let _provider = provider();
    ask_servers(&[PROVIDER]);
    told("redirect", &Value::Null);
}

/// Behind systemd-resolved it finds the server that nothing is led away from.
pub(crate) fn linked() {
    let _provider = provider();
    let _resolved = systemd_resolved(&resolved().unwrap());
    told("resolved", &"TLS_STALL".into());
}
