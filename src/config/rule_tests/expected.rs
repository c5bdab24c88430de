//! What a test expects to be told.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::items::{Surroundings, items, time};
use super::times::Times;
use crate::config::matching::read_references;
use crate::model::{ReceiverId, RuleId};
use crate::yaml::{Key, Keys, OneOrMany, Section, Shape, Value};

/// One telling that is expected. What is not given may be anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The rule that tells.
    pub rule: RuleId,
    /// Whether it tells of an end.
    pub resolved: bool,
    /// The job it is about.
    pub job: Option<String>,
    /// Everybody who is told.
    pub to: Option<BTreeSet<ReceiverId>>,
    /// When, to the minute or to the second.
    pub at: Option<Timestamp>,
    /// Whether the time names a minute, and any second of it will do.
    pub any_second: bool,
    /// What every one of the messages holds.
    pub contains: Vec<String>,
    /// The line it stands on.
    pub line: u32,
}

/// One telling.
pub(in crate::config) static EXPECTED: Keys = Keys::of(
    "expected",
    "One notification.",
    &[&[
        Key::new("rule", Shape::Texts, "The rule that notifies.").required(),
        Key::new("resolved", Shape::Flag, "Whether it is the end.").default("false"),
        Key::new("job", Shape::Text, "The job it is about."),
        Key::new("to", Shape::TextsOrNone, "Everybody who is notified; an empty list where nobody is."),
        Key::new("at", Shape::Other("a time", time), "When: to the minute, or to the second."),
        Key::new("contains", Shape::Texts, "Texts that every one of the messages holds."),
    ]],
);

/// How one writes `expect`.
const WRITTEN: &str = "write what must be sent, as in - { rule: etl-failed, to: [oncall] }, or expect: nothing";

/// `expect`: a list, or the word "nothing".
pub(super) fn read(section: &Section<'_>, times: &Times<'_>, around: &Surroundings<'_>) -> Option<Vec<Expected>> {
    let Some(node) = section.node("expect") else {
        section.missing("expect", Some(WRITTEN.into()));
        return None;
    };
    match &node.value {
        Value::Scalar(scalar) if scalar.text == "nothing" => return Some(Vec::new()),
        Value::List(_) => {}
        _ => {
            section.error(
                "expect",
                "expected a list of what must be sent, or the word \"nothing\"",
                Some(WRITTEN.into()),
            );
            return None;
        }
    }
    let items = items(section, "expect")?;
    let read: Vec<Option<Expected>> = items.iter().map(|item| read_one(item, times, around)).collect();
    read.into_iter().collect()
}

fn read_one(item: &Section<'_>, times: &Times<'_>, around: &Surroundings<'_>) -> Option<Expected> {
    let rules = read_references(item, "rule", "rule", around.rules);
    if !item.has("rule") {
        item.missing("rule", Some("name the rule that notifies".into()));
    }
    let resolved = item.or_default::<bool>("resolved");
    let job = item.optional::<String>("job");
    let to = match item.node("to").map(|node| &node.value) {
        // Nobody is told: the alert is held back.
        Some(Value::List(items)) if items.is_empty() => Some(Vec::new()),
        _ => read_references(item, "to", "receiver", around.names.receivers),
    };
    let at = times.optional(item, "at");
    let any_second = item.optional::<String>("at").is_some_and(|text| Times::is_to_the_minute(&text));
    let contains = item.optional::<OneOrMany<String>>("contains").map_or_else(Vec::new, |list| list.0);
    item.report_unknown();
    let to: BTreeSet<ReceiverId> = to?.iter().map(ReceiverId::new).collect();
    Some(Expected {
        rule: RuleId::new(rules?.first()?),
        resolved,
        job,
        to: item.has("to").then_some(to),
        at: at.map_or(Some(None), |at| at.map(Some))?,
        any_second,
        contains,
        line: item.at().line,
    })
}
