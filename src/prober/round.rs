//! One round of probes of one host.

use super::Prober;
use crate::config::Server;
use crate::message::Name;
use crate::pipeline::{Settings, is_global};
use crate::probe::{Finding, Limits, Outcome, Target, probe};
use crate::verdict::{Condition, Endpoint, Report};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// What a round needs.
pub(super) struct Round {
    pub(super) prober: Arc<Prober>,
    pub(super) endpoint: Endpoint,
    pub(super) settings: Arc<Settings>,
}

impl Round {
    /// Probes the host's IPv6 addresses, and those of IPv4 where one of them fails.
    pub(super) async fn run(&self) -> Report {
        let host = self.endpoint.host;
        let Some(ipv6) = self.ipv6(&host).await else {
            return only(Condition::Unresolved);
        };
        if ipv6.is_empty() {
            return only(Condition::NoIpv6);
        }
        let allowed = ipv6.into_iter().filter(|at| self.may_probe((*at).into()));
        let allowed: Vec<Ipv6Addr> = allowed.take(MOST_IPV6).collect();
        if allowed.is_empty() {
            return only(Condition::Private);
        }
        let ipv6 = allowed.iter().map(|at| IpAddr::from(*at));
        let ipv6 = self.probe_all(&host, ipv6).await;
        if ipv6
            .iter()
            .all(|(_, outcome)| *outcome == Outcome::Unreachable)
            && !allowed.iter().any(|at| has_route(*at))
        {
            return only(Condition::NoRoute);
        }
        let works = |(_, outcome): &(IpAddr, Outcome)| *outcome == Outcome::Reachable;
        let mut report = only(Condition::Probed);
        if !ipv6.iter().all(works) {
            match self.ipv4(&host).await {
                None => return only(Condition::Unresolved),
                Some(ipv4) if ipv4.is_empty() => return only(Condition::NoIpv4),
                Some(ipv4) => report.ipv4_works = Some(self.works_over_ipv4(&host, &ipv4).await),
            }
            report.elsewhere = self.elsewhere();
        }
        report.ipv6 = ipv6
            .into_iter()
            .filter_map(|(address, outcome)| match address {
                IpAddr::V6(address) => Some((address, outcome)),
                IpAddr::V4(_) => None,
            })
            .collect();
        report
    }

    /// The IPv6 addresses of a host; `None` where nobody could tell.
    async fn ipv6(&self, host: &Name) -> Option<Vec<Ipv6Addr>> {
        self.prober.resolvers.ipv6(&self.servers(host), host).await
    }

    /// The IPv4 addresses of a host; `None` where nobody could tell.
    async fn ipv4(&self, host: &Name) -> Option<Vec<Ipv4Addr>> {
        self.prober.resolvers.ipv4(&self.servers(host), host).await
    }

    fn servers(&self, host: &Name) -> Vec<Server> {
        let servers = self.settings.servers(host);
        let servers = servers.iter();
        servers.map(|upstream| upstream.server.clone()).collect()
    }

    /// Side by side. What this host could not do says nothing of an address, and is left out.
    async fn probe_all(
        &self,
        host: &Name,
        addresses: impl Iterator<Item = IpAddr>,
    ) -> Vec<(IpAddr, Outcome)> {
        let mut probes = JoinSet::new();
        let (port, limits) = (self.endpoint.port, self.limits());
        for address in addresses {
            let (prober, host) = (Arc::clone(&self.prober), host.to_string());
            let most = self.settings.probe.max_per_second;
            probes.spawn(async move {
                prober.pace.wait(most).await;
                let target = Target::new(SocketAddr::new(address, port), &host);
                (address, probe(target, limits).await)
            });
        }
        let done = probes.join_all().await;
        let found = done
            .into_iter()
            .filter_map(|(address, finding)| Some((address, finding.ok()?)));
        found
            .map(|(address, Finding { outcome, .. })| (address, outcome))
            .collect()
    }

    async fn works_over_ipv4(&self, host: &Name, ipv4: &[Ipv4Addr]) -> bool {
        let some = ipv4.iter().map(|at| IpAddr::from(*at));
        let some = some.filter(|at| self.may_probe(*at)).take(MOST_IPV4);
        let found = self.probe_all(host, some).await;
        found
            .iter()
            .any(|(_, outcome)| *outcome == Outcome::Reachable)
    }

