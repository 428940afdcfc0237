//! Is the IPv6 of a host broken, why, and what helps? Measures and explains; changes nothing and needs no rights.
//!
//! IO: [`dns`](self) asks every name server of this host, [`crate::probe`] tries the addresses that come back, `surroundings`,
//! `puller` and `route` read what everyone may of files and of the kernel. All else is pure: `seen` says what was told
//! and what each family came to, `verdict` is the table from that to a verdict, `words` makes a sentence of it, `cure`
//! says what helps, `page` writes it for people and [`Report`] for programs.
//!
//! What was not measured is never called healthy.

mod cure;
mod dns;
mod page;
mod puller;
mod report;
mod route;
mod seen;
mod subject;
mod surroundings;
mod verdict;
mod words;

pub use page::Paint;
pub use report::{Host, Report};
pub use subject::{Subject, controls, of_rules};
pub use verdict::{Strip, Verdict};

use crate::config::Config;
use crate::message::Name;
use crate::probe::{Limits, Target, probe};
use crate::upstream::secure::Secure;
use dns::Server;
use report::{Probed, Role, Said};
use seen::{Seen, control};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use surroundings::Surroundings;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use verdict::{Control, DOWN, exit_code};

/// What to look at.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The hosts.
    pub hosts: Vec<Subject>,
    /// Hosts on other networks that have both families.
    pub controls: Vec<Subject>,
    /// What the unsix of this host runs with.
    pub config: Config,
    /// The file it stands in.
    pub file: Option<PathBuf>,
    /// How long each probe waits.
    pub limits: Limits,
}

/// How far an examination is.
#[derive(Debug, Default)]
pub struct Progress {
    begun: AtomicUsize,
    done: AtomicUsize,
}

impl Progress {
    /// How many questions and probes have come to their end, and how many were begun.
    pub fn counts(&self) -> (usize, usize) {
        (self.done.load(Relaxed), self.begun.load(Relaxed))
    }

    async fn follow<T>(&self, work: impl Future<Output = T>) -> T {
        self.begun.fetch_add(1, Relaxed);
        let done = work.await;
        self.done.fetch_add(1, Relaxed);
        done
    }
}

/// Looks at the hosts side by side: two seconds at most for the name servers, four where they are encrypted, then [`Limits::longest`]; more than thirty
/// hosts take their turns.
pub async fn examine(wanted: Wanted, progress: Arc<Progress>) -> Report {
    let Wanted {
        hosts,
        controls,
        config,
        file,
        limits,
    } = wanted;
    let count = hosts.len();
    let secure = Secure::new(Handle::current());
    // Where what one of them is trusted by cannot be read, none can be reached: `unsix check` tells why.
    if let Ok(prepared) = secure.prepare(&config) {
        secure.install(prepared);
    }
    let inquiry = Arc::new(Inquiry {
        servers: dns::servers(&config),
        secure,
        canary: config.canary(),
        pins: fs::read("/etc/hosts")
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .unwrap_or_default(),
        limits,
        progress,
        places: Semaphore::new(AT_ONCE),
    });
    let (mut seen, surroundings) = tokio::join!(
        look(inquiry, hosts.into_iter().chain(controls)),
        Surroundings::look(&config, file)
    );
    let controls = seen.split_off(count.min(seen.len()));
    report(&seen, &controls, surroundings, &config)
}

/// Looks at hosts as one name server tells them, whoever asks it, and at nothing else of this machine; as long as [`examine`].
pub async fn examine_by(server: SocketAddr, hosts: Vec<Subject>, limits: Limits) -> Vec<Host> {
    let role = Role::Programs;
    let inquiry = Inquiry {
        servers: vec![Server {
            at: server.into(),
            role,
        }],
        secure: Secure::new(Handle::current()),
        canary: Config::default().canary(),
        pins: String::new(),
        limits,
        progress: Arc::default(),
        places: Semaphore::new(AT_ONCE),
    };
    let seen = look(Arc::new(inquiry), hosts.into_iter()).await;
    let all = seen.iter().map(|one| Judged::of(one, &seen, &[]).host());
    all.collect()
}

