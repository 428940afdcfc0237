//! The SOA under which a stripped NODATA is cached (answers.md 3).
//!
//! A positive answer brings no SOA, and a NODATA without one is hardly cached by anybody downstream
//! (RFC 2308 §5). So the SOAs that negative answers of touched names brought are kept here by zone. Where
//! none is at hand one is made up, and the real one is fetched once, in the background: nobody waits.

use crate::message::{Name, Soa};
use crate::time::Moment;
use foldhash::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Known SOAs, and names whose SOA is being asked for.
#[derive(Debug, Default)]
pub(super) struct Zones {
    inner: Mutex<Inner>,
    /// Counts what was learned: a NODATA made before may have a better SOA now.
    version: AtomicU64,
    /// Somebody wants a SOA; so that a hit pays one load.
    wanting: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    /// By owner, lower case.
    known: HashMap<Box<[u8]>, Soa>,
    /// Names asked for, and when they may be asked for again.
    asked: HashMap<Box<[u8]>, Moment>,
    /// Names that nobody has asked for yet.
    wanted: Vec<Name>,
}

impl Zones {
    /// Keeps the SOA of a zone, never that of the root.
    pub(super) fn learn(&self, soa: Soa) {
        if soa.owner.is_root() {
            return;
        }
        let mut inner = self.lock();
        if inner.known.len() >= MOST {
            inner.known.clear();
        }
        let former = inner.known.insert(soa.owner.lower().wire().into(), soa);
        if former != Some(soa) {
            self.version.fetch_add(1, Relaxed);
        }
    }

    /// The SOA of the closest zone that holds the name, or one made up with the name itself as owner:
    /// a guessed parent could be a top-level domain.
    pub(super) fn choose(&self, name: &Name, now: Moment) -> Soa {
        let name = name.lower();
        let mut inner = self.lock();
        let real = name.suffixes().find_map(|suffix| inner.known.get(suffix));
        if let Some(soa) = real {
            return *soa;
        }
        inner.want(&name, now);
        self.wanting.store(!inner.wanted.is_empty(), Relaxed);
        made_up(name)
    }

    /// Another number each time that something was learned.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Relaxed)
    }

    /// Whether [`Self::take_wanted`] has a name to tell.
    pub(super) fn wants(&self) -> bool {
        self.wanting.load(Relaxed)
    }

    /// Whether a SOA was asked for under this name.
    pub(super) fn asked_for(&self, name: &Name) -> bool {
        let inner = self.lock();
        !inner.asked.is_empty() && inner.asked.contains_key(name.wire())
    }

    /// Names whose SOA should be asked for now.
    pub(super) fn take_wanted(&self) -> Vec<Name> {
        if !self.wants() {
            return Vec::new();
        }
        self.wanting.store(false, Relaxed);
        std::mem::take(&mut self.lock().wanted)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn want(&mut self, name: &Name, now: Moment) {
        if self
            .asked
            .get(name.wire())
            .is_some_and(|again| *again > now)
        {
            return;
        }
        if self.asked.len() >= MOST {
            self.asked.retain(|_, again| *again > now);
            if self.asked.len() >= MOST {
                return;
            }
        }
        self.asked.insert(name.wire().into(), now + ASK_AGAIN);
        self.wanted.push(*name);
    }
}

/// A SOA whose names say that a filter made it.
pub(super) fn made_up(owner: Name) -> Soa {
    let name = |text| Name::parse(text).unwrap_or(Name::ROOT);
    Soa {
        owner,
        mname: name("filtered.unsix.invalid"),
        rname: name("see-extended-error-17.unsix.invalid"),
        serial: 1,
        refresh: 7_200,
        retry: 900,
        expire: 1_209_600,
        minimum: 0,
    }
}

/// Zones kept, and names remembered as asked for.
const MOST: usize = 4_096;
/// A name whose SOA could not be had is asked for again after this.
const ASK_AGAIN: Duration = Duration::from_secs(3600);
