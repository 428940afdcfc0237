//! The OPT record of a reply, and the extended errors in it.
//!
//! Every option in it is ours or an extended error of the upstream's; none is the client's, echoed.

use super::answer::Ede;
use super::kind::{Kind, Rcode};
use super::wire::{flag, option, push_words};

/// The OPT record of a reply (RFC 6891 §6.1.2).
#[derive(Clone, Copy)]
pub(super) struct Opt<'a> {
    pub(super) payload: u16,
    pub(super) rcode: Rcode,
    pub(super) dnssec_ok: bool,
    /// Of a stream, told to a client that asked (RFC 7828).
    pub(super) idle: Option<u16>,
    /// Zeros at its end, where they are wanted (RFC 7830).
    pub(super) padding: Option<u16>,
    pub(super) own: Option<OwnEde<'a>>,
    pub(super) upstream: &'a [Ede],
}

impl Opt<'_> {
    /// Owner, type, class, TTL and RDLENGTH.
    const FIXED: usize = 11;
    /// Code and length of an option, then the two octets that every one of ours begins with.
    const OPTION: usize = 6;
    /// Code and length of the padding.
    const PADDING: usize = 4;

    /// Pads a message that is `length` octets long with this record, which stands at its end, to whole blocks.
    pub(super) fn padded(mut self, length: usize) -> Self {
        let bare = length + Self::PADDING;
        let whole = bare.next_multiple_of(BLOCK).min(usize::from(u16::MAX));
        self.padding = whole.checked_sub(bare).map(|zeros| zeros as u16);
        self
    }

    /// Our own extended error comes first: it says why the reply is what it is.
    fn errors(&self) -> impl Iterator<Item = (u16, &str)> {
        let own = self.own.iter().map(|own| (own.code, ascii_start(own.text)));
        let upstream = self.upstream.iter();
        own.chain(upstream.map(|error| (error.code, cut(&error.text, 255))))
    }

    pub(super) fn without_errors(mut self) -> Self {
        self.own = None;
        self.upstream = &[];
        self
    }

    pub(super) fn length(&self) -> usize {
        let errors: usize = self
            .errors()
            .map(|(_, text)| Self::OPTION + text.len())
            .sum();
        let padding = self
            .padding
            .map_or(0, |zeros| Self::PADDING + usize::from(zeros));
        Self::FIXED + errors + self.idle.map_or(0, |_| Self::OPTION) + padding
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        // Version 0 stands in the lower half.
        let rcode_and_version = (self.rcode.0 >> 4) << 8;
        let flags = flag::those([(self.dnssec_ok, flag::DO)]);
        // The whole reply is within 65,535 octets, so each length is.
        let options = (self.length() - Self::FIXED) as u16;
        out.push(0);
        push_words(
            [Kind::OPT.0, self.payload, rcode_and_version, flags, options],
            out,
        );
        for (code, text) in self.errors() {
            push_words([option::EXTENDED_ERROR, 2 + text.len() as u16, code], out);
            out.extend_from_slice(text.as_bytes());
        }
        if let Some(idle) = self.idle {
            push_words([option::KEEPALIVE, 2, idle], out);
        }
        if let Some(zeros) = self.padding {
            push_words([option::PADDING, zeros], out);
            out.resize(out.len() + usize::from(zeros), 0);
        }
    }
}

/// Encrypted replies are padded to a multiple of so many octets (RFC 8467 §4.1).
const BLOCK: usize = 468;

/// At most 64 octets of the ASCII that `text` begins with.
fn ascii_start(text: &str) -> &str {
    let ascii = text.find(|character: char| !character.is_ascii());
    cut(text, ascii.unwrap_or(text.len()).min(64))
}

/// At most so many octets of `text`, no character halved.
fn cut(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// An extended error of our own (RFC 8914).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnEde<'a> {
    /// Its number.
    pub code: u16,
    /// What a person may read: cut at 64 octets, and at what is not ASCII.
    pub text: &'a str,
}
