//! Domain names: read from a message, from text, compared and shown.
//!
//! A name is held inline and keeps its letter case; comparing and hashing ignore it (RFC 4343). Nothing here
//! allocates but the reading of text.

use std::error::Error;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::Chars;

use hickory_proto::rr::Label;

use super::wire::u16_at;

/// A domain name in wire form, at most 255 octets.
#[derive(Clone, Copy)]
pub struct Name {
    length: u8,
    octets: [u8; MOST_OCTETS],
}

/// RFC 1035 §2.3.4.
const MOST_OCTETS: usize = 255;
const MOST_LABEL_OCTETS: usize = 63;

/// Octets that are lowered in one go.
const BLOCK: usize = 32;

/// A name of 255 octets has 127 labels, so one pointer for each is all that an honest one needs.
const MOST_POINTERS: usize = 127;

impl Name {
    /// The root, `.`.
    pub const ROOT: Self = Self {
        length: 1,
        octets: [0; MOST_OCTETS],
    };

    /// A name still to be built: it takes labels and then the root.
    const UNFINISHED: Self = Self {
        length: 0,
        octets: [0; MOST_OCTETS],
    };

    /// Reads the name at `at` and gives the offset after it in place.
    ///
    /// Each pointer must lead to before the run of labels that it ends, so a name cannot loop.
    pub fn read(message: &[u8], at: usize) -> Option<(Self, usize)> {
        let mut name = Self::UNFINISHED;
        let after = walk(message, at, |label| name.append(label))?;
        Some((name, after))
    }

    /// The offset after the name at `at`, if [`Self::read`] would read it.
    pub(super) fn end_of(message: &[u8], at: usize) -> Option<usize> {
        let mut octets = 0;
        walk(message, at, |label| {
            octets += label.len();
            (octets <= MOST_OCTETS).then_some(())
        })
    }

    /// Whether it is this name that [`Self::read`] would read at `at`.
    pub(super) fn stands_at(&self, message: &[u8], at: usize) -> bool {
        let mut rest = self.wire();
        let same = walk(message, at, |label| {
            let (own, after) = rest.split_at_checked(label.len())?;
            rest = after;
            // Nearly always the same octet for octet, which is quicker to see.
            (own == label || own.eq_ignore_ascii_case(label)).then_some(())
        });
        same.is_some() && rest.is_empty()
    }

    /// Octets of the name at `at` if it is whole and no pointer is in it.
    pub(super) fn written_out(message: &[u8], at: usize) -> Option<&[u8]> {
        let rest = message.get(at..)?;
        let mut length = 0;
        loop {
            let label = usize::from(*rest.get(length)?);
            length += 1 + label;
            if label > MOST_LABEL_OCTETS || length > MOST_OCTETS {
                return None;
            }
            if label == 0 {
                return rest.get(..length);
            }
        }
    }

    /// The name of this wire form, lowered; it must come from [`Self::written_out`].
    #[inline]
    pub(super) fn lowered(wire: &[u8]) -> Self {
        let mut name = Self::UNFINISHED;
        // What is written out is never too long.
        let _ = name.append(wire);
        let (blocks, rest) = name.octets.as_chunks_mut::<BLOCK>();
        for block in blocks.iter_mut().take(wire.len() / BLOCK + 1) {
            block.make_ascii_lowercase();
        }
        if wire.len() > MOST_OCTETS - rest.len() {
            rest.make_ascii_lowercase();
        }
        name
    }

    /// From uncompressed wire form, with nothing behind it.
    pub fn from_wire(wire: &[u8]) -> Option<Self> {
        let (name, after) = Self::read(wire, 0)?;
        (after == wire.len()).then_some(name)
    }

    /// From text, with or without the last dot. `\.` and decimal `\065` are the escapes of RFC 1035 §5.1; labels
    /// beyond ASCII become A-labels (IDNA).
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        let mut name = Self::UNFINISHED;
        let mut rest = if text == "." { "" } else { text };
        while !rest.is_empty() {
            let (label, after) = split_label(rest)?;
            let length = match label.len() {
                0 => return Err(NameError::EmptyLabel),
                1..=MOST_LABEL_OCTETS => label.len() as u8,
                _ => return Err(NameError::LabelTooLong),
            };
            name.append(&[length]).ok_or(NameError::TooLong)?;
            name.append(&label).ok_or(NameError::TooLong)?;
            rest = after;
        }
        name.append(&[0]).ok_or(NameError::TooLong)?;
        Ok(name)
    }

    fn append(&mut self, octets: &[u8]) -> Option<()> {
        let start = usize::from(self.length);
        let end = start + octets.len();
        self.octets.get_mut(start..end)?.copy_from_slice(octets);
        self.length = end as u8;
        Some(())
    }

    /// The name as it stands in a message, uncompressed.
    pub fn wire(&self) -> &[u8] {
        self.octets
            .get(..usize::from(self.length))
            .unwrap_or_default()
    }

    /// The same name with `A` to `Z` lowered.
    pub fn lower(&self) -> Self {
        let mut lower = *self;
        // A label's length is at most 63 and so never taken for a letter.
        lower.octets.make_ascii_lowercase();
        lower
    }

    /// It is `.`.
    pub fn is_root(&self) -> bool {
        self.length == 1
    }

    /// Wire forms of the name itself, its parent, and so on down to the root.
    pub fn suffixes(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = Some(self.wire());
        std::iter::from_fn(move || {
            let suffix = rest?;
            rest = match suffix.split_first() {
                Some((&length @ 1.., labels)) => labels.get(usize::from(length)..),
                _ => None,
            };
            Some(suffix)
        })
    }

    /// It is `other` or a name below it.
    pub fn is_at_or_below(&self, other: &Self) -> bool {
        let other = other.wire();
        self.suffixes()
            .any(|suffix| suffix.eq_ignore_ascii_case(other))
    }
}

