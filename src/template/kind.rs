//! What a part's output is, and how a value is escaped for it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::IgnoredAny;

use super::address;

/// What the output of a template is. Values are escaped accordingly; the template's own text is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputKind {
    /// An HTML document.
    Html,
    /// A JSON text; values stand inside string literals, or are written by `{{json …}}`.
    Json,
    /// A JSON text whose strings Slack reads as mrkdwn.
    Slack,
    /// The Markdown of chats (DingTalk, WeCom, Feishu): each reads a dialect of its own.
    Markdown,
    /// The Markdown of Discord, in which a backslash takes what a mark means.
    Discord,
    /// The few tags of HTML that Telegram knows.
    Telegram,
    /// One line of a mail header, or another text of one line.
    Header,
    /// Plain text.
    Plain,
    /// An address whose template the configuration holds; values are percent-encoded, and none may be empty.
    Address,
    /// A text whose template the configuration holds, from which the values can be told apart afterwards.
    Prose,
}

/// Stands around each value in [`OutputKind::Prose`]. No value holds it, for values are cleaned, and no template does.
pub(super) const VALUE_MARK: char = '\u{1}';
/// Stands for a value that is empty in [`OutputKind::Address`].
const NO_VALUE: char = '\u{2}';
/// Why an address is not made.
pub(super) const HAS_NO_VALUE: &str = "a value of the address is empty in this alert";
/// All but what is unreserved in an address (RFC 3986).
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl OutputKind {
    /// Whether values may be written unescaped (`{{{x}}}`). Plain text has nothing to escape; everywhere else foreign
    /// text could become markup.
    pub(super) fn allows_raw(self) -> bool {
        self == OutputKind::Plain
    }

    /// `text` as a value inside output of this kind.
    pub(super) fn escaped(self, text: &str) -> String {
        match self {
            OutputKind::Html => handlebars::html_escape(text),
            OutputKind::Json => json_inner(text),
            OutputKind::Slack => json_inner(&slack_text(text)),
            OutputKind::Markdown => markdown_text(text),
            OutputKind::Discord => discord_text(text),
            OutputKind::Telegram => telegram_text(text),
            OutputKind::Header => spaced(text, one_line(text)),
            OutputKind::Plain => text.to_string(),
            OutputKind::Address if text.is_empty() => NO_VALUE.to_string(),
            OutputKind::Address => utf8_percent_encode(text, VALUE).to_string(),
            OutputKind::Prose => format!("{VALUE_MARK}{text}{VALUE_MARK}"),
        }
    }

    /// What the configuration's author wrote, inside output of this kind: nothing of it is replaced, its lines stay, and
    /// what is an address becomes a link where the channel makes none by itself.
    pub(super) fn own(self, text: &str) -> String {
        match self {
            OutputKind::Html => {
                let link = |url: &str| format!("<a href=\"{url}\" style=\"color:#0969da;\">{url}</a>");
                address::linked(text, handlebars::html_escape, |url| link(&handlebars::html_escape(url)))
                    .replace('\n', "<br>")
            }
            OutputKind::Slack => {
                let said = address::linked(text, entities, |url| format!("<{}>", entities(url)));
                json_inner(&said)
            }
            // A line breaks where two blanks end it.
            OutputKind::Markdown | OutputKind::Discord => text.replace('\n', "  \n"),
            OutputKind::Telegram => handlebars::html_escape(text),
            OutputKind::Prose => text.to_string(),
            other => other.escaped(text),
        }
    }

    /// An address as a link's destination in output of this kind; empty for what is no address of the web. Whatever could
    /// end the destination is percent-encoded.
    pub(super) fn link(self, url: &str) -> String {
        let Some(url) = address::sound(url) else { return String::new() };
        match self {
            OutputKind::Slack => json_inner(&entities(&url)),
            // Some dialects end the destination at the first bracket.
            OutputKind::Markdown | OutputKind::Discord => without_brackets(&url),
            // A card may hold Markdown.
            OutputKind::Json => json_inner(&without_brackets(&url)),
            OutputKind::Telegram => handlebars::html_escape(&url),
            OutputKind::Prose => url,
            other => other.escaped(&url),
        }
    }

    /// How many characters `c` counts against a channel's limit: Slack counts `&lt;` as four.
    pub(super) fn width(self, c: char) -> usize {
        match (self, c) {
            (OutputKind::Slack, '<' | '>') => 4,
            (OutputKind::Slack, '&') => 5,
            _ => 1,
        }
    }

    /// `text` inside a code span of the kind, where it may keep its marks and be copied; none where there is no such
    /// thing.
    pub(super) fn code(self, text: &str) -> Option<String> {
        match self {
            OutputKind::Slack => Some(json_inner(&slack_code(text))),
            OutputKind::Markdown | OutputKind::Discord => Some(markdown_code(text)),
            OutputKind::Telegram => Some(handlebars::html_escape(text)),
            _ => None,
        }
    }

    /// The finished output, or why it cannot be sent.
    pub(super) fn finished(self, output: String) -> Result<String, String> {
        match self {
            OutputKind::Header => Ok(one_line(&output)),
            OutputKind::Address if output.contains(NO_VALUE) => Err(HAS_NO_VALUE.to_string()),
            OutputKind::Address => {
                address::sound(output.trim()).ok_or_else(|| "the output is not a web address".to_string())
            }
            OutputKind::Prose => Ok(output.trim().to_string()),
            OutputKind::Json | OutputKind::Slack => match serde_json::from_str::<IgnoredAny>(&output) {
                Ok(IgnoredAny) => Ok(output),
                // The parser's words quote nothing of the text; its place is in the output, not in the template.
                Err(error) => Err(format!("the output is not valid JSON at its line {}: {error}", error.line())),
            },
            OutputKind::Markdown | OutputKind::Discord | OutputKind::Telegram => Ok(output.trim().to_string()),
            OutputKind::Html | OutputKind::Plain => Ok(output),
        }
    }
}

