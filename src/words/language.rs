//! The languages, and what each calls the words that every message has.

use std::time::Duration;

use super::catalog::{self, Catalog};
use super::phrase::Phrase;
use crate::yaml::{closest, duration_text};

/// What reasons begin with that the program gives and others go on with; `#` stands for a number.
const REASONS: [&str; 5] = ["could not be read", "not read", "cannot connect", "the answer broke off", "answered #"];

/// A language that messages come in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Simplified Chinese.
    Zh,
}

impl Language {
    /// All of them.
    pub const ALL: [Language; 2] = [Language::En, Language::Zh];

    /// The word used in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Language::En => "en",
            Language::Zh => "zh",
        }
    }

    /// The language a word of the configuration names.
    pub fn from_word(word: &str) -> Option<Language> {
        Language::ALL.into_iter().find(|language| language.as_str() == word)
    }

    /// The language somebody probably means who writes `zh-CN`, `cn`, `Chinese` or `en_US`.
    pub fn near(word: &str) -> Option<Language> {
        let word = word.to_lowercase();
        let begins = |heads: &[&str]| heads.iter().any(|head| word.starts_with(head));
        match () {
            () if begins(&["zh", "cn", "ch", "中", "简", "汉"]) => Some(Language::Zh),
            () if begins(&["en", "us", "英"]) => Some(Language::En),
            () => None,
        }
    }

    fn catalog(self) -> &'static Catalog {
        match self {
            Language::En => &catalog::EN,
            Language::Zh => &catalog::ZH,
        }
    }

    /// The phrase of a key with these values, by name. An empty value counts as none.
    pub fn say(self, key: &str, values: &[(&str, &str)]) -> String {
        let value = |name: &str| values.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_string());
        // Every key that the program says is in the catalogs: a test holds it.
        self.phrase(key).map_or_else(|| key.to_string(), |phrase| phrase.fill(&value))
    }

    /// The phrase of a key.
    pub fn phrase(self, key: &str) -> Option<&'static Phrase> {
        self.catalog().get(key)
    }

    /// Every key of the catalog, in order.
    pub fn keys(self) -> impl Iterator<Item = &'static str> {
        self.catalog().keys().map(String::as_str)
    }

    /// The key nearest to one that does not exist.
    pub fn near_key(key: &str) -> Option<&'static str> {
        closest(key, Language::En.keys())
    }

    /// One of the program's own words (a status, a severity, a type of instance, why there is no answer) in this language; any
    /// other text as it is. Of a reason that begins with the program's own words, "could not be read: no answer", those are
    /// said, and what follows them in the same way.
    pub fn word(self, word: &str) -> String {
        if let Some(said) = self.own(word) {
            return said;
        }
        match word.split_once(": ") {
            Some((before, after)) if REASONS.contains(&numbered(before).0.as_str()) => {
                let before = self.own(before).unwrap_or_else(|| before.to_string());
                self.say("labelled", &[("name", &before), ("value", &self.word(after))])
            }
            _ => word.to_string(),
        }
    }

    /// What the catalog says for a word, or for the word with its number left open: `no answer within # s`.
    fn own(self, word: &str) -> Option<String> {
        if let Some(phrase) = self.phrase(&format!("word.{word}")) {
            return Some(phrase.fill(&|_| None));
        }
        let (word, number) = numbered(word);
        let phrase = self.phrase(&format!("word.{word}"))?;
        Some(phrase.fill(&|name| (name == "n").then(|| number.to_string())))
    }

    /// A duration as people read it, its two largest units, and no zero behind the first: `1m`, `2h 30m`, `1 分钟`.
    pub fn duration(self, duration: Duration) -> String {
        match self {
            Language::En => duration_text(duration),
            Language::Zh => chinese_duration(duration),
        }
    }
}

/// A text with `#` for the first number in it, and that number.
fn numbered(text: &str) -> (String, &str) {
    let Some(at) = text.find(|c: char| c.is_ascii_digit()) else { return (text.to_string(), "") };
    let digits = text[at..].find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len() - at);
    (format!("{}#{}", &text[..at], &text[at + digits..]), &text[at..at + digits])
}

