//! The message format (RFC 1035 §4.1): where things lie, and numbers and names read with every bound checked.

/// Octets of the header.
pub(super) const HEADER: usize = 12;

/// The header's second 16 bits.
pub(super) mod flag {
    /// It is a response.
    pub(in crate::message) const QR: u16 = 0x8000;
    /// All four bits of the opcode.
    pub(in crate::message) const OPCODE: u16 = 0x7800;
    /// Something was cut off.
    pub(in crate::message) const TC: u16 = 0x0200;
    /// The client wants the whole answer, not a referral.
    pub(in crate::message) const RD: u16 = 0x0100;
    /// Whole answers are to be had here.
    pub(in crate::message) const RA: u16 = 0x0080;
    /// The answer was validated (RFC 4035 §3.2.3).
    pub(in crate::message) const AD: u16 = 0x0020;
    /// The client validates by itself (RFC 4035 §3.2.2).
    pub(in crate::message) const CD: u16 = 0x0010;
    /// The DO bit, in the lower half of an OPT's TTL (RFC 3225 §3).
    pub(in crate::message) const DO: u16 = 0x8000;

    /// The bits whose condition holds.
    pub(in crate::message) fn those<const N: usize>(bits: [(bool, u16); N]) -> u16 {
        let held = bits.into_iter().filter(|(holds, _)| *holds);
        held.fold(0, |all, (_, bit)| all | bit)
    }
}

/// Options of an OPT record.
pub(super) mod option {
    /// Cookies (RFC 7873 §4).
    pub(in crate::message) const COOKIE: u16 = 10;
    /// How long a stream may idle (RFC 7828 §3.1).
    pub(in crate::message) const KEEPALIVE: u16 = 11;
    /// Zeros that hide how long a message is (RFC 7830 §3).
    pub(in crate::message) const PADDING: u16 = 12;
    /// Extended errors (RFC 8914 §2).
    pub(in crate::message) const EXTENDED_ERROR: u16 = 15;
}

/// Class IN.
pub(super) const IN: u16 = 1;

/// The 16 bits at `at`.
pub(super) fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    message
        .get(at..)?
        .first_chunk()
        .map(|octets| u16::from_be_bytes(*octets))
}

/// The 32 bits at `at`.
pub(super) fn u32_at(message: &[u8], at: usize) -> Option<u32> {
    message
        .get(at..)?
        .first_chunk()
        .map(|octets| u32::from_be_bytes(*octets))
}

/// The offset after the name at `at`, its pointer not followed.
pub(super) fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = *message.get(at)?;
        at += 1;
        match length {
            0 => return Some(at),
            1..=0x3f => at += usize::from(length),
            0xc0.. => return message.get(at).map(|_| at + 1),
            // RFC 6891 §5: label types 01 and 10 are not in use.
            _ => return None,
        }
    }
}

/// Appends numbers of 16 bits.
pub(super) fn push_words<const N: usize>(words: [u16; N], out: &mut Vec<u8>) {
    for word in words {
        out.extend_from_slice(&word.to_be_bytes());
    }
}
