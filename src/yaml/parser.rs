//! YAML text to a tree: each value with its place, duplicate keys reported, variables filled in.
//!
//! The parser library is named here and nowhere else. It must never know what a key means.
//!
//! # Design
//! The parser's own typed decoding stops at the first error and loses places inside enums. Decoding everything into
//! one small tree first costs a second pass, and lets each section be read by itself with all its problems.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::{DuplicateKeyPolicy, NonFiniteFloatPolicy, Options, Spanned};

use super::diagnostic::Diagnostics;
use super::node::{Entry, Node, Origin, Scalar, Value};
use super::place::Place;
use super::{duplicates, fault};
use crate::limits::{CONFIG_DEPTH_MAX, CONFIG_FILE_BYTES_MAX};

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
    parse_file(0, text, environment, findings)
}

/// The same for one of several files: `file` is its number among them.
pub fn parse_file(file: u16, text: &str, environment: &Environment<'_>, findings: &Diagnostics) -> Option<Node> {
    let top = Place { file, line: 1, column: 1 };
    if text.len() > CONFIG_FILE_BYTES_MAX {
        findings.error(top, "", format!("the file is larger than {} MiB", CONFIG_FILE_BYTES_MAX >> 20), None);
        return None;
    }
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        findings.error(top, "", "the file is empty", None);
        return None;
    }
    let raw = match read(text, DuplicateKeyPolicy::LastWins) {
        Ok(raw) => raw,
        Err(error) => {
            let (mut message, mut help) = fault::in_words(&error);
            let mut at = error.location().map_or(top, |location| place(file, &location));
            if let Some((line, column, what)) = fault::look_alike(text, at.line) {
                (message, help) = ("a character that only looks like the right one".into(), Some(what.into()));
                at = Place { file, line, column };
            }
            if message.starts_with("a tab ")
                && let Some((line, column)) = fault::tab_from(text, at.line)
            {
                at = Place { file, line, column };
            }
            findings.error(at, "", format!("not readable as YAML: {message}"), help);
            return None;
        }
    };
    let mut build = Build { file, text, environment, findings, number_keys: false };
    let tree = build.node(raw, "");
    if build.number_keys
        && let Ok(raw) = read(text, DuplicateKeyPolicy::FirstWins)
    {
        // The findings of this second tree are those of the first one.
        let unheard = Diagnostics::default();
        let first_wins = Build { file, text, environment, findings: &unheard, number_keys: false }.node(raw, "");
        duplicates::report_lost(&first_wins, &tree, findings);
    }
    Some(tree)
}

pub(super) fn read(text: &str, duplicate_keys: DuplicateKeyPolicy) -> Result<Spanned<RawValue>, serde_yaml::Error> {
    let mut options = Options::default();
    let mut budget = serde_yaml::Budget::default();
    budget.max_depth = CONFIG_DEPTH_MAX;
    budget.max_nodes = 5_000_000;
    budget.max_events = 10_000_000;
    options.budget = Some(budget);
    // Maps stream to us with every key, and we report duplicates ourselves, all of them, with both places.
    options.duplicate_keys = duplicate_keys;
    options.non_finite_float_policy = NonFiniteFloatPolicy::PassThrough;
    // A tag does nothing here, so one that is there was meant to do something.
    options.reject_unsupported_tags = true;
    serde_yaml::from_str_with_options(text, options)
}

pub(super) fn place(file: u16, location: &serde_yaml::Location) -> Place {
    Place { file, line: location.line() as u32, column: location.column() as u32 }
}

/// Turns the parser's values into the tree.
pub(super) struct Build<'a> {
    file: u16,
    text: &'a str,
    environment: &'a Environment<'a>,
    findings: &'a Diagnostics,
    /// Whether a key that is a number was seen: the parser compares such keys itself, see [`duplicates`].
    number_keys: bool,
}

impl Build<'_> {
    fn node(&mut self, raw: Spanned<RawValue>, path: &str) -> Node {
        let at = place(self.file, &raw.referenced);
        let value = match raw.value {
            RawValue::Null => Value::Null,
            RawValue::Text(text) => {
                let (text, origin) = self.interpolated(text, at, path);
                Value::Scalar(Scalar { text, is_text: true, origin })
            }
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
                Value::Scalar(Scalar { text, is_text: false, origin: Origin::File })
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
            let at = place(self.file, &key.referenced);
            let key = key.value;
            self.number_keys |= duplicates::is_number(&key);
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match first_places.get(&key) {
                // Both in one place: the copy that an alias makes of a mapping whose own duplicates are reported.
                Some(first) if *first == at => {}
                Some(first) => duplicates::report(&key, at, *first, &path, self.findings),
                None => drop(first_places.insert(key.clone(), at)),
            }
            let node = self.node(raw, &path);
            built.push(Entry { at, key, node });
        }
        built
    }

    /// `text` with `${NAME}` and `${NAME:-default}` replaced, and where it is from; `$${` stands for a literal `${`.
    fn interpolated(&self, text: String, at: Place, path: &str) -> (String, Origin) {
        if !text.contains("${") {
            return (text, Origin::File);
        }
        let (mut out, mut origin) = (String::with_capacity(text.len()), Origin::File);
        let mut rest = text.as_str();
        while let Some(start) = rest.find("${") {
            let (before, reference) = rest.split_at(start);
            if let Some(literal) = before.strip_suffix('$') {
                out.push_str(literal);
                out.push_str("${");
                rest = &reference[2..];
                continue;
            }
            out.push_str(before);
            let Some((inside, after)) = reference[2..].split_once('}') else {
                let help = "write $${ for a literal ${";
                self.findings.error(at, path, "\"${\" without a closing \"}\"", Some(help.into()));
                return (text, Origin::Unresolved);
            };
            match self.variable(inside, at, path) {
                Some(value) => {
                    out.push_str(&value);
                    if origin == Origin::File {
                        origin = Origin::Environment;
                    }
                }
                None => {
                    out.push_str(&reference[..inside.len() + 3]);
                    origin = Origin::Unresolved;
                }
            }
            rest = after;
        }
        out.push_str(rest);
        (out, origin)
    }

    /// The value of `NAME` or `NAME:-default`; what is wrong is reported.
    fn variable(&self, reference: &str, at: Place, path: &str) -> Option<String> {
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
        if !is_name {
            let help = "write ${NAME} or ${NAME:-default}, or $${ for a literal ${";
            self.findings.error(at, path, format!("{name:?} is not a valid name of a variable"), Some(help.into()));
            return None;
        }
        let set = (self.environment.lookup)(name).filter(|value| !value.is_empty());
        let value = set.or_else(|| default.map(str::to_string));
        if value.is_none() && self.environment.required {
            let help = format!("set it, or give a default: ${{{name}:-…}}");
            self.findings.error(at, path, format!("the environment variable {name} is not set"), Some(help));
        }
        value
    }
}

/// What the parser hands over, before places and variables are settled.
pub(super) enum RawValue {
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

pub(super) struct RawVisitor;

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
