//! `group` of a rule: what is told together, how long to wait for it, and when to say it again.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::schema::{flexible, one_or_many};
use super::words::read_word;
use crate::limits::{GROUP_INTERVAL_MAX, GROUP_REPEAT_MAX, GROUP_REPEAT_MIN, GROUP_WAIT_MAX};
use crate::rule::{GroupBy, Grouping};
use crate::yaml::{FromYaml, Key, Keys, Located, OneOrMany, Section, Shape, Value, duration_text};

/// `group` of a rule.
pub(super) const GROUP: Key = Key::new("group", Shape::Mapping(&GROUP_KEYS), "Sends many alerts in one message.");

static GROUP_KEYS: Keys = Keys::of(
    "group",
    "One message for many alerts; without it, each is sent alone.",
    &[&[
        Key::new(
            "by",
            Shape::Other("one or a list of source, job, rule, severity, root", by),
            "What the alerts of a group have in common. Without it, or [], all are one group.",
        ),
        Key::new("wait", Shape::DurationOrZero, "How long the first alert waits for others, at most 1h.")
            .default("30s"),
        Key::new("interval", Shape::DurationOrZero, "How far apart two messages of a group are at least, at most 1d.")
            .default("5m"),
        Key::new(
            "repeat",
            Shape::Duration,
            "After how long without a message what still fires is sent again. Without it, never.",
        )
        .example("4h"),
    ]],
);

fn by() -> serde_json::Value {
    let by = one_or_many(&flexible(json!({ "enum": GroupBy::ALL.map(GroupBy::as_str) })));
    json!({ "anyOf": [by, { "type": "array", "maxItems": 0 }] })
}

/// Reads the key of one rule. Without it, or when it is wrong and was reported, each alert is told alone.
pub(super) fn read(rule: &Section<'_>) -> Option<Grouping> {
    let node = rule.node("group")?;
    if !matches!(node.value, Value::Map(_)) {
        let help = Some("write group: { by: [source, job] }".to_string());
        rule.error("group", "expected a mapping with \"by\", \"wait\", \"interval\" and \"repeat\"", help);
        return None;
    }
    let section = rule.section("group")?;
    let by: BTreeSet<GroupBy> = match section.node("by").map(|node| &node.value) {
        // All alerts are one group.
        Some(Value::List(items)) if items.is_empty() => BTreeSet::new(),
        _ => section
            .optional::<OneOrMany<ByWord>>("by")
            .map(|list| list.0.into_iter().map(|word| word.0).collect())
            .unwrap_or_default(),
    };
    let wait = at_most(&section, "wait", GROUP_WAIT_MAX).unwrap_or_default();
    let interval = at_most(&section, "interval", GROUP_INTERVAL_MAX).unwrap_or_default();
    let repeat = at_most(&section, "repeat", GROUP_REPEAT_MAX);
    if let Some(repeat) = repeat {
        let least = interval.max(GROUP_REPEAT_MIN);
        if repeat < least {
            let (repeat, least) = (duration_text(repeat), duration_text(least));
            let message = match interval > GROUP_REPEAT_MIN {
                true => format!("{repeat} is less than the interval, {least}: a group is sent no sooner"),
                false => format!("{repeat} is less than {least}"),
            };
            section.error("repeat", message, Some("people look at what is said seldom: 4h is usual".into()));
        }
    }
    section.close();
    Some(Grouping { by, wait, interval, repeat })
}

/// The duration under `key`, or its default; `None` where there is neither.
fn at_most(section: &Section<'_>, key: &'static str, most: Duration) -> Option<Duration> {
    let Span(span) = section.optional(key).or_else(|| section.default_of(key))?;
    if span > most {
        section.error(key, format!("{} is more than {}", duration_text(span), duration_text(most)), None);
    }
    Some(span)
}

/// A duration that may be none at all: who groups what comes at once need not wait.
struct Span(Duration);

impl FromYaml for Span {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        match String::from_yaml(located)?.as_str() {
            "0" | "0s" => Some(Span(Duration::ZERO)),
            _ => Duration::from_yaml(located).map(Span),
        }
    }
}

struct ByWord(GroupBy);

impl FromYaml for ByWord {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let known = GroupBy::ALL.map(GroupBy::as_str);
        read_word(located, "thing to group by", &known, GroupBy::from_word).map(ByWord)
    }
}
