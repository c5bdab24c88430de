//! The tables of keys, printed: as a JSON Schema, with which editors complete keys, explain them and mark what is misspelt,
//! and as a reference in Markdown.
//!
//! Pure: reads the tables and prints them. A schema says what a file looks like, not whether it makes sense: names that
//! point nowhere, conditions that contradict each other and patterns that do not compile are found by the readers alone. A
//! test holds both against each other, key by key.

mod reference;
mod shapes;

use serde_json::{Map, Value, json};

pub use self::reference::reference;
pub(super) use self::shapes::{any_case, flexible, one_or_many};
use crate::yaml::{Key, Keys, Shape, json_of};

/// The schema of a file that stands alone, in the dialect of 2020-12; or, with `is_part`, of one in a directory of files,
/// where what every configuration needs may stand in another one.
pub fn schema(is_part: bool) -> Value {
    let mut schema = mapping(&super::FILE);
    let mut definitions = shapes::definitions();
    for keys in tables(&super::FILE).into_iter().skip(1) {
        definitions.insert(keys.name.to_string(), mapping(keys));
    }
    for (common, kinds) in super::FILE.iter().filter_map(|key| shapes::kinds_of(&key.shape)) {
        for (_, keys) in kinds() {
            let mut mapping = mapping_of(&[common, keys]);
            mapping["description"] = json!(keys.says);
            definitions.insert(keys.name.to_string(), mapping);
        }
        definitions.remove(common.name);
    }
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Nightbell");
    if is_part {
        schema["required"] = json!([]);
    }
    schema["$defs"] = Value::Object(definitions);
    schema
}

/// All tables that can be reached from one, itself first, each once, in the order in which they are met.
fn tables(keys: &'static Keys) -> Vec<&'static Keys> {
    let mut met: Vec<&'static Keys> = vec![keys];
    let mut next = 0;
    while let Some(keys) = met.get(next) {
        next += 1;
        let inner: Vec<&'static Keys> = keys.iter().flat_map(inner).collect();
        for keys in inner {
            if met.iter().all(|known| known.name != keys.name) {
                met.push(keys);
            }
        }
    }
    met
}

/// The tables of what a key takes.
fn inner(key: &Key) -> Vec<&'static Keys> {
    match key.shape {
        Shape::Mapping(keys) | Shape::TextOr(keys) | Shape::List(keys) | Shape::ByName(keys) => vec![keys],
        Shape::ByKind(common, kinds) => {
            std::iter::once(common).chain(kinds().into_iter().map(|(_, keys)| keys)).collect()
        }
        Shape::TextsOr(keys) | Shape::TextsOrMappings(keys) | Shape::ListOr(keys, _) => vec![keys],
        Shape::TextsOrSteps(first, later) => vec![first, later],
        Shape::Text
        | Shape::Texts
        | Shape::TextsOrNone
        | Shape::Flag
        | Shape::Whole
        | Shape::Number
        | Shape::Duration
        | Shape::DurationOrZero
        | Shape::Schedule
        | Shape::ClockTime
        | Shape::Zone
        | Shape::Secret
        | Shape::Word(_)
        | Shape::WordAnyCase(_)
        | Shape::Words(_)
        | Shape::WordsAnyCase(_)
        | Shape::TextsByName
        | Shape::WantedByName
        | Shape::SecretsByName
        | Shape::Other(..) => Vec::new(),
    }
}

/// A mapping of these keys and no others.
fn mapping(keys: &Keys) -> Value {
    let mut mapping = mapping_of(&[keys]);
    mapping["description"] = json!(keys.says);
    if keys.needs_one {
        mapping["minProperties"] = json!(1);
    }
    mapping
}

/// A mapping of the keys of all these tables and no others.
fn mapping_of(tables: &[&Keys]) -> Value {
    let keys = || tables.iter().flat_map(|keys| keys.iter());
    let properties: Map<String, Value> = keys().map(|key| (key.name.to_string(), property(key))).collect();
    let required: Vec<&str> = keys().filter(|key| key.is_required).map(|key| key.name).collect();
    let mut mapping = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        mapping["required"] = json!(required);
    }
    for (one, other) in tables.iter().flat_map(|keys| keys.pairs) {
        mapping["dependentRequired"][one] = json!([other]);
        mapping["dependentRequired"][other] = json!([one]);
    }
    let sets: Vec<Value> = tables.iter().flat_map(|keys| keys.any_of).map(|set| json!({ "required": set })).collect();
    if !sets.is_empty() {
        mapping["anyOf"] = json!(sets);
    }
    mapping
}

fn property(key: &Key) -> Value {
    let mut takes = shapes::schema_of(&key.shape);
    let default = key.default.map(|default| format!(" Default: {default}.")).unwrap_or_default();
    takes["description"] = json!(format!("{}{default}", key.says));
    if let Some(default) = key.default.and_then(json_of) {
        takes["default"] = default;
    }
    if let Some(example) = key.example.and_then(json_of) {
        takes["examples"] = json!([example]);
    }
    takes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the schema a table goes by its name, so no two may have one.
    #[test]
    fn no_two_tables_have_one_name() {
        let tables = tables(&super::super::FILE);
        for keys in &tables {
            for inner in keys.iter().flat_map(inner) {
                let known = tables.iter().find(|known| known.name == inner.name);
                assert!(known.is_some_and(|known| std::ptr::eq(*known, inner)), "{}", inner.name);
            }
        }
    }
}