fn without_brackets(url: &str) -> String {
    url.replace('(', "%28").replace(')', "%29")
}

/// The three characters that mean something to Slack, written so that they do not.
fn entities(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The inside of a JSON string literal.
fn json_inner(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_string()
}

/// Everything on one line, runs of white space and control characters made one blank.
fn one_line(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// The line with the blanks by which the phrase `text` stands off from what is beside it.
fn spaced(text: &str, line: String) -> String {
    let blank = |stands_off: bool| if stands_off && !line.is_empty() { " " } else { "" };
    format!("{}{line}{}", blank(text.starts_with(' ')), blank(text.ends_with(' ')))
}

/// Foreign text inside Slack's mrkdwn: it can neither mention nor link nor format. Marks that would open or close a
/// format are replaced by look-alikes; a `_` inside a word, as job names have them, formats nothing and stays.
pub fn slack_text(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let in_word = |index: Option<usize>| index.and_then(|i| chars.get(i)).is_some_and(|c| c.is_alphanumeric());
    let mut out = String::with_capacity(text.len() + 16);
    for (index, &c) in chars.iter().enumerate() {
        let inside_word = in_word(index.checked_sub(1)) && in_word(Some(index + 1));
        match c {
            '*' if !inside_word => out.push('∗'),
            '_' if !inside_word => out.push('ˍ'),
            '~' if !inside_word => out.push('∼'),
            _ => push_slack_entity(&mut out, c),
        }
    }
    out
}

/// Foreign text inside a code span of Slack's mrkdwn, where only a backtick could end the span. Marks stay as they
/// are, so that a path can be copied.
fn slack_code(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    text.chars().for_each(|c| push_slack_entity(&mut out, c));
    out
}

fn push_slack_entity(out: &mut String, c: char) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '`' => out.push('ˋ'),
        other => out.push(other),
    }
}

