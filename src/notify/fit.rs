//! Text cut to a channel's size: the head stays, the log path and the lines by which one acts stay, and how much is gone is
//! said. Pure.

use crate::model::{Message, MessageData, NodePart};
use crate::words::{Language, grouped};

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
        let n = grouped(gone as u64);
        match self {
            Unit::Bytes => language.say("cut.bytes", &[("n", &n)]),
            Unit::Characters => language.say("cut.characters", &[("n", &n)]),
        }
    }
}

/// Room for the note that says how much is gone.
const NOTE_SIZE: usize = 48;

/// What of a message a cut leaves beside the head, however long the message is.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    /// The log path of the likeliest culprit, escaped for the channel.
    log: Option<String>,
    /// What those lines hold by which one acts on the alert, and no other: its short id, in links and in the command.
    mark: Option<String>,
}

impl Kept {
    /// What must be left of `message`, in a channel that escapes foreign text so.
    pub(super) fn of(message: &Message, escaped: impl Fn(&str) -> String) -> Kept {
        Kept { log: log_path(message).map(escaped), mark: mark(message).map(str::to_string) }
    }

    /// The lines of `text` by which one acts, as many as have room.
    fn act_lines<'a>(&self, text: &'a str, room: usize, unit: Unit) -> Vec<&'a str> {
        let Some(mark) = self.mark.as_deref() else { return Vec::new() };
        let mut left = room;
        let lines = text.lines().map(str::trim_end).filter(|line| line.contains(mark));
        lines
            .take_while(|line| {
                left.checked_sub(unit.size(line) + PARAGRAPH.len()).inspect(|rest| left = *rest).is_some()
            })
            .collect()
    }
}

/// A text that was too long.
pub(super) struct Cut<'a> {
    /// Its head.
    pub(super) head: &'a str,
    /// The log path, where the head has it not.
    pub(super) log: Option<&'a str>,
    /// The lines by which one acts, where the head has them not.
    pub(super) act: Vec<&'a str>,
    /// How much is gone, in words.
    pub(super) note: String,
}

impl Cut<'_> {
    /// The pieces as one text, under the head as it is given.
    pub(super) fn under(&self, head: &str) -> String {
        let pieces = [Some(head), self.log].into_iter().flatten().chain(self.act.iter().copied()).chain([&*self.note]);
        pieces.collect::<Vec<_>>().join(PARAGRAPH)
    }
}

/// What stands between the pieces.
const PARAGRAPH: &str = "\n\n";

/// The pieces of `text` that are left within `max`, which is at least 200; none when all of it fits. Of what is kept the log
/// path has at most a half of the room, and the lines by which one acts at most a third of it.
pub(super) fn pieces<'a>(text: &'a str, max: usize, unit: Unit, kept: &'a Kept, language: Language) -> Option<Cut<'a>> {
    let whole = unit.size(text);
    if whole <= max {
        return None;
    }
    let room = max.saturating_sub(NOTE_SIZE);
    let (log, mut act) = (kept.log.as_deref(), kept.act_lines(text, room / 3, unit));
    // What the head has by itself takes no room beside it. A head that is shorter for the one may lose the other.
    let mut head = head_of(text, room, unit);
    let mut beside = Vec::new();
    loop {
        let lost_log = log.filter(|log| !head.contains(log)).map(|log| cut(log, room / 2, unit));
        let lost = lost_log.into_iter().chain(act.iter().copied().filter(|line| !head.contains(line)));
        let lost: Vec<&str> = lost.collect();
        if lost.len() <= beside.len() {
            break;
        }
        let taken: usize = lost.iter().map(|piece| unit.size(piece) + PARAGRAPH.len()).sum();
        head = head_of(text, room.saturating_sub(taken), unit);
        beside = lost;
    }
    act.retain(|line| beside.contains(line));
    let log = log.map(|log| cut(log, room / 2, unit)).filter(|log| beside.contains(log));
    let note = unit.note(whole - unit.size(head), language);
    Some(Cut { head, log, act, note })
}

