//! The sample file and the reference page, written from the schema and the defaults.
//!
//! Both are committed beside the schema; a test holds them equal to what stands here.

use super::schema::{self, Kind, kind};
use super::values::FORMS;
use serde_json::Value as Json;

/// The widest a line of the sample should be.
const WIDTH: usize = 100;

const SAMPLE_HEAD: &str = "\
# yaml-language-server: $schema=unsix.schema.json
#
# Every option at its default: this file does what no file does. An option without a default stands
# as an example behind a `#` with no blank. Generated from src/config/options.rs.
";

/// The sample: live where an option has a default, an example in a comment where it has none.
pub(super) fn sample() -> String {
    let mut text = SAMPLE_HEAD.to_owned();
    let schema = schema::schema();
    let Kind::Section(keys) = kind(&schema) else {
        return text;
    };
    for (key, schema) in keys {
        let lines = option(key, schema, schema.get("default"));
        text.push_str(&format!("\n{}\n", lines.join("\n")));
    }
    text
}

/// The lines of one option: its meaning, then itself.
fn option(key: &str, schema: &Json, value: Option<&Json>) -> Vec<String> {
    let mut lines = comment(schema);
    match value {
        Some(value) => lines.extend(live(key, schema, value)),
        None => lines.extend(
            live(key, schema, &example(schema))
                .iter()
                .map(|line| format!("#{line}")),
        ),
    }
    lines
}

/// The option with a value. Sections and lists of sections are written out, with the meaning of each key.
fn live(key: &str, schema: &Json, value: &Json) -> Vec<String> {
    let mut lines = vec![format!("{key}:")];
    match (kind(schema), value) {
        (Kind::SectionOrOff(section), Json::Object(_)) => return live(key, section, value),
        (Kind::Section(_), Json::Object(_)) => lines.extend(indented(section(schema, value))),
        (Kind::List(items), Json::Array(values)) if is_section(value) => {
            for value in values {
                lines.push("  -".to_owned());
                lines.extend(indented(indented(section(items, value))));
            }
        }
        (Kind::List(_), Json::Array(values)) if key.len() + flow(value).len() > WIDTH => {
            lines.extend(values.iter().map(|value| format!("  - {}", flow(value))));
        }
        _ => return vec![format!("{key}: {}", flow(value))],
    }
    lines
}

/// A section, or a list of sections.
fn is_section(value: &Json) -> bool {
    value.is_object() || value.get(0).is_some_and(Json::is_object)
}

/// The options of a section, one after the other.
fn section(schema: &Json, value: &Json) -> Vec<String> {
    let Kind::Section(keys) = kind(schema) else {
        return Vec::new();
    };
    keys.iter()
        .flat_map(|(key, schema)| option(key, schema, value.get(key)))
        .collect()
}

fn indented(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().map(|line| format!("  {line}")).collect()
}

/// The example of an option; one made of its keys' where it is a list of sections.
fn example(schema: &Json) -> Json {
    if let Some(example) = schema::items(schema, "examples").first() {
        return example.clone();
    }
    match kind(schema) {
        Kind::Section(keys) => keys
            .iter()
            .map(|(key, schema)| ((*key).to_owned(), example(schema)))
            .collect(),
        Kind::List(items) => Json::Array(vec![example(items)]),
        _ => Json::Null,
    }
}

/// The meaning of an option as comment lines, its words and its range with it.
fn comment(schema: &Json) -> Vec<String> {
    let mut meaning = schema::text(schema, "description").replace('\n', " ");
    if let Some((least, most)) = schema::range(schema) {
        meaning.push_str(&format!(" From {least} to {most}."));
    }
    let mut lines = wrapped(&meaning);
    if let Kind::Words(words) = kind(schema) {
        lines.extend(
            words
                .iter()
                .map(|(word, meaning)| format!("#   {word}: {}", meaning.replace('\n', " "))),
        );
    }
    lines
}

