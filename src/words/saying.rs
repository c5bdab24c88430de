//! Something to be said before it is known to whom: by key, with its values, and in a language once somebody asks.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::digest::suppression;
use super::language::Language;

/// A sentence that is in the catalogs, with what goes into it; or a text of somebody else's, which is the same in every
/// language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saying {
    key: Option<&'static str>,
    values: Vec<(&'static str, SayingPart)>,
}

/// What goes into a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SayingPart {
    /// A name or a number, as it is.
    Verbatim(String),
    /// The program's own words, any one of them.
    AnyOf(Vec<&'static str>),
    /// Names, any one of them.
    AnyNamed(Vec<String>),
    Duration(Duration),
    /// Day and minute.
    At(Timestamp),
    /// What held an alert back, by the store's word for that.
    HeldBackBy(String),
    /// Why something failed: it may begin with the program's own words.
    Reason(String),
    Said(Box<Saying>),
}

/// The name of the value that a text of somebody else's is kept as.
const TEXT: &str = "text";

impl Saying {
    /// The sentence of this key.
    pub fn of(key: &'static str) -> Saying {
        Saying { key: Some(key), values: Vec::new() }
    }

    fn and(mut self, name: &'static str, part: SayingPart) -> Saying {
        self.values.push((name, part));
        self
    }

    /// With a name or a number in it, verbatim.
    #[must_use]
    pub fn with(self, name: &'static str, value: impl ToString) -> Saying {
        self.and(name, SayingPart::Verbatim(value.to_string()))
    }

    /// With one of the program's own words in it.
    #[must_use]
    pub fn word(self, name: &'static str, word: &'static str) -> Saying {
        self.any_of(name, [word])
    }

    /// With several of the program's own words in it, of which any one will do.
    #[must_use]
    pub fn any_of(self, name: &'static str, words: impl IntoIterator<Item = &'static str>) -> Saying {
        self.and(name, SayingPart::AnyOf(words.into_iter().collect()))
    }

    /// With several names in it, of which any one will do.
    #[must_use]
    pub fn any_named(self, name: &'static str, names: impl IntoIterator<Item = impl ToString>) -> Saying {
        self.and(name, SayingPart::AnyNamed(names.into_iter().map(|name| name.to_string()).collect()))
    }

    /// With a duration in it.
    #[must_use]
    pub fn lasting(self, name: &'static str, duration: Duration) -> Saying {
        self.and(name, SayingPart::Duration(duration))
    }

    /// With an instant in it.
    #[must_use]
    pub fn at(self, name: &'static str, instant: Timestamp) -> Saying {
        self.and(name, SayingPart::At(instant))
    }

    /// With what held an alert back in it, by the store's word for that.
    #[must_use]
    pub fn held_back_by(self, name: &'static str, word: impl ToString) -> Saying {
        self.and(name, SayingPart::HeldBackBy(word.to_string()))
    }

    /// With why something failed in it: the program's own words and those of others.
    #[must_use]
    pub fn because(self, name: &'static str, reason: impl ToString) -> Saying {
        self.and(name, SayingPart::Reason(reason.to_string()))
    }

    /// With another sentence in it.
    #[must_use]
    pub fn saying(self, name: &'static str, other: Saying) -> Saying {
        self.and(name, SayingPart::Said(Box::new(other)))
    }

    /// What it says in this language, times on the clock of `zone`.
    pub fn words(&self, language: Language, zone: &TimeZone) -> String {
        let values: Vec<(&str, String)> =
            self.values.iter().map(|(name, part)| (*name, part.words(language, zone))).collect();
        match self.key {
            Some(key) => {
                let is_given = |name: &&str| values.iter().any(|(given, _)| given == name);
                debug_assert!(
                    language.phrase(key).is_some_and(|phrase| phrase.names().1.iter().all(is_given)),
                    "{key} lacks a value: {self:?}"
                );
                let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
                language.say(key, &values)
            }
            None => values.into_iter().map(|(_, text)| text).collect(),
        }
    }

    /// What it says in English, for programs and for the command line; of a sentence without times.
    pub fn in_english(&self) -> String {
        self.words(Language::En, &TimeZone::UTC)
    }
}

impl SayingPart {
    fn words(&self, language: Language, zone: &TimeZone) -> String {
        match self {
            SayingPart::Verbatim(text) => text.clone(),
            SayingPart::AnyOf(words) => {
                let words: Vec<String> = words.iter().map(|word| language.word(word)).collect();
                words.join(&language.say("why.or", &[]))
            }
            SayingPart::AnyNamed(names) => names.join(&language.say("why.or", &[])),
            SayingPart::Duration(duration) => language.duration(*duration),
            SayingPart::At(instant) => {
                instant.to_zoned(zone.clone()).strftime(&language.say("why.clock", &[])).to_string()
            }
            SayingPart::HeldBackBy(word) => suppression(word, language),
            SayingPart::Reason(text) => language.word(text),
            SayingPart::Said(other) => other.words(language, zone),
        }
    }
}

impl From<String> for Saying {
    fn from(text: String) -> Saying {
        Saying { key: None, values: Vec::new() }.with(TEXT, text)
    }
}

impl From<&str> for Saying {
    fn from(text: &str) -> Saying {
        text.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_takes_its_values_in_the_language_it_is_said_in() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let at = "2026-11-20T22:30:00Z".parse().unwrap();
        let table = [
            (
                Saying::of("why.fails.status").word("status", "success").any_of("statuses", ["fail", "pause"]),
                "status success is not fail or pause",
                "状态“成功”不属于：失败、已暂停",
            ),
            (
                Saying::of("why.fails.too-short")
                    .lasting("lasted", Duration::from_secs(720))
                    .lasting("limit", Duration::from_secs(1500)),
                "lasted 12m of 25m",
                "持续 12 分钟，未达 25 分钟",
            ),
            (Saying::of("why.fails.not-due-yet").at("due", at), "not due before Sat 06:30", "11月21日 06:30 才到期"),
            (
                Saying::of("why.untold.suppressed").held_back_by("by", "mute-window:nights"),
                "recorded and not sent: the mute window nights",
                "已记录、未发送：静默时段 nights",
            ),
            (
                Saying::of("labelled").saying("name", Saying::of("part.reason")).saying("value", "[{x}]".into()),
                "reason: [{x}]",
                "原因：[{x}]",
            ),
        ];
        for (saying, english, chinese) in table {
            assert_eq!(saying.words(Language::En, &zone), english);
            assert_eq!(saying.words(Language::Zh, &zone), chinese);
        }
    }
}