/// `text`, or what a cut leaves of it. The result is never larger than `max`, which is at least 200.
pub(super) fn fitted(text: &str, max: usize, unit: Unit, kept: &Kept, language: Language) -> String {
    pieces(text, max, unit, kept, language).map_or_else(|| text.to_string(), |cut| cut.under(cut.head))
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
    kept: &Kept,
    language: Language,
) -> Result<String, String> {
    let size = unit.size(text);
    match message.data {
        MessageData::Group(_) if size > max => {
            Err(format!("the message has {size} {unit:?}, and the channel takes {max}"))
        }
        _ => Ok(fitted(text, max, unit, kept, language)),
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

/// What the lines by which one acts on the alert of a message hold, and no others: its short id.
pub(super) fn mark(message: &Message) -> Option<&str> {
    message.alert().map(|facts| facts.alert.id.short()).filter(|id| !id.is_empty())
}

/// The log path that must survive a cut: that of the likeliest culprit.
fn log_path(message: &Message) -> Option<&str> {
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
        let kept = |log: &str| Kept { log: Some(log.to_string()), mark: Some("/alerts/1f".to_string()) };
        assert_eq!(fitted("short", 200, Unit::Bytes, &kept("obs://log"), Language::En), "short");
        let text = format!("etl_orders failed\nJob etl_orders\n{}", "订".repeat(300));
        let cut = fitted(&text, 200, Unit::Bytes, &kept("obs://log/path"), Language::En);
        assert!(cut.starts_with("etl_orders failed\nJob etl_orders"), "{cut}");
        assert!(cut.contains("\n\nobs://log/path\n\n… ") && cut.ends_with(" bytes cut"), "{cut}");
        let text = format!("failed obs://log/path {}", "x".repeat(500));
        let cut = fitted(&text, 200, Unit::Characters, &kept("obs://log/path"), Language::Zh);
        assert_eq!(cut.matches("obs://").count(), 1);
        assert!(cut.ends_with(" 个字符"), "{cut}");
        // The line by which one acts stands where it stood, or under what is left.
        let line = "Open: https://bell.example.com/alerts/1f";
        let text = format!("etl_orders failed\n{}\n{line}\nRule etl", "订".repeat(300));
        let cut = fitted(&text, 200, Unit::Bytes, &kept("obs://log/path"), Language::En);
        assert!(cut.contains(&format!("\n\nobs://log/path\n\n{line}\n\n… ")), "{cut}");
        let text = format!("etl_orders failed\n{line}\n{}", "订\n".repeat(300));
        let cut = fitted(&text, 200, Unit::Bytes, &kept("订"), Language::En);
        assert!(cut.starts_with(&format!("etl_orders failed\n{line}\n订")), "{cut}");
        assert_eq!((cut.matches(line).count(), cut.matches("\n\n").count()), (1, 1), "{cut}");
    }

    proptest! {
        #[test]
        fn no_cut_is_too_large_or_loses_what_must_stay(
            text in "(\\PC|\n){0,900}",
            log in proptest::option::of("[a-z/订🚨]{1,40}"),
            act in proptest::option::of("[a-z]{0,16}/alerts/1f[a-z]{0,16}"),
            at in any::<prop::sample::Index>(),
            max in 200usize..700,
            bytes in any::<bool>(),
            chinese in any::<bool>(),
        ) {
            let unit = if bytes { Unit::Bytes } else { Unit::Characters };
            let language = if chinese { Language::Zh } else { Language::En };
            let mut lines: Vec<&str> = text.lines().collect();
            if let Some(act) = &act {
                lines.insert(at.index(lines.len() + 1), act);
            }
            let text = lines.join("\n");
            let kept = Kept { log: log.clone(), mark: Some("/alerts/1f".to_string()) };
            let cut = fitted(&text, max, unit, &kept, language);
            prop_assert!(unit.size(&cut) <= max, "{} > {max}", unit.size(&cut));
            if unit.size(&text) > max {
                prop_assert!(cut.lines().last().is_some_and(|note| note.starts_with("… ")));
                let kept = log.map(|log| super::cut(&log, (max - NOTE_SIZE) / 2, unit).to_string());
                prop_assert!(kept.is_none_or(|log| cut.contains(&log)));
                prop_assert!(act.is_none_or(|act| cut.lines().any(|line| line == act)));
            }
        }
    }
}
