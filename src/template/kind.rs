//! What a part's output is, and how a value is escaped for it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::IgnoredAny;

use super::address;
use super::escape::{
    dingtalk_text, discord_text, markdown_code, slack_code, slack_entities, slack_text, telegram_text, wecom_text,
};

/// What the output of a template is. Values are escaped accordingly; the template's own text is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputKind {
    /// An HTML document.
    Html,
    /// A JSON text; values stand inside string literals, or are written by `{{json …}}`.
    Json,
    /// A JSON text whose strings Slack reads as mrkdwn.
    Slack,
    /// The Markdown of DingTalk, in which a backslash takes what a mark means and which has no code spans.
    DingTalk,
    /// The Markdown of WeCom, which has code spans and no backslashes.
    WeCom,
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
            OutputKind::DingTalk => dingtalk_text(text),
            OutputKind::WeCom => wecom_text(text),
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
                let said = address::linked(text, slack_entities, |url| format!("<{}>", slack_entities(url)));
                json_inner(&said)
            }
            // A line breaks where two blanks end it.
            OutputKind::DingTalk | OutputKind::WeCom | OutputKind::Discord => text.replace('\n', "  \n"),
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
            OutputKind::Slack => json_inner(&slack_entities(&url)),
            // Some dialects end the destination at the first bracket.
            OutputKind::DingTalk | OutputKind::WeCom | OutputKind::Discord => without_brackets(&url),
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
            OutputKind::DingTalk | OutputKind::WeCom | OutputKind::Discord => Some(markdown_code(text)),
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
            OutputKind::DingTalk | OutputKind::WeCom | OutputKind::Discord | OutputKind::Telegram => {
                Ok(output.trim().to_string())
            }
            OutputKind::Html | OutputKind::Plain => Ok(output),
        }
    }
}

fn without_brackets(url: &str) -> String {
    url.replace('(', "%28").replace(')', "%29")
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn header_values_stay_on_one_line() {
        assert_eq!(OutputKind::Header.escaped("a\r\nBcc: x@y\u{0}\u{85}z"), "a Bcc: x@y z");
    }

    proptest! {
        #[test]
        fn json_values_come_back_whole(text in any::<String>()) {
            let literal = format!("\"{}\"", OutputKind::Json.escaped(&text));
            prop_assert_eq!(serde_json::from_str::<String>(&literal).unwrap(), text);
        }
    }
}
