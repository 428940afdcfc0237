//! What happens, in order. Each step waits for what it tells.

use super::Fault;
use super::ask::ipv6;
use super::narrator::Narrator;
use super::puller::{Failure, Image, Pull};
use super::unsix::{Unsix, config};
use super::world::{HUB, HUB_IPV4, OTHER, OTHER_IPV4, World};
use crate::doctor::{self, Subject, Verdict};
use crate::message::Name;
use crate::probe::Limits;
use std::io::{self, Write};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// A story that is being told.
pub(super) struct Story<'a> {
    narrator: Narrator<'a>,
    pub(super) world: World,
}

/// How a client should reach a registry.
#[derive(Clone, Copy)]
enum Over {
    Ipv4,
    Ipv6,
}

impl<'a> Story<'a> {
    /// Starts everything but unsix.
    pub(super) async fn begin(out: &'a mut dyn Write) -> Result<Self, Fault> {
        let world = World::start().await?;
        let mut narrator = Narrator::new(out);
        let (hub, other) = (world.hub.port, world.other.port);
        narrator.title(
            "An image pull that hangs, and its cure. All of it happens on this machine's loopback.",
        )?;
        narrator.heading("1. A registry whose IPv6 connects and then hangs")?;
        narrator.event(&format!(
            "a name server on {} knows two registries, each with IPv4 and IPv6:",
            world.server
        ))?;
        narrator.detail(&format!(
            "{HUB}  A {HUB_IPV4}  AAAA ::1  port {hub}; on ::1 it takes connections and never answers"
        ))?;
        narrator.detail(&format!(
            "{OTHER:<20}  A {OTHER_IPV4}  AAAA ::1  port {other}"
        ))?;
        Ok(Self { narrator, world })
    }

    /// One registry serves over IPv6; the pull from the other one begins, and hangs.
    pub(super) async fn pull_without_us(&mut self) -> Result<JoinHandle<Pull>, Fault> {
        self.narrator.heading("2. Without unsix")?;
        let server = self.world.server;
        self.pull(server, self.world.other, Over::Ipv6).await?;
        let (image, puller) = (self.world.hub, self.world.puller.asking(server));
        self.narrator.event(&format!(
            "{image}: pulling as containerd does: IPv6 first, IPv4 only where TCP"
        ))?;
        self.narrator
            .detail("does not connect within 300 ms; then TLS has 10 s ...")?;
        Ok(tokio::spawn(async move { puller.pull(image).await }))
    }

    /// What the doctor says of both, while the pull hangs.
    pub(super) async fn diagnose(&mut self) -> Result<(), Fault> {
        self.narrator
            .event("while it hangs: unsix doctor looks at both registries ...")?;
        let subjects = [self.world.hub, self.world.other].map(subject);
        let subjects = subjects.into_iter().collect::<Result<_, Fault>>()?;
        let found = doctor::examine_by(self.world.server, subjects, Limits::default()).await;
        for host in &found {
            let label = host.verdict.label();
            self.narrator.event(&format!("{label}  {}", host.shown()))?;
            self.narrator.paragraph(&host.sentence)?;
        }
        let verdicts: Vec<Verdict> = found.iter().map(|host| host.verdict).collect();
        match verdicts[..] {
            [Verdict::TlsStall, Verdict::Healthy] => Ok(()),
            _ => Err(Fault::Otherwise(format!("doctor finds {verdicts:?}"))),
        }
    }

    /// The failure that everyone sees.
    pub(super) async fn fail(&mut self, hanging: JoinHandle<Pull>) -> Result<(), Fault> {
        let image = self.world.hub;
        let pull = hanging.await.map_err(io::Error::other)?;
        match (pull.peer, pull.result) {
            (Some(peer @ SocketAddr::V6(_)), Err(failure @ Failure::TlsTimeout)) => {
                self.narrator
                    .event(&format!("{image}: Head \"{}\": {failure}", image.url()))?;
                self.narrator.detail(&format!(
                    "TCP to {peer} connected at once, so IPv4 was never tried"
                ))
            }
            (peer, result) => Err(otherwise(image, peer, result)),
        }
    }

