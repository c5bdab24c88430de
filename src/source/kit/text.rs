//! Foreign text, bounded and checked before anybody believes it.
//!
//! Pure: takes bodies as they came and gives texts that are safe to parse and to show, or an error in words. Knows no
//! scheduler's fields.

use std::borrow::Cow;

use crate::http::{cut_to, snippet};
use crate::limits::{FIELD_BYTES_MAX, SOURCE_JSON_DEPTH_MAX};

/// The body as text, after the checks that guard the parser: something is there, it begins like JSON, and it does not
/// nest deeper than anything that is documented.
pub(in crate::source) fn checked_text(body: &[u8]) -> Result<Cow<'_, str>, String> {
    let text = match std::str::from_utf8(body) {
        Ok(text) => Cow::Borrowed(text.trim_start_matches('\u{feff}')),
        Err(_) => Cow::Owned(marked(body).trim_start_matches('\u{feff}').to_string()),
    };
    let beginning = text.trim_start();
    if beginning.is_empty() {
        return Err("not JSON: the answer is empty".to_string());
    }
    if beginning.starts_with('<') {
        return Err(format!("not JSON (an HTML page?): {}", snippet(beginning)));
    }
    if nests_too_deep(text.as_bytes()) {
        return Err(format!("JSON nested deeper than {SOURCE_JSON_DEPTH_MAX} levels"));
    }
    Ok(text)
}

/// Stands where bytes were no text. No text has this character, while an honest U+FFFD may stand in one.
const BROKEN: char = '\u{ffff}';

/// A body that is no UTF-8 as a whole: cut inside a character, or in another encoding. What is none is marked.
fn marked(body: &[u8]) -> String {
    let mut text = String::with_capacity(body.len());
    for chunk in body.utf8_chunks() {
        let after_broken = text.ends_with(BROKEN);
        // The second byte of a character of GBK can be a backslash, which would escape what follows.
        let is_half = |rest: &str| {
            let next = rest.strip_prefix('\\')?.chars().next()?;
            (!"\"\\/bfnrtu".contains(next)).then_some(())
        };
        let valid = chunk.valid();
        let skipped = usize::from(after_broken && is_half(valid).is_some());
        text.push_str(&valid[skipped..]);
        if !chunk.invalid().is_empty() {
            text.push(BROKEN);
        }
    }
    text
}

/// Whether bytes of a raw field were no text.
pub(in crate::source) fn is_broken(raw: &str) -> bool {
    raw.contains(BROKEN)
}

/// A text as far as it can be read.
pub(in crate::source) fn readable(text: Cow<'_, str>) -> Cow<'_, str> {
    if is_broken(&text) { Cow::Owned(text.replace(BROKEN, "\u{fffd}")) } else { text }
}

fn nests_too_deep(text: &[u8]) -> bool {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'"' => at += string_len(&text[at..]),
            b'[' | b'{' => {
                depth += 1;
                if depth > SOURCE_JSON_DEPTH_MAX {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// How long the string is that begins here, its closing quotation mark included.
fn string_len(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', &text[at.min(text.len())..]) {
        at += found + 1;
        if text[at - 1] == b'"' {
            return at;
        }
        // What is escaped is passed over.
        at += 1;
    }
    text.len()
}

/// What is wrong with a text that cannot be parsed as what was expected.
pub(in crate::source) fn no_json(text: &str, error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Eof => format!("JSON that breaks off after {} bytes", text.len()),
        serde_json::error::Category::Data => format!("JSON of another shape: {}", snippet(text)),
        _ => format!("not JSON: {}", snippet(text)),
    }
}

/// A field as it is kept.
pub(in crate::source) fn cut(text: Cow<'_, str>) -> String {
    cut_to(text.into_owned(), FIELD_BYTES_MAX)
}
