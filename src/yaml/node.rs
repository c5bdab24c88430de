//! The located tree, and how YAML text becomes one.
//!
//! # Design
//! The parser's own typed decoding stops at the first error and loses places inside enums. Decoding everything into
//! one small tree first costs a second pass, and lets each section be read by itself with all its problems.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::{DuplicateKeyPolicy, Options, Spanned};

use super::Diagnostics;
use crate::limits::{CONFIG_DEPTH_MAX, CONFIG_FILE_BYTES_MAX};

/// A line and a column, both counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub at: Place,
    /// What it is.
    pub value: Value,
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

/// Where `${NAME}` gets its values from.
pub struct Environment<'a> {
    /// The variable's value, if it is set.
    pub lookup: &'a dyn Fn(&str) -> Option<String>,
    /// Whether a variable without a value is an error (it is not in `check --offline`).
    pub required: bool,
}

/// The tree of a YAML text, `${NAME}` and `${NAME:-default}` replaced inside scalar values. `None` when there is no
/// tree; the findings say why. Duplicate keys are found here.
pub fn parse(text: &str, environment: &Environment<'_>, findings: &Diagnostics) -> Option<Node> {
    let top = Place { line: 1, column: 1 };
    if text.len() > CONFIG_FILE_BYTES_MAX {
        findings.error(top, "", format!("the file is larger than {} MiB", CONFIG_FILE_BYTES_MAX >> 20), None);
        return None;
    }
    if text.trim().is_empty() {
        findings.error(top, "", "the file is empty", None);
        return None;
    }
    match serde_yaml::from_str_with_options::<Spanned<RawValue>>(text, options()) {
        Ok(raw) => {
            let mut build = Build { text, environment, findings };
            Some(build.node(raw, ""))
        }
        Err(error) => {
            let at = error.location().map_or(top, |location| place(&location));
            // Only the first line of the parser's message, and never its snippet: a snippet may show a secret.
            let message = error.without_snippet().to_string();
            let message = message.lines().next().unwrap_or("not readable as YAML");
            let message = message.split(" at line ").next().unwrap_or(message);
            findings.error(at, "", format!("not readable as YAML: {message}"), None);
            None
        }
    }
}

fn options() -> Options {
    let mut options = Options::default();
    let mut budget = serde_yaml::Budget::default();
    budget.max_depth = CONFIG_DEPTH_MAX;
    budget.max_nodes = 5_000_000;
    budget.max_events = 10_000_000;
    options.budget = Some(budget);
    // Maps stream to us with every key, and we report duplicates ourselves, all of them, with both places.
    options.duplicate_keys = DuplicateKeyPolicy::LastWins;
    options
}

fn place(location: &serde_yaml::Location) -> Place {
    Place { line: location.line() as u32, column: location.column() as u32 }
}

/// Turns the parser's values into the tree.
struct Build<'a> {
    text: &'a str,
    environment: &'a Environment<'a>,
    findings: &'a Diagnostics,
}

impl Build<'_> {
    fn node(&mut self, raw: Spanned<RawValue>, path: &str) -> Node {
        let at = place(&raw.referenced);
        let value = match raw.value {
            RawValue::Null => Value::Null,
            RawValue::Text(text) => Value::Scalar(Scalar { text: self.interpolated(text, at, path), is_text: true }),
            RawValue::Plain(canonical) => {
                // The text as written keeps what a number or boolean would lose: leading zeros, trailing ones, digits
                // beyond 2^53. An alias points at its anchor's text.
                let span = raw.defined.span();
                let written = span
                    .byte_offset()
                    .zip(span.byte_len())
                    .and_then(|(start, len)| self.text.get(start as usize..(start + len) as usize))
                    .map(str::trim)
                    .filter(|written| !written.is_empty());
                let text = written.map_or(canonical, str::to_string);
                Value::Scalar(Scalar { text, is_text: false })
            }
            RawValue::List(items) => {
                let items = items.into_iter().enumerate();
                Value::List(items.map(|(index, item)| self.node(item, &format!("{path}[{index}]"))).collect())
            }
            RawValue::Map(entries) => Value::Map(self.entries(entries, path)),
        };
        Node { at, value }
    }

    fn entries(&mut self, entries: Vec<(Spanned<String>, Spanned<RawValue>)>, path: &str) -> Vec<Entry> {
        let mut first_places = std::collections::HashMap::new();
        let mut built = Vec::with_capacity(entries.len());
        for (key, raw) in entries {
            let at = place(&key.referenced);
            let key = key.value;
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            if let Some(first) = first_places.get(&key) {
                let Place { line, column } = first;
                let message = format!("the key {key:?} stands twice; the first one is at {line}:{column}");
                self.findings.error(at, path.as_str(), message, Some("remove one of the two".into()));
            } else {
                first_places.insert(key.clone(), at);
            }
            let node = self.node(raw, &path);
            built.push(Entry { at, key, node });
        }
        built
    }

    /// `text` with `${NAME}` and `${NAME:-default}` replaced; `$${` stands for a literal `${`.
    fn interpolated(&self, text: String, at: Place, path: &str) -> String {
        if !text.contains("${") {
            return text;
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(start) = rest.find("${") {
            if let Some(literal) = rest[..start].strip_suffix('$') {
                out.push_str(literal);
                out.push_str("${");
                rest = &rest[start + 2..];
                continue;
            }
            out.push_str(&rest[..start]);
            let Some(end) = rest[start..].find('}') else {
                self.findings.error(
                    at,
                    path,
                    "\"${\" without a closing \"}\"",
                    Some("write $${ for a literal ${".into()),
                );
                return text;
            };
            let inside = &rest[start + 2..start + end];
            let (name, default) = inside.split_once(":-").map_or((inside, None), |(name, text)| (name, Some(text)));
            match (self.environment.lookup)(name).filter(|value| !value.is_empty()).or(default.map(str::to_string)) {
                Some(value) => out.push_str(&value),
                None if self.environment.required => {
                    let message = format!("environment variable {name} is not set");
                    let help = format!("set it, or give a default: ${{{name}:-…}}");
                    self.findings.error(at, path, message, Some(help));
                }
                None => out.push_str(&rest[start..=start + end]),
            }
            rest = &rest[start + end + 1..];
        }
        out.push_str(rest);
        out
    }
}

/// What the parser hands over, before places and variables are settled.
enum RawValue {
    Null,
    Text(String),
    Plain(String),
    List(Vec<Spanned<RawValue>>),
    Map(Vec<(Spanned<String>, Spanned<RawValue>)>),
}

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = RawValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<RawValue, E> {
        Ok(RawValue::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<RawValue, E> {
        Ok(RawValue::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawValue, D::Error> {
        RawValue::deserialize(deserializer)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<RawValue, E> {
        Ok(RawValue::Plain(value.to_string()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<RawValue, E> {
        Ok(RawValue::Plain(value.to_string()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<RawValue, E> {
        Ok(RawValue::Plain(value.to_string()))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<RawValue, E> {
        Ok(RawValue::Plain(value.to_string()))
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<RawValue, E> {
        Ok(RawValue::Plain(value.to_string()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<RawValue, E> {
        Ok(RawValue::Plain(value.to_string()))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<RawValue, E> {
        Ok(RawValue::Text(value.to_string()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<RawValue, E> {
        Ok(RawValue::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RawValue, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(RawValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<RawValue, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(RawValue::Map(map))
    }
}
