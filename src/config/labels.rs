//! `labels`: texts by name, on rules and sources; and in a `match`, which of them are wanted.

use super::words::check_name;
use crate::limits::LABEL_BYTES_MAX;
use crate::model::{LabelMatch, Labels};
use crate::yaml::{FromYaml, Key, Located, OneOrMany, Section, Shape};

/// `labels` of a source.
pub(super) const LABELS: Key =
    Key::new("labels", Shape::TextsByName, "Texts by name, for what its jobs raise.").example("{ team: finance }");

/// `labels` of a rule or a source. The broken ones are reported and left out.
pub(super) fn read(section: &Section<'_>) -> Labels {
    let Some(labels) = section.section("labels") else { return Labels::new() };
    let read = labels.entries().iter().filter_map(|entry| {
        let path = labels.path_of(&entry.key);
        check_label(&labels, &entry.key);
        let value = LabelText::from_yaml(Located { node: &entry.node, path: &path, findings: labels.findings() })?;
        Some((entry.key.clone(), value.0))
    });
    read.collect()
}

/// `labels` of a `match`: for each name one value or a list of them. `None` when something is wrong with it.
pub(super) fn read_wanted(section: &Section<'_>) -> Option<LabelMatch> {
    let Some(labels) = section.section("labels") else {
        return if section.has("labels") { None } else { Some(LabelMatch::default()) };
    };
    if labels.entries().is_empty() {
        section.error("labels", "the mapping is empty", Some("name a label, or remove \"labels\"".into()));
        return None;
    }
    let read = labels.entries().iter().map(|entry| {
        let path = labels.path_of(&entry.key);
        check_label(&labels, &entry.key);
        let located = Located { node: &entry.node, path: &path, findings: labels.findings() };
        let values = OneOrMany::<LabelText>::from_yaml(located)?;
        Some((entry.key.clone(), values.0.into_iter().map(|value| value.0).collect()))
    });
    // Every one is read, so that each wrong one is reported.
    let read: Vec<Option<_>> = read.collect();
    read.into_iter().collect::<Option<_>>().map(LabelMatch)
}

fn check_label(labels: &Section<'_>, name: &str) {
    if let Err(fault) = check_name(name) {
        let at = labels.entries().iter().find(|entry| entry.key == name).map_or(labels.at(), |entry| entry.at);
        labels.findings().error(at, labels.path_of(name), fault, None);
    }
}

struct LabelText(String);

impl FromYaml for LabelText {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let text = String::from_yaml(located)?;
        if text.trim().is_empty() {
            return located.wrong("the label is empty", Some("leave it away, or write a text".into()));
        }
        if text.len() > LABEL_BYTES_MAX {
            return located.wrong(format!("a label has at most {LABEL_BYTES_MAX} bytes"), None);
        }
        Some(LabelText(text))
    }
}
