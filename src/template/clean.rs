//! Foreign text made fit to be shown: nothing in it can move the cursor, reverse the line or hide.

use serde_json::Value;

/// `text` without what cannot be seen but changes what is: control characters, bidirectional overrides, zero-width
/// characters. Line breaks and tabs become blanks, other control characters the replacement character.
pub fn display_text(text: &str) -> String {
    text.chars().filter_map(shown).collect()
}

fn shown(c: char) -> Option<char> {
    match c {
        '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some(' '),
        // Zero-width space, soft hyphen, word joiner and the invisible operators, byte order mark. The zero-width joiner and
        // non-joiner stay: Persian, the scripts of India and many emoji are written with them.
        '\u{ad}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{180e}' => None,
        // Bidirectional marks, embeddings, overrides and isolates.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}' => None,
        // Tag characters: an invisible copy of ASCII.
        '\u{e0000}'..='\u{e007f}' => None,
        c if c.is_control() => Some('\u{fffd}'),
        c => Some(c),
    }
}

/// The same for a text of several lines, which keeps its line breaks. Every line after the first is indented, so that
/// none can pass for a line of the message.
fn display_lines(text: &str) -> String {
    text.lines().map(display_text).collect::<Vec<_>>().join("\n  ")
}

/// Cleans every text of a JSON value, at any depth. Only a failure text, under the key `error`, and the end of a log, under
/// `log_tail`, keep their lines.
pub fn clean_value(value: &mut Value) {
    match value {
        Value::String(text) => {
            if text.chars().any(|c| shown(c) != Some(c)) {
                *text = display_text(text);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(clean_value),
        Value::Object(map) => map.iter_mut().for_each(|(key, value)| match value {
            Value::String(text) if key == "error" || key == "log_tail" => *text = display_lines(text),
            other => clean_value(other),
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failure_text_keeps_its_lines() {
        let mut value = serde_json::json!({ "error": "a\r\nb\u{202e}\tc\n", "log_tail": "d\ne", "name": "a\nb" });
        clean_value(&mut value);
        assert_eq!(value, serde_json::json!({ "error": "a\n  b c", "log_tail": "d\n  e", "name": "a b" }));
    }

    #[test]
    fn what_cannot_be_seen_is_gone() {
        let table = [
            ("obs://bucket/2019-03-04 11_53_00.000/error.job", "obs://bucket/2019-03-04 11_53_00.000/error.job"),
            ("订单 ETL 🚨", "订单 ETL 🚨"),
            ("a\r\nb\tc", "a  b c"),
            ("etl\u{202e}sredro", "etlsredro"),
            ("می\u{200c}خواهم 👩\u{200d}💻", "می\u{200c}خواهم 👩\u{200d}💻"),
            ("ad\u{200b}min\u{feff}", "admin"),
            ("\u{1b}[31mred\u{7}", "\u{fffd}[31mred\u{fffd}"),
            ("x\u{2066}y\u{2069}", "xy"),
            ("\u{e0041}tag", "tag"),
        ];
        for (text, expected) in table {
            assert_eq!(display_text(text), expected, "{text:?}");
        }
    }
}
