//! What upstreams say to the two sides, and what the fast side knows of it: an account of its cache that is kept
//! here, by what was said and when.

use crate::clients::Query;
use crate::packet::{A, AAAA, AD, Asked, HINFO, Heard, RD};
use crate::sides::{LATE, Said, Wire};
use crate::upstream::{Meaning, Reply, Upstreams};
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use unsix::message::Transport;
use unsix::time::Moment;

/// What upstreams say, and what the fast side has heard of it.
pub(crate) struct World {
    pub(crate) upstreams: Upstreams,
    /// All TTLs count from here.
    pub(crate) epoch: Moment,
    /// When the query that is under way is asked.
    pub(crate) since: Moment,
    /// `min_ttl` and `max_ttl` in force, in seconds.
    pub(crate) times: [u32; 2],
    /// What the fast side keeps: until when, and whether it serves those who ask by AD.
    known: HashMap<Asked, (Moment, bool)>,
    /// What it heard since the query came, kept or not.
    pub(crate) fresh: HashSet<Asked>,
    /// It heard something since then that it does not keep.
    pub(crate) loses: bool,
    /// Somebody waits for the fast side's answers: those of slow servers come late.
    pub(crate) dawdles: bool,
    /// Questions put without EDNS, and how they were put before.
    bare: HashMap<Asked, Asked>,
    /// Who asked what since the query came.
    pub(crate) trace: Vec<(&'static str, Asked)>,
}

/// The upstreams as the side that keeps answers hears them.
pub(crate) struct ToFast<'a>(pub(crate) &'a mut World);

/// The upstreams as the side that keeps none hears them.
///
/// They repeat what the other side knows or has just heard. All other addresses come late: where an A decided
/// alone there, it should decide alone here too.
pub(crate) struct ToSlow<'a>(pub(crate) &'a mut World);

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            upstreams: Upstreams::new(seed),
            epoch: Moment::ZERO,
            since: Moment::ZERO,
            times: [0; 2],
            known: HashMap::new(),
            fresh: HashSet::new(),
            loses: false,
            dawdles: true,
            bare: HashMap::new(),
            trace: Vec::new(),
        }
    }

    /// All that was known is long gone.
    pub(crate) fn begin(&mut self, epoch: Moment) {
        self.epoch = epoch;
        self.known.clear();
        self.bare.clear();
    }

    /// Seconds begun: what is said in the middle of one is as old at its end as what was said before.
    pub(crate) fn age(&self, now: Moment) -> u32 {
        let micros = now.since(self.epoch).as_micros();
        u32::try_from(micros.div_ceil(1_000_000)).unwrap()
    }

    /// What an upstream says; what was asked without EDNS is taken for what was asked with it.
    fn say(&mut self, heard: &mut Heard, from: (SocketAddr, Transport), age: u32) -> Reply {
        let (upstream, over) = from;
        let weak = upstream.ip() != STRONG;
        let reply = self
            .upstreams
            .say(heard, age, (weak, over == Transport::Stream));
        let bare = Asked {
            signed: false,
            ..heard.asked.clone()
        };
        if heard.edns {
            self.bare.insert(bare, heard.asked.clone());
        } else if let Some(asked) = self.bare.get(&bare) {
            heard.asked = asked.clone();
        }
        reply
    }

    /// The fast side keeps what it was told, or it does not.
    fn learn(&mut self, heard: Heard, reply: &Reply, age: u32) {
        let keeps = heard.flags & RD != 0 && heard.asked.kind != HINFO;
        if !reply.is_whole {
            self.loses |= !keeps;
            return;
        }
        let answer = self.upstreams.answer(&heard.asked);
        let life = answer.life(age, self.times).filter(|_| keeps);
        if let Some(life) = life {
            let until = self.epoch + Duration::from_secs(u64::from(age) + u64::from(life));
            let authentic = heard.flags & AD != 0 || heard.asked.signed;
            self.known.insert(heard.asked.clone(), (until, authentic));
        } else {
            // A failure is remembered in another way.
            self.loses |= !keeps || answer.meaning != Meaning::Failure;
        }
        self.fresh.insert(heard.asked);
    }

    /// The fast side's cache has the answer for a client that asks so.
    fn knows(&self, asked: &Asked, authentic: bool) -> bool {
        let known = self.known.get(asked);
        known.is_some_and(|(until, serves)| *until > self.since && (*serves || !authentic))
    }

    /// The same of what a query asks, or of another type of the same name.
    pub(crate) fn knows_of(&self, query: &Query, kind: Option<u16>) -> bool {
        let heard = Heard::read(&query.packet);
        let kind = kind.unwrap_or(heard.asked.kind);
        self.knows(
            &Asked {
                kind,
                ..heard.asked
            },
            heard.flags & AD != 0,
        )
    }

    /// The name that is asked for has IPv4 addresses, as far as anybody is told.
    pub(crate) fn has_ipv4(&self, query: &Query) -> bool {
        let asked = Heard::read(&query.packet).asked;
        !self.upstreams.are_down && self.upstreams.answer(&Asked { kind: A, ..asked }).is_good()
    }

    /// The A that is asked for fails, and was data for who set DO or CD otherwise.
    pub(crate) fn was_good_lately(&self, query: &Query) -> bool {
        let asked = Asked {
            kind: A,
            ..Heard::read(&query.packet).asked
        };
        let alike = |other: &Asked| other.kind == A && other.name == asked.name && *other != asked;
        let is = |asked, meaning| self.upstreams.answer(asked).meaning == meaning;
        let mut others = self.known.keys().filter(|other| alike(other));
        is(&asked, Meaning::Failure) && others.any(|other| is(other, Meaning::Data))
    }

    /// The A that is asked for is NXDOMAIN behind a chain.
    pub(crate) fn denies_along_a_chain(&self, query: &Query) -> bool {
        let asked = Heard::read(&query.packet).asked;
        let answer = self.upstreams.answer(&Asked { kind: A, ..asked });
        answer.meaning == Meaning::NxDomain && answer.has_chain
    }
}

