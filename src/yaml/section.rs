//! Reading one mapping of the tree, key by key.

use std::cell::RefCell;

use super::diagnostic::{Diagnostics, closest};
use super::fault::{odd_character, odd_end};
use super::keys::{Key, Keys, Shape};
use super::located::FromYaml;
use super::located::{Located, kind_of};
use super::node::{Entry, Node, Value};
use super::place::Place;

/// How many keys the example of a mapping has.
const EXAMPLE_KEYS: usize = 2;

/// A mapping being read, by the table of its keys. Keys that nobody asked for by [`Section::close`] are unknown, and are
/// reported there.
pub struct Section<'a> {
    at: Place,
    path: String,
    entries: &'a [Entry],
    known: RefCell<Vec<&'static str>>,
    findings: &'a Diagnostics,
    /// The tables of its keys; none where they are names of the user's.
    tables: Vec<&'static Keys>,
    /// The table of each mapping in it, where its keys are names of the user's and stand for mappings.
    each: Option<&'static Keys>,
}

impl<'a> Section<'a> {
    /// Opens the mapping `node`, called `path`, which has these keys. Anything but a mapping is reported.
    pub fn of(keys: &'static Keys, node: &'a Node, path: impl Into<String>, findings: &'a Diagnostics) -> Option<Self> {
        Section::open(vec![keys], None, node, path.into(), findings)
    }

