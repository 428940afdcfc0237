//! The way in by systemd-resolved: a link of ours carries the routing domains.
//!
//! The order of the calls matters. First the domains, then that the link is for nothing else, and the server last: a
//! link with a server and without domains would be everybody's default for a moment, and its address
//! would stand in the file that Kubernetes gives to pods.

use super::fault::Fault;
use crate::message::Name;
use std::net::Ipv4Addr;
use std::time::Duration;
use zbus::Connection;
use zbus::connection::Builder;
use zbus::zvariant::DynamicType;

/// Tells systemd-resolved which names the server at `address` on the link is for.
///
/// # Errors
/// It cannot be reached, or refuses; then the link may be half told, and its owner takes it away.
pub(super) async fn tell(link: u32, address: Ipv4Addr, zones: &[Name]) -> Result<(), Fault> {
    let told = async {
        let bus = bus().await?;
        let link = i32::try_from(link).map_err(|error| zbus::Error::Failure(error.to_string()))?;
        let domains: Vec<(String, bool)> = zones.iter().map(|zone| (domain(zone), true)).collect();
        call(&bus, "SetLinkDomains", &(link, domains)).await?;
        call(&bus, "SetLinkDefaultRoute", &(link, false)).await?;
        // What a rule took out of a signed zone would not validate, and we speak no TLS.
        call(&bus, "SetLinkDNSSEC", &(link, "no")).await?;
        call(&bus, "SetLinkDNSOverTLS", &(link, "no")).await?;
        let server = (libc::AF_INET, address.octets().to_vec());
        call(&bus, "SetLinkDNS", &(link, vec![server])).await
    };
    told.await
        .map_err(|error: zbus::Error| Fault::NoResolved(error.to_string()))
}

/// Whether systemd-resolved is on the bus. Asking does not start it.
pub(super) async fn probe() -> Result<(), String> {
    let owned = async {
        let bus = bus().await?;
        let reply = bus
            .call_method(
                Some("org.freedesktop.DBus"),
                "/org/freedesktop/DBus",
                Some("org.freedesktop.DBus"),
                "NameHasOwner",
                &RESOLVED,
            )
            .await?;
        reply.body().deserialize::<bool>()
    };
    match owned.await {
        Ok(true) => Ok(()),
        Ok(false) => Err("it is not on the system bus".to_owned()),
        Err(error) => Err(format!("the system bus: {error}")),
    }
}

async fn bus() -> zbus::Result<Connection> {
    let build = Builder::system().method_timeout(PATIENCE).build();
    match tokio::time::timeout(PATIENCE, build).await {
        Ok(built) => built,
        Err(_) => Err(zbus::Error::Failure("no answer within 2 s".to_owned())),
    }
}

async fn call<B: serde::Serialize + DynamicType>(
    bus: &Connection,
    method: &str,
    body: &B,
) -> zbus::Result<()> {
    bus.call_method(
        Some(RESOLVED),
        "/org/freedesktop/resolve1",
        Some("org.freedesktop.resolve1.Manager"),
        method,
        body,
    )
    .await
    .map(drop)
}

/// As systemd-resolved takes it: without the last dot, the root as one dot.
fn domain(zone: &Name) -> String {
    let text = zone.to_string();
    match text.strip_suffix('.') {
        Some("") | None => text,
        Some(bare) => bare.to_owned(),
    }
}

const RESOLVED: &str = "org.freedesktop.resolve1";
const PATIENCE: Duration = Duration::from_secs(2);
