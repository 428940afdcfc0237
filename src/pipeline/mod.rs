//! A query's whole way, in order, without IO.
//!
//! The order of [`Pipeline::answer_now`], and why:
//!
//! 1. *peek*: what is no query gets silence or an error before anybody spends more on it;
//! 2. *access*: a stranger learns nothing, not even from the cache;
//! 3. *special names*: they are answered here whatever upstreams or caches say;
//! 4. *cache*: whole answers under the question asked; fresh, or stale while a failure is remembered;
//! 5. *the A check* (`check`) for AAAA and ANY: only it may keep an AAAA, and it needs two answers;
//! 6. *rules* on the way out (`replies`): so that a reload acts on the next reply;
//! 7. *the reply*, written by one function for hit, miss and stale alike.
//!
//! What is not known becomes a fetch ([`Fetches`]): share the flight of an equal question (`flights`),
//! choose upstreams by health and judge what comes (`flight`, `health`), keep what upstream said, then
//! go on at 5. Drivers carry the bytes and tell the time; nothing here opens a socket or reads a clock.

mod attempt;
mod carry;
mod check;
mod designated;
mod events;
mod explain;
mod fetches;
mod flight;
mod flights;
mod health;
mod heirs;
mod now;
mod pair;
mod probes;
mod replies;
mod settings;
mod sightings;
mod special;
mod tell;
mod timers;
mod written;
mod zones;

use crate::cache::{Cache, Entry, Failures, Usage};
use crate::config::{Config, Server};
use crate::message::{self, Kind, Meaning, Query, Question, Rcode, Transport};
use crate::policy::Verdicts;
use crate::time::Moment;
use flight::Failed;
use replies::Audience;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use written::{write_code, write_special};

pub use events::{Action, Event, Exchange, Note};
pub use explain::Explanation;
pub use fetches::{Duty, Fetches};
pub use health::{State, Trouble, Upstream};
pub use settings::{Servers, Settings, is_global};
pub use sightings::Sighting;
pub use special::Identity;

/// All that drivers share: cache, flights, health, the settings of the day.
pub struct Pipeline {
    settings: RwLock<Arc<Settings>>,
    generation: AtomicU64,
    cache: Cache,
    failures: Failures,
    flights: flights::Flights,
    heirs: heirs::Heirs,
    zones: zones::Zones,
    tokens: probes::Tokens,
    sightings: sightings::Sightings,
    identity: Identity,
}

/// Who asks, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address; an IPv4-mapped one is IPv4 here already.
    pub address: IpAddr,
    /// How the query came, and the reply will go.
    pub transport: Transport,
    /// Whether nobody between can read either.
    pub is_encrypted: bool,
}

/// Where a reply goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Who asks.
    pub client: Client,
    /// Its socket address.
    pub peer: SocketAddr,
    /// The way back.
    pub via: Via,
}

/// The way back to a client; means something to drivers only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// A datagram socket.
    Socket {
        /// Which listener.
        listener: u16,
        /// The address of ours that was asked, where the listener has several.
        local: Option<IpAddr>,
        /// The interface it came in by; 0 where that does not matter.
        interface: u32,
    },
    /// A stream connection.
    Connection(u64),
}

/// What the caller must do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// `reply` holds the whole reply: send it.
    Reply {
        /// What it counts as.
        tally: Tally,
        /// Then hand the same query to [`Fetches::refresh`].
        refresh: bool,
    },
    /// Not worth an answer.
    Drop,
    /// Nobody here knows: hand it to [`Fetches::ask`].
    Fetch,
}

/// What a reply counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Where it came from.
    pub source: Source,
    /// Its response code.
    pub rcode: Rcode,
    /// The place of the rule that changed it.
    pub rule: Option<u8>,
    /// The place of the rule in report mode that would have.
    pub reported: Option<u8>,
}

/// Where a reply came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The cache, fresh.
    Cache,
    /// An upstream, just now.
    Upstream,
    /// The cache, past its time.
    Stale,
    /// A NODATA of our own.
    Filtered,
    /// A special name.
    Special,
    /// A failure, or a refusal.
    Error,
}

impl Pipeline {
    /// `upstreams` are those of the configuration, or the system's where it names none; `seed` keys hashes.
    pub fn new(config: &Config, upstreams: &[Server], seed: u64) -> Self {
        let settings = Settings::new(config, upstreams, None);
        Self {
            generation: AtomicU64::new(settings.generation),
            cache: Cache::new(config.cache.size, seed),
            failures: Failures::new(seed),
            flights: flights::Flights::new(seed),
            heirs: heirs::Heirs::new(&settings),
            settings: RwLock::new(Arc::new(settings)),
            zones: zones::Zones::default(),
            tokens: probes::Tokens::default(),
            sightings: sightings::Sightings::new(seed),
            identity: Identity::default(),
        }
    }

