//! The keys under `tests`.

use serde_json::{Value, json};

use super::values::{
    duration, flag, flexible, key, mapping, must, names_or_none, one_or_many, text, texts, wanted_labels, whole, word,
};
use crate::model::{InstanceType, Severity, Status};

/// A time: of the test's day, of days before and after, or in full.
fn time() -> Value {
    json!({ "type": ["string", "number"], "examples": ["02:10", "-1d 02:10", "2026-11-21 02:10"] })
}

/// A list of `each`, or nothing.
fn list_of(each: Value) -> Value {
    json!({ "type": ["array", "null"], "items": each })
}

fn status() -> Value {
    word(&Status::ALL.map(Status::as_str))
}

/// One test.
pub(super) fn test() -> Value {
    let expect =
        json!({ "anyOf": [{ "type": "array", "items": expected() }, flexible(json!({ "enum": ["nothing"] }))] });
    mapping(
        "What the rules must tell of given runs: `nightbell test` plays it.",
        [
            must("at", time(), "When the clock begins: \"2026-11-21\" or \"2026-11-21 01:00\"."),
            key("until", time(), "When it ends: a time, or a duration from its beginning."),
            key("instances", list_of(instance()), "The runs: as they end up, and what comes then."),
            key("silences", list_of(silence()), "Silences that are made."),
            must("expect", expect, "What is told, or the word nothing."),
        ],
    )
}

fn instance() -> Value {
    let node = mapping(
        "A step of the run.",
        [
            must("name", text(), "Its name."),
            key("status", status(), "Its status. Default: fail."),
            key("type", text(), "What kind of work it does."),
            key("log_path", text(), "Where its log is."),
            key("retries", whole(), "How often it was tried again."),
        ],
    );
    let step = mapping(
        "What comes then.",
        [must("at", time(), "When it comes."), must("status", status(), "How it is then.")],
    );
    mapping(
        "A run.",
        [
            key("source", texts(), "Its source; may be left out where there is only one."),
            must("job", text(), "Its job's name."),
            key("id", text(), "Its id; its place in the list where it is left out."),
            key("type", word(&InstanceType::ALL.map(InstanceType::as_str)), "How it came about. Default: scheduled."),
            must("plan", time(), "When it was planned."),
            key("start", time(), "When it started; as planned where it is left out."),
            key("end", time(), "When it ended."),
            must("status", status(), "How it ended up."),
            key("raw_status", text(), "The source's own word for that."),
            key("error", text(), "Why it failed, in the source's words."),
            key("nodes", list_of(node), "Its failing steps."),
            key("then", list_of(step), "What comes then: made again, say."),
        ],
    )
}

fn silence() -> Value {
    let severity = one_or_many(&word(&Severity::ALL.map(Severity::as_str)));
    mapping(
        "A silence.",
        [
            key("source", texts(), "Of these sources."),
            key("job", texts(), "Of jobs whose name matches: patterns as in a rule."),
            key("rule", texts(), "Of these rules."),
            key("severity", severity, "This bad."),
            key("labels", wanted_labels(), "With these labels."),
            key("from", time(), "From when on; from the clock's beginning where it is left out."),
            must("for", duration(), "For how long."),
        ],
    )
}

fn expected() -> Value {
    mapping(
        "One telling.",
        [
            must("rule", texts(), "The rule that tells."),
            key("resolved", flag(), "Whether it tells of the end. Default: false."),
            key("job", text(), "The job it is about."),
            key("to", names_or_none(), "Everybody who is told; an empty list where nobody is."),
            key("at", time(), "When: to the minute, or to the second."),
            key("contains", texts(), "Texts that every one of the messages holds."),
        ],
    )
}
