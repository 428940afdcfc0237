//! Holds the tree of a file against the schema and reports all that does not fit.
//!
//! Each option alone: keys, kinds, forms, ranges, doubles. What options say to each other is the
//! matter of `problems`.

use super::Problem;
use super::schema::{self, Kind, kind};
use super::tree::{Node, Value};
use super::values::{self, quoted};
use serde_json::Value as Json;
use std::collections::HashMap;

/// Everything in the file that does not fit its option.
pub(super) fn problems(root: &Node) -> Vec<Problem> {
    let mut check = Check { found: Vec::new() };
    check.node(root, &schema::schema(), "");
    check.found
}

struct Check {
    found: Vec<Problem>,
}

impl Check {
    fn report(&mut self, node: &Node, place: &str, text: impl Into<String>) {
        self.found.push(node.problem(place, text));
    }

    fn node(&mut self, node: &Node, schema: &Json, place: &str) {
        match &node.value {
            Value::Null => {
                self.report(node, place, "has no value: write one, or take the key away");
            }
            Value::Refused(why) => self.report(node, place, *why),
            value => match (kind(schema), value) {
                (Kind::Section(keys), Value::Mapping(pairs)) => {
                    self.section(pairs, &keys, place);
                    self.required(node, schema, place);
                }
                (Kind::SectionOrOff(section), Value::Mapping(_)) => self.node(node, section, place),
                (Kind::List(items), Value::List(nodes)) => {
                    self.list(node, schema, place);
                    for (index, item) in nodes.iter().enumerate() {
                        self.node(item, items, &format!("{place}[{index}]"));
                    }
                }
                (kind, Value::Scalar { text, plain }) => {
                    if let Err(why) = scalar(&kind, schema, text, *plain) {
                        self.report(node, place, why);
                    }
                }
                (kind, _) => self.report(node, place, misfit(&kind)),
            },
        }
    }

    fn section(&mut self, pairs: &[(Node, Node)], keys: &[(&str, &Json)], place: &str) {
        let mut lines = HashMap::new();
        for (key, value) in pairs {
            let Some(name) = key.text() else {
                self.report(key, place, "a key must be one plain word");
                continue;
            };
            let inner = join(place, name);
            if let Some(line) = lines.insert(name, key.line) {
                self.report(key, &inner, format!("stands twice, first in line {line}"));
            }
            match keys.iter().find(|(known, _)| *known == name) {
                Some((_, schema)) => self.node(value, schema, &inner),
                None => self.report(key, &inner, unknown(name, keys)),
            }
        }
    }

    fn required(&mut self, node: &Node, schema: &Json, place: &str) {
        for key in schema::items(schema, "required")
            .iter()
            .filter_map(Json::as_str)
        {
            if node.get(key).is_none() {
                self.report(node, place, format!("has no \"{key}\", which it needs"));
            }
        }
    }

    /// How many items there are, and whether two are the same.
    fn list(&mut self, node: &Node, schema: &Json, place: &str) {
        let items = node.items();
        if schema::number(schema, "minItems").is_some() && items.is_empty() {
            self.report(
                node,
                place,
                "is an empty list: write at least one, or take the key away",
            );
        }
        if let Some(most) = schema::number(schema, "maxItems")
            && let Some(surplus) = usize::try_from(most).ok().and_then(|most| items.get(most))
        {
            self.report(
                surplus,
                place,
                format!("has {} items: at most {most} may be", items.len()),
            );
        }
        if schema.get("uniqueItems").is_some()
            && let Some(Kind::Form(form)) = schema.get("items").map(kind)
        {
            self.doubles(items, form, place);
        }
    }

    fn doubles(&mut self, items: &[Node], form: &str, place: &str) {
        let mut lines = HashMap::new();
        for (index, item) in items.iter().enumerate() {
            let reading = item.text().and_then(|text| values::read(form, text).ok());
            if let Some(line) =
                reading.and_then(|reading| lines.insert(reading.canonical, item.line))
            {
                let text = format!("stands twice, first in line {line}");
                self.report(item, &format!("{place}[{index}]"), text);
            }
        }
    }
}

/// `rules[1]` and `mode` are `rules[1].mode`.
fn join(place: &str, key: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    let key = match !key.is_empty() && key.len() <= 64 && key.chars().all(plain) {
        true => key.to_owned(),
        false => quoted(key),
    };
    match place {
        "" => key,
        _ => format!("{place}.{key}"),
    }
}

fn unknown(name: &str, keys: &[(&str, &Json)]) -> String {
    if name == "<<" {
        return "is a YAML merge key, which is not read: write the keys themselves".to_owned();
    }
    match nearest(name, keys.iter().map(|(key, _)| *key)) {
        Some(key) => format!("no such option: did you mean \"{key}\"?"),
        None => {
            let names: Vec<&str> = keys.iter().map(|(key, _)| *key).collect();
            format!("no such option: there are {}", names.join(", "))
        }
    }
}

