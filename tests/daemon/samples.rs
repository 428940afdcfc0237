//! The shipped configurations, and what each must do wherever it runs.

use super::client::Client;
use super::wire;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where the sample of this name is.
pub(crate) fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config")
        .join(name)
}

/// What every sample must do for this client.
pub(crate) fn serves(server: SocketAddr, client: &str) {
    let client = Client::from(client, server);
    let count = |name, kind| wire::addresses(&client.ask(&wire::query(1, name, kind))).len();
    assert_eq!(count("registry-1.docker.io", wire::A), 1);
    assert_eq!(
        count("registry-1.docker.io", wire::AAAA),
        0,
        "the preset acts"
    );
    assert_eq!(count("www.example", wire::AAAA), 1, "other names keep IPv6");
}
