//! What keys take: the kinds of values, and the mappings they make.
//!
//! Every text may hold `${NAME}`, so whatever is narrower than a text takes that beside. A value that a program can read
//! in several spellings (a number in quotes, a single name instead of a list) is allowed in all of them.

use serde_json::{Map, Value, json};

use crate::limits::NAME_BYTES_MAX;
use crate::model::JobStatus;

/// One key of a mapping.
pub(super) struct Key {
    name: &'static str,
    takes: Value,
    is_required: bool,
}

/// A key that may be left out; `says` is what an editor shows of it.
pub(super) fn key(name: &'static str, takes: Value, says: &str) -> Key {
    let mut takes = takes;
    takes["description"] = json!(says);
    Key { name, takes, is_required: false }
}

/// A key that must be there.
pub(super) fn must(name: &'static str, takes: Value, says: &str) -> Key {
    key(name, takes, says).required()
}

impl Key {
    /// The same key, which must be there.
    pub(super) fn required(self) -> Key {
        Key { is_required: true, ..self }
    }
}

/// A mapping of these keys and no others.
pub(super) fn mapping(says: &str, keys: impl IntoIterator<Item = Key>) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for key in keys {
        if key.is_required {
            required.push(key.name);
        }
        properties.insert(key.name.to_string(), key.takes);
    }
    let mut mapping = json!({
        "description": says,
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        mapping["required"] = json!(required);
    }
    mapping
}

/// The same mapping, which must hold at least one of these sets of keys.
pub(super) fn needing_one_of(mapping: Value, sets: &[&[&str]]) -> Value {
    let mut mapping = mapping;
    mapping["anyOf"] = sets.iter().map(|keys| json!({ "required": keys })).collect();
    mapping
}

/// The same mapping, which must hold something.
pub(super) fn not_empty(mapping: Value) -> Value {
    let mut mapping = mapping;
    mapping["minProperties"] = json!(1);
    mapping
}

/// The same mapping, or nothing at all.
pub(super) fn or_nothing(mapping: Value) -> Value {
    let mut mapping = mapping;
    mapping["type"] = json!(["object", "null"]);
    mapping
}

/// The same mapping, or a text in its place.
pub(super) fn or_text(mapping: Value) -> Value {
    let mut mapping = mapping;
    mapping["type"] = json!(["object", "string", "number", "boolean"]);
    mapping
}

/// A mapping from the user's names to what a definition says.
pub(super) fn map_of(definition: &str) -> Value {
    named(json!({ "$ref": format!("#/$defs/{definition}") }))
}

/// A mapping from the user's names to `each`.
pub(super) fn named(each: Value) -> Value {
    json!({
        "type": "object",
        "propertyNames": { "pattern": format!("^[A-Za-z0-9._-]{{1,{NAME_BYTES_MAX}}}$") },
        "additionalProperties": each,
    })
}

/// Any text. A number or a boolean is taken as it is written.
pub(super) fn text() -> Value {
    json!({ "type": ["string", "number", "boolean"] })
}

/// One of these words.
pub(super) fn word(words: &[&str]) -> Value {
    flexible(json!({ "enum": words }))
}

/// What is said, or a text whose value the environment tells.
pub(super) fn flexible(takes: Value) -> Value {
    json!({ "anyOf": [takes, { "$ref": "#/$defs/variable" }] })
}

/// One of these, or a list of them that is not empty.
pub(super) fn one_or_many(one: &Value) -> Value {
    json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
}

/// One name or a list of names, which may be empty.
pub(super) fn names_or_none() -> Value {
    json!({ "anyOf": [text(), { "type": "array", "items": text() }] })
}

/// One text or a list of them.
pub(super) fn texts() -> Value {
    one_or_many(&text())
}

/// Labels: texts by name.
pub(super) fn labels() -> Value {
    or_nothing(named(text()))
}