/// Follows the name at `at`, hands each label with its length octet to `each`, the root's too, and gives the
/// offset after the name in place.
fn walk(message: &[u8], at: usize, mut each: impl FnMut(&[u8]) -> Option<()>) -> Option<usize> {
    let mut after = None;
    let mut pointers = 0;
    let mut run = at;
    let mut at = at;
    loop {
        match *message.get(at)? {
            length @ 0..=0x3f => {
                let next = at + 1 + usize::from(length);
                each(message.get(at..next)?)?;
                if length == 0 {
                    return Some(after.unwrap_or(next));
                }
                at = next;
            }
            0xc0.. => {
                after.get_or_insert(at + 2);
                let target = usize::from(u16_at(message, at)? & 0x3fff);
                pointers += 1;
                if target >= run || pointers > MOST_POINTERS {
                    return None;
                }
                run = target;
                at = target;
            }
            // RFC 6891 §5: label types 01 and 10 are not in use.
            _ => return None,
        }
    }
}

/// The octets of the first label of `text`, and the text after its dot.
fn split_label(text: &str) -> Result<(Vec<u8>, &str), NameError> {
    let mut label = String::new();
    let mut raw = Vec::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '.' => break,
            '\\' => raw.push(unescape(&mut characters)?),
            '!'..='~' => raw.push(character as u8),
            _ if character.is_ascii() => return Err(NameError::BadCharacter),
            _ => raw.extend(character.encode_utf8(&mut [0; 4]).bytes()),
        }
        label.push(character);
    }
    if !label.is_ascii() {
        let label = Label::from_utf8(&label).map_err(|_| NameError::BadCharacter)?;
        raw = label.as_bytes().to_vec();
    }
    Ok((raw, characters.as_str()))
}

/// The octet that an escape stands for, its backslash already taken.
fn unescape(characters: &mut Chars<'_>) -> Result<u8, NameError> {
    let mut digit = || characters.next().ok_or(NameError::BadCharacter);
    let first = digit()?;
    let Some(hundreds) = first.to_digit(10) else {
        let ascii = u8::try_from(first).ok().filter(u8::is_ascii);
        return ascii.ok_or(NameError::BadCharacter);
    };
    let tens = digit()?.to_digit(10).ok_or(NameError::BadCharacter)?;
    let ones = digit()?.to_digit(10).ok_or(NameError::BadCharacter)?;
    u8::try_from(hundreds * 100 + tens * 10 + ones).map_err(|_| NameError::BadCharacter)
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.wire().eq_ignore_ascii_case(other.wire())
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for octets in self.wire().chunks(BLOCK) {
            let mut block = [0; BLOCK];
            if let Some(start) = block.get_mut(..octets.len()) {
                start.copy_from_slice(octets);
            }
            block.make_ascii_lowercase();
            state.write(&block);
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As in a zone file, with the last dot.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for suffix in self.suffixes() {
            let Some((&length @ 1.., labels)) = suffix.split_first() else {
                continue;
            };
            for &octet in labels.iter().take(usize::from(length)) {
                match octet {
                    b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => {
                        write!(f, "\\{}", char::from(octet))?;
                    }
                    b'!'..=b'~' => write!(f, "{}", char::from(octet))?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

/// Why a text is no domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// There is nothing.
    Empty,
    /// Two dots stand side by side, or one stands first.
    EmptyLabel,
    /// A label is over 63 octets.
    LabelTooLong,
    /// The whole is over 255 octets.
    TooLong,
    /// A blank, a control character, an escape that says nothing, or a label that IDNA refuses.
    BadCharacter,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a name cannot be empty",
            Self::EmptyLabel => "a label is empty: two dots side by side, or one at the start",
            Self::LabelTooLong => "a label is longer than 63 octets",
            Self::TooLong => "the name is longer than 255 octets",
            Self::BadCharacter => "a character cannot stand in a name",
        })
    }
}

impl Error for NameError {}

#[cfg(test)]
mod tests;
