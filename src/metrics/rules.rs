//! Which counter belongs to which rule.
//!
//! A rule's name gets a slot when it is first seen and keeps it over every reload, so that a
//! counter never changes its meaning. There are as many slots as an octet can name; names beyond
//! them share the last one.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Rule names and their slots.
#[derive(Debug, Default)]
pub struct Rules {
    /// The name of slot 1, of slot 2, and so on.
    names: Mutex<Vec<String>>,
}

impl Rules {
    /// How many slots there are, slot 0 (no rule) and the shared last one included.
    pub const SLOTS: usize = 256;
    /// The slot of whatever no rule touched.
    pub const NONE: u8 = 0;
    /// The slot that names share once the others are given away.
    pub const OTHER: u8 = u8::MAX;
    /// What the shared slot is called. A rule of that name is counted there too: two series of one
    /// name would spoil the page.
    const OTHER_NAME: &str = "other";

    /// No name has a slot yet.
    pub const fn new() -> Self {
        Self {
            names: Mutex::new(Vec::new()),
        }
    }

    /// The slot of the rule with this name: the one it has, or a new one.
    pub fn slot(&self, name: &str) -> u8 {
        if name == Self::OTHER_NAME {
            return Self::OTHER;
        }
        let mut names = self.lock();
        let at = names
            .iter()
            .position(|known| known == name)
            .unwrap_or(names.len());
        match u8::try_from(at + 1) {
            Ok(slot) if slot < Self::OTHER => {
                if at == names.len() {
                    names.push(name.to_owned());
                }
                slot
            }
            _ => Self::OTHER,
        }
    }

    /// Every slot with a name, the shared one last.
    pub(super) fn named(&self) -> Vec<(u8, String)> {
        let names = self.lock();
        let slots = 1..Self::OTHER;
        let shared = (Self::OTHER, Self::OTHER_NAME.to_owned());
        slots.zip(names.iter().cloned()).chain([shared]).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        // A push either happened or did not: the list is whole even if its holder panicked.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
