//! The text of a configuration as a tree whose every node knows its line and column.
//!
//! Knows YAML and no option. What the program does not read (aliases, tags, a second document,
//! a bottomless nesting) is refused here, so that a small file can never become a large tree.

use super::Problem;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput};

/// One node of the file and where it begins.
#[derive(Debug)]
pub(super) struct Node {
    /// Line, counted from 1.
    pub(super) line: usize,
    /// Column in characters, counted from 1.
    pub(super) column: usize,
    /// What stands there.
    pub(super) value: Value,
}

/// What stands at a node.
#[derive(Debug)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// A word, a number, a text: its meaning is the option's to say.
    Scalar {
        /// The text without its quotes.
        text: String,
        /// It stood without quotes, and so may be a number or a boolean.
        plain: bool,
    },
    /// `[a, b]`, or lines that begin with `-`.
    List(Vec<Node>),
    /// `key: value` pairs in the order of the file, doubles included.
    Mapping(Vec<(Node, Node)>),
    /// Something of YAML that this program does not read, and what to do about it.
    Refused(&'static str),
}

impl Node {
    /// The value of the first such key of a mapping.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.pairs()
            .iter()
            .find(|(name, _)| name.text() == Some(key))
            .map(|(_, value)| value)
    }

    /// The pairs of a mapping; none of anything else.
    pub(super) fn pairs(&self) -> &[(Self, Self)] {
        match &self.value {
            Value::Mapping(pairs) => pairs,
            _ => &[],
        }
    }

    /// The items of a list; none of anything else.
    pub(super) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// A problem of this node.
    pub(super) fn problem(&self, place: &str, text: impl Into<String>) -> Problem {
        Problem {
            line: self.line,
            column: self.column,
            place: place.to_owned(),
            text: text.into(),
        }
    }

    fn new(start: &Marker, value: Value) -> Self {
        Self {
            line: start.line(),
            column: start.col() + 1,
            value,
        }
    }
}

/// The most octets a file may have: what Kubernetes allows a ConfigMap.
const MAX_OCTETS: usize = 1024 * 1024;

