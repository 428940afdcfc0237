//! Messages that a cache of HTTP's has kept for a while.

use super::kind::Kind;
use super::wire::{HEADER, skip_name, u16_at, u32_at};

/// Takes this many seconds off the TTLs of all records (RFC 8484 §5.1). Where a message does not parse, the rest stays as
/// it is: whoever reads it finds out.
pub fn age(message: &mut [u8], seconds: u32) {
    // Walks whatever the counts promise, as far as there is a message.
    let mut walk = || {
        let counts = [4, 6, 8, 10].map(|at| u16_at(message, at).unwrap_or_default());
        let [questions, records @ ..] = counts;
        let mut at = HEADER;
        for _ in 0..questions {
            at = skip_name(message, at)? + KIND_AND_CLASS;
        }
        for _ in 0..records.map(u32::from).iter().sum() {
            let fixed = skip_name(message, at)?;
            let ttl = fixed + KIND_AND_CLASS;
            let left = u32_at(message, ttl)?.saturating_sub(seconds);
            // RFC 6891 §6.1.3: that of an OPT is none.
            if Kind(u16_at(message, fixed)?) != Kind::OPT {
                *message.get_mut(ttl..)?.first_chunk_mut()? = left.to_be_bytes();
            }
            at = ttl + 6 + usize::from(u16_at(message, ttl + 4)?);
        }
        Some(())
    };
    walk();
}

/// Octets behind a name, before the TTL.
const KIND_AND_CLASS: usize = 4;

#[cfg(test)]
mod tests {
    use super::age;

    /// A question and three records: A with TTL 300, A with TTL 10, OPT with DO.
    const MESSAGE: &[u8] = b"\0\0\x81\x80\0\x01\0\x02\0\0\0\x01\
        \x01a\0\0\x01\0\x01\
        \xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04\xc0\0\x02\x01\
        \xc0\x0c\0\x01\0\x01\0\0\0\x0a\0\x04\xc0\0\x02\x02\
        \0\0\x29\x04\xd0\0\0\x80\0\0\0";

    #[test]
    fn all_ttls_but_an_opts_become_smaller() {
        let mut message = MESSAGE.to_vec();
        age(&mut message, 100);
        let mut want = MESSAGE.to_vec();
        want[25 + 2..25 + 4].copy_from_slice(&[0, 200]);
        want[41 + 2..41 + 4].copy_from_slice(&[0, 0]);
        assert_eq!(message, want);
    }

    #[test]
    fn what_is_cut_short_is_walked_as_far_as_it_goes() {
        for length in 0..MESSAGE.len() {
            let mut message = MESSAGE[..length].to_vec();
            age(&mut message, 1);
            assert_eq!(message.len(), length);
        }
        let mut nonsense = vec![0xff; 100];
        age(&mut nonsense, 1);
    }
}
