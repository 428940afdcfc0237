//! The shipped configurations on loopback, with only addresses replaced; `alone.rs` runs each as it stands.

mod daemon;

use daemon::samples::{sample, serves};
use daemon::upstream::Upstream;
use std::fs;
use std::net::SocketAddr;
use unsix::config::Config;
use unsix::daemon::Daemon;

/// All of them.
const SAMPLES: [&str; 5] = [
    "host.yaml",
    "node.yaml",
    "coredns.yaml",
    "sidecar.yaml",
    "node-cache.yaml",
];

#[test]
fn each_with_other_addresses() {
    for name in SAMPLES {
        let mut config = Config::read(&fs::read_to_string(sample(name)).unwrap()).unwrap();
        let (upstream, cluster) = (Upstream::plain(), Upstream::plain());
        let any_port: SocketAddr = "127.0.0.1:0".parse().unwrap();
        config.listen = vec![any_port];
        config.upstreams = Some(vec![upstream.address.into()]);
        for route in &mut config.routes {
            route.upstreams = vec![cluster.address.into()];
        }
        config.access.push("127.0.0.0/8".parse().unwrap());
        config.admin = Some(any_port);
        let daemon = Daemon::start(&config, None).unwrap();
        serves(daemon.addresses()[0], "127.0.0.1");
        assert!(!upstream.asked("www.example.").is_empty(), "{name}");
    }
}
