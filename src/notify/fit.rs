//! Text cut to a channel's size: the head stays, the log path stays, and how much is gone is said. Pure.

use crate::model::{Message, MessageData, NodePart};
use crate::words::Language;

/// What a channel counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Bytes of UTF-8.
    Bytes,
    /// Characters as UTF-16 counts them, two for an emoji.
    Characters,
}

impl Unit {
    /// How much of the channel's size `text` takes.
    pub(super) fn size(self, text: &str) -> usize {
        match self {
            Unit::Bytes => text.len(),
            Unit::Characters => text.chars().map(char::len_utf16).sum(),
        }
    }

    /// The note that says how much is gone.
    fn note(self, gone: usize, language: Language) -> String {
        let n = gone.to_string();
        match self {
            Unit::Bytes => language.say("cut.bytes", &[("n", &n)]),
            Unit::Characters => language.say("cut.characters", &[("n", &n)]),
        }
    }
}

/// Room for the note that says how much is gone.
const NOTE_SIZE: usize = 48;

/// `text`, or as much of its head as leaves room for a note of how much is gone; `log`, which is escaped already, is
/// put behind the head when the cut took it. The result is never larger than `max`, which is at least 200.
pub(super) fn fitted(text: &str, max: usize, unit: Unit, log: Option<&str>, language: Language) -> String {
    let whole = unit.size(text);
    if whole <= max {
        return text.to_string();
    }
    let room = max.saturating_sub(NOTE_SIZE);
    let mut head = head_of(text, room, unit);
    let mut kept_log = String::new();
    if let Some(log) = log.filter(|log| !head.contains(*log)) {
        let log = cut(log, room / 2, unit);
        head = head_of(text, room.saturating_sub(unit.size(log) + 2), unit);
        kept_log = format!("\n\n{log}");
    }
    let gone = whole - unit.size(head);
    format!("{head}{kept_log}\n\n{}", unit.note(gone, language))
}

/// The same for the text of a message. One about several alerts is never cut, for each of its lines names one.
///
/// # Errors
/// When a message about several alerts does not fit.
pub(super) fn fitted_for(
    message: &Message,
    text: &str,
    max: usize,
    unit: Unit,
    log: Option<&str>,
    language: Language,
) -> Result<String, String> {
    let size = unit.size(text);
    match message.data {
        MessageData::Group(_) if size > max => {
            Err(format!("the message has {size} {unit:?}, and the channel takes {max}"))
        }
        _ => Ok(fitted(text, max, unit, log, language)),
    }
}

/// The head of `text` within `room`, ending with a whole line where that costs no more than half.
fn head_of(text: &str, room: usize, unit: Unit) -> &str {
    let head = cut(text, room, unit);
    match head.rfind('\n') {
        Some(end) if end > head.len() / 2 => head[..end].trim_end(),
        _ => head,
    }
}

/// The longest head of `text` within `room`, at a character boundary.
pub(super) fn cut(text: &str, room: usize, unit: Unit) -> &str {
    let mut used = 0;
    let end = text.char_indices().find_map(|(at, c)| {
        used += match unit {
            Unit::Bytes => c.len_utf8(),
            Unit::Characters => c.len_utf16(),
        };
        (used > room).then_some(at)
    });
    &text[..end.unwrap_or(text.len())]
}

/// The log path that must survive a cut: that of the likeliest culprit.
pub(super) fn log_path(message: &Message) -> Option<&str> {
    message.alert()?.failing_nodes.iter().find_map(|NodePart { log_path, .. }| log_path.as_deref())
}

/// Whether a body fits its channel.
///
/// # Errors
/// How large it is, and how large it may be.
pub(super) fn check_size(body: &str, max: usize) -> Result<(), String> {
    if body.len() <= max {
        return Ok(());
    }
    Err(format!("the message has {} bytes, and the channel takes {max}", body.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_fits_is_left_alone_and_what_does_not_says_so() {
        assert_eq!(fitted("short", 200, Unit::Bytes, Some("obs://log"), Language::En), "short");
        let text = format!("etl_orders failed\nJob etl_orders\n{}", "订".repeat(300));
        let cut = fitted(&text, 200, Unit::Bytes, Some("obs://log/path"), Language::En);
        assert!(cut.starts_with("etl_orders failed\nJob etl_orders"), "{cut}");
        assert!(cut.contains("\n\nobs://log/path\n\n… ") && cut.ends_with(" bytes cut"), "{cut}");
        let text = format!("failed obs://log/path {}", "x".repeat(500));
        let cut = fitted(&text, 200, Unit::Characters, Some("obs://log/path"), Language::Zh);
        assert_eq!(cut.matches("obs://").count(), 1);
        assert!(cut.ends_with(" 个字符"), "{cut}");
    }

    proptest! {
        #[test]
        fn no_cut_is_too_large_or_loses_the_log(
            text in "(\\PC|\n){0,900}",
            log in proptest::option::of("[a-z/订🚨]{1,40}"),
            max in 200usize..700,
            bytes in any::<bool>(),
            chinese in any::<bool>(),
        ) {
            let unit = if bytes { Unit::Bytes } else { Unit::Characters };
            let language = if chinese { Language::Zh } else { Language::En };
            let cut = fitted(&text, max, unit, log.as_deref(), language);
            prop_assert!(unit.size(&cut) <= max, "{} > {max}", unit.size(&cut));
            if unit.size(&text) > max {
                prop_assert!(cut.lines().last().is_some_and(|note| note.starts_with("… ")));
                let kept = log.map(|log| super::cut(&log, (max - NOTE_SIZE) / 2, unit).to_string());
                prop_assert!(kept.is_none_or(|log| cut.contains(&log)));
            }
        }
    }
}
