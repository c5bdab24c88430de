//! What keys take: as a schema, and in words.
//!
//! Every text may hold `${NAME}`, so whatever is narrower than a text takes that beside. A value that a program can read
//! in several spellings (a number in quotes, a single name instead of a list) is allowed in all of them.

use serde_json::{Map, Value, json};

use super::texts::{Translate, filled, joined};
use crate::limits::{ESCALATION_STEPS_MAX, NAME_BYTES_MAX};
use crate::yaml::{Keys, Kinds, Shape};

/// What a key of this shape takes.
pub(super) fn schema_of(shape: &Shape) -> Value {
    match *shape {
        Shape::Text => text(),
        Shape::Texts => one_or_many(&text()),
        Shape::TextsOrNone => json!({ "anyOf": [text(), { "type": "array", "items": text() }] }),
        Shape::Flag => flag(),
        Shape::Whole => json!({ "type": ["integer", "string"], "minimum": 0, "pattern": r"^\+?[0-9]+$|\$\{" }),
        Shape::Number => {
            json!({ "type": ["number", "string"], "pattern": r"^[-+]?[0-9.]+([eE][-+]?[0-9]+)?$|\$\{" })
        }
        Shape::Duration => shared("duration"),
        Shape::DurationOrZero => json!({ "anyOf": [shared("duration"), { "enum": [0, "0", "0s"] }] }),
        Shape::Schedule => shared("schedule"),
        Shape::ClockTime => shared("clock_time"),
        Shape::Zone => json!({ "type": "string", "examples": ["Asia/Shanghai", "Europe/Berlin", "UTC"] }),
        Shape::Secret => shared("secret"),
        Shape::Word(words) => flexible(json!({ "enum": words() })),
        Shape::Words(words) => one_or_many(&flexible(json!({ "enum": words() }))),
        Shape::WordAnyCase(words) => word_any_case(&words()),
        Shape::WordsAnyCase(words) => one_or_many(&word_any_case(&words())),
        Shape::TextsByName => named(text()),
        Shape::SecretsByName => json!({ "type": "object", "additionalProperties": shared("secret") }),
        Shape::WantedByName => {
            let mut wanted = named(one_or_many(&text()));
            wanted["minProperties"] = json!(1);
            wanted
        }
        Shape::Mapping(keys) => mapping(keys),
        Shape::TextOr(keys) => or_text(mapping(keys)),
        Shape::TextsOr(keys) => json!({ "anyOf": [one_or_many(&text()), mapping(keys)] }),
        Shape::List(keys) => json!({ "type": ["array", "null"], "items": mapping(keys) }),
        Shape::TextsOrMappings(keys) => one_or_many(&or_text(mapping(keys))),
        Shape::ListOr(keys, word) => {
            json!({ "anyOf": [{ "type": "array", "items": mapping(keys) }, flexible(json!({ "enum": [word] }))] })
        }
        Shape::TextsOrSteps(first, later) => {
            // There are so many steps at most; of names there may be more.
            let mut steps = vec![or_text(mapping(later)); ESCALATION_STEPS_MAX];
            steps[0] = or_text(mapping(first));
            json!({ "type": ["string", "number", "boolean", "array"], "prefixItems": steps })
        }
        Shape::ByName(keys) => named(mapping(keys)),
        Shape::ByKind(_, kinds) => named(by_kind(&kinds())),
        Shape::Other(_, schema) => schema(),
    }
}

/// What a key of this shape takes, for people.
pub(super) fn words_of(shape: &Shape, translate: Translate<'_>) -> String {
    let listed = |words: Vec<&str>| joined(translate("{one}, {other}"), words.into_iter().map(str::to_string));
    let text = |text: &'static str| translate(text).to_string();
    let with = |pattern: &'static str, name: &str, value: &str| filled(translate(pattern), &[(name, value)]);
    match *shape {
        Shape::Text => text("a text"),
        Shape::Texts | Shape::TextsOrNone => text("one or a list"),
        Shape::Flag => text("true or false"),
        Shape::Whole => text("a whole number"),
        Shape::Number => text("a number"),
        Shape::Duration => text("a duration"),
        Shape::DurationOrZero => text("a duration, or 0s"),
        Shape::Schedule => text("a crontab line"),
        Shape::ClockTime => text("a time of day"),
        Shape::Zone => text("a time zone"),
        Shape::Secret => text("a secret"),
        Shape::Word(words) | Shape::WordAnyCase(words) => listed(words()),
        Shape::Words(words) | Shape::WordsAnyCase(words) => with("one or a list of {words}", "words", &listed(words())),
        Shape::TextsByName | Shape::WantedByName => text("texts by name"),
        Shape::SecretsByName => text("secrets by name"),
        Shape::Mapping(keys) => link(keys),
        Shape::TextOr(keys) => with("a text, or {mapping}", "mapping", &link(keys)),
        Shape::TextsOr(keys) => with("one or a list of texts, or {mapping}", "mapping", &link(keys)),
        Shape::List(keys) => with("a list of {mapping}", "mapping", &link(keys)),
        Shape::TextsOrMappings(keys) => with("one or a list of texts or {mapping}", "mapping", &link(keys)),
        Shape::ListOr(keys, word) => {
            filled(translate("a list of {mapping}, or {word}"), &[("mapping", &link(keys)), ("word", word)])
        }
        Shape::TextsOrSteps(first, later) => {
            let steps = translate("names, or steps: {first}, then {later}");
            filled(steps, &[("first", &link(first)), ("later", &link(later))])
        }
        Shape::ByName(keys) | Shape::ByKind(keys, _) => with("{mapping} by name", "mapping", &link(keys)),
        Shape::Other(words, _) => text(words),
    }
}

