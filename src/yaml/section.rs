//! Reading one mapping of the tree, key by key.

use std::cell::RefCell;

use super::{Diagnostics, Entry, FromYaml, Node, Place, Value, closest};

/// A value on its way to become a typed one: where it stands, what it is called, and where findings go.
#[derive(Clone, Copy)]
pub struct Located<'a> {
    /// The value.
    pub node: &'a Node,
    /// Its key path.
    pub path: &'a str,
    /// Where findings go.
    pub findings: &'a Diagnostics,
}

impl Located<'_> {
    /// Reports that the value is wrong, and yields nothing. Of a text that is not known yet nothing is reported.
    pub fn wrong<T>(&self, message: impl Into<String>, help: Option<String>) -> Option<T> {
        if !self.node.is_unresolved() {
            self.findings.error(self.node.at, self.path, message, help);
        }
        None
    }
}

/// A mapping being read. Keys that nobody asked for by [`Section::close`] are unknown, and are reported there.
pub struct Section<'a> {
    at: Place,
    path: String,
    entries: &'a [Entry],
    known: RefCell<Vec<&'static str>>,
    findings: &'a Diagnostics,
}

impl<'a> Section<'a> {
    /// Opens the mapping `node`, called `path`. Anything but a mapping is reported.
    pub fn open(node: &'a Node, path: impl Into<String>, findings: &'a Diagnostics) -> Option<Self> {
        let path = path.into();
        match &node.value {
            Value::Map(entries) => Some(Section { at: node.at, path, entries, known: RefCell::default(), findings }),
            other => {
                let message = format!("expected a mapping of keys to values, found {}", kind_of(other));
                findings.error(node.at, path, message, None);
                None
            }
        }
    }

    /// Where the mapping begins.
    pub fn at(&self) -> Place {
        self.at
    }

    /// The key path of the mapping, or of a key in it.
    pub fn path_of(&self, key: &str) -> String {
        match (self.path.as_str(), key) {
            (path, "") => path.to_string(),
            ("", key) => key.to_string(),
            (path, key) => format!("{path}.{key}"),
        }
    }

    /// Where findings go.
    pub fn findings(&self) -> &'a Diagnostics {
        self.findings
    }

    /// All keys with their values, in file order; for mappings whose keys are names of the user's.
    pub fn entries(&self) -> &'a [Entry] {
        self.entries
    }

    /// Whether the key is there. Does not count as asking for it.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// Whether the key has been asked for.
    pub fn is_known(&self, key: &str) -> bool {
        self.known.borrow().contains(&key)
    }

    /// The value of a key that may be absent, untyped.
    pub fn node(&self, key: &'static str) -> Option<&'a Node> {
        self.known.borrow_mut().push(key);
        self.entry(key).map(|entry| &entry.node)
    }

    /// The last one of duplicate keys; the duplicate itself has been reported.
    fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().rev().find(|entry| entry.key == key)
    }

    /// The value of a key that may be absent. A value of the wrong shape is reported and counts as absent.
    pub fn optional<T: FromYaml>(&self, key: &'static str) -> Option<T> {
        let node = self.node(key)?;
        let path = self.path_of(key);
        T::from_yaml(Located { node, path: &path, findings: self.findings })
    }

    /// The value of a key that must be there. Absence is reported.
    pub fn required<T: FromYaml>(&self, key: &'static str) -> Option<T> {
        if !self.has(key) {
            self.known.borrow_mut().push(key);
            self.findings.error(self.at, self.path.as_str(), format!("the key {key:?} is missing"), None);
            return None;
        }
        self.optional(key)
    }

    /// The value of a key, or `default` when it is absent or wrong.
    pub fn or<T: FromYaml>(&self, key: &'static str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// The mapping under a key that may be absent.
    pub fn section(&self, key: &'static str) -> Option<Section<'a>> {
        let node = self.node(key)?;
        Section::open(node, self.path_of(key), self.findings)
    }

    /// The mapping under a key that must be there.
    pub fn required_section(&self, key: &'static str) -> Option<Section<'a>> {
        if !self.has(key) {
            self.known.borrow_mut().push(key);
            self.findings.error(self.at, self.path.as_str(), format!("the key {key:?} is missing"), None);
            return None;
        }
        self.section(key)
    }

    /// Reports that the value of `key` is wrong; an empty key means the mapping itself. Of a text that is not known yet
    /// nothing is reported.
    pub fn error(&self, key: &str, message: impl Into<String>, help: Option<String>) {
        if self.entry(key).is_some_and(|entry| entry.node.is_unresolved()) {
            return;
        }
        self.findings.error(self.place_of(key), self.path_of(key), message, help);
    }

    /// Reports something worth knowing about `key`; an empty key means the mapping itself.
    pub fn warning(&self, key: &str, message: impl Into<String>, help: Option<String>) {
        self.findings.warning(self.place_of(key), self.path_of(key), message, help);
    }

    /// Where the value of `key` begins.
    pub fn place_of(&self, key: &str) -> Place {
        self.entry(key).map_or(self.at, |entry| entry.node.at)
    }

    /// Ends the reading: every key that was not asked for is unknown.
    pub fn close(self) {
        self.report_unknown();
    }

    /// Reports every key that was not asked for by now: [`Section::close`] for who still needs the section.
    pub fn report_unknown(&self) {
        let known = self.known.borrow();
        for entry in self.entries {
            if known.contains(&entry.key.as_str()) {
                continue;
            }
            let help = closest(&entry.key, known.iter().copied()).map_or_else(
                || {
                    let mut names = known.clone();
                    names.sort_unstable();
                    names.dedup();
                    format!("the keys here are {}", names.join(", "))
                },
                |near| format!("did you mean {near:?}?"),
            );
            let message = format!("unknown key {:?}", entry.key);
            self.findings.error(entry.at, self.path_of(&entry.key), message, Some(help));
        }
    }
}

/// What a value is, in words.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Scalar(scalar) if scalar.is_text => "a text",
        Value::Scalar(_) => "a number or boolean",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}
