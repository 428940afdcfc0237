//! The JSON schema of the options, made from their types, and what its parts mean to us.
//!
//! Editors load it, `check` holds a file against it and `manual` prints it, so an option stands
//! in no second list. Beyond the standard's words it uses `format` for a form of `values` and
//! `x-range` for the bounds of one.

use super::options::Options;
use schemars::generate::SchemaSettings;
use serde_json::Value as Json;

/// The schema of a file.
pub(super) fn schema() -> Json {
    SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<Options>()
        .to_value()
}

/// What may stand at an option.
pub(super) enum Kind<'a> {
    /// These keys, each with its own schema.
    Section(Vec<(&'a str, &'a Json)>),
    /// A section of that schema, or the word `off`.
    SectionOrOff(&'a Json),
    /// A list whose items have that schema.
    List(&'a Json),
    /// One of these words, each with its meaning.
    Words(Vec<(&'a str, &'a str)>),
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A text in that form of `values`.
    Form(&'a str),
}

/// The kind of a schema of ours.
pub(super) fn kind(schema: &Json) -> Kind<'_> {
    if let Some(section) = items(schema, "anyOf").first() {
        return Kind::SectionOrOff(section);
    }
    let words = items(schema, "oneOf");
    if !words.is_empty() {
        return Kind::Words(
            words
                .iter()
                .map(|word| (text(word, "const"), text(word, "description")))
                .collect(),
        );
    }
    match text(schema, "type") {
        "object" => Kind::Section(keys(schema)),
        "array" => Kind::List(schema.get("items").unwrap_or(&Json::Null)),
        "boolean" => Kind::Boolean,
        "integer" => Kind::Integer,
        _ => Kind::Form(text(schema, "format")),
    }
}

fn keys(schema: &Json) -> Vec<(&str, &Json)> {
    let properties = schema.get("properties").and_then(Json::as_object);
    properties
        .into_iter()
        .flatten()
        .map(|(key, schema)| (key.as_str(), schema))
        .collect()
}

/// The text under a word of a schema; empty without one.
pub(super) fn text<'a>(schema: &'a Json, word: &str) -> &'a str {
    schema.get(word).and_then(Json::as_str).unwrap_or_default()
}

/// The list under a word of a schema; empty without one.
pub(super) fn items<'a>(schema: &'a Json, word: &str) -> &'a [Json] {
    schema
        .get(word)
        .and_then(Json::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The number under a word of a schema.
pub(super) fn number(schema: &Json, word: &str) -> Option<u64> {
    schema.get(word).and_then(Json::as_u64)
}

/// The smallest and the largest a value may be, as the file writes them.
pub(super) fn range(schema: &Json) -> Option<(String, String)> {
    if let [Json::String(least), Json::String(most)] = items(schema, "x-range") {
        return Some((least.clone(), most.clone()));
    }
    let (least, most) = (number(schema, "minimum")?, number(schema, "maximum")?);
    Some((least.to_string(), most.to_string()))
}

#[cfg(test)]
mod tests {
    use super::{Kind, kind, range, schema};
    use crate::config::values;
    use serde_json::Value as Json;

    /// Every option is of a kind we know, has a meaning, and bounds that can be read.
    fn visit(place: &str, schema: &Json) {
        match kind(schema) {
            Kind::Section(keys) => {
                assert!(!keys.is_empty(), "{place}");
                for (key, schema) in keys {
                    assert!(schema.get("description").is_some(), "{place}.{key}");
                    visit(&format!("{place}.{key}"), schema);
                }
            }
            Kind::SectionOrOff(section) => visit(place, section),
            Kind::List(items) => visit(&format!("{place}[]"), items),
            Kind::Words(words) => {
                assert!(
                    words
                        .iter()
                        .all(|(word, meaning)| !word.is_empty() && !meaning.is_empty()),
                    "{place}"
                );
            }
            Kind::Integer => assert!(range(schema).is_some(), "{place}"),
            Kind::Boolean => {}
            Kind::Form(form) => {
                assert!(
                    values::FORMS.iter().any(|(name, _)| *name == form),
                    "{place}: {form:?}"
                );
                for bound in range(schema)
                    .into_iter()
                    .flat_map(|(least, most)| [least, most])
                {
                    let read = values::read(form, &bound).unwrap();
                    assert!(read.magnitude.is_some(), "{place}: {bound}");
                }
            }
        }
    }

    #[test]
    fn every_option_is_of_a_known_kind() {
        visit("", &schema());
    }
}
