//! The loop: asks how the daemon is, attaches while it is well, lets go when it is not.

use super::canary::{Canary, Identity, Wrong};
use super::fault::Fault;
use super::link::{self, Link};
use super::machine::{Event, State, Step};
use super::plan::{Plan, Way};
use super::redirect::Redirect;
use super::resolved;
use rustix::net::sockopt::socket_peercred;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as Address, UnixListener, UnixStream};
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// An attachment to be kept while the daemon is well.
pub struct Attachment {
    plan: Plan,
    renew: Box<dyn FnMut() -> Result<Plan, Fault>>,
    held: Option<Held>,
    /// Which witness is asked for.
    witness: usize,
    /// What was last said of the canary, so that it is said once.
    said: Option<Wrong>,
    /// The same of a plan that cannot be renewed.
    complaint: Option<String>,
    _alone: Option<UnixListener>,
}

/// What leads questions to the daemon now.
enum Held {
    Link(Link),
    Redirect(Redirect, Vec<IpAddr>),
}

impl Attachment {
    /// Prepares it; nothing is attached yet. `renew` gives the plan as configuration and host now say.
    ///
    /// # Errors
    /// Another attach runs on this network.
    pub fn new(
        plan: Plan,
        renew: impl FnMut() -> Result<Plan, Fault> + 'static,
    ) -> Result<Self, Fault> {
        Ok(Self {
            plan,
            renew: Box::new(renew),
            held: None,
            witness: 0,
            said: None,
            complaint: None,
            _alone: claim()?,
        })
    }
}

/// Keeps the attachment until `stop`, and leaves nothing of it behind.
///
/// # Errors
/// What keeps the first attempt to attach from standing. Later ones are tried again.
pub async fn watch(
    mut attachment: Attachment,
    stop: impl Future<Output = ()>,
) -> Result<(), Fault> {
    let mut stop = pin!(stop);
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut state, mut step, mut first) = (State::START, Step::Ask, true);
    loop {
        let event = match step {
            Step::Ask => tokio::select! {
                event = attachment.look(&mut beat) => event,
                () = &mut stop => Event::Stop,
            },
            Step::Attach => {
                let attached = tokio::select! {
                    attached = attachment.attach() => attached,
                    () = &mut stop => {
                        attachment.let_go();
                        return Ok(());
                    }
                };
                match attached {
                    Ok(event) => {
                        first &= event != Event::Held;
                        event
                    }
                    Err(fault) if first => return Err(fault),
                    Err(fault) => {
                        tracing::warn!("not attached: {fault}");
                        Event::Refused
                    }
                }
            }
            Step::LetGo => {
                attachment.let_go();
                Event::Released
            }
            Step::End => return Ok(()),
        };
        (state, step) = state.on(event);
    }
}

impl Attachment {
    /// Waits for the beat, asks, and tells what the answer means.
    async fn look(&mut self, beat: &mut Interval) -> Event {
        beat.tick().await;
        if self.renewed() {
            return Event::Changed;
        }
        match (self.ask().await, &self.held) {
            (Ok(identity), Some(Held::Redirect(held, _))) if identity.uid != held.spared => {
                tracing::info!(uid = identity.uid, "the daemon runs as another user");
                Event::Changed
            }
            (Ok(_), _) => Event::Right,
            (Err(_), _) => Event::Wrong,
        }
    }

    /// Takes over a plan that has become another.
    fn renewed(&mut self) -> bool {
        match (self.renew)() {
            Ok(plan) if plan == self.plan => self.complaint = None,
            Ok(plan) => {
                tracing::info!("configuration or resolv.conf has changed");
                if self.held.is_some() {
                    self.let_go();
                }
                self.complaint = None;
                self.plan = plan;
                return true;
            }
            Err(fault) => {
                let complaint = fault.to_string();
                if self.complaint.as_ref() != Some(&complaint) {
                    tracing::warn!("what was in force stays: {complaint}");
                    self.complaint = Some(complaint);
                }
            }
        }
        false
    }

    /// Asks the way that questions go now; on a wrong answer the next witness has its turn.
    async fn ask(&mut self) -> Result<Identity, Wrong> {
        let mut canaries = self.ways().into_iter().map(|way| self.canary(way));
        let (one, other) = tokio::join!(ask(canaries.next()), ask(canaries.next()));
        let both = [one, other].into_iter().flatten();
        let asked = both.reduce(Result::and);
        let asked = asked.unwrap_or(Err(Wrong::Silent(self.plan.front, LIMIT)));
        match &asked {
            Ok(_) => self.said = None,
            Err(wrong) => {
                self.witness = self.witness.wrapping_add(1);
                if self.said.as_ref() != Some(wrong) {
                    tracing::warn!("the daemon is not well: {wrong}");
                    self.said = Some(wrong.clone());
                }
            }
        }
        asked
    }