impl Wire for ToFast<'_> {
    fn hear(&mut self, packet: &[u8], from: (SocketAddr, Transport), now: Moment) -> Said {
        let (world, mut heard) = (&mut *self.0, Heard::read(packet));
        let slow = world.dawdles && world.upstreams.answer(&heard.asked).is_slow();
        let age = world.age(now + if slow { LATE } else { Duration::ZERO });
        let reply = world.say(&mut heard, from, age);
        world.trace.push(("fast", heard.asked.clone()));
        world.learn(heard, &reply, age);
        if slow {
            Said::Late(reply.packet)
        } else {
            Said::AtOnce(reply.packet)
        }
    }
}

impl Wire for ToSlow<'_> {
    fn hear(&mut self, packet: &[u8], from: (SocketAddr, Transport), now: Moment) -> Said {
        let (world, mut heard) = (&mut *self.0, Heard::read(packet));
        let slow =
            world.fresh.contains(&heard.asked) && world.upstreams.answer(&heard.asked).is_slow();
        let age = if slow {
            world.age(now + LATE)
        } else {
            world.age(world.since)
        };
        let reply = world.say(&mut heard, from, age);
        let asked = &heard.asked;
        let is_known = world.fresh.contains(asked) || world.knows(asked, heard.flags & AD != 0);
        let fails = world.upstreams.answer(asked).meaning == Meaning::Failure;
        let unheard = matches!(asked.kind, A | AAAA) && !is_known && !fails;
        world.trace.push(("slow", heard.asked));
        if reply.is_whole && (unheard || slow) {
            Said::Late(reply.packet)
        } else {
            Said::AtOnce(reply.packet)
        }
    }
}

/// The one server that no name is too much for; it is the second of every list.
const STRONG: IpAddr = IpAddr::V4(Ipv4Addr::new(149, 112, 112, 112));