/// Foreign text in the Markdown of a chat. The dialects differ in what they format and whether a backslash helps, so
/// every mark that any of them reads is replaced by a look-alike: nothing of it can mention, link, format or be a tag. A
/// `_` inside a word, as job names have them, formats nothing and stays.
pub fn markdown_text(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let in_word = |index: Option<usize>| index.and_then(|i| chars.get(i)).is_some_and(|c| c.is_alphanumeric());
    let marks = chars.iter().enumerate().map(|(index, &c)| match c {
        '_' if in_word(index.checked_sub(1)) && in_word(Some(index + 1)) => '_',
        '*' => '∗',
        '_' => 'ˍ',
        '~' => '∼',
        '[' => '［',
        ']' => '］',
        '#' => '＃',
        '|' => '｜',
        '\\' => '＼',
        // A line of its own could begin a list or a heading.
        '\n' => ' ',
        other => tag_free(other),
    });
    unlinked(&marks.collect::<String>())
}

/// Foreign text in the Markdown of Discord: a backslash before each mark, so that what people read and copy is the text itself.
/// Only what no backslash helps against is replaced by a look-alike: the beginnings of addresses and of mentions.
pub fn discord_text(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let in_word = |index: Option<usize>| index.and_then(|i| chars.get(i)).is_some_and(|c| c.is_alphanumeric());
    let mut out = String::with_capacity(text.len() + 16);
    for (index, &c) in chars.iter().enumerate() {
        match c {
            '_' if in_word(index.checked_sub(1)) && in_word(Some(index + 1)) => out.push('_'),
            '*' | '_' | '~' | '`' | '|' | '<' | '>' | '[' | ']' | '#' | '\\' => out.extend(['\\', c]),
            '@' => out.push('＠'),
            '\n' => out.push(' '),
            other => out.push(other),
        }
    }
    unlinked(&out)
}

/// Foreign text inside a code span of Markdown. Some chats read tags and mentions even there.
fn markdown_code(text: &str) -> String {
    text.chars().map(tag_free).collect()
}

fn tag_free(c: char) -> char {
    match c {
        '<' => '＜',
        '>' => '＞',
        '@' => '＠',
        '`' => 'ˋ',
        '&' => '＆',
        '\n' => ' ',
        other => other,
    }
}

/// Foreign text between Telegram's tags. The server itself makes links of what looks like an address, a mention, a
/// hashtag or a command, so their marks are replaced too.
pub fn telegram_text(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let letter = |index: usize| chars.get(index).is_some_and(|c| c.is_alphabetic());
    let mut out = String::with_capacity(text.len() + 16);
    for (index, &c) in chars.iter().enumerate() {
        out.push(match c {
            '@' => '＠',
            '#' => '＃',
            '$' => '＄',
            '/' => '∕',
            '.' if letter(index + 1) && letter(index + 2) => '․',
            other => other,
        });
    }
    handlebars::html_escape(&out)
}

