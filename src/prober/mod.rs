//! Probes the hosts of rules with `when: broken` in the background, and tells the pipeline what it finds.
//!
//! One task. It begins a round for each host that is due ([`crate::verdict`] says which), never faster than
//! `probe.max_per_second`, and publishes verdicts when one becomes another. Addresses come from the daemon's own upstreams,
//! so it sees what no rule has touched. No client ever waits for it.

mod resolve;
mod round;
mod state;

use crate::pipeline::{Pipeline, Settings};
use crate::probe::Outcome;
use crate::time::Moment;
use crate::upstream::secure::Secure;
use crate::verdict::{self, Book, Change, Condition, Endpoint, Report, Verdict};
use resolve::Resolvers;
use round::{Control, Pace, Round};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// The prober of one daemon.
pub struct Prober {
    pipeline: Arc<Pipeline>,
    /// The daemon's own time.
    now: Box<dyn Fn() -> Moment + Send + Sync>,
    book: Mutex<Book>,
    counts: Mutex<Counts>,
    state: Option<PathBuf>,
    resolvers: Resolvers,
    pace: Pace,
    control: Control,
}

/// What was counted since the start.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Probes, by the label of their outcome, every label from the start.
    pub probes: BTreeMap<&'static str, u64>,
    /// By rule: addresses that broke, addresses that healed, retries of clients.
    pub rules: BTreeMap<String, OfRule>,
}

/// What was counted of one rule.
#[derive(Clone, Copy, Debug, Default)]
pub struct OfRule {
    /// Addresses that became broken.
    pub broke: u64,
    /// Addresses that became healthy.
    pub healed: u64,
    /// Clients that asked again and again for what they should know.
    pub retries: u64,
}

/// What `/metrics` shows of rules that hold while their hosts are broken.
#[derive(Clone, Debug)]
pub struct Numbers {
    /// Since the start.
    pub counts: Counts,
    /// Now: the rule, hosts that are watched, addresses that are broken.
    pub rules: Vec<(String, usize, usize)>,
    /// How long it takes to probe every host once.
    pub round: Duration,
}

impl Prober {
    /// For a pipeline; `state` is the file that verdicts survive in, `now` the pipeline's time.
    pub fn new(
        pipeline: Arc<Pipeline>,
        secure: Arc<Secure>,
        state: Option<PathBuf>,
        now: impl Fn() -> Moment + Send + Sync + 'static,
    ) -> Self {
        let settings = pipeline.settings();
        let book = Book::new(&settings.policy, &settings.probe, now());
        Self {
            pipeline,
            now: Box::new(now),
            book: Mutex::new(book),
            counts: Mutex::new(Counts {
                probes: verdict::labels().map(|label| (label, 0)).collect(),
                rules: BTreeMap::new(),
            }),
            state,
            resolvers: Resolvers::new(secure),
            pace: Pace::default(),
            control: Control::default(),
        }
    }

    /// What is watched and what was decided, as JSON.
    pub fn page(&self) -> String {
        self.book().page().text()
    }

    /// What `/metrics` shows.
    pub fn numbers(&self) -> Numbers {
        let book = self.book();
        Numbers {
            counts: self.counts().clone(),
            rules: book.by_rule(),
            round: book.round(),
        }
    }

    /// Probes for as long as it is polled.
    pub async fn run(self: Arc<Self>) {
        self.recall();
        let mut rounds: JoinSet<(Endpoint, Report)> = JoinSet::new();
        let mut settings = self.pipeline.settings();
        let mut untold = Untold {
            generation: self.publish(),
            ..Untold::default()
        };
        let mut tick = pin!(sleep(Duration::ZERO));
        loop {
            tokio::select! {
                () = &mut tick => {
                    let span = settings.probe.interval / TICKS;
                    tick.set(sleep(span.min(LONGEST_TICK)));
                    untold.names |= self.follow(&mut settings, untold.generation);
                    untold.names |= self.take_sightings();
                    self.tell(&mut untold);
                    self.begin(&mut rounds, &settings);
                }
                Some(Ok((endpoint, report))) = rounds.join_next() => {
                    untold.say_route(report.condition);
                    untold.verdicts |= self.settle(endpoint, &report);
                }
            }
        }
    }

    /// Begins a round for each host that is due, as far as there is room.
    fn begin(self: &Arc<Self>, rounds: &mut JoinSet<(Endpoint, Report)>, settings: &Arc<Settings>) {
        let room = match self.pace.is_behind() {
            true => 0,
            false => MOST_ROUNDS.saturating_sub(rounds.len()),
        };
        let due = self.book().take_due((self.now)(), room);
        for endpoint in due {
            let round = Round {
                prober: Arc::clone(self),
                endpoint,
                settings: Arc::clone(settings),
            };
            rounds.spawn(async move { (endpoint, round.run().await) });
        }
    }