/// What all kinds have, and the kinds, where a key takes mappings of several kinds.
pub(super) fn kinds_of(shape: &Shape) -> Option<(&'static Keys, Kinds)> {
    match *shape {
        Shape::ByKind(common, kinds) => Some((common, kinds)),
        _ => None,
    }
}

fn word_any_case(words: &[&str]) -> Value {
    let pattern = format!(r"^({})$|\$\{{", any_case(words));
    json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": pattern }] })
}

fn link(keys: &Keys) -> String {
    format!("[{0}](#{0})", keys.name)
}

/// What many keys share.
pub(super) fn definitions() -> Map<String, Value> {
    let units = ["w", "d", "h", "m(in)?", "s"].map(|unit| format!(r"([0-9]+\s*{unit}\s*)?")).concat();
    let duration = json!({
        "type": "string",
        "minLength": 2,
        "pattern": format!(r"^\s*{units}$|\$\{{"),
        // Nothing but zeros is no duration.
        "not": { "pattern": r"^[0\sa-z]*$" },
    });
    let schedule =
        json!({ "type": "string", "minLength": 2, "examples": ["* * * * *", "0 8 * * *", "*/15 6-22 * * mon-fri"] });
    let all = [
        ("variable", json!({ "description": "${NAME} or ${NAME:-default}.", "type": "string", "pattern": r"\$\{" })),
        ("duration", duration),
        ("schedule", schedule),
        ("clock_time", json!({ "type": "string", "pattern": r"^\s*[0-9]{1,2}:[0-9]{2}\s*$|\$\{" })),
    ];
    all.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

fn shared(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn mapping(keys: &Keys) -> Value {
    shared(keys.name)
}

/// A mapping, or a text in its place.
fn or_text(mapping: Value) -> Value {
    json!({ "anyOf": [text(), mapping] })
}

fn text() -> Value {
    json!({ "type": ["string", "number", "boolean"] })
}

fn flag() -> Value {
    let words = "[tT][rR][uU][eE]|[fF][aA][lL][sS][eE]|[yY][eE][sS]|[nN][oO]|[oO][nN]|[oO][fF][fF]";
    json!({ "type": ["boolean", "string"], "pattern": format!(r"^({words})$|\$\{{") })
}

/// One of these, or a list of them that is not empty.
pub(in crate::config) fn one_or_many(one: &Value) -> Value {
    json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
}

/// What is said, or a text whose value the environment tells.
pub(in crate::config) fn flexible(takes: Value) -> Value {
    json!({ "anyOf": [takes, { "$ref": "#/$defs/variable" }] })
}

/// A mapping from the user's names to `each`.
fn named(each: Value) -> Value {
    json!({
        "type": "object",
        "propertyNames": { "pattern": format!("^[A-Za-z0-9._-]{{1,{NAME_BYTES_MAX}}}$") },
        "additionalProperties": each,
    })
}

/// The mapping of its kind, chosen by `type`.
fn by_kind(kinds: &[(&str, &'static Keys)]) -> Value {
    let choice = |(kind, keys): &(&str, &'static Keys)| {
        json!({
            "if": { "properties": { "type": { "const": kind } }, "required": ["type"] },
            "then": mapping(keys),
        })
    };
    let words: Vec<&str> = kinds.iter().map(|(kind, _)| *kind).collect();
    json!({
        "type": "object",
        "required": ["type"],
        "properties": { "type": flexible(json!({ "enum": words })) },
        "allOf": kinds.iter().map(choice).collect::<Vec<_>>(),
    })
}

/// A pattern of words in any case, each letter by itself: the dialect of patterns has no flag for it.
pub(in crate::config) fn any_case(words: &[&str]) -> String {
    let letter = |c: char| match c.is_ascii_alphabetic() {
        true => format!("[{}{}]", c.to_ascii_uppercase(), c.to_ascii_lowercase()),
        false => c.to_string(),
    };
    words.iter().map(|word| word.chars().map(letter).collect::<String>()).collect::<Vec<_>>().join("|")
}
