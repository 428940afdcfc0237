//! What an entry really takes from the allocator.
//!
//! `malloc` hands out multiples of 16 octets, 32 at least, 8 of them its own. Counting payloads alone would
//! claim half of what small answers take.

use super::{Entry, Memo};
use crate::message::Answer;

/// Something that owns memory.
pub(super) trait Weigh {
    /// Octets on the heap, the allocator's own included; not what lies in the value itself.
    fn octets(&self) -> usize;
}

impl Weigh for Entry {
    fn octets(&self) -> usize {
        let memo = self.memo.as_ref();
        weigh(&self.answer) + memo.map_or(0, |memo| weigh(&memo.shaped) + block(size_of::<Memo>()))
    }
}

/// Octets of an answer behind its `Arc`.
fn weigh(answer: &Answer) -> usize {
    let blocks = answer.footprint() + ANSWER_OVERHEAD;
    blocks + blocks / SLACK_PART
}

/// The two counters of an `Arc`, and what the allocator adds to three blocks: the answer, its octets and its offsets.
const ANSWER_OVERHEAD: usize = 2 * size_of::<usize>() + 66;

/// Where answers of many sizes come and go, vacated blocks do not fit the next answer exactly: glibc's heap was
/// seen to grow by 5 % of the blocks in use where sizes come mixed, by 35 % where all are of one size and then all of
/// another. One part in so many keeps claim and truth within a tenth but in the last case (`benches/README.md`).
const SLACK_PART: usize = 6;

/// Octets of one allocated block of `octets`.
pub(super) const fn block(octets: usize) -> usize {
    let whole = (octets + 8).next_multiple_of(16);
    if whole < 32 { 32 } else { whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_what_malloc_hands_out() {
        for (payload, taken) in [(1, 32), (24, 32), (25, 48), (40, 48), (41, 64), (255, 272)] {
            assert_eq!(block(payload), taken, "{payload} octets");
        }
    }
}
