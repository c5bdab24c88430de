//! The configuration as a JSON Schema, for editors: they complete keys, explain them, and mark what is misspelt.
//!
//! Tables that stand beside the readers, one line a key: its name, what it takes, what an editor shows. Pure: reads
//! nothing but the words that the rest of the program knows, and prints nothing. It says what a file looks like, not
//! whether it makes sense: names that point nowhere, conditions that contradict each other and patterns that do not
//! compile are found by the readers alone. A test holds both against each other, key by key.

mod receivers;
mod rules;
mod sources;
mod telling;
mod tests;
mod values;

use serde_json::{Value, json};

use self::values::{Key, flexible, key, map_of, mapping, must, needing_one_of, path, text, word};
use crate::words::Language;

/// The schema of a file that stands alone, in the dialect of 2020-12; or, with `is_part`, of one in a directory of files,
/// where what every configuration needs may stand in another one.
pub fn schema(is_part: bool) -> Value {
    let mut schema = mapping(
        "The configuration of Nightbell: what is watched, who is told, and when. `nightbell check` says everything that \
         is wrong with it.",
        top_level(),
    );
    let mut definitions = values::definitions();
    definitions.extend(sources::definitions());
    definitions.extend(receivers::definitions());
    definitions.extend(rules::definitions());
    definitions.insert("inhibition".into(), telling::inhibition());
    definitions.insert("test".into(), tests::test());
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Nightbell");
    if is_part {
        schema["required"] = json!([]);
    }
    schema["$defs"] = Value::Object(definitions);
    schema
}

/// The keys of the file.
fn top_level() -> Vec<Key> {
    let version = flexible(json!({ "enum": [1, "1"] }));
    let store = json!({ "type": "string", "pattern": r"^sqlite://[^?]+$|\$\{" });
    let languages = Language::ALL.map(Language::as_str);
    vec![
        must("version", version, "The version of this file's form: 1."),
        key(
            "timezone",
            values::zone(),
            "The zone of schedules and of the times in messages: an IANA name. Default: UTC.",
        ),
        key("language", word(&languages), "The language of messages: en (the default) or zh."),
        key("store", store, "Where Nightbell remembers what it saw and owes. Default: sqlite://nightbell.db"),
        key(
            "retention",
            values::duration(),
            "How long alerts, deliveries and runs are kept after they ended: 8d to 400d. Default: 30d.",
        ),
        key(
            "templates",
            path(),
            "A directory whose templates replace the built-in ones, by kind of receiver: templates/slack/…",
        ),
        must(
            "sources",
            sources::all(),
            "The schedulers that are polled, by a name of yours: letters, digits, - _ and .",
        ),
        key("receivers", receivers::all(), "The places that are told, by a name of yours."),
        key(
            "rules",
            map_of("rule"),
            "What people must hear about. The key is the rule's id: it is part of every alert.",
        ),
        key("mute_windows", map_of("mute_window"), "Recurring times in which new alerts of some kind are not told."),
        key("inhibit", map_of("inhibition"), "Alerts that hold back what only follows from them."),
        key("calendars", map_of("calendar"), "Working days and holidays, for the days of mute windows."),
        key("routes", map_of("route"), "Who else is told of alerts of some kind."),
        key("defaults", rules::defaults(), "What the rules of this file have in common."),
        key("self", rules::own(), "Who hears of trouble with sources and receivers, and with Nightbell itself."),
        key("heartbeat", rules::heartbeat(), "Whom Nightbell tells that it works."),
        key("tests", map_of("test"), "What the rules must tell of given runs: `nightbell test` plays them."),
        key("digests", map_of("digest"), "Summaries of a period, delivered like any other message."),
    ]
}

/// A source or receiver: the mapping of its kind, chosen by `type`.
fn by_type(says: &str, prefix: &str, kinds: &[&str]) -> Value {
    let choices: Vec<Value> = kinds
        .iter()
        .map(|kind| {
            json!({
                "if": { "properties": { "type": { "const": kind } }, "required": ["type"] },
                "then": { "$ref": format!("#/$defs/{prefix}_{kind}") },
            })
        })
        .collect();
    json!({
        "description": says,
        "type": "object",
        "required": ["type"],
        "properties": { "type": word(kinds) },
        "allOf": choices,
    })
}

/// The keys of an `auth` that signs in to Huawei Cloud in one of three ways.
fn huawei_auth() -> Value {
    let keys = [
        key("access_key", values::secret(), "The access key (AK)."),
        key("secret_key", values::secret(), "The secret key (SK) that signs requests."),
        key("security_token", values::secret(), "Comes with a temporary access key."),
        key("token", values::secret(), "An IAM token instead of keys; a file is read again when it changes."),
        key("user", values::secret(), "The name of an IAM user with programmatic access."),
        key("password", values::secret(), "The user's password."),
        key("domain", values::secret(), "The name of the account that the user belongs to."),
        key("iam_endpoint", text(), "Where the user signs in, instead of the region's own host."),
    ];
    let ways: [&[&str]; 3] = [&["access_key", "secret_key"], &["token"], &["user", "password", "domain"]];
    needing_one_of(mapping("How requests prove who asks: keys, a token, or a user.", keys), &ways)
}
