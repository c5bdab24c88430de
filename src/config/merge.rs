//! Several rule files made one: the top-level mappings of all of them, put together.
//!
//! # Design
//! The files meet as trees, before anything is read of them. Every value keeps its place, so that whoever reads the whole
//! tells of each finding with its own file, and what one file defines the others can name. What a mapping is about is not
//! known here, but for the keys of which the whole has one.

use std::collections::HashMap;

use crate::yaml::{Diagnostics, Entry, Node, Place, Value};

/// Top-level keys of which there is one for all files.
const SINGLE: [&str; 8] = ["timezone", "language", "store", "retention", "templates", "self", "heartbeat", "web"];

/// The key of which each file has its own.
pub(super) const DEFAULTS: &str = "defaults";

/// Several files as one.
pub(super) struct Merged {
    /// Everything but what belongs to single files.
    pub(super) tree: Node,
    /// The `defaults` of each file that has them.
    pub(super) defaults: Vec<Entry>,
}

/// Puts the files' trees together. A tree that is no mapping has been reported.
pub(super) fn merge(trees: Vec<Node>, findings: &Diagnostics) -> Merged {
    let top = Place { file: 0, line: 1, column: 1 };
    let at = trees.first().map_or(top, |tree| tree.at);
    let mut merge = Merge { findings, entries: Vec::new(), defined: HashMap::new() };
    let mut defaults: Vec<Entry> = Vec::new();
    for tree in trees {
        let Value::Map(of_file) = tree.value else { continue };
        let first = merge.entries.len();
        for entry in of_file {
            // A key that stands twice in its own file has been reported; both are kept, and the last one counts.
            let before = merge.entries[..first].iter().position(|other| other.key == entry.key);
            match before {
                _ if entry.key == DEFAULTS => defaults.push(entry),
                Some(before) => merge.join(before, entry),
                None => merge.entries.push(entry),
            }
        }
    }
    Merged { tree: Node { at, value: Value::Map(merge.entries) }, defaults }
}

/// The top level on the way.
struct Merge<'a> {
    findings: &'a Diagnostics,
    entries: Vec<Entry>,
    /// Where each name of a section that several files have is defined.
    defined: HashMap<String, HashMap<String, Place>>,
}

impl Merge<'_> {
    /// Adds what another file says under a key that is known.
    fn join(&mut self, known: usize, more: Entry) {
        let (known, key) = (&mut self.entries[known], more.key);
        if key == "version" {
            // Each file has its own, and they have been looked at.
            return;
        }
        let is_single = SINGLE.contains(&key.as_str());
        match (&mut known.node.value, more.node.value) {
            (Value::Map(entries), Value::Map(new)) if !is_single => {
                let places = || entries.iter().map(|entry| (entry.key.clone(), entry.at)).collect();
                let defined = self.defined.entry(key.clone()).or_insert_with(places);
                for entry in new {
                    match defined.get(&entry.key).filter(|first| first.file != entry.at.file) {
                        Some(first) => {
                            let first = self.findings.shown(*first);
                            let message =
                                format!("the name {:?} is defined twice; the first one is at {first}", entry.key);
                            let help = "give one of the two another name, or remove it".to_string();
                            self.findings.error(entry.at, format!("{key}.{}", entry.key), message, Some(help));
                        }
                        None => {
                            defined.insert(entry.key.clone(), entry.at);
                            entries.push(entry);
                        }
                    }
                }
            }
            (Value::List(items), Value::List(new)) if !is_single => items.extend(new),
            // An empty section is no section.
            (Value::Null, new) if !is_single => known.node = Node { at: more.node.at, value: new },
            (_, Value::Null) if !is_single => {}
            _ => {
                let first = self.findings.shown(known.at);
                let (message, help) = if is_single {
                    let message = format!("the key {key:?} stands in two files; the first one is at {first}");
                    (message, "keep it in one of them")
                } else {
                    let message = format!("{key:?} has another shape here than at {first}");
                    (message, "write both as a mapping of names to what they mean")
                };
                self.findings.error(more.at, key, message, Some(help.to_string()));
            }
        }
    }
}
