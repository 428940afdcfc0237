//! The octets of a stream connection, on their way in and out.
//!
//! Knows the two octets of length before each message (RFC 1035 §4.2.2) and nothing of DNS. Buffers
//! here hold what their owner lets in, and give large memory back when they are empty.

/// Memory that an idle buffer may keep.
const KEPT: usize = 8192;
/// Octets of the length before a message.
const LENGTH: usize = 2;

/// What a client sent and nobody looked at yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    octets: Vec<u8>,
    taken: usize,
}

impl Inbox {
    /// Makes room and gives the buffer to append to. What `next` gave before is gone then.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        self.octets.drain(..self.taken);
        self.taken = 0;
        if self.octets.is_empty() {
            self.octets.shrink_to(KEPT);
        }
        self.octets.reserve(KEPT / 2);
        &mut self.octets
    }

    /// Takes the next whole message.
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        let rest = self.octets.get(self.taken..)?;
        let (length, rest) = rest.split_first_chunk::<LENGTH>()?;
        let message = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
        self.taken += LENGTH + message.len();
        Some(message)
    }

    /// Whether nothing is left, not even a part of a message.
    pub(super) fn is_empty(&self) -> bool {
        self.taken == self.octets.len()
    }
}

/// What a client shall get and did not get yet.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    octets: Vec<u8>,
    sent: usize,
}

impl Outbox {
    /// Adds a message, unless it is larger than any frame.
    pub(super) fn push(&mut self, message: &[u8]) {
        if let Ok(length) = u16::try_from(message.len()) {
            self.octets.extend_from_slice(&length.to_be_bytes());
            self.octets.extend_from_slice(message);
        }
    }

    /// All that is left to send.
    pub(super) fn unsent(&self) -> &[u8] {
        self.octets.get(self.sent..).unwrap_or_default()
    }

    /// That many octets of it are sent.
    pub(super) fn advance(&mut self, count: usize) {
        self.sent += count;
        if self.sent >= self.octets.len() {
            self.octets.clear();
            self.octets.shrink_to(KEPT);
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_whole_however_they_came_in() {
        let octets = b"\0\x03one\0\0\0\x05three\0\x04fo";
        for piece in 1..=octets.len() {
            let (mut inbox, mut messages) = (Inbox::default(), Vec::new());
            for part in octets.chunks(piece) {
                inbox.room().extend_from_slice(part);
                while let Some(message) = inbox.next() {
                    messages.push(message.to_vec());
                }
            }
            assert_eq!(
                messages,
                [b"one".as_slice(), b"", b"three"],
                "in pieces of {piece}"
            );
            assert!(!inbox.is_empty(), "the fourth is not whole");
        }
    }

    #[test]
    fn what_is_sent_is_forgotten() {
        let mut outbox = Outbox::default();
        outbox.push(b"one");
        outbox.push(&[0; 65_536]);
        outbox.push(b"");
        assert_eq!(outbox.unsent(), b"\0\x03one\0\0");
        outbox.advance(4);
        assert_eq!(outbox.unsent(), b"e\0\0");
        outbox.push(b"x");
        outbox.advance(6);
        assert_eq!(outbox.unsent(), b"");
        assert_eq!(
            outbox.octets.capacity().min(KEPT + 1),
            outbox.octets.capacity()
        );
    }
}
