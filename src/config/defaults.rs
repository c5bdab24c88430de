//! `defaults`: what the rules of one file have in common.
//!
//! # Design
//! A default is put into the tree of each rule of its file that does not have the key, before the rules are read. So a
//! rule is read in one way, wherever its keys stand, and a key that is new in rules needs one line here. `labels` and
//! `match` are joined key by key: a rule that asks for a job keeps the source that the file asks for.

use super::conditions;
use super::group;
use super::hours::Windows;
use super::labels;
use super::matching::{MATCH, Names, SeverityWord, read_matches, read_selection};
use super::merge::DEFAULTS;
use super::notify;
use super::words::severities;
use crate::yaml::{Diagnostics, Entry, Key, Keys, Node, Section, Shape, Value};

/// What the rules of one file have in common.
pub(super) static COMMON: Keys = Keys::of(
    "defaults",
    "What the rules of this file have in common, where a rule does not say it itself.",
    &[&[
        Key::new("severity", Shape::Word(severities), "For rules that name none."),
        notify::NOTIFY,
        group::GROUP,
        Key::new("timezone", Shape::Zone, "For rules that look at the clock and name none."),
        Key::new("labels", Shape::TextsByName, "Each for rules that do not have it."),
        Key::new("match", Shape::Mapping(&MATCH), "Each key for rules that do not have it."),
    ]],
);

/// Gives each rule in `tree` what it does not say itself of the `defaults` of its file. What is wrong with them is
/// reported once, and given to no rule.
pub(super) fn apply(tree: &mut Node, defaults: &[Entry], known: &Names<'_>, windows: &Windows, findings: &Diagnostics) {
    let sound: Vec<(u16, Vec<&Entry>)> =
        defaults.iter().map(|entry| (entry.at.file, read(entry, known, windows, findings))).collect();
    let Value::Map(sections) = &mut tree.value else { return };
    for rules in sections.iter_mut().filter(|section| section.key == "rules") {
        let Value::Map(rules) = &mut rules.node.value else { continue };
        for rule in rules {
            let of_file = sound.iter().find(|(file, _)| *file == rule.at.file);
            if let (Some((_, of_file)), Value::Map(keys)) = (of_file, &mut rule.node.value) {
                of_file.iter().for_each(|default| give(keys, default));
            }
        }
    }
}

/// The entries of one file's defaults that can be used.
fn read<'a>(entry: &'a Entry, known: &Names<'_>, windows: &Windows, findings: &'a Diagnostics) -> Vec<&'a Entry> {
    let Some(section) = Section::of(&COMMON, &entry.node, DEFAULTS, findings) else { return Vec::new() };
    let mut sound = Vec::new();
    let _severity = section.optional::<SeverityWord>("severity");
    let _notify = notify::read(&section, known, windows);
    let _group = group::read(&section);
    let _timezone = super::locale::read_timezone(&section);
    let _labels = labels::read(&section);
    let _match = read_selection(&section, "match", |inner| read_matches(inner, known));
    for default in section.entries() {
        let starts = |place: crate::yaml::Place| place >= default.at;
        let ends = section.entries().iter().map(|other| other.at).filter(|at| *at > default.at).min();
        let is_inside = |place| starts(place) && ends.is_none_or(|end| place < end);
        if COMMON.find(&default.key).is_some()
            && !findings.has_error_where(|at| at.file == entry.at.file && is_inside(at))
        {
            sound.push(default);
        }
    }
    section.close();
    sound
}

/// Adds a default to the keys of a rule, where the rule does not say it itself.
fn give(keys: &mut Vec<Entry>, default: &Entry) {
    // A zone is for rules that look at the clock; on others it would be a mistake.
    if default.key == "timezone" && !goes_by_the_clock(keys) {
        return;
    }
    let own = keys.iter_mut().rev().find(|entry| entry.key == default.key);
    match own.map(|own| &mut own.node.value) {
        None => keys.push(default.clone()),
        Some(own) if matches!(default.key.as_str(), "labels" | "match") => match (own, &default.node.value) {
            // One without contents is a mistake, and stays one.
            (Value::Map(own), Value::Map(common)) if !own.is_empty() => {
                let missing: Vec<&Entry> =
                    common.iter().filter(|entry| own.iter().all(|known| known.key != entry.key)).collect();
                own.extend(missing.into_iter().cloned());
            }
            _ => {}
        },
        Some(_) => {}
    }
}

fn goes_by_the_clock(keys: &[Entry]) -> bool {
    let when = keys.iter().find(|entry| entry.key == "when").map(|entry| &entry.node.value);
    matches!(when, Some(Value::Map(when)) if when.iter().any(|entry| conditions::CLOCK_KEYS.contains(&entry.key.as_str())))
}
