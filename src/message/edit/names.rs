//! Names that stand in a message already, so that later ones can point to them.
//!
//! A tree of labels from the root downward, letter case told apart: `WWW.example` never becomes
//! `www.example`. Each look-up is bounded, so that the work grows with the octets written whoever chose
//! the names, and so is the number of pointers a reader has to follow.

use super::super::name::Name;

/// Pointers a reader of our names follows at most. Go's resolver gives up after 10.
const MOST_POINTERS: u8 = 8;

/// Nodes of one bucket that are looked at before a label counts as new.
const MOST_CANDIDATES: usize = 16;

/// A pointer has 14 bits (RFC 1035 §4.1.4).
const FARTHEST: usize = 0x3fff;

const BUCKETS: usize = 1024;

/// The labels that can be pointed to.
pub(super) struct Names {
    nodes: Vec<Node>,
    /// The node looked at first for each hash.
    buckets: Vec<Option<u16>>,
}

/// One label at one place.
struct Node {
    at: u16,
    /// Node of the label behind it; None for the last before the root.
    parent: Option<u16>,
    /// Next node of the same bucket.
    next: Option<u16>,
    /// Pointers from here to the end of the name.
    pointers: u8,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            buckets: vec![None; BUCKETS],
        }
    }
}

impl Names {
    /// Remembers a name that stands whole at `at`.
    pub(super) fn learn(&mut self, name: &Name, at: usize, octets: &[u8]) {
        let mut new = labels(name.wire());
        let known = self.take_known(&mut new, octets);
        self.add(&new, at, known, 0);
    }

    /// Appends a name, as far as it is known as a pointer, and remembers the rest.
    pub(super) fn write(&mut self, name: &Name, octets: &mut Vec<u8>) {
        let mut new = labels(name.wire());
        let known = self.take_known(&mut new, octets);
        let start = octets.len();
        for label in &new {
            octets.extend_from_slice(label.octets);
        }
        match known.and_then(|id| self.node(id)) {
            Some(node) => {
                let (at, pointers) = (node.at, node.pointers);
                octets.extend_from_slice(&(0xc000 | at).to_be_bytes());
                self.add(&new, start, known, pointers + 1);
            }
            None => {
                octets.push(0);
                self.add(&new, start, None, 0);
            }
        }
    }

    /// Takes the labels off the end that stand already; gives the node of the last one taken.
    fn take_known(&self, labels: &mut Vec<Label<'_>>, octets: &[u8]) -> Option<u16> {
        let mut known = None;
        while let Some(label) = labels.last()
            && let Some(node) = self.find(known, label.octets, octets)
        {
            known = Some(node);
            labels.pop();
        }
        known
    }

    /// The node of this label (length octet included) before `parent`, if one is near enough to be used.
    fn find(&self, parent: Option<u16>, label: &[u8], octets: &[u8]) -> Option<u16> {
        let mut candidate = *self.buckets.get(bucket(parent, label))?;
        for _ in 0..MOST_CANDIDATES {
            let id = candidate?;
            let node = self.node(id)?;
            if node.parent == parent
                && node.pointers < MOST_POINTERS
                && octets.get(usize::from(node.at)..)?.starts_with(label)
            {
                return Some(id);
            }
            candidate = node.next;
        }
        None
    }

    /// Adds labels that stand from `start` on, the last of them right before `parent`.
    fn add(&mut self, labels: &[Label<'_>], start: usize, parent: Option<u16>, pointers: u8) {
        let mut parent = parent;
        for label in labels.iter().rev() {
            let at = start + label.offset;
            let Some(at) = u16::try_from(at)
                .ok()
                .filter(|at| usize::from(*at) <= FARTHEST)
            else {
                return;
            };
            let (Ok(id), Some(first)) = (
                u16::try_from(self.nodes.len()),
                self.buckets.get_mut(bucket(parent, label.octets)),
            ) else {
                return;
            };
            let next = first.replace(id);
            self.nodes.push(Node {
                at,
                parent,
                next,
                pointers,
            });
            parent = Some(id);
        }
    }

    fn node(&self, id: u16) -> Option<&Node> {
        self.nodes.get(usize::from(id))
    }
}

/// A label with its length octet, and where it stands in its name.
struct Label<'a> {
    offset: usize,
    octets: &'a [u8],
}

/// The labels of a name, the root not among them.
fn labels(wire: &[u8]) -> Vec<Label<'_>> {
    let mut labels = Vec::new();
    let mut offset = 0;
    while let Some(length) = wire.get(offset).copied().filter(|length| *length > 0) {
        let end = offset + 1 + usize::from(length);
        let Some(octets) = wire.get(offset..end) else {
            break;
        };
        labels.push(Label { offset, octets });
        offset = end;
    }
    labels
}

/// FNV-1a: who chooses labels that collide costs himself compression and us nothing.
fn bucket(parent: Option<u16>, label: &[u8]) -> usize {
    let seed = parent.map_or(0, |id| u32::from(id) + 1);
    let hash = label.iter().fold(0x811c_9dc5 ^ seed, |hash, octet| {
        (hash ^ u32::from(*octet)).wrapping_mul(0x0100_0193)
    });
    (hash ^ (hash >> 16)) as usize % BUCKETS
}
