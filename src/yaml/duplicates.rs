//! Duplicate keys that the parser swallows.
//!
//! # Design
//! The parser hands every key of a mapping over, duplicates and all, until it meets one that is a number. From there it
//! compares keys by value (`16` and `0x10` are one key to it) and keeps one of equals. Reading the text twice, once
//! keeping the first and once keeping the last, brings to light what it dropped.

use std::collections::HashMap;

use super::diagnostic::Diagnostics;
use super::node::{Entry, Node, Value};
use super::place::Place;

/// Reports that `key` at `at` stands where it stood before.
pub(super) fn report(key: &str, at: Place, first: Place, path: &str, findings: &Diagnostics) {
    let Place { line, column, .. } = first;
    let message = format!("the key {key:?} stands twice; the first one is at {line}:{column}");
    findings.error(at, path, message, Some("remove one of the two".into()));
    // What the first one of two sections defines is there all the same.
    if !path.contains('.') {
        findings.note_lost_section();
    }
}

/// Whether the parser takes the key for a number, roughly: one too many costs a second reading and nothing else.
pub(super) fn is_number(key: &str) -> bool {
    key.trim_start_matches(['+', '-']).bytes().next().is_some_and(|first| first.is_ascii_digit())
}

/// Reports every key of `last_wins` that took the place of an earlier one, which is in `first_wins`.
pub(super) fn report_lost(first_wins: &Node, last_wins: &Node, findings: &Diagnostics) {
    let mut first_entries = HashMap::new();
    collect(first_wins, &mut first_entries);
    compare(last_wins, "", &first_entries, findings);
}

/// The entries of every mapping by its place.
fn collect<'a>(node: &'a Node, entries_by_place: &mut HashMap<Place, &'a [Entry]>) {
    match &node.value {
        Value::Map(entries) => {
            entries_by_place.insert(node.at, entries);
            entries.iter().for_each(|entry| collect(&entry.node, entries_by_place));
        }
        Value::List(items) => items.iter().for_each(|item| collect(item, entries_by_place)),
        Value::Null | Value::Scalar(_) => {}
    }
}

fn compare(node: &Node, path: &str, first_entries: &HashMap<Place, &[Entry]>, findings: &Diagnostics) {
    match &node.value {
        Value::Map(entries) => {
            let firsts = first_entries.get(&node.at).copied().unwrap_or_default();
            for entry in entries {
                let path = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
                let dropped = firsts.iter().find(|first| same_key(&first.key, &entry.key) && first.at != entry.at);
                // A duplicate that was handed over with its first one has been reported with it.
                let handed_over = |first: &Entry| entries.iter().any(|other| other.at == first.at);
                match dropped {
                    Some(first) if !handed_over(first) => report(&entry.key, entry.at, first.at, &path, findings),
                    _ => compare(&entry.node, &path, first_entries, findings),
                }
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                compare(item, &format!("{path}[{index}]"), first_entries, findings);
            }
        }
        Value::Null | Value::Scalar(_) => {}
    }
}

/// Whether two keys are one to the parser.
fn same_key(one: &str, other: &str) -> bool {
    one == other || number(one).is_some_and(|value| number(other) == Some(value))
}

fn number(key: &str) -> Option<i128> {
    let digits = key.replace('_', "");
    let (negative, magnitude) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+').unwrap_or(&digits)),
    };
    let value = match magnitude.get(..2) {
        Some("0x" | "0X") => i128::from_str_radix(&magnitude[2..], 16),
        Some("0o" | "0O") => i128::from_str_radix(&magnitude[2..], 8),
        Some("0b" | "0B") => i128::from_str_radix(&magnitude[2..], 2),
        // With a zero before it, it is a text.
        _ if magnitude.len() > 1 && magnitude.starts_with('0') => return None,
        _ => magnitude.parse(),
    };
    value.ok().map(|value| if negative { -value } else { value })
}