    /// Where questions go now, and from which address: with a redirection by each family of servers.
    fn ways(&self) -> Vec<(SocketAddr, Option<IpAddr>)> {
        match (&self.plan.way, &self.held) {
            (
                Way::Redirect {
                    servers,
                    ipv4,
                    ipv6,
                },
                held,
            ) => {
                let first = |family: fn(&IpAddr) -> bool| servers.iter().copied().find(family);
                let families = [
                    (*ipv4, first(IpAddr::is_ipv4)),
                    (*ipv6, first(IpAddr::is_ipv6)),
                ];
                let ways = families.into_iter().filter_map(|(target, server)| {
                    let server = SocketAddr::new(server?, DNS_PORT);
                    match held {
                        Some(_) => Some((server, None)),
                        None => Some((target?, source(server))),
                    }
                });
                ways.collect()
            }
            (Way::Resolved { address, .. }, Some(_)) => {
                vec![(SocketAddr::new((*address).into(), DNS_PORT), None)]
            }
            _ => vec![(self.plan.front, None)],
        }
    }

    fn canary(&self, (at, from): (SocketAddr, Option<IpAddr>)) -> Canary {
        let known = &self.plan.witnesses;
        let place = self.witness.checked_rem(known.len().min(MOST_WITNESSES));
        Canary {
            at,
            from,
            name: self.plan.canary,
            witness: place.and_then(|place| known.get(place)).copied(),
        }
    }

    /// Makes the way, asks through it, and lets it stand if the answer is right.
    async fn attach(&mut self) -> Result<Event, Fault> {
        // The user that the daemon runs as now: it may have been started anew since.
        let Ok(identity) = self.ask().await else {
            return Ok(Event::Refused);
        };
        match self.plan.way.clone() {
            Way::Resolved {
                address,
                zones,
                leaking,
            } => {
                let link = Link::make(address)?;
                let index = link.index;
                self.held = Some(Held::Link(link));
                if self.ask().await.is_err() {
                    self.held = None;
                    return Ok(Event::Refused);
                }
                if let Err(fault) = resolved::tell(index, address, &zones).await {
                    self.held = None;
                    return Err(fault);
                }
                let zones: Vec<String> = zones.iter().map(ToString::to_string).collect();
                let zones = zones.join(" ");
                tracing::info!(way = "resolved", link = link::NAME, %address, zones, "attached");
                for rule in leaking {
                    tracing::warn!(
                        rule,
                        "systemd-resolved asks elsewhere where a CNAME leads, and is told IPv6 addresses there: write `cname: flatten` into the rule"
                    );
                }
            }
            Way::Redirect {
                servers,
                ipv4,
                ipv6,
            } => {
                let redirect = Redirect::make(&servers, (ipv4, ipv6), identity.uid)?;
                let shown: Vec<String> = servers.iter().map(ToString::to_string).collect();
                self.held = Some(Held::Redirect(redirect, servers));
                if self.ask().await.is_err() {
                    self.let_go();
                    return Ok(Event::Refused);
                }
                tracing::info!(
                    way = "redirect",
                    servers = shown.join(" "),
                    spared = identity.uid,
                    "attached"
                );
            }
            Way::Print => {}
        }
        Ok(Event::Held)
    }

    /// Takes the way away. The kernel does it at once.
    fn let_go(&mut self) {
        match self.held.take() {
            Some(Held::Redirect(redirect, servers)) => redirect.take_back(&servers),
            Some(Held::Link(link)) => drop(link),
            None => return,
        }
        tracing::info!("let go");
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.let_go();
    }
}

async fn ask(canary: Option<Canary>) -> Option<Result<Identity, Wrong>> {
    match canary {
        Some(canary) => Some(canary.ask(LIMIT).await),
        None => None,
    }
}

/// The address from which this host would ask a server: the daemon must serve that one.
fn source(server: SocketAddr) -> Option<IpAddr> {
    let any = if server.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(server).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Holds a name of this network's that goes with the process, so that there is one attach. Where somebody who is not
/// root holds it, there is none to be hindered by.
fn claim() -> Result<Option<UnixListener>, Fault> {
    let refused = |error| Fault::Refused("the name unsix-attach cannot be had", error);
    let name = Address::from_abstract_name(NAME).map_err(refused)?;
    match UnixListener::bind_addr(&name) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let owner = UnixStream::connect_addr(&name).ok();
            match owner.and_then(|stream| socket_peercred(stream).ok()) {
                Some(owner) if !owner.uid.is_root() => Ok(None),
                owner => Err(Fault::Second(
                    owner.map(|owner| owner.pid.as_raw_nonzero().get()),
                )),
            }
        }
        done => done.map(Some).map_err(refused),
    }
}

/// The name, in the abstract space.
pub(super) const NAME: &str = "unsix-attach";
/// How often the canary is asked.
const BEAT: Duration = Duration::from_millis(500);
/// How long an answer may take.
const LIMIT: Duration = Duration::from_millis(500);
/// Witnesses that take turns.
const MOST_WITNESSES: usize = 4;
const DNS_PORT: u16 = 53;
