//! The queries that are asked, as packets ready to send: known names over and over, fresh ones made on the way.
//!
//! Everything is drawn from fixed numbers, so that every server of a round is asked the same.

use crate::mmsg::Datagram;

/// The record type A.
pub(crate) const A: u16 = 1;
/// The record type AAAA.
pub(crate) const AAAA: u16 = 28;
/// The label under which names stand whose AAAA is to be filtered.
pub(crate) const LISTED: &str = "listed";
/// Begins the label under which names stand that have so many A records as it says behind.
pub(crate) const MANY: &str = "many";
/// How many that may be. The upstream has a wildcard for each.
const MIXED: &[usize] = &[1, 2, 4, 8, 20];
/// The zone of all names that are asked; a wildcard answers every one of them.
const ZONE: &str = "bench.test";

/// Which names are asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// Names that no rule touches.
    Plain(usize),
    /// The same, each as often as Zipf's law says: the n-th name 1/n as often as the first.
    Zipf(usize),
    /// Names that a rule touches.
    Listed(usize),
    /// Names that no rule lists, their addresses in the range of the listed ones.
    Ranged(usize),
}

/// How many A records fresh names have.
#[derive(Clone, Copy)]
pub(crate) enum Sizes {
    /// One.
    One,
    /// From one to twenty, in turn.
    Mixed,
}

impl Sizes {
    /// The zones under which such names stand.
    fn zones(self) -> Vec<String> {
        let many = |count| format!("{MANY}{count}.{ZONE}");
        match self {
            Self::One => vec![ZONE.to_owned()],
            Self::Mixed => MIXED.iter().map(many).collect(),
        }
    }
}

impl Names {
    /// How many there are.
    fn count(self) -> usize {
        match self {
            Self::Plain(count) | Self::Zipf(count) | Self::Listed(count) | Self::Ranged(count) => {
                count
            }
        }
    }

    /// A hundredth of them.
    pub(crate) fn fewer(self) -> Self {
        match self {
            Self::Plain(count) => Self::Plain(count.div_ceil(100)),
            Self::Zipf(count) => Self::Zipf(count.div_ceil(100)),
            Self::Listed(count) => Self::Listed(count.div_ceil(100)),
            Self::Ranged(count) => Self::Ranged(count.div_ceil(100)),
        }
    }

    /// The name in this place.
    fn name(self, number: usize) -> String {
        match self {
            Self::Plain(_) | Self::Zipf(_) => format!("n{number}.{ZONE}"),
            Self::Listed(_) => listed(number),
            Self::Ranged(_) => format!("r{number}.{LISTED}.{ZONE}"),
        }
    }
}

/// A name whose AAAA is to be filtered.
pub(crate) fn listed(number: usize) -> String {
    format!("h{number}.{LISTED}.{ZONE}")
}

/// What is asked, in order, without end.
pub(crate) struct Questions {
    known: Vec<Vec<u8>>,
    /// In which order known ones are asked; empty: one after the other.
    order: Vec<u32>,
    at: usize,
    fresh: Fresh,
    fresh_in_ten: usize,
    asked: usize,
}

impl Questions {
    /// Known names for each of these types, and so many fresh names in ten questions, of these sizes.
    pub(crate) fn new(
        names: Names,
        kinds: &[u16],
        (fresh_in_ten, sizes): (usize, Sizes),
        seed: u64,
    ) -> Self {
        let all =
            (0..names.count()).flat_map(|number| kinds.iter().map(move |kind| (number, *kind)));
        let known: Vec<_> = all
            .map(|(number, kind)| query(&names.name(number), kind))
            .collect();
        let order = match names {
            Names::Zipf(_) => zipf(known.len(), seed),
            _ => Vec::new(),
        };
        Self {
            known,
            order,
            at: 0,
            fresh: Fresh::new(sizes, seed),
            fresh_in_ten,
            asked: 0,
        }
    }

    /// How many known questions there are.
    pub(crate) fn known(&self) -> usize {
        self.known.len()
    }

    /// The known question in this place.
    pub(crate) fn warming(&self, number: usize) -> &[u8] {
        let place = number.checked_rem(self.known.len()).unwrap_or_default();
        self.known.get(place).map_or(&[], Vec::as_slice)
    }

    /// The next question; its id is the caller's to write.
    pub(crate) fn next(&mut self) -> &[u8] {
        self.asked += 1;
        if self.asked % 10 < self.fresh_in_ten {
            return self.fresh.next();
        }
        let turns = if self.order.is_empty() {
            self.known.len()
        } else {
            self.order.len()
        };
        self.at = if self.at + 1 < turns { self.at + 1 } else { 0 };
        let place = self
            .order
            .get(self.at)
            .map_or(self.at, |place| *place as usize);
        self.known.get(place).map_or(&[], Vec::as_slice)
    }

    /// Writes the next question under this id.
    pub(crate) fn write_next(&mut self, id: u16, datagram: &mut Datagram) {
        datagram.write(self.next());
        write_id(id, datagram.octets_mut());
    }
}

/// Writes a message's id.
pub(crate) fn write_id(id: u16, message: &mut [u8]) {
    if let Some(place) = message.first_chunk_mut() {
        *place = id.to_be_bytes();
    }
}

/// Names that nobody asked before, of several lengths and sizes in turn.
struct Fresh {
    queries: Vec<Vec<u8>>,
    number: u64,
}

/// Octets of a fresh name's first label.
const DIGITS: std::ops::RangeInclusive<usize> = 9..=16;

impl Fresh {
    fn new(sizes: Sizes, seed: u64) -> Self {
        let zones = sizes.zones();
        let of_length = |digits| {
            let label = "0".repeat(digits);
            let names = zones.iter().map(move |zone| format!("{label}.{zone}"));
            names.map(|name| query(&name, A))
        };
        Self {
            queries: DIGITS.flat_map(of_length).collect(),
            number: seed << 32,
        }
    }

    fn next(&mut self) -> &[u8] {
        self.number += 1;
        // An odd factor maps different numbers to different ones, and neighbors far apart.
        let mut scattered = self.number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = self.number as usize % self.queries.len();
        let Some(query) = self.queries.get_mut(place) else {
            return &[];
        };
        let digits = query
            .get(LABEL - 1)
            .map_or(0, |length| usize::from(*length));
        for digit in query.iter_mut().skip(LABEL).take(digits) {
            let value = (scattered & 0xf) as u8;
            *digit = if value < 10 {
                b'0' + value
            } else {
                b'a' + value - 10
            };
            scattered >>= 4;
        }
        query
    }
}

/// Where the first label of a query's name begins: behind the header and the label's length.
const LABEL: usize = 13;

/// A query with RD and an OPT record that offers 1232 octets.
fn query(name: &str, kind: u16) -> Vec<u8> {
    let mut query = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).expect("a label of ours is short"));
        query.extend(label.as_bytes());
    }
    query.push(0);
    query.extend(kind.to_be_bytes());
    query.extend([0, 1]);
    query.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    query
}

/// Places drawn by Zipf's law: the inverse of the harmonic sum, which a logarithm comes close enough to.
fn zipf(count: usize, seed: u64) -> Vec<u32> {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    let mut rng = StdRng::seed_from_u64(seed);
    let draw = || (count as f64).powf(rng.random::<f64>()) as u32 - 1;
    std::iter::repeat_with(draw).take(DRAWS).collect()
}

/// Questions drawn by Zipf's law before they repeat.
const DRAWS: usize = 1 << 20;
