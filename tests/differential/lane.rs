//! Two sides with one history: the same queries at the same moments, the same answers from upstream.

use crate::clients::{Query, Theme};
use crate::compare::{Case, Same};
use crate::coverage::{Coverage, Seen};
use crate::packet::AAAA;
use crate::sides::{Ended, Side, Told};
use crate::world::{ToFast, ToSlow, World};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use std::time::Duration;
use unsix::config::Config;
use unsix::pipeline::Source;
use unsix::time::Moment;

/// The two sides and all around them.
pub(crate) struct Lane {
    random: StdRng,
    configs: Vec<Config>,
    /// The configuration in force.
    active: usize,
    /// It keeps what it hears.
    fast: Side,
    /// It keeps nothing.
    slow: Side,
    world: World,
    now: Moment,
    /// Queries of this group, how old its answers were, and what each side was told.
    history: Vec<(Query, u32, Told, Told)>,
    /// Clients of the two sides heard different things: other names may have inherited rules.
    is_parted: bool,
    /// Neither side knows the zones yet.
    is_learning: bool,
    coverage: Coverage,
}

impl Lane {
    pub(crate) fn new(seed: u64, configs: Vec<Config>) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut lane = Self {
            world: World::new(random.random()),
            fast: Side::new(&configs[0], 64 << 20),
            slow: Side::new(&configs[0], 0),
            active: 0,
            now: Moment::ZERO,
            history: Vec::new(),
            is_parted: false,
            is_learning: true,
            coverage: Coverage::default(),
            random,
            configs,
        };
        lane.learn_zones();
        lane
    }

    /// Both sides hear the SOA of every zone, so that both have it at hand.
    fn learn_zones(&mut self) {
        for config in (0..self.configs.len()).rev() {
            self.reload(config);
            self.begin_group();
            for host in 0..self.world.upstreams.hosts.all.len() {
                for client in [[10, 0, 0, 1], [192, 168, 7, 1]] {
                    let name = &self.world.upstreams.hosts.all[host].name;
                    self.step(&Query::plain(name, AAAA, client));
                }
            }
        }
        self.is_learning = false;
        self.coverage = Coverage::default();
    }

    /// Asks so many queries.
    pub(crate) fn run(mut self, queries: u64) -> Coverage {
        while self.coverage.queries() < queries {
            self.group();
        }
        self.coverage
    }

    fn reload(&mut self, config: usize) {
        self.active = config;
        let config = &self.configs[config];
        self.fast.reload(config);
        self.slow.reload(config);
        let times = [config.cache.min_ttl, config.cache.max_ttl];
        self.world.times = times.map(|span| u32::try_from(span.as_secs()).unwrap());
    }

    fn reload_any(&mut self) {
        let config = *[0, 0, 0, 1, 1, 2].choose(&mut self.random).unwrap();
        self.reload(config);
    }

    /// Everything that was known is long gone, stale answers and inherited rules included.
    fn begin_group(&mut self) {
        self.now = self.now + Duration::from_secs(10 * 86_400);
        self.catch_up();
        self.world.begin(self.now);
        self.history.clear();
        self.is_parted = false;
    }

    /// Both sides live until now.
    fn catch_up(&mut self) {
        self.world.fresh.clear();
        self.world.since = self.now;
        self.fast.live(self.now, &mut ToFast(&mut self.world));
        self.slow.live(self.now, &mut ToSlow(&mut self.world));
    }

    /// Queries about one name and those that lead to it or from it.
    fn group(&mut self) {
        self.begin_group();
        if self.random.random_bool(0.1) {
            self.reload_any();
        }
        let hosts = &self.world.upstreams.hosts;
        let focus = hosts.pick(&mut self.random);
        let related = hosts.related(focus);
        let theme = Theme::new(&mut self.random);
        for _ in 0..self.random.random_range(4..16) {
            let other = self.random.random_bool(0.2);
            let at = if other {
                *related.choose(&mut self.random).unwrap()
            } else {
                focus
            };
            let name = self.world.upstreams.hosts.all[at].name.clone();
            let query = Query::new(&name, &theme, &mut self.random);
            self.step(&query);
            if self.is_parted {
                return;
            }
            let wait = *[0, 0, 0, 0, 0, 1, 1, 3, 9, 40, 400]
                .choose(&mut self.random)
                .unwrap();
            self.now = self.now + Duration::from_secs(wait);
            if self.random.random_bool(0.01) {
                self.reload_any();
            }
        }
        if self.random.random_bool(0.3)
            && let Some((query, ..)) = self.history.choose(&mut self.random)
        {
            self.fail(&query.clone());
        }
    }

    /// One query to both sides.
    fn step(&mut self, query: &Query) {
        self.catch_up();
        self.world.loses = false;
        self.world.trace.clear();
        self.fast.backward = self.random.random();
        self.slow.backward = self.random.random();
        let Some((fast, hit)) = self.ask_fast(query) else {
            let told = self.ask_slow(query);
            return self.must(told.is_none(), query, "one side drops it", None);
        };
        if hit.is_none() {
            // Both fetch: what is passed on where an answer fails may depend on which came first.
            self.slow.backward = self.fast.backward;
        }
        let Some(slow) = self.ask_slow(query) else {
            return self.must(false, query, "one side drops it", None);
        };
        if !self.is_learning {
            let known = hit.is_none() || self.case(query).is_known(&fast);
            self.must(known, query, "its time is over", Some((&fast, &slow)));
            self.compare(query, &fast, &slow);
        }
        if hit == Some(true) {
            self.refresh(query);
        }
        let age = self.world.age(self.world.since);
        self.coverage.see(&Seen {
            query,
            told: &fast,
            is_hit: hit.is_some(),
            is_aged: age > 0,
        });
        self.history.push((query.clone(), age, fast, slow));
        self.now = whole_second(self.fast.now.max(self.slow.now));
    }

    /// What the fast side tells at last; where its cache does, whether that should be refreshed.
    fn ask_fast(&mut self, query: &Query) -> Option<(Told, Option<bool>)> {
        match self.fast.answer_now(query) {
            Ended::Told(told, refresh) => return Some((told, Some(refresh))),
            Ended::Dropped => return None,
            Ended::Unknown => {}
        }
        let first = self.fast.fetch(query, &mut ToFast(&mut self.world));
        let then = whole_second(self.fast.now);
        self.fast.live(then, &mut ToFast(&mut self.world));
        match self.fast.answer_now(query) {
            Ended::Told(told, refresh) => {
                // What it did not keep it knows no more; its client has heard it, or has heard it in between.
                self.is_parted = self.world.loses || then > self.now;
                self.now = then;
                self.catch_up();
                Some((told, Some(refresh)))
            }
            Ended::Dropped => panic!("dropped after a reply"),
            Ended::Unknown => {
                let expected = self.world.loses || then > self.now;
                self.must(
                    expected,
                    query,
                    "it was kept and is not found",
                    Some((&first, &first)),
                );
                Some((first, None))
            }
        }
    }

    fn ask_slow(&mut self, query: &Query) -> Option<Told> {
        match self.slow.answer_now(query) {
            Ended::Told(told, _) => {
                // A failure it may remember, an answer never.
                let known = matches!(told.tally.source, Source::Cache | Source::Stale);
                self.must(!known, query, "there is no cache", Some((&told, &told)));
                Some(told)
            }
            Ended::Dropped => None,
            Ended::Unknown => Some(self.slow.fetch(query, &mut ToSlow(&mut self.world))),
        }
    }

    /// Then the fast side asks again for what it knows not much longer.
    fn refresh(&mut self, query: &Query) {
        self.world.dawdles = false;
        self.fast.refresh(query, &mut ToFast(&mut self.world));
        self.world.dawdles = true;
        self.coverage.count("refreshed");
    }

    /// Upstreams fail: a stale answer by a fetch is the one that goes out while the failure is remembered.
    fn fail(&mut self, query: &Query) {
        let later = *[600, 3000, 20_000].choose(&mut self.random).unwrap();
        self.now = self.now + Duration::from_secs(later);
        self.catch_up();
        self.world.loses = false;
        self.world.dawdles = false;
        self.world.upstreams.are_down = true;
        // The AAAA fails first: a stale A that came first would decide alone.
        self.fast.backward = false;
        if let Ended::Unknown = self.fast.answer_now(query) {
            let fetched = self.fast.fetch(query, &mut ToFast(&mut self.world));
            match self.fast.answer_now(query) {
                Ended::Told(told, _) if !self.world.loses => {
                    self.compare(query, &told, &fetched);
                    let is_stale = told.tally.source == Source::Stale;
                    self.coverage
                        .count(if is_stale { "stale" } else { "failed" });
                }
                _ => {}
            }
        }
        self.world.upstreams.are_down = false;
        self.world.dawdles = true;
    }

    fn case<'a>(&'a self, query: &'a Query) -> Case<'a> {
        Case {
            query,
            world: &self.world,
            rules: &self.configs[self.active].rules,
        }
    }

    fn compare(&mut self, query: &Query, fast: &Told, slow: &Told) {
        match self.case(query).compare(fast, slow) {
            Ok(Same::Entirely) => {}
            Ok(same) => {
                self.is_parted |= matches!(same, Same::ByIpv4Alone | Same::LatelyGood);
                self.coverage.allow(same);
            }
            Err(fault) => self.must(false, query, &fault, Some((fast, slow))),
        }
    }

    /// Ends the test with all that there is to know.
    fn must(&self, holds: bool, query: &Query, fault: &str, told: Option<(&Told, &Told)>) {
        if holds {
            return;
        }
        let mut text = format!("{fault}\nconfiguration {}\n", self.active);
        for (query, age, fast, slow) in &self.history {
            text += &format!(
                "\n{age} s old, {:?}: {:?}, {:?}\n",
                query.client, fast.tally, slow.tally
            );
            text += &shown("query", &query.packet);
            text += &shown("reply", &fast.reply);
        }
        let age = self.world.age(self.world.since);
        text += &format!(
            "\nNOW: {age} s old, {:?}\n{}",
            query.client,
            shown("query", &query.packet)
        );
        for (side, asked) in &self.world.trace {
            text += &shown(side, &self.world.upstreams.packet(asked));
        }
        if let Some((fast, slow)) = told {
            text += &format!("{:?}\n{}", fast.tally, shown("fast", &fast.reply));
            text += &format!("{:?}\n{}", slow.tally, shown("slow", &slow.reply));
        }
        panic!("{text}");
    }
}

/// This moment, or the next that is a whole second.
fn whole_second(moment: Moment) -> Moment {
    Moment::from_micros(moment.as_micros().next_multiple_of(1_000_000))
}

fn shown(what: &str, packet: &[u8]) -> String {
    let octets: String = packet.iter().map(|octet| format!("{octet:02x}")).collect();
    let read = hickory_proto::op::Message::from_vec(packet);
    let text = read.map_or_else(|error| error.to_string(), |message| message.to_string());
    format!("{what}: {octets}\n{text}\n")
}
