//! Quoting what was answered: bounded, on one line, fit for an error.
//!
//! Pure. Foreign text can be endless and hold anything.

use crate::limits::ANSWER_KEPT_BYTES_MAX;

/// The beginning of a foreign text on one line, for an error or for an item that is set aside.
pub fn snippet(text: &str) -> String {
    let mut out = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
        if out.len() > ANSWER_KEPT_BYTES_MAX {
            break;
        }
    }
    cut_to(out, ANSWER_KEPT_BYTES_MAX)
}

/// A text of at most `bytes_max` bytes, cut at a character boundary; a cut one ends with `…`.
pub fn cut_to(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let mark = "…";
        let end = (0..=bytes_max - mark.len()).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push_str(mark);
    }
    text
}