    /// The same, saying who it is where the canary is asked for.
    #[must_use]
    pub fn known_as(self, identity: Identity) -> Self {
        Self { identity, ..self }
    }

    /// A reload: rules, routes, upstreams, access and times act with the next reply; the cache stays.
    pub fn apply(&self, config: &Config, upstreams: &[Server]) {
        let mut current = self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let next = Settings::new(config, upstreams, Some(&current));
        self.heirs.move_to(&current, &next);
        self.generation.store(next.generation, Ordering::Release);
        *current = Arc::new(next);
    }

    /// What probes have found acts with the next reply. Gives the generation of the settings that know it.
    pub fn judge(&self, verdicts: Arc<Verdicts>) -> u64 {
        let mut current = self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let next = current.judged(verdicts);
        self.heirs.move_to(&current, &next);
        self.generation.store(next.generation, Ordering::Release);
        *current = Arc::new(next);
        current.generation
    }

    /// Hosts that clients have asked for since the last call, and that probes do not know or should look at.
    pub fn sightings(&self) -> Vec<Sighting> {
        self.sightings.take()
    }

    /// The settings of the day.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces settings that a reload has left behind; one load where it has not.
    pub fn catch_up(&self, settings: &mut Arc<Settings>) {
        if self.generation.load(Ordering::Acquire) != settings.generation {
            *settings = self.settings();
        }
    }

    /// Answers from what is already known. Never waits. Clears `reply` first.
    #[expect(
        clippy::too_many_arguments,
        reason = "the hot call: a struct for it would be built for each packet"
    )]
    pub fn answer_now(
        &self,
        settings: &Settings,
        query: &[u8],
        client: Client,
        now: Moment,
        reply: &mut Vec<u8>,
    ) -> Outcome {
        // Looked at where it was put: a query holds a name of 256 octets.
        let peeked = Query::peek(query);
        let query = match &peeked {
            Ok(query) => query,
            Err(fault) => {
                if !message::write_fault(query, *fault, reply) {
                    return Outcome::Drop;
                }
                return said(Tally {
                    source: Source::Error,
                    rcode: fault.rcode(),
                    rule: None,
                    reported: None,
                });
            }
        };
        let to = Audience {
            settings,
            query,
            client,
            now,
        };
        if !settings.access.contains(client.address) {
            return said(write_code(to, Rcode::REFUSED, PROHIBITED, reply));
        }
        if let Some(special) = settings.special(&query.question) {
            let answer = special.answer(&query.question, self.identity);
            return said(write_special(to, &answer, reply));
        }
        if query.question.kind == Kind::HINFO {
            // It finds loops: never from a cache, never shared (answers.md 8).
            return Outcome::Fetch;
        }
        if pair::is_checked(query) {
            self.checked_now(to, reply)
        } else {
            self.plain_now(to, reply)
        }
    }

    /// Keeps what an upstream said, and forgets that the question ever failed.
    fn keep(
        &self,
        settings: &Settings,
        ask: &message::Ask,
        answer: &Arc<message::Answer>,
        now: Moment,
    ) {
        self.failures.clear(&ask.question);
        if let Some(span) = crate::cache::lifetime(answer, &settings.times) {
            self.cache.keep(
                &ask.question,
                Entry {
                    answer: Arc::clone(answer),
                    learned: now,
                    fresh_until: now + span,
                    asked_authentic: ask.authentic_data || ask.question.dnssec_ok,
                    hits: 0,
                    refreshing: false,
                    memo: None,
                },
            );
        }
        self.learn_zone(settings, ask, answer);
    }

    /// A SOA under which a NODATA of ours may be cached: of a touched name, or one that we asked for.
    fn learn_zone(&self, settings: &Settings, ask: &message::Ask, answer: &message::Answer) {
        let question = &ask.question;
        if (answer.meaning() != Meaning::Data || question.kind == Kind::SOA)
            && (!settings.policy.find(&question.name).named.is_empty()
                || self.zones.asked_for(&question.name))
            && let Some(soa) = answer.soa()
        {
            self.zones.learn(soa);
        }
    }

    /// Remembers a failure (RFC 9520 §3.2).
    fn keep_failure(&self, question: &Question, failed: &Failed, now: Moment) {
        self.failures.record(question, failed.rcode, now);
    }

    /// What the cache takes.
    pub fn cache_usage(&self) -> Usage {
        self.cache.usage()
    }

    /// Fetches that clients started and that have not ended.
    pub fn in_flight(&self) -> usize {
        self.flights.in_flight()
    }
}

fn said(tally: Tally) -> Outcome {
    Outcome::Reply {
        tally,
        refresh: false,
    }
}

/// RFC 8914 §4.19.
const PROHIBITED: u16 = 18;