/// Why a scalar is not what the option takes.
fn scalar(kind: &Kind<'_>, schema: &Json, text: &str, plain: bool) -> Result<(), String> {
    let shown = quoted(text);
    match kind {
        Kind::Section(_) => Err(format!("{shown} is one value: {}", misfit(kind))),
        Kind::SectionOrOff(_) => match text {
            "off" => Ok(()),
            "false" | "False" | "FALSE" if plain => Ok(()),
            _ => Err(format!("{shown} is neither a section nor the word \"off\"")),
        },
        Kind::List(_) => Err(format!(
            "{shown} is one value where a list belongs: write [{shown}]"
        )),
        Kind::Words(words) => word(words, text),
        Kind::Boolean => match text {
            "true" | "True" | "TRUE" | "false" | "False" | "FALSE" if plain => Ok(()),
            _ => Err(format!(
                "{shown} is neither true nor false: write one of them, without quotes"
            )),
        },
        Kind::Integer => {
            let number = text
                .parse::<u64>()
                .ok()
                .filter(|number| plain && number.to_string() == text);
            match number {
                Some(number) => in_range(schema, &shown, number, |bound| bound.parse().ok()),
                None => Err(format!(
                    "{shown} is no whole number, written without quotes"
                )),
            }
        }
        Kind::Form(form) => {
            let reading = values::read(form, text)?;
            let bound = |bound: &str| values::read(form, bound).ok()?.magnitude;
            reading.magnitude.map_or(Ok(()), |magnitude| {
                in_range(schema, &shown, magnitude, bound)
            })
        }
    }
}

fn word(words: &[(&str, &str)], text: &str) -> Result<(), String> {
    if words.iter().any(|(word, _)| *word == text) {
        return Ok(());
    }
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let hint = nearest(text, known.iter().copied())
        .map_or_else(String::new, |word| format!(": did you mean \"{word}\"?"));
    Err(format!(
        "{} is not among {}{hint}",
        quoted(text),
        known.join(", ")
    ))
}

fn in_range(
    schema: &Json,
    shown: &str,
    value: u64,
    read: impl Fn(&str) -> Option<u64>,
) -> Result<(), String> {
    let Some((least, most)) = schema::range(schema) else {
        return Ok(());
    };
    let fits = read(&least).is_none_or(|least| least <= value)
        && read(&most).is_none_or(|most| value <= most);
    match fits {
        true => Ok(()),
        false => Err(format!("{shown} is out of range: write {least} to {most}")),
    }
}

/// What belongs where something of another shape stands.
fn misfit(kind: &Kind<'_>) -> String {
    match kind {
        Kind::Section(keys) => {
            let names: Vec<&str> = keys.iter().map(|(key, _)| *key).collect();
            format!("keys belong here, of {}", names.join(", "))
        }
        Kind::SectionOrOff(_) => "a section or the word \"off\" belongs here".to_owned(),
        Kind::List(_) => "a list belongs here: put \"- \" before each item".to_owned(),
        _ => "one value belongs here, not several".to_owned(),
    }
}

/// The word a user may have meant, if one is near enough.
fn nearest<'a>(wrong: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Longer than any word of ours: measuring it would only cost time.
    if wrong.len() > 32 {
        return None;
    }
    let (steps, word) = words
        .map(|word| (steps_between(wrong, word), word))
        .min_by_key(|(steps, _)| *steps)?;
    (steps <= 1.max(word.len() / 3)).then_some(word)
}

/// Letters to insert, take away or change to get from one word to the other (Levenshtein).
fn steps_between(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (above, wrong) in from.chars().enumerate() {
        let mut next = vec![above + 1];
        let mut left = above + 1;
        for (right, window) in to.chars().zip(row.windows(2)) {
            let [diagonal, over] = window else { continue };
            left = (left + 1)
                .min(over + 1)
                .min(diagonal + usize::from(right != wrong));
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{nearest, steps_between};

    #[test]
    fn distances() {
        let table = [
            ("", "abc", 3),
            ("abc", "", 3),
            ("rule", "rules", 1),
            ("lsiten", "listen", 2),
            ("a", "a", 0),
        ];
        for (from, to, steps) in table {
            assert_eq!(steps_between(from, to), steps, "{from} {to}");
        }
    }

    #[test]
    fn only_near_words_are_offered() {
        let words = ["listen", "rules", "cache"];
        let table = [
            ("lsiten", Some("listen")),
            ("rule", Some("rules")),
            ("zones", None),
            ("", None),
        ];
        for (wrong, expected) in table {
            assert_eq!(nearest(wrong, words.into_iter()), expected, "{wrong}");
        }
    }
}
