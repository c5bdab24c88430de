//! Quoting foreign text: bounded, on one line, fit for an error.
//!
//! Pure. Foreign text can be endless and hold anything; secrets must be out of it before it is cut.

use crate::limits::ANSWER_KEPT_BYTES_MAX;

/// The beginning of a foreign text on one line, for an error or for an item that is set aside.
pub fn snippet(text: &str) -> String {
    let mut out = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().filter(|c| !is_invisible(*c)));
        if out.len() > ANSWER_KEPT_BYTES_MAX {
            break;
        }
    }
    cut_to(out, ANSWER_KEPT_BYTES_MAX)
}

/// Marks that are not seen and change how the text around them is: of direction, of width zero, copies of ASCII.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
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