/// Looks at all of them side by side.
async fn look(inquiry: Arc<Inquiry>, subjects: impl Iterator<Item = Subject>) -> Vec<Seen> {
    let mut looks = JoinSet::new();
    for (place, subject) in subjects.enumerate() {
        let inquiry = Arc::clone(&inquiry);
        looks.spawn(async move { (place, inquiry.look(subject).await) });
    }
    let mut seen = looks.join_all().await;
    seen.sort_by_key(|(place, _)| *place);
    seen.into_iter().map(|(_, seen)| seen).collect()
}

/// What each host is asked with.
struct Inquiry {
    servers: Vec<Server>,
    secure: Secure,
    canary: Name,
    pins: String,
    limits: Limits,
    progress: Arc<Progress>,
    places: Semaphore,
}

/// Hosts looked at side by side. Each takes twenty sockets, and most systems give a process 1,024.
const AT_ONCE: usize = 32;

impl Inquiry {
    async fn look(self: Arc<Self>, subject: Subject) -> Seen {
        // It is never closed.
        let _place = self.places.acquire().await;
        let said = self.consult(&subject).await;
        let mut tries = JoinSet::new();
        for (place, address) in seen::to_probe(&said).into_iter().enumerate() {
            let (inquiry, subject) = (Arc::clone(&self), subject.clone());
            tries.spawn(async move { (place, inquiry.probe(address, &subject).await) });
        }
        let mut probes = tries.join_all().await;
        probes.sort_by_key(|(place, _)| *place);
        Seen {
            host: subject.host,
            port: subject.port,
            said,
            probes: probes.into_iter().map(|(_, probed)| probed).collect(),
        }
    }

    async fn consult(self: &Arc<Self>, subject: &Subject) -> Vec<Said> {
        let mut asked = JoinSet::new();
        for (place, server) in self.servers.iter().cloned().enumerate() {
            let (inquiry, name) = (Arc::clone(self), subject.name);
            asked.spawn(async move {
                let Self { secure, canary, .. } = &*inquiry;
                (place, dns::consult(server, secure, name, *canary).await)
            });
        }
        let mut said = self.progress.follow(asked.join_all()).await;
        said.sort_by_key(|(place, _)| *place);
        let pinned = dns::pinned(&self.pins, &subject.host);
        let named = said.into_iter().map(|(_, said)| said);
        pinned.into_iter().chain(named).collect()
    }

    async fn probe(&self, address: IpAddr, subject: &Subject) -> Probed {
        let at = SocketAddr::new(address, subject.port);
        let attempt = probe(Target::new(at, &subject.host), self.limits);
        Probed::of(address, self.progress.follow(attempt).await)
    }
}

/// A host with its verdict, and what it was told from.
struct Judged<'a> {
    seen: &'a Seen,
    verdict: Verdict,
    behind: Option<Verdict>,
    control: (Control, Option<&'a str>),
}

fn report(
    hosts: &[Seen],
    controls: &[Seen],
    surroundings: Surroundings,
    config: &Config,
) -> Report {
    let judge = |seen| Judged::of(seen, hosts, controls);
    let judged: Vec<Judged<'_>> = hosts.iter().map(judge).collect();
    let codes: Vec<u8> = judged.iter().map(Judged::exit_code).collect();
    let advice = cure::advice(&judged, controls, &surroundings, config, &route::routes());
    Report {
        version: 1,
        exit_code: exit_code(&codes),
        hosts: judged.iter().map(Judged::host).collect(),
        controls: controls.iter().map(|seen| judge(seen).host()).collect(),
        surroundings,
        advice,
    }
}

impl<'a> Judged<'a> {
    fn of(seen: &'a Seen, hosts: &'a [Seen], controls: &'a [Seen]) -> Self {
        let control = control(seen, hosts, controls);
        let (verdict, behind) = seen.judge(control.0);
        Self {
            seen,
            verdict,
            behind,
            control,
        }
    }

    /// A host that has IPv6 alone is down when that fails.
    fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Ipv6Only if !self.seen.six().answers() => DOWN,
            verdict => verdict.exit_code(),
        }
    }

    fn host(&self) -> Host {
        Host {
            host: self.seen.host.clone(),
            port: self.seen.port,
            verdict: self.verdict,
            sentence: words::sentence(self.seen, self.verdict, self.behind, self.control),
            strip: self.verdict.strip(),
            behind_unsix: self.behind,
            remarks: self.seen.remarks(),
            name_servers: self.seen.said.clone(),
            addresses: self.seen.probes.clone(),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a doctor measures time")]
fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