impl Language {
    /// What is usual, from one duration to another: `6 to 8m`, `6m 30s to 8m`, `30～32 分钟`.
    pub fn range(self, from: Duration, to: Duration) -> String {
        let (from, to) = (self.duration(from), self.duration(to));
        let between = match self {
            Language::En => " to ",
            Language::Zh => "～",
        };
        let unit = |text: &str| text.trim_start_matches(|c: char| c.is_ascii_digit()).to_string();
        match unit(&from) {
            of_from if of_from == unit(&to) && from != to => {
                format!("{}{between}{to}", from.trim_end_matches(of_from.as_str()))
            }
            _ if from == to => to,
            _ => format!("{from}{between}{to}"),
        }
    }
}

/// `text` cut to `max` characters, the last one `…` when something was cut.
pub fn truncated(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_string(),
        Some(_) => text.chars().take(max.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Two units at most, and no zero behind the first: `1 分 3 秒`, `45 分钟`, `2 小时 30 分`.
pub(super) fn chinese_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (large, small) = match seconds {
        0 => return format!("{} 毫秒", duration.as_millis()),
        1..60 => return format!("{seconds} 秒"),
        60..3600 => ((seconds / 60, "分"), (seconds % 60, "秒")),
        3600..86_400 => ((seconds / 3600, "小时"), (seconds % 3600 / 60, "分")),
        _ => ((seconds / 86_400, "天"), (seconds % 86_400 / 3600, "小时")),
    };
    match (large, small) {
        ((minutes, "分"), (0, _)) => format!("{minutes} 分钟"),
        ((number, unit), (0, _)) => format!("{number} {unit}"),
        ((number, unit), (rest, part)) => format!("{number} {unit} {rest} {part}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let table = [
            (850, "850ms", "850 毫秒"),
            (45_000, "45s", "45 秒"),
            (60_000, "1m", "1 分钟"),
            (63_000, "1m 3s", "1 分 3 秒"),
            (7_200_000, "2h", "2 小时"),
            (9_000_000, "2h 30m", "2 小时 30 分"),
            (270_000_000, "3d 3h", "3 天 3 小时"),
        ];
        for (milliseconds, english, chinese) in table {
            let duration = Duration::from_millis(milliseconds);
            assert_eq!(Language::En.duration(duration), english);
            assert_eq!(Language::Zh.duration(duration), chinese);
        }
        for (from, to, english, chinese) in [
            (360, 480, "6 to 8m", "6～8 分钟"),
            (390, 480, "6m 30s to 8m", "6 分 30 秒～8 分钟"),
            (50, 120, "50s to 2m", "50 秒～2 分钟"),
            (60, 60, "1m", "1 分钟"),
        ] {
            let (from, to) = (Duration::from_secs(from), Duration::from_secs(to));
            assert_eq!(Language::En.range(from, to), english);
            assert_eq!(Language::Zh.range(from, to), chinese);
        }
    }

    #[test]
    fn truncation_counts_characters_and_says_that_it_cut() {
        assert_eq!(truncated("订单任务失败", 6), "订单任务失败");
        assert_eq!(truncated("订单任务失败了", 6), "订单任务失…");
        assert_eq!(truncated("abc", 1), "…");
        assert_eq!(truncated("", 1), "");
    }

    #[test]
    fn words_of_others_stay() {
        assert_eq!(Language::Zh.word("fail"), "失败");
        assert_eq!(Language::Zh.word("NORMAL"), "NORMAL");
        assert_eq!(Language::Zh.word("{job}[x]"), "{job}[x]");
        assert_eq!(Language::Zh.word("could not be read: no answer"), "无法读取：no answer");
        assert_eq!(Language::Zh.word("could not be read: no answer within 30 s"), "无法读取：30 秒内无响应");
        assert_eq!(Language::Zh.word("answered 401: token_revoked"), "返回 401：token_revoked");
        assert_eq!(Language::Zh.word("answered by 2 hosts: no"), "answered by 2 hosts: no");
        for reason in ["answered 401: no answer within 30 s", "cannot connect: refused", "it panicked (this is a bug)"]
        {
            assert_eq!(Language::En.word(reason), reason);
        }
        assert_eq!(Language::Zh.word("fail: no answer"), "fail: no answer");
    }

    #[test]
    fn what_people_write_for_a_language() {
        for (word, near) in [
            ("zh-CN", Some(Language::Zh)),
            ("zh_CN", Some(Language::Zh)),
            ("cn", Some(Language::Zh)),
            ("中文", Some(Language::Zh)),
            ("en-US", Some(Language::En)),
            ("English", Some(Language::En)),
            ("fr", None),
        ] {
            assert_eq!(Language::near(word), near, "{word}");
        }
    }
}
