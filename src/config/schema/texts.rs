//! The texts of the reference in other languages.
//!
//! A catalog is one file for each language, beside this one and built into the program: pairs of lines, the English text as it
//! stands in a table of keys or in the page, and what it is in the language. A text of ten tables is translated once, and one
//! that changes in its table has to be translated anew. A test holds that every text has its pair, and every pair its text.
//!
//! Pure. It must never know what a text means.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::words::Language;

/// What an English text is on a page.
pub(super) type Translate<'a> = &'a dyn Fn(&'static str) -> &'static str;

/// The Chinese catalog.
static ZH: LazyLock<BTreeMap<&'static str, &'static str>> = LazyLock::new(|| read(include_str!("zh.txt")));

/// A text in a language. What no catalog has stays English.
pub(super) fn in_language(text: &'static str, language: Language) -> &'static str {
    match language {
        Language::En => text,
        Language::Zh => ZH.get(text).copied().unwrap_or(text),
    }
}

/// The pairs of a catalog, between empty lines; `#` begins a comment.
fn read(catalog: &'static str) -> BTreeMap<&'static str, &'static str> {
    let pairs = catalog.split("\n\n").filter(|pair| !pair.starts_with('#'));
    pairs.filter_map(|pair| pair.trim_end().split_once('\n')).collect()
}

/// A text with these values in its places. No value holds a place.
pub(super) fn filled(text: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(text.to_string(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

/// Texts one after the other, put together two by two.
pub(super) fn joined(pattern: &str, texts: impl IntoIterator<Item = String>) -> String {
    let both = |one: String, other: String| filled(pattern, &[("one", &one), ("other", &other)]);
    texts.into_iter().reduce(both).unwrap_or_default()
}
