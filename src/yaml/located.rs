//! A value and where it stands, and what reads a value from it.
//!
//! It must never know of a table of keys.

use super::diagnostic::Diagnostics;
use super::fault::odd_end;
use super::node::{Node, Value};

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
            let help = odd_end(self.node).map(str::to_string).or(help);
            self.findings.error(self.node.at, self.path, message, help);
        }
        None
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

/// A type that can be read from a value of the file. What is wrong is reported with its place; `None` means reported.
pub trait FromYaml: Sized {
    /// Reads the value.
    fn from_yaml(located: Located<'_>) -> Option<Self>;
}