/// Reads the one document of a text. Syntax that cannot be read is one problem, at its place.
pub(super) fn read(text: &str) -> Result<Node, Problem> {
    if text.len() > MAX_OCTETS {
        return Err(problem_at(1, 1, "the file is larger than 1 MiB"));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut events = Events(Parser::new_from_str(text));
    loop {
        match events.next()? {
            Some((Event::StreamStart | Event::DocumentStart(_), _)) => {}
            Some((Event::StreamEnd, _)) | None => return Err(empty()),
            Some((event, span)) => {
                let root = events.node(event, &span.start, 0)?;
                if matches!(root.value, Value::Null) {
                    return Err(empty());
                }
                events.end()?;
                return Ok(root);
            }
        }
    }
}

/// A half-written file must never turn into the default configuration.
fn empty() -> Problem {
    problem_at(
        1,
        1,
        "the file is empty: write `{}` if you want every default",
    )
}

fn problem_at(line: usize, column: usize, text: &str) -> Problem {
    Problem {
        line,
        column,
        place: String::new(),
        text: text.to_owned(),
    }
}

/// How deep lists and mappings may stand in each other; the options need five.
const MAX_DEPTH: usize = 16;

struct Events<'a>(Parser<'a, StrInput<'a>>);

impl<'a> Events<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Problem> {
        self.0
            .next_event()
            .transpose()
            .map_err(|error| syntax(&error))
    }

    /// The next event inside a list or a mapping, where the text cannot end.
    fn inside(&mut self, start: &Marker) -> Result<(Event<'a>, Span), Problem> {
        self.next()?
            .ok_or_else(|| Node::new(start, Value::Null).problem("", "this is never closed"))
    }

    /// The node that begins with this event.
    fn node(&mut self, event: Event<'a>, start: &Marker, depth: usize) -> Result<Node, Problem> {
        if depth > MAX_DEPTH {
            return Err(Node::new(start, Value::Null).problem("", "this is nested too deep"));
        }
        let (value, tagged) = match event {
            Event::Scalar(text, style, _, tag) => {
                let plain = style == ScalarStyle::Plain;
                let null = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let text = text.into_owned();
                let value = if null {
                    Value::Null
                } else {
                    Value::Scalar { text, plain }
                };
                (value, tag.is_some())
            }
            Event::SequenceStart(_, tag) => (self.list(start, depth)?, tag.is_some()),
            Event::MappingStart(_, tag) => (self.mapping(start, depth)?, tag.is_some()),
            Event::Alias(_) => (
                Value::Refused("is a YAML alias, which is not read: write the value itself"),
                false,
            ),
            _ => (Value::Null, false),
        };
        let value = if tagged {
            Value::Refused("has a YAML tag (`!...`), which is not read: take it away")
        } else {
            value
        };
        Ok(Node::new(start, value))
    }

    fn list(&mut self, start: &Marker, depth: usize) -> Result<Value, Problem> {
        let mut items = Vec::new();
        loop {
            match self.inside(start)? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, span) => items.push(self.node(event, &span.start, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, start: &Marker, depth: usize) -> Result<Value, Problem> {
        let mut pairs = Vec::new();
        loop {
            match self.inside(start)? {
                (Event::MappingEnd, _) => return Ok(Value::Mapping(pairs)),
                (event, span) => {
                    let key = self.node(event, &span.start, depth + 1)?;
                    let (event, span) = self.inside(start)?;
                    pairs.push((key, self.node(event, &span.start, depth + 1)?));
                }
            }
        }
    }

    /// Nothing may follow the first document.
    fn end(&mut self) -> Result<(), Problem> {
        while let Some((event, span)) = self.next()? {
            if let Event::DocumentStart(_) = event {
                let node = Node::new(&span.start, Value::Null);
                return Err(
                    node.problem("", "a second document begins here: one file, one document")
                );
            }
        }
        Ok(())
    }
}

/// What the parser could not read, in our words where its own would puzzle.
fn syntax(error: &ScanError) -> Problem {
    let text = if error.info().contains("unknown anchor") {
        // The commonest slip of all: a wildcard without quotes.
        "a word that begins with `*` needs quotes: write \"*.example.com\"".to_owned()
    } else {
        format!("this is not YAML: {}", error.info())
    };
    Node::new(error.marker(), Value::Null).problem("", text)
}

#[cfg(test)]
mod tests {
    use super::{Value, read};

    #[test]
    fn nodes_know_their_place() {
        let root = read("# comment\nlisten:\n  - a\n  - 'b'\nlog: {level: ~}\n").unwrap();
        let second = &root.get("listen").unwrap().items()[1];
        assert_eq!(
            (second.line, second.column, second.text()),
            (4, 5, Some("b"))
        );
        let level = root.get("log").unwrap().get("level").unwrap();
        assert!(matches!(level.value, Value::Null));
        assert_eq!(level.line, 5);
    }

    #[test]
    fn what_is_not_read_says_so() {
        let deep = "[".repeat(100);
        let large = " ".repeat(2_000_000);
        let table = [
            (
                "",
                "1:1: the file is empty: write `{}` if you want every default",
            ),
            (
                "# nothing\n",
                "1:1: the file is empty: write `{}` if you want every default",
            ),
            (
                "---\n...\n",
                "1:1: the file is empty: write `{}` if you want every default",
            ),
            (
                "a: 1\n---\nb: 2\n",
                "2:1: a second document begins here: one file, one document",
            ),
            (
                "a: [*.b]\n",
                "1:5: a word that begins with `*` needs quotes: write \"*.example.com\"",
            ),
            (&deep, "1:18: this is nested too deep"),
            (&large, "1:1: the file is larger than 1 MiB"),
        ];
        for (text, expected) in table {
            assert_eq!(read(text).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn syntax_faults_carry_their_place() {
        for text in [
            "a:\n\tb: 1\n",
            "a: [1, 2\n",
            "a: \"b\n",
            "a: b: c\n",
            "- a\nb: 1\n",
        ] {
            let problem = read(text).unwrap_err();
            assert!(
                problem.text.starts_with("this is not YAML"),
                "{text:?}: {problem}"
            );
        }
    }
}