/// Which labels are wanted: a list means "one of".
pub(super) fn wanted_labels() -> Value {
    not_empty(named(texts()))
}

/// True or false.
pub(super) fn flag() -> Value {
    let words = "[tT][rR][uU][eE]|[fF][aA][lL][sS][eE]|[yY][eE][sS]|[nN][oO]|[oO][nN]|[oO][fF][fF]";
    json!({ "type": ["boolean", "string"], "pattern": format!(r"^({words})$|\$\{{") })
}

/// A whole number, zero or more.
pub(super) fn whole() -> Value {
    json!({ "type": ["integer", "string"], "minimum": 0, "pattern": r"^\+?[0-9]+$|\$\{" })
}

/// A number.
pub(super) fn number() -> Value {
    json!({ "type": ["number", "string"], "pattern": r"^[-+]?[0-9.]+([eE][-+]?[0-9]+)?$|\$\{" })
}

/// A path; a relative one starts from the file's directory.
pub(super) fn path() -> Value {
    text()
}

/// An IANA name.
pub(super) fn zone() -> Value {
    json!({ "type": "string", "examples": ["Asia/Shanghai", "Europe/Berlin", "UTC"] })
}

/// A reference to one of the shared values.
fn shared(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// `45s`, `30m`, `2h30m`, `1d`.
pub(super) fn duration() -> Value {
    shared("duration")
}

/// A crontab line.
pub(super) fn schedule() -> Value {
    shared("schedule")
}

/// A time of day.
pub(super) fn clock_time() -> Value {
    shared("clock_time")
}

/// `{ env: NAME }` or `{ file: PATH }`.
pub(super) fn secret() -> Value {
    shared("secret")
}

/// A pattern of words in any case, each letter by itself: the dialect of patterns has no flag for it.
pub(super) fn any_case(words: &[&str]) -> String {
    let letter = |c: char| match c.is_ascii_alphabetic() {
        true => format!("[{}{}]", c.to_ascii_uppercase(), c.to_ascii_lowercase()),
        false => c.to_string(),
    };
    words.iter().map(|word| word.chars().map(letter).collect::<String>()).collect::<Vec<_>>().join("|")
}

/// The status of a job, in any case.
pub(super) fn job_status() -> Value {
    let alarming = JobStatus::ALL.into_iter().filter(|status| !status.is_healthy()).map(JobStatus::as_str);
    let words: Vec<&str> = alarming.collect();
    let pattern = format!(r"^({})$|\$\{{", any_case(&words));
    json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": pattern }] })
}

/// What many keys share.
pub(super) fn definitions() -> Map<String, Value> {
    let units = ["w", "d", "h", "m(in)?", "s"].map(|unit| format!(r"([0-9]+\s*{unit}\s*)?")).concat();
    let secret = mapping(
        "A secret: { env: NAME } or { file: PATH }. In plain text it works, and earns a warning.",
        [
            key("env", text(), "The environment variable that holds it."),
            key("file", path(), "The file that holds it; it is read again at each use."),
        ],
    );
    let mut secret = or_text(secret);
    secret["minProperties"] = json!(1);
    secret["maxProperties"] = json!(1);
    let all = [
        ("variable", json!({ "description": "${NAME} or ${NAME:-default}.", "type": "string", "pattern": r"\$\{" })),
        (
            "duration",
            json!({
                "type": "string",
                "minLength": 2,
                "pattern": format!(r"^\s*{units}$|\$\{{"),
                // Nothing but zeros is no duration.
                "not": { "pattern": r"^[0\sa-z]*$" },
            }),
        ),
        (
            "schedule",
            json!({ "type": "string", "minLength": 2, "examples": ["* * * * *", "0 8 * * *", "*/15 6-22 * * mon-fri"] }),
        ),
        ("clock_time", json!({ "type": "string", "pattern": r"^\s*[0-9]{1,2}:[0-9]{2}\s*$|\$\{" })),
        ("secret", secret),
    ];
    all.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}
