//! Tables of keys: what a mapping of the file may hold, said once.
//!
//! A table stands beside the reader of its mapping. The help with a misspelt key, defaults, the JSON Schema for editors and
//! the reference are all made from it. Plain data; it knows nothing of what the keys mean.
//!
//! # Design
//! A table does not read: a reader asks for each key with the type it wants, because what keys mean together is code. A
//! [`super::Section`] is always opened by a table, and a key that is not in it has no value there, whatever the file says
//! (a debug build stops at the reader that asks for it). That each key of a table has a reader, a test holds: it writes
//! every key of every table into a file.

use serde_json::Value;

use super::diagnostic::Diagnostics;
use super::located::FromYaml;
use super::located::Located;
use super::parser::{Environment, parse};

/// The keys of one mapping.
#[derive(Debug)]
pub struct Keys {
    /// What the mapping is called in the schema and in the reference.
    pub name: &'static str,
    /// What it is, in a line.
    pub says: &'static str,
    /// Its keys; several lists where some of them are shared with another mapping.
    pub keys: &'static [&'static [Key]],
    /// Sets of keys of which at least one must be there as a whole; none for no such demand.
    pub any_of: &'static [&'static [&'static str]],
    /// Pairs of keys of which neither stands without the other.
    pub pairs: &'static [(&'static str, &'static str)],
    /// Whether it may not be empty.
    pub needs_one: bool,
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// What it takes.
    pub shape: Shape,
    /// Whether it must be there.
    pub is_required: bool,
    /// What its absence means, in YAML.
    pub default: Option<&'static str>,
    /// How one writes it, in YAML, where that is not plain.
    pub example: Option<&'static str>,
    /// What it is, in a line.
    pub says: &'static str,
    /// What else people call it: who writes one of these means the key.
    pub also: &'static [&'static str],
}

/// The words of a set.
pub type Words = fn() -> Vec<&'static str>;

/// The kinds of something by the word for `type`, with the keys that belong to each.
pub type Kinds = fn() -> Vec<(&'static str, &'static Keys)>;

/// What a key takes.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// A text; a number or a boolean is taken as it is written.
    Text,
    /// One text, or a list of them that is not empty.
    Texts,
    /// One text, or a list of them that may be empty.
    TextsOrNone,
    /// True or false.
    Flag,
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// `45s`, `30m`, `2h30m`, `1d`.
    Duration,
    /// A duration that may be zero.
    DurationOrZero,
    /// A crontab line.
    Schedule,
    /// A time of the day.
    ClockTime,
    /// An IANA name.
    Zone,
    /// `{ env: NAME }` or `{ file: PATH }`.
    Secret,
    /// One of these words.
    Word(Words),
    /// One of these words, or a list of them that is not empty.
    Words(Words),
    /// One of these words, in capitals or not.
    WordAnyCase(Words),
    /// One of these words, in capitals or not, or a list of them that is not empty.
    WordsAnyCase(Words),
    /// Texts by name.
    TextsByName,
    /// For each name a text or a list of them; not empty.
    WantedByName,
    /// Secrets by name.
    SecretsByName,
    /// A mapping.
    Mapping(&'static Keys),
    /// A mapping, or a text in its place.
    TextOr(&'static Keys),
    /// One text or a list of them that is not empty, or a mapping.
    TextsOr(&'static Keys),
    /// A list of mappings, which may be empty.
    List(&'static Keys),
    /// A text or a mapping, or a list of them.
    TextsOrMappings(&'static Keys),
    /// A list of mappings, or this word.
    ListOr(&'static Keys, &'static str),
    /// One text or a list of them, or a list of mappings, of which the first is of the first kind.
    TextsOrSteps(&'static Keys, &'static Keys),
    /// Mappings by names of the user's.
    ByName(&'static Keys),
    /// Mappings by names of the user's, of several kinds that their key `type` tells: what all of them have, and what
    /// each kind has beside that.
    ByKind(&'static Keys, Kinds),
    /// Something else: what it is in words, and as a schema.
    Other(&'static str, fn() -> Value),
}

impl Keys {
    /// A mapping of these keys.
    pub const fn of(name: &'static str, says: &'static str, keys: &'static [&'static [Key]]) -> Keys {
        Keys { name, says, keys, any_of: &[], pairs: &[], needs_one: false }
    }

    /// The same mapping, which may not be empty.
    pub const fn not_empty(self) -> Keys {
        Keys { needs_one: true, ..self }
    }

    /// The same mapping, which must hold at least one of these sets.
    pub const fn any_of(self, any_of: &'static [&'static [&'static str]]) -> Keys {
        Keys { any_of, ..self }
    }

    /// The same mapping with pairs of keys of which neither stands without the other.
    pub const fn pairs(self, pairs: &'static [(&'static str, &'static str)]) -> Keys {
        Keys { pairs, ..self }
    }

    /// All keys, in order.
    pub fn iter(&self) -> impl Iterator<Item = &'static Key> {
        self.keys.iter().copied().flatten()
    }

    /// The value that the absence of a key means.
    pub fn default_of<T: FromYaml>(&self, name: &str) -> Option<T> {
        self.find(name)?.default_value()
    }

    /// The key of this name.
    pub fn find(&self, name: &str) -> Option<&'static Key> {
        self.iter().find(|key| key.name == name)
    }
}

impl Key {
    /// A key that may be left out.
    pub const fn new(name: &'static str, shape: Shape, says: &'static str) -> Key {
        Key { name, shape, is_required: false, default: None, example: None, says, also: &[] }
    }

    /// The same key, which must be there.
    pub const fn required(self) -> Key {
        Key { is_required: true, ..self }
    }

    /// The same key with what its absence means.
    pub const fn default(self, default: &'static str) -> Key {
        Key { default: Some(default), ..self }
    }

    /// The value that its absence means.
    pub fn default_value<T: FromYaml>(&self) -> Option<T> {
        let (findings, environment) = (Diagnostics::default(), Environment { lookup: &|_| None, required: false });
        let node = parse(self.default?, &environment, &findings)?;
        T::from_yaml(Located { node: &node, path: self.name, findings: &findings })
    }

    /// The same key with what else people call it.
    pub const fn also(self, also: &'static [&'static str]) -> Key {
        Key { also, ..self }
    }

    /// The same key with how one writes it.
    pub const fn example(self, example: &'static str) -> Key {
        Key { example: Some(example), ..self }
    }
}

/// What a text of a table says, as JSON.
pub fn json_of(text: &str) -> Option<Value> {
    serde_yaml::from_str(text).ok()
}