    fn open(
        tables: Vec<&'static Keys>,
        each: Option<&'static Keys>,
        node: &'a Node,
        path: String,
        findings: &'a Diagnostics,
    ) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            let message = format!("expected a mapping of keys to values, found {}", kind_of(&node.value));
            let help = match &node.value {
                Value::Scalar(scalar) => odd_character(&scalar.text).map(str::to_string),
                _ => None,
            };
            findings.error(node.at, path, message, help);
            return None;
        };
        Some(Section { at: node.at, path, entries, known: RefCell::default(), findings, tables, each })
    }

    /// The same mapping with the keys of its kind beside those that all kinds have.
    #[must_use]
    pub fn with(mut self, keys: &'static Keys) -> Self {
        self.tables.push(keys);
        self
    }

    /// Opens what stands under one of the user's names that are the keys here.
    pub fn entry_section(&self, entry: &'a Entry) -> Option<Section<'a>> {
        let tables = self.each.into_iter().collect();
        let before = self.findings.count();
        let section = Section::open(tables, None, &entry.node, self.path_of(&entry.key), self.findings);
        if let (None, Some(keys)) = (&section, self.each) {
            self.findings.help_since(before, Some(format!("write {}: {{ {} }}", entry.key, some_of(keys))));
        }
        section
    }

    /// Opens one of the mappings in the list under `key`; `index` is its place there.
    pub fn item_section(&self, key: &'static str, index: usize, item: &'a Node) -> Option<Section<'a>> {
        let tables = match self.told(key).map(|key| key.shape) {
            Some(Shape::List(keys) | Shape::ListOr(keys, _)) => vec![keys],
            _ => Vec::new(),
        };
        Section::open(tables, None, item, format!("{}[{index}]", self.path_of(key)), self.findings)
    }

    /// What the tables say of a key.
    fn told(&self, key: &str) -> Option<&'static Key> {
        self.tables.iter().find_map(|keys| keys.find(key))
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
        self.ask(key).and_then(|_| self.entry(key)).map(|entry| &entry.node)
    }

    /// Notes that the reader knows a key, which must be in a table.
    fn ask(&self, key: &'static str) -> Option<&'static Key> {
        let told = self.told(key);
        debug_assert!(told.is_some(), "the reader of {:?} asks for {key:?}, which is in no table", self.path);
        self.excuse(key);
        told
    }

    /// Takes a key for known that does not belong here, and of which more is said than that.
    pub fn excuse(&self, key: &'static str) {
        self.known.borrow_mut().push(key);
    }

    /// The last one of duplicate keys; the duplicate itself has been reported.
    fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().rev().find(|entry| entry.key == key)
    }

    /// The value of a key that may be absent. A value of the wrong shape is reported and counts as absent.
    pub fn optional<T: FromYaml>(&self, key: &'static str) -> Option<T> {
        let node = self.node(key)?;
        let (path, before) = (self.path_of(key), self.findings.count());
        let value = T::from_yaml(Located { node, path: &path, findings: self.findings });
        if value.is_none() {
            self.findings.help_since(before, self.written(key));
        }
        value
    }

    /// How one writes a key, by its example or its default.
    fn written(&self, key: &str) -> Option<String> {
        let told = self.told(key)?;
        told.example.or(told.default).map(|example| format!("write {key}: {example}"))
    }

    /// The value of a key that must be there. Absence is reported.
    pub fn required<T: FromYaml>(&self, key: &'static str) -> Option<T> {
        if !self.has(key) {
            self.missing(key, None);
            return None;
        }
        self.optional(key)
    }

    /// Reports that a key is missing, with `help` or with how one writes it. Where it is only misspelt, that alone is
    /// reported.
    pub fn missing(&self, key: &'static str, help: Option<String>) {
        self.ask(key);
        let is_meant = |entry: &&Entry| self.told(&entry.key).is_none() && self.near(&entry.key) == Some(key);
        if let Some(misspelt) = self.entries.iter().find(is_meant) {
            return self.unknown(misspelt);
        }
        let help = help.or_else(|| self.written(key));
        self.findings.error(self.at, self.path.as_str(), format!("the key {key:?} is missing"), help);
    }

    /// The key of the tables that is near to a word.
    fn near(&self, word: &str) -> Option<&'static str> {
        let keys = || self.tables.iter().flat_map(|keys| keys.iter());
        let called = keys().find(|key| key.also.iter().any(|name| name.eq_ignore_ascii_case(word)));
        called.map(|key| key.name).or_else(|| closest(word, keys().map(|key| key.name)))
    }

    /// Reports a key that is in no table. Twice the same is once.
    fn unknown(&self, entry: &Entry) {
        let help = odd_character(&entry.key).map(str::to_string).unwrap_or_else(|| match self.near(&entry.key) {
            Some(near) => format!("did you mean {near:?}?"),
            None => {
                let mut names: Vec<&str> =
                    self.tables.iter().flat_map(|keys| keys.iter()).map(|key| key.name).collect();
                names.sort_unstable();
                format!("the keys here are {}", names.join(", "))
            }
        });
        let message = format!("unknown key {:?}", entry.key);
        self.findings.error(entry.at, self.path_of(&entry.key), message, Some(help));
    }

    /// The value of a key, or the default that its table names when it is absent or wrong.
    pub fn or_default<T: FromYaml + Default>(&self, key: &'static str) -> T {
        self.optional(key).or_else(|| self.default_of(key)).unwrap_or_default()
    }

    /// The default that the table names.
    pub fn default_of<T: FromYaml>(&self, key: &str) -> Option<T> {
        self.told(key)?.default_value()
    }

    /// The mapping under a key that may be absent.
    pub fn section(&self, key: &'static str) -> Option<Section<'a>> {
        let node = self.node(key)?;
        let (table, each) = match self.told(key)?.shape {
            Shape::Mapping(keys) | Shape::TextOr(keys) | Shape::TextsOr(keys) => (Some(keys), None),
            Shape::ByName(keys) | Shape::ByKind(keys, _) => (None, Some(keys)),
            _ => (None, None),
        };
        let before = self.findings.count();
        let section = Section::open(table.into_iter().collect(), each, node, self.path_of(key), self.findings);
        if section.is_none() {
            let by_name = each.map(|keys| format!("write {key}: {{ NAME: {{ {} }} }}", some_of(keys)));
            self.findings.help_since(before, self.written(key).or(by_name));
        }
        section
    }

    /// The mapping under a key that must be there.
    pub fn required_section(&self, key: &'static str) -> Option<Section<'a>> {
        if !self.has(key) {
            self.missing(key, None);
            return None;
        }
        self.section(key)
    }

    /// Reports that the value of `key` is wrong; an empty key means the mapping itself. Of a text that is not known yet
    /// nothing is reported.
    pub fn error(&self, key: &str, message: impl Into<String>, help: Option<String>) {
        let node = self.entry(key).map(|entry| &entry.node);
        if node.is_some_and(Node::is_unresolved) {
            return;
        }
        let help = node.and_then(odd_end).map(str::to_string).or(help);
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
        self.entries.iter().filter(|entry| !known.contains(&entry.key.as_str())).for_each(|entry| self.unknown(entry));
    }
}

/// The first keys of a table as one writes them: what such a mapping looks like.
fn some_of(keys: &'static Keys) -> String {
    let written = keys.iter().filter_map(|key| Some(format!("{}: {}", key.name, key.example?)));
    written.take(EXAMPLE_KEYS).chain(["…".to_string()]).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{Environment, parse};

    static TABLE: Keys = Keys::of(
        "table",
        "A table.",
        &[&[
            Key::new("poll", Shape::Text, "When.").default("\"* * * * *\""),
            Key::new("days", Shape::Texts, "Which days.").required().example("[mon]"),
        ]],
    );

    fn with_section<T>(text: &str, read: impl FnOnce(Section<'_>) -> T) -> (T, Vec<crate::yaml::Diagnostic>) {
        let findings = Diagnostics::default();
        let tree = parse(text, &Environment { lookup: &|_| None, required: false }, &findings).unwrap();
        let read = read(Section::of(&TABLE, &tree, "", &findings).unwrap());
        (read, findings.into_sorted())
    }

    /// What a reader asks for must be in the table, so that help, schema and reference know it.
    #[test]
    #[should_panic(expected = "asks for \"pole\", which is in no table")]
    fn a_reader_cannot_read_a_key_that_is_in_no_table() {
        with_section("pole: x", |section| section.optional::<String>("pole"));
    }

    #[test]
    fn defaults_and_help_come_from_the_table() {
        let (poll, found) = with_section("dais: [tue]", |section| {
            let poll = section.or_default::<String>("poll");
            let _days = section.required::<String>("days");
            section.close();
            poll
        });
        assert_eq!(poll, "* * * * *");
        let said: Vec<_> = found.iter().map(|it| (it.message.as_str(), it.help.as_deref())).collect();
        // The key that was meant is there, misspelt: that it is missing is no news.
        assert_eq!(said, [("unknown key \"dais\"", Some("did you mean \"days\"?"))]);
        let (_, found) = with_section("every: x", |section| section.required::<String>("days"));
        let said: Vec<_> = found.iter().map(|it| (it.message.as_str(), it.help.as_deref())).collect();
        assert!(said.contains(&("the key \"days\" is missing", Some("write days: [mon]"))), "{said:?}");
    }
}
