//! The languages, and what each calls the words that every message has.

use std::ops::Bound;
use std::time::Duration;

use super::catalog::{self, Catalog};
use super::phrase::Phrase;
use crate::yaml::{closest, duration_text};

/// The values of reasons that are numbers: what is none is somebody else's text.
const COUNTS: [&str; 3] = ["n", "all", "s"];
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

    /// One of the program's own words (a status, a severity, a type of instance, why something does not work) in this language;
    /// any other text as it is. Of a reason that the program puts together, "could not be read: no answer", its own words
    /// are said, and what others said stays in its place.
    pub fn word(self, word: &str) -> String {
        self.own_words(word).unwrap_or_else(|| word.to_string())
    }

    /// What this language says for a text of the program's own words; none of any other.
    fn own_words(self, text: &str) -> Option<String> {
        if let Some(said) = self.own(text) {
            return Some(said);
        }
        // English is what the program writes.
        if self == Language::En {
            return None;
        }
        let whole = self.with_help(text).or_else(|| self.reason(text));
        whole.or_else(|| self.after_its_place(text)).or_else(|| self.and_more(text))
    }

    /// What does not work with what people can do about it: `HTTP 401: no such user (check the access key)`.
    fn with_help(self, text: &str) -> Option<String> {
        let inside = text.strip_suffix(')')?;
        let (what, key) = english("help.").find_map(|(key, help)| {
            let what = inside.strip_suffix(help.fill(&|_| None).as_str())?.strip_suffix(" (")?;
            Some((what, key))
        })?;
        Some(self.say("helped", &[("what", &self.word(what)), ("help", &self.say(key, &[]))]))
    }

    /// One of the sentences that the program makes of values: "3 of 5 jobs could be read".
    fn reason(self, text: &str) -> Option<String> {
        let is_right = |(name, value): &(&str, &str)| {
            !COUNTS.contains(name) || value.bytes().all(|byte| byte.is_ascii_digit() || byte == b',')
        };
        let (key, values) = english("reason.").find_map(|(key, phrase)| {
            let values = phrase.read(text)?;
            values.iter().all(is_right).then_some((key, values))
        })?;
        let values: Vec<(&str, String)> = values.into_iter().map(|(name, value)| (name, self.word(value))).collect();
        let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Some(self.say(key, &values))
    }

    /// A reason behind the program's own beginning of one, "could not be read: no answer".
    fn after_its_place(self, text: &str) -> Option<String> {
        let (before, after) =
            text.split_once(": ").filter(|(before, _)| REASONS.contains(&numbered(before).0.as_str()))?;
        let before = self.own(before).unwrap_or_else(|| before.to_string());
        Some(self.say("labelled", &[("name", &before), ("value", &self.word(after))]))
    }

    /// Several reasons, one behind the other.
    fn and_more(self, text: &str) -> Option<String> {
        let (first, rest) = text.split_once("; ")?;
        Some(format!("{}{}{}", self.own_words(first)?, self.say("semicolon", &[]), self.word(rest)))
    }

    /// What a background loop is called: by its name in what the program writes, with a word for it where the language has one.
    pub fn loop_name(self, name: &str) -> String {
        let (kind, of) = name.split_once('/').unwrap_or((name, ""));
        match self.phrase(&format!("loop_name.{kind}")).filter(|phrase| phrase.names().0.is_empty() == of.is_empty()) {
            Some(phrase) => phrase.fill(&|_| Some(of.to_string())),
            None => name.to_string(),
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

/// The phrases of a section of the English catalog, by key.
fn english(section: &str) -> impl Iterator<Item = (&'static str, &'static Phrase)> {
    let all = catalog::EN.range::<str, _>((Bound::Included(section), Bound::Unbounded));
    all.take_while(move |(key, _)| key.starts_with(section)).map(|(key, phrase)| (key.as_str(), phrase))
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

    /// What the program stores in English is said in the language of who reads it, and what others said stays.
    #[test]
    fn reasons_are_said_in_the_language_of_who_reads_them() {
        let table = [
            ("it has configuration 3, and configuration 4 is in force", "其配置为第 3 版，生效的是第 4 版"),
            (
                "rules.yaml:3:1: sourcs: unknown key \"sourcs\" (and 2 more)",
                "rules.yaml:3:1: sourcs：未知的键 \"sourcs\"（另有 2 处错误）",
            ),
            ("3 of 5 instances could be read", "5 个实例中只读到 3 个"),
            ("etl: 3 of 5 instances could be read", "etl：5 个实例中只读到 3 个"),
            ("some of 5 instances could be read", "some of 5 instances could be read"),
            (
                "3 of 5 instances could be read; the jobs could not be read: no answer within 30 s",
                "5 个实例中只读到 3 个；作业列表无法读取：30 秒内无响应",
            ),
            (
                "HTTP 401 APIG.0301: no (check \"project_id\" and \"workspace\")",
                "HTTP 401 APIG.0301: no（请检查 \"project_id\" 和 \"workspace\"）",
            ),
            ("HTTP 401: refused; try later", "HTTP 401: refused; try later"),
            ("answered 200 without the word ok: <html>", "返回 200，但内容不含 ok：<html>"),
            ("cannot connect: dns error (no such host)", "无法连接：dns error (no such host)"),
        ];
        for (english, chinese) in table {
            assert_eq!(Language::Zh.word(english), chinese);
            assert_eq!(Language::En.word(english), english);
        }
        let names = [
            ("escalation", "升级通知（escalation）"),
            ("poll/a+b", "轮询 a+b（poll/a+b）"),
            ("later", "later"),
            ("poll", "poll"),
        ];
        for (name, chinese) in names {
            assert_eq!((Language::Zh.loop_name(name).as_str(), Language::En.loop_name(name).as_str()), (chinese, name));
        }
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
