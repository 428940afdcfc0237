//! Sections that one word switches off: `admin: off`, `log: off`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// A section, or the bare word `off` in its place.
///
/// To YAML 1.2 `off` is a text and to YAML 1.1 it is `false`, so both are taken.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum OrOff<T> {
    /// The section.
    On(T),
    /// The word.
    Off,
}

impl<T: Serialize> Serialize for OrOff<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::On(section) => section.serialize(to),
            Self::Off => to.serialize_str("off"),
        }
    }
}

impl<T: JsonSchema> JsonSchema for OrOff<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}OrOff", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let section = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [section, { "enum": ["off", false] }] })
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for OrOff<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OrOffVisitor(PhantomData))
    }
}

struct OrOffVisitor<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for OrOffVisitor<T> {
    type Value = OrOff<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a section or the word off")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        match text {
            "off" => Ok(OrOff::Off),
            _ => Err(E::custom("only the word off may stand here")),
        }
    }

    fn visit_bool<E: Error>(self, on: bool) -> Result<Self::Value, E> {
        match on {
            false => Ok(OrOff::Off),
            true => Err(E::custom("only the word off may stand here")),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(OrOff::On)
    }
}
