//! The JSON Schema, printed from the tables of keys.
//!
//! Pure: reads the tables. It must never know what a key means.

use serde_json::{Map, Value, json};

use super::shapes;
use super::tables::tables;
use crate::yaml::{Key, Keys, SECRET, json_of};

/// The schema of a file of these keys that stands alone, in the dialect of 2020-12; or, with `is_part`, of one in a directory of files,
/// where what every configuration needs may stand in another one.
pub(in crate::config) fn schema(file: &'static Keys, is_part: bool) -> Value {
    let mut schema = mapping(file);
    let mut definitions = shapes::definitions();
    definitions.insert("secret".to_string(), secret());
    for keys in tables(file).into_iter().skip(1) {
        definitions.insert(keys.name.to_string(), mapping(keys));
    }
    for (common, kinds) in file.iter().filter_map(|key| shapes::kinds_of(&key.shape)) {
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

/// A value that may be read from elsewhere.
fn secret() -> Value {
    let mut secret = mapping(&SECRET);
    secret["type"] = json!(["object", "string", "number", "boolean"]);
    secret["maxProperties"] = json!(1);
    secret
}