/// A text in comment lines of bearable width.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = "#".to_owned();
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH - 4 {
            lines.push(std::mem::replace(&mut line, "#".to_owned()));
        }
        line.push(' ');
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// A value on one line of YAML.
fn flow(value: &Json) -> String {
    match value {
        Json::String(text) if is_plain(text) => text.clone(),
        Json::Array(values) => {
            let values: Vec<String> = values.iter().map(flow).collect();
            format!("[{}]", values.join(", "))
        }
        Json::Object(pairs) => {
            let pairs: Vec<String> = pairs
                .iter()
                .map(|(key, value)| format!("{key}: {}", flow(value)))
                .collect();
            format!("{{{}}}", pairs.join(", "))
        }
        value => value.to_string(),
    }
}

/// A text that YAML takes as a text without quotes.
fn is_plain(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "._/-".contains(letter))
        && text.parse::<f64>().is_err()
        && !matches!(text, "true" | "false" | "null")
}

const REFERENCE_HEAD: &str = "\
# Every option

Generated from `src/config/options.rs`: `BLESS=1 cargo test --test config` writes it anew. Every key may be absent but
those marked as needed; a key that is not listed here is an error. `unsix check FILE` tells all errors of a file at once.
";

/// The reference page: one table for each section, one for the forms of values.
pub(super) fn reference() -> String {
    let mut page = REFERENCE_HEAD.to_owned();
    page.push_str("\n## The file\n\n");
    let schema = schema::schema();
    tables(&mut page, "", &schema);
    page.push_str("\n## How values are written\n\n| form | |\n|---|---|\n");
    for (form, meaning) in FORMS {
        page.push_str(&format!("| {form} | {meaning} |\n"));
    }
    page
}

/// The table of a section, then those of the sections inside it.
fn tables(page: &mut String, place: &str, schema: &Json) {
    let Kind::Section(keys) = kind(schema) else {
        return;
    };
    let needed = schema::items(schema, "required");
    page.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
    for (key, schema) in &keys {
        let default = match schema.get("default") {
            Some(default) if is_section(default) => "below".to_owned(),
            Some(default) => format!("`{}`", flow(default)),
            None if needed.iter().any(|needed| needed == key) => "needed".to_owned(),
            None => "none".to_owned(),
        };
        page.push_str(&row(key, schema, &default));
    }
    for (key, outer) in keys {
        let place = if place.is_empty() {
            key.to_owned()
        } else {
            format!("{place}.{key}")
        };
        let (place, inner) = match kind(outer) {
            Kind::List(items) => (format!("{place}[]"), items),
            Kind::SectionOrOff(section) => (place, section),
            _ => (place, outer),
        };
        if let Kind::Section(_) = kind(inner) {
            let meaning = schema::text(inner, "description");
            page.push_str(&format!("\n## {place}\n\n{meaning}\n\n"));
            tables(page, &place, inner);
        }
    }
}

fn row(key: &str, schema: &Json, default: &str) -> String {
    let mut value = value_of(schema);
    if let Some((least, most)) = schema::range(schema) {
        value.push_str(&format!(", {least} to {most}"));
    }
    let mut meaning = schema::text(schema, "description").replace('\n', " ");
    if let Kind::Words(words) = kind(schema) {
        for (word, text) in words {
            meaning.push_str(&format!("<br>`{word}`: {}", text.replace('\n', " ")));
        }
    }
    format!("| `{key}` | {value} | {default} | {meaning} |\n")
}

/// What is written there, in a few words.
fn value_of(schema: &Json) -> String {
    match kind(schema) {
        Kind::Section(_) => "section".to_owned(),
        Kind::SectionOrOff(_) => "section, or `off`".to_owned(),
        Kind::List(items) => format!("list of {}", value_of(items)),
        Kind::Words(_) => "word".to_owned(),
        Kind::Boolean => "`true` or `false`".to_owned(),
        Kind::Integer => "whole number".to_owned(),
        Kind::Form(form) => form.to_owned(),
    }
}
