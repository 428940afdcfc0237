//! What an entry is found by: the question in few octets, and its place.
//!
//! A question borrowed from a query is [`Asked`]; kept with an entry it is a [`Key`] of 32 octets, which
//! holds names of ordinary length inline, so that comparing them touches no further memory.
//!
//! The hash is keyed by a seed that strangers do not know: nobody can choose names that meet in one place.

use crate::message::Question;
use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;
use std::hash::Hasher;

/// A question as the tables compare it, borrowed. The name is in lower-case wire form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    /// The name in lower-case wire form.
    pub(super) name: &'a [u8],
    /// The record type's number.
    pub(super) kind: u16,
    /// DO and CD.
    pub(super) bits: u8,
}

const DNSSEC_OK: u8 = 1;
const CHECKING_DISABLED: u8 = 2;

impl<'a> From<&'a Question> for Asked<'a> {
    fn from(question: &'a Question) -> Self {
        let mut bits = 0;
        if question.dnssec_ok {
            bits |= DNSSEC_OK;
        }
        if question.checking_disabled {
            bits |= CHECKING_DISABLED;
        }
        Self {
            name: question.name.wire(),
            kind: question.kind.0,
            bits,
        }
    }
}

/// Longest name in wire form that a key holds inline: what is left of 32 octets.
const INLINE: usize = 27;

/// A question kept.
pub(super) enum Key {
    /// The name lies here.
    Short {
        /// Octets of the name.
        length: u8,
        /// DO and CD.
        bits: u8,
        /// The record type's number.
        kind: u16,
        /// The name, then anything.
        octets: [u8; INLINE],
    },
    /// The name lies elsewhere.
    Long {
        /// DO and CD.
        bits: u8,
        /// The record type's number.
        kind: u16,
        /// The name.
        name: Box<[u8]>,
    },
}

impl Key {
    /// Keeps what is asked.
    pub(super) fn new(asked: Asked<'_>) -> Self {
        let Asked { name, kind, bits } = asked;
        let mut octets = [0; INLINE];
        match (octets.get_mut(..name.len()), u8::try_from(name.len())) {
            (Some(inline), Ok(length)) => {
                inline.copy_from_slice(name);
                Self::Short {
                    length,
                    bits,
                    kind,
                    octets,
                }
            }
            _ => Self::Long {
                bits,
                kind,
                name: name.into(),
            },
        }
    }

    /// The question again.
    pub(super) fn asked(&self) -> Asked<'_> {
        match self {
            Self::Short {
                length,
                bits,
                kind,
                octets,
            } => {
                let (name, _) = octets
                    .split_at_checked(usize::from(*length))
                    .unwrap_or_default();
                Asked {
                    name,
                    kind: *kind,
                    bits: *bits,
                }
            }
            Self::Long { bits, kind, name } => Asked {
                name,
                kind: *kind,
                bits: *bits,
            },
        }
    }

    /// Octets on the heap.
    pub(super) fn octets(&self) -> usize {
        match self {
            Self::Short { .. } => 0,
            Self::Long { name, .. } => super::weight::block(name.len()),
        }
    }
}

/// Where a question belongs: two independent halves of its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Chooses the shard.
    shard: u32,
    /// Stands for the question in the shard's index and its ghost.
    pub(super) fingerprint: u32,
}

impl Place {
    /// The shard's number, of so many. Any count spreads evenly, not only powers of two.
    pub(super) fn shard(self, count: usize) -> usize {
        let scaled = (u64::from(self.shard) * count as u64) >> 32;
        scaled as usize
    }
}

/// hashbrown takes the bucket from the low bits and a tag from the highest: both must come from the fingerprint,
/// for the other half of the hash is nearly the same all over a shard.
pub(super) fn spread(fingerprint: u32) -> u64 {
    u64::from(fingerprint) << 32 | u64::from(fingerprint)
}

/// The keyed hash.
#[derive(Clone)]
pub(super) struct Hashing {
    seed: u64,
    shared: SharedSeed,
}

impl Hashing {
    /// Keyed by `seed`.
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            seed,
            shared: SharedSeed::from_u64(seed),
        }
    }

    /// Where this question belongs.
    pub(super) fn place(&self, asked: Asked<'_>) -> Place {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.shared);
        hasher.write(asked.name);
        hasher.write_u32(u32::from(asked.kind) << 8 | u32::from(asked.bits));
        let hash = hasher.finish();
        Place {
            shard: (hash >> 32) as u32,
            fingerprint: hash as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gives_back_what_was_asked() {
        assert_eq!(size_of::<Key>(), 32);
        for length in [0, 1, INLINE - 1, INLINE, INLINE + 1, 255] {
            let name = vec![b'x'; length];
            let asked = Asked {
                name: &name,
                kind: 28,
                bits: DNSSEC_OK,
            };
            let key = Key::new(asked);
            assert_eq!(key.asked(), asked, "{length} octets");
            assert_eq!(key.octets() > 0, length > INLINE, "{length} octets");
        }
    }

    #[test]
    fn every_part_of_a_question_moves_it() {
        let hashing = Hashing::new(7);
        let asked = Asked {
            name: b"\x03www\x00",
            kind: 1,
            bits: 0,
        };
        let place = hashing.place(asked);
        assert_eq!(place, hashing.place(asked), "the same question");
        let others = [
            (
                "name",
                hashing.place(Asked {
                    name: b"\x03wwx\x00",
                    ..asked
                }),
            ),
            ("kind", hashing.place(Asked { kind: 28, ..asked })),
            (
                "bits",
                hashing.place(Asked {
                    bits: CHECKING_DISABLED,
                    ..asked
                }),
            ),
            ("seed", Hashing::new(8).place(asked)),
        ];
        for (why, other) in others {
            assert_ne!(place, other, "{why}");
        }
    }

    #[test]
    fn shards_fill_evenly() {
        let hashing = Hashing::new(1);
        let mut filled = [0_u32; 48];
        for kind in 0..48_000 {
            filled[hashing
                .place(Asked {
                    name: b"\x00",
                    kind,
                    bits: 0,
                })
                .shard(48)] += 1;
        }
        assert!(
            filled.iter().all(|&count| (800..1_200).contains(&count)),
            "{filled:?}"
        );
    }
}