    /// Whether a control's IPv6 works, as far as is known: looked at once an interval, however many hosts want to know,
    /// and no round waits for it.
    fn elsewhere(&self) -> Option<bool> {
        let control = &self.prober.control;
        if control.is_due(self.settings.probe.interval) {
            let round = Self {
                prober: Arc::clone(&self.prober),
                endpoint: Endpoint {
                    port: CONTROL_PORT,
                    ..self.endpoint
                },
                settings: Arc::clone(&self.settings),
            };
            tokio::spawn(async move {
                let works = round.ask_controls().await;
                round.prober.control.learn(works);
            });
        }
        control.known()
    }

    async fn ask_controls(&self) -> Option<bool> {
        let mut works = None;
        for control in &self.settings.probe.controls {
            if *control == self.endpoint.host {
                continue;
            }
            let (ipv4, ipv6) = tokio::join!(self.ipv4(control), self.ipv6(control));
            let (Some(ipv4), Some(ipv6)) = (ipv4, ipv6) else {
                continue;
            };
            let some = ipv6.iter().map(|at| IpAddr::from(*at));
            let some = some.filter(|at| self.may_probe(*at)).take(1);
            let found = self.probe_all(control, some).await;
            if found
                .iter()
                .any(|(_, outcome)| *outcome == Outcome::Reachable)
            {
                works = Some(true);
                break;
            }
            // A control that is down altogether tells nothing.
            if !found.is_empty() && self.works_over_ipv4(control, &ipv4).await {
                works = Some(false);
            }
        }
        works
    }

    /// What is kept inside a network is not ours to knock at, unless somebody allowed it.
    fn may_probe(&self, address: IpAddr) -> bool {
        let allowed = &self.settings.probe.allow;
        is_global(address) || allowed.iter().any(|net| net.contains(&address))
    }

    fn limits(&self) -> Limits {
        let usual = Limits::default();
        let tls = self.settings.probe.timeout;
        Limits {
            connect: usual.connect.min(tls),
            tls,
            beside: usual.beside.min(tls.mul_f64(BESIDE)),
        }
    }
}

fn only(condition: Condition) -> Report {
    Report {
        condition,
        ..Report::default()
    }
}

/// Whether the kernel knows a way there. Sends nothing.
fn has_route(address: Ipv6Addr) -> bool {
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0));
    socket.is_ok_and(|socket| socket.connect((address, ANY_PORT)).is_ok())
}

/// Spreads the beginnings of probes. Those of a quarter of a second begin together: each that wakes the thread by itself
/// costs as much again.
#[derive(Debug, Default)]
pub(super) struct Pace {
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// Until the next probe may begin.
    async fn wait(&self, most_per_second: u16) {
        // Early by a quarter of a second, and so as much further apart.
        let gap = (Duration::from_secs(1) + TOGETHER) / u32::from(most_per_second.max(1));
        let now = now();
        let mine = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let mine = next.map_or(now, |next| next.max(now));
            *next = Some(mine + gap);
            mine
        };
        if mine > now + TOGETHER {
            sleep_until(mine - TOGETHER).await;
        }
    }

    /// Whether probes are waiting already: then no host need be begun with.
    pub(super) fn is_behind(&self) -> bool {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        next.is_some_and(|next| next > now() + BACKLOG)
    }
}

/// What the controls showed last.
#[derive(Debug, Default)]
pub(super) struct Control {
    asked: Mutex<Option<Instant>>,
    works: Mutex<Option<bool>>,
}

impl Control {
    /// Whether nobody has asked them for an interval; whoever is told so asks them.
    fn is_due(&self, interval: Duration) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let due = asked.is_none_or(|at| at.elapsed() >= interval);
        if due {
            *asked = Some(now());
        }
        due
    }

    fn known(&self) -> Option<bool> {
        *self.works.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, works: Option<bool>) {
        *self.works.lock().unwrap_or_else(PoisonError::into_inner) = works;
    }
}

#[expect(clippy::disallowed_methods, reason = "probes are spread over time")]
fn now() -> Instant {
    Instant::now()
}

/// Where controls are probed, whatever the port of the rule that wants to know.
const CONTROL_PORT: u16 = 443;
/// IPv6 addresses of a host that are probed; more are judged by what these show.
const MOST_IPV6: usize = 16;
/// IPv4 addresses of a host that are probed.
const MOST_IPV4: usize = 3;
/// The part of `timeout` after which the attempts beside begin.
const BESIDE: f64 = 0.3;
/// Probes of this time begin together.
const TOGETHER: Duration = Duration::from_millis(250);
/// Whole rounds are begun with while no probe has to wait longer than this.
const BACKLOG: Duration = Duration::from_millis(200);
/// Where a datagram would go that is never sent.
const ANY_PORT: u16 = 9;