    /// Tells the pipeline what it does not know yet: verdicts at once, new names not more often than each second.
    fn tell(&self, untold: &mut Untold) {
        let now = (self.now)();
        let names = untold.names && now.since(untold.told) >= NAMES;
        if untold.verdicts || names {
            untold.generation = self.publish();
            untold.told = now;
            untold.names = false;
        }
        if std::mem::take(&mut untold.verdicts) {
            self.remember();
        }
    }

    /// Looks for a reload, and follows it; `own` is the generation that our own verdicts made.
    fn follow(&self, settings: &mut Arc<Settings>, own: u64) -> bool {
        let former = settings.generation;
        self.pipeline.catch_up(settings);
        let ours = settings.generation == own && own == former + 1;
        let is_reload = settings.generation != former && !ours;
        if is_reload {
            self.book()
                .follow(&settings.policy, &settings.probe, (self.now)());
        }
        is_reload
    }

    /// Takes over what replies have noted; true where a name is new.
    fn take_sightings(&self) -> bool {
        let now = (self.now)();
        let mut is_new = false;
        for sighting in self.pipeline.sightings() {
            if sighting.retries == 0 {
                is_new |= self.book().sight(&sighting.name, sighting.port, now);
                continue;
            }
            let rules = self.book().hurry(sighting.name, sighting.port, now);
            for rule in rules {
                let mut counts = self.counts();
                counts.rules.entry(rule).or_default().retries += u64::from(sighting.retries);
            }
        }
        is_new
    }

    /// A round is over; true where it decided something.
    fn settle(&self, endpoint: Endpoint, report: &Report) -> bool {
        let times = ((self.now)(), wall());
        let jitter = rand::random::<f64>();
        let changes = self.book().report(endpoint, report, times, jitter);
        for (_, outcome) in &report.ipv6 {
            self.count(*outcome);
        }
        for change in &changes {
            log(change);
            let mut counts = self.counts();
            for rule in &change.rules {
                let of_rule = counts.rules.entry(rule.clone()).or_default();
                match change.verdict {
                    Verdict::Broken => of_rule.broke += 1,
                    Verdict::Healthy | Verdict::Unknown => of_rule.healed += 1,
                }
            }
        }
        !changes.is_empty()
    }

    fn count(&self, outcome: Outcome) {
        *self
            .counts()
            .probes
            .entry(verdict::label(outcome))
            .or_default() += 1;
    }

    /// Gives the generation of the settings that know all verdicts.
    fn publish(&self) -> u64 {
        let verdicts = self.book().verdicts();
        self.pipeline.judge(Arc::new(verdicts))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the run has not passed on yet.
#[derive(Default)]
struct Untold {
    /// A verdict became another one.
    verdicts: bool,
    /// Hosts are watched that the pipeline does not know as such.
    names: bool,
    /// When the pipeline was told last, and the generation of its settings that this made.
    told: Moment,
    generation: u64,
    /// This host has no IPv6 route, and that was said.
    without_route: bool,
}

impl Untold {
    /// That this host has no IPv6 is said once, and once that it has.
    fn say_route(&mut self, condition: Condition) {
        match condition {
            Condition::NoRoute if !self.without_route => {
                self.without_route = true;
                tracing::warn!(
                    "this host has no IPv6 route: nothing can be told about the IPv6 of hosts of rules with `when: broken`; their `initial` holds"
                );
            }
            Condition::Probed if self.without_route => {
                self.without_route = false;
                tracing::info!("this host has an IPv6 route again");
            }
            _ => {}
        }
    }
}

fn log(change: &Change) {
    let host = change.endpoint.host;
    let (port, address) = (change.endpoint.port, change.address);
    let rules = change.rules.join(" ");
    match change.verdict {
        Verdict::Broken => {
            let why = change.cause.map(verdict::cause);
            let elsewhere = change
                .elsewhere
                .map(|works| if works { "works" } else { "fails" });
            let flapping = (change.breaks > 1).then_some(change.breaks);
            tracing::warn!(%host, port, %address, rules, why, elsewhere, breaks_within_an_hour = flapping, "IPv6 is broken while IPv4 works");
        }
        Verdict::Healthy | Verdict::Unknown => {
            tracing::info!(%host, port, %address, rules, "IPv6 works");
        }
    }
}

/// The time since 1970, for people and for the state file.
#[expect(
    clippy::disallowed_methods,
    reason = "people and the state file want the calendar's time"
)]
fn wall() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// How often within an interval somebody looks whose time has come.
const TICKS: u32 = 10;
/// And how often at least: hosts that are due together are probed together, which costs less.
const LONGEST_TICK: Duration = Duration::from_millis(250);
/// New names are passed on this often at most: each time all verdicts are made anew.
const NAMES: Duration = Duration::from_secs(1);
/// Hosts that are probed at a time.
const MOST_ROUNDS: usize = 64;
