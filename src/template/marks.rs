//! How bad a message is, as a mark and as a colour: one table for all channels.

/// How colours are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Palette {
    /// Hexadecimal, for the bar beside a message.
    Hex,
    /// Hexadecimal, as the ground of white letters.
    Page,
    /// Their plain names, for cards that know a few.
    Names,
    /// What they mean, for cards that choose the colour: `attention`, `warning`, `good`, `accent`, `emphasis`.
    Styles,
    /// What WeCom calls the three colours of its fonts: `info` is green, `comment` grey, `warning` orange.
    Fonts,
}

impl Palette {
    /// The palette that a template names.
    pub(super) fn named(word: &str) -> Option<Palette> {
        match word {
            "hex" => Some(Palette::Hex),
            "page" => Some(Palette::Page),
            "names" => Some(Palette::Names),
            "styles" => Some(Palette::Styles),
            "fonts" => Some(Palette::Fonts),
            _ => None,
        }
    }
}

/// A level of an alert or a verdict of a digest: its mark, and its colour in each palette.
struct LevelLook(&'static str, &'static str, [&'static str; 5]);

const LOOKS: [LevelLook; 12] = [
    LevelLook("test", "🧪", ["#8250df", "#6639ba", "purple", "emphasis", "warning"]),
    LevelLook("resolved", "✅", ["#2da44e", "#1a7f37", "green", "good", "info"]),
    LevelLook("critical", "🚨", ["#b60205", "#b00020", "red", "attention", "warning"]),
    LevelLook("error", "🔴", ["#d93f0b", "#c2410c", "orange", "attention", "warning"]),
    LevelLook("warning", "🟡", ["#dbab09", "#946200", "yellow", "warning", "warning"]),
    LevelLook("info", "🔵", ["#0969da", "#0757b8", "blue", "accent", "comment"]),
    LevelLook("broken", "🔴", ["#b60205", "#b00020", "red", "attention", "warning"]),
    LevelLook("unknown", "🟡", ["#dbab09", "#946200", "yellow", "warning", "warning"]),
    LevelLook("late", "🟠", ["#dbab09", "#946200", "orange", "warning", "warning"]),
    LevelLook("recovered", "🟢", ["#2da44e", "#1a7f37", "green", "good", "info"]),
    LevelLook("well", "✅", ["#2da44e", "#1a7f37", "green", "good", "info"]),
    LevelLook("quiet", "⚪", ["#6e7781", "#57606a", "grey", "emphasis", "comment"]),
];

fn look(word: &str) -> Option<&'static LevelLook> {
    LOOKS.iter().find(|look| look.0 == word)
}

/// The mark of a level or a verdict, with a blank behind it; nothing for another word.
pub(super) fn mark(word: &str) -> String {
    look(word).map(|look| format!("{} ", look.1)).unwrap_or_default()
}

/// The colour of a level or a verdict; a quiet one for another word.
pub fn color(word: &str, palette: Palette) -> &'static str {
    look(word).unwrap_or(&LOOKS[LOOKS.len() - 1]).2[palette as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Severity;

    #[test]
    fn every_level_and_every_verdict_has_a_look() {
        let levels = Severity::ALL.map(Severity::as_str).into_iter().chain(["test", "resolved"]);
        for word in levels.chain(["broken", "unknown", "late", "recovered", "well", "quiet"]) {
            assert!(look(word).is_some(), "{word}");
        }
        assert_eq!((mark("critical").as_str(), mark("odd").as_str()), ("🚨 ", ""));
        assert_eq!(color("late", Palette::Names), "orange");
        assert_eq!((color("resolved", Palette::Fonts), color("info", Palette::Fonts)), ("info", "comment"));
    }
}