/// `text` without what chats make a link of by themselves.
fn unlinked(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let before = &lower[..at];
        let is_scheme = ["http", "https", "ftp", "mailto", "javascript"].iter().any(|it| before.ends_with(it));
        match c {
            ':' if is_scheme => out.push('：'),
            '.' if before.ends_with("www") => out.push('․'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slack_text_keeps_names_and_stops_marks() {
        let table = [
            ("etl_orders_daily", "etl_orders_daily"),
            ("_secret_", "ˍsecretˍ"),
            ("*bold* a*b", "∗bold∗ a*b"),
            ("~gone~", "∼gone∼"),
            ("`code`", "ˋcodeˋ"),
            ("<!channel> & <@U1>", "&lt;!channel&gt; &amp; &lt;@U1&gt;"),
            ("&lt;!here&gt;", "&amp;lt;!here&amp;gt;"),
        ];
        for (text, expected) in table {
            assert_eq!(slack_text(text), expected, "{text}");
        }
    }

    #[test]
    fn header_values_stay_on_one_line() {
        assert_eq!(OutputKind::Header.escaped("a\r\nBcc: x@y\u{0}\u{85}z"), "a Bcc: x@y z");
    }

    #[test]
    fn markdown_keeps_names_and_paths_and_stops_marks() {
        let table = [
            ("etl_orders_daily", "etl_orders_daily"),
            ("obs://dlf-log/a_b/2026-11-21 08_00_00.000/x.job", "obs://dlf-log/a_b/2026-11-21 08_00_00.000/x.job"),
            ("**b** _i_ `c`", "∗∗b∗∗ ˍiˍ ˋcˋ"),
            ("[ok](https://evil.example)", "［ok］(https：//evil.example)"),
            ("<@all> @all <font color=\"warning\">", "＜＠all＞ ＠all ＜font color=\"warning\"＞"),
            ("WWW.evil.example # x", "WWW․evil.example ＃ x"),
        ];
        for (text, expected) in table {
            assert_eq!(markdown_text(text), expected, "{text}");
        }
        assert_eq!(markdown_code("a*b_ `x` <at id=all>"), "a*b_ ˋxˋ ＜at id=all＞");
    }

    #[test]
    fn discord_shows_marks_as_they_are() {
        let table = [
            ("etl_orders_daily", "etl_orders_daily"),
            ("3 load_* jobs", "3 load\\_\\* jobs"),
            ("[ok](https://evil.example) <@42> @all", "\\[ok\\](https：//evil.example) \\<＠42\\> ＠all"),
            ("`x` \\ # > ~~y~~ ||z||", "\\`x\\` \\\\ \\# \\> \\~\\~y\\~\\~ \\|\\|z\\|\\|"),
        ];
        for (text, expected) in table {
            assert_eq!(discord_text(text), expected, "{text}");
        }
    }

    #[test]
    fn telegram_makes_no_link_of_a_name() {
        assert_eq!(
            telegram_text("a.b evil.example /start @bot #tag <b>"),
            "a.b evil․example ∕start ＠bot ＃tag &lt;b&gt;"
        );
    }

    proptest! {
        #[test]
        fn markdown_text_never_holds_a_mark(text in "\\PC*") {
            let out = markdown_text(&text);
            prop_assert!(!out.contains(['<', '>', '`', '*', '[', ']', '@', '#', '&', '~', '\\', '|']));
            let lower = out.to_ascii_lowercase();
            prop_assert!(!lower.contains("http:") && !lower.contains("https:") && !lower.contains("www."), "{}", out);
        }

        #[test]
        fn discord_text_never_holds_a_mark_that_means_something(text in "\\PC*") {
            let out = discord_text(&text);
            let mut chars = out.chars();
            while let Some(c) = chars.next() {
                if c == '\\' {
                    chars.next();
                } else {
                    prop_assert!(!"<>`*[]@#~|".contains(c), "{}", out);
                }
            }
            let lower = out.to_ascii_lowercase();
            prop_assert!(!lower.contains("http:") && !lower.contains("https:") && !lower.contains("www."), "{}", out);
        }

        #[test]
        fn slack_text_never_holds_a_control_character(text in "\\PC*") {
            let out = slack_text(&text);
            prop_assert!(!out.contains(['<', '>', '`']));
            let entities = ["&amp;", "&lt;", "&gt;"];
            prop_assert!(out.match_indices('&').all(|(at, _)| entities.iter().any(|it| out[at..].starts_with(it))));
        }

        #[test]
        fn json_values_come_back_whole(text in any::<String>()) {
            let literal = format!("\"{}\"", OutputKind::Json.escaped(&text));
            prop_assert_eq!(serde_json::from_str::<String>(&literal).unwrap(), text);
        }
    }
}