    /// Unsix probes, takes the IPv6 address away, and the same pull succeeds.
    pub(super) async fn pull_with_us(&mut self) -> Result<Unsix, Fault> {
        self.narrator
            .heading("3. With unsix between the client and the name server")?;
        let text = config(self.world.server, self.world.hub.port);
        let unsix = Unsix::start(&text)?;
        let at = unsix.address;
        self.narrator
            .event(&format!("unsix listens on {at}, and probes by itself:"))?;
        for line in text.lines() {
            self.narrator.detail(line)?;
        }
        let is_gone = |ipv6: Option<_>, why: &str| ipv6.is_none() && !why.is_empty();
        let (_, why) = self.until(at, "loses its AAAA", is_gone).await?;
        self.narrator.event(&format!(
            "{HUB} AAAA: none any more; the reply says \"Filtered: {why}\""
        ))?;
        self.pull(at, self.world.hub, Over::Ipv4).await?;
        self.pull(at, self.world.other, Over::Ipv6).await?;
        Ok(unsix)
    }

    /// IPv6 works again, and clients get it back.
    pub(super) async fn heal(&mut self, unsix: &Unsix) -> Result<(), Fault> {
        self.narrator.heading("4. IPv6 heals")?;
        self.world.heal();
        self.narrator.event("its IPv6 answers from now on")?;
        let is_back = |ipv6: Option<_>, _: &str| ipv6.is_some();
        let at = unsix.address;
        self.until(at, "gets its AAAA back", is_back).await?;
        self.narrator
            .event(&format!("{HUB} AAAA: ::1 again, after two good probes"))?;
        self.pull(at, self.world.hub, Over::Ipv6).await
    }

    /// What to do with a host of one's own.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        self.narrator.heading(
            "That was all, and it leaves nothing behind. For a host of your own: `unsix doctor` says what is wrong,
`sudo unsix install` mends it, `sudo unsix uninstall` takes that back.",
        )
    }

    /// A pull that must succeed.
    async fn pull(
        &mut self,
        server: SocketAddr,
        image: Image<'static>,
        over: Over,
    ) -> Result<(), Fault> {
        let begun = self.narrator.elapsed();
        let pull = self.world.puller.asking(server).pull(image).await;
        let took = self.narrator.elapsed() - begun;
        match (pull.peer, over, pull.result) {
            (Some(peer @ SocketAddr::V4(_)), Over::Ipv4, Ok(_))
            | (Some(peer @ SocketAddr::V6(_)), Over::Ipv6, Ok(_)) => {
                let family = if peer.is_ipv4() { "IPv4" } else { "IPv6" };
                self.narrator.event(&format!(
                    "{image}: pulled over {family}, from {peer}, in {} ms",
                    took.as_millis()
                ))
            }
            (peer, _, result) => Err(otherwise(image, peer, result)),
        }
    }

    /// Asks for the registry's AAAA until it is so, and gives it with what the reply says about it.
    async fn until(
        &self,
        server: SocketAddr,
        what: &str,
        is_so: impl Fn(Option<Ipv6Addr>, &str) -> bool,
    ) -> Result<(Option<Ipv6Addr>, String), Fault> {
        let look = async {
            loop {
                let (found, why) = ipv6(server, HUB).await?;
                if is_so(found, &why) {
                    return Ok((found, why));
                }
                sleep(LOOK).await;
            }
        };
        let late = |_| Err(Fault::Otherwise(format!("{HUB} never {what}")));
        timeout(PATIENCE, look).await.unwrap_or_else(late)
    }
}

fn subject(image: Image<'_>) -> Result<Subject, Fault> {
    Ok(Subject {
        host: image.host.to_owned(),
        name: Name::parse(image.host).map_err(io::Error::other)?,
        port: image.port,
    })
}

fn otherwise(image: Image<'_>, peer: Option<SocketAddr>, result: Result<usize, Failure>) -> Fault {
    let peer = peer.map_or_else(|| "nobody".to_owned(), |peer| peer.to_string());
    Fault::Otherwise(match result {
        Ok(octets) => format!("{image} was pulled from {peer}, {octets} octets"),
        Err(failure) => format!("{image} from {peer}: {failure}"),
    })
}

/// How often somebody looks, and how long at most.
const LOOK: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(8);
