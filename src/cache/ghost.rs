//! The fingerprints of questions that were pushed out not long ago.
//!
//! A question that comes back while it is remembered here was pushed out too early. One that nobody asks for
//! again is overwritten by later ones. Buckets of four, oldest out: a queue and a set in four octets a question.
//! Two questions may share a fingerprint; then one of them is taken for popular, and nothing worse happens.

/// Fingerprints lately pushed out. Takes no memory until the first one.
#[derive(Default)]
pub(super) struct Ghost {
    buckets: Vec<Bucket>,
}

/// Newest first; 0 is a vacancy (a question with that fingerprint is never remembered).
type Bucket = [u32; WAYS];
const WAYS: usize = 4;

impl Ghost {
    /// Remembers as many as `entries`; those remembered stay.
    pub(super) fn grow(&mut self, entries: usize) {
        let wanted = entries.div_ceil(WAYS);
        // By an eighth at least, so that growing one by one does not move everything each time.
        if wanted <= self.buckets.len() + self.buckets.len() / 8 {
            return;
        }
        let former = std::mem::replace(&mut self.buckets, vec![[0; WAYS]; wanted]);
        for fingerprint in former
            .into_iter()
            .flat_map(|bucket| bucket.into_iter().rev())
        {
            self.remember(fingerprint);
        }
    }

    /// Remembers one.
    pub(super) fn remember(&mut self, fingerprint: u32) {
        if fingerprint == 0 {
            return;
        }
        if let Some(bucket) = self.bucket(fingerprint) {
            let vacancy = bucket
                .iter()
                .position(|&held| held == 0)
                .unwrap_or(WAYS - 1);
            bucket.copy_within(..vacancy, 1);
            bucket[0] = fingerprint;
        }
    }

    /// Whether it was remembered; it no longer is.
    pub(super) fn recall(&mut self, fingerprint: u32) -> bool {
        let slots = self.bucket(fingerprint).into_iter().flatten();
        match slots
            .into_iter()
            .find(|held| **held == fingerprint && fingerprint != 0)
        {
            Some(held) => {
                *held = 0;
                true
            }
            None => false,
        }
    }

    /// Octets taken.
    pub(super) fn octets(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket>()
    }

    fn bucket(&mut self, fingerprint: u32) -> Option<&mut Bucket> {
        let at = (u64::from(fingerprint) * self.buckets.len() as u64) >> 32;
        self.buckets.get_mut(at as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Well spread fingerprints, none of them 0.
    fn fingerprint(number: u32) -> u32 {
        (number + 1).wrapping_mul(0x9E37_79B1)
    }

    #[test]
    fn nothing_is_remembered_without_memory() {
        let mut ghost = Ghost::default();
        ghost.remember(fingerprint(1));
        assert!(!ghost.recall(fingerprint(1)));
        assert_eq!(ghost.octets(), 0);
    }

    #[test]
    fn late_ones_are_remembered_and_early_ones_forgotten() {
        let mut ghost = Ghost::default();
        ghost.grow(1_000);
        assert_eq!(ghost.octets(), 4_000);
        for number in 0..10_000 {
            ghost.remember(fingerprint(number));
        }
        let late = (9_500..10_000)
            .filter(|&number| ghost.recall(fingerprint(number)))
            .count();
        let early = (0..5_000)
            .filter(|&number| ghost.recall(fingerprint(number)))
            .count();
        assert!(late > 450, "{late} of 500");
        assert_eq!(early, 0);
    }

    #[test]
    fn one_is_recalled_once() {
        let mut ghost = Ghost::default();
        ghost.grow(8);
        ghost.remember(fingerprint(1));
        assert!(ghost.recall(fingerprint(1)));
        assert!(!ghost.recall(fingerprint(1)));
        ghost.remember(0);
        assert!(!ghost.recall(0), "0 is a vacancy");
    }

    #[test]
    fn growing_forgets_nothing() {
        let mut ghost = Ghost::default();
        ghost.grow(4);
        for number in 0..4 {
            ghost.remember(fingerprint(number));
        }
        ghost.grow(64);
        assert!((0..4).all(|number| ghost.recall(fingerprint(number))));
    }
}
