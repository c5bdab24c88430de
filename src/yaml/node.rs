//! The located tree: what a file holds, each value with its place.
//!
//! Data, and the few questions that a reader of a value asks.

use super::place::Place;

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub at: Place,
    /// What it is.
    pub value: Value,
}

impl Node {
    /// Whether it is a text that nobody can know yet, see [`Origin::Unresolved`].
    pub fn is_unresolved(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.origin == Origin::Unresolved)
    }
}

/// A YAML value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// Anything that is one text.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in file order, duplicate keys and all.
    Map(Vec<Entry>),
}

/// One text, with what YAML takes it for. A key that wants a text takes any scalar verbatim, so that `0123` and `1.10`
/// keep their zeros.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalar {
    /// The text as written, quotes and escapes undone, variables replaced.
    pub text: String,
    /// Whether YAML takes it for a text, and not for a number or a boolean.
    pub is_text: bool,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a scalar's text came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The file alone.
    File,
    /// In part from the environment, or from a default written for want of it.
    Environment,
    /// A variable in it has no value, and need not have one now: what the text will be is unknown, so nothing is found
    /// wrong with it.
    Unresolved,
}

/// One key of a mapping and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where the key begins.
    pub at: Place,
    /// The key.
    pub key: String,
    /// Its value.
    pub node: Node,
}
