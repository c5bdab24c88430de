//! What a part's output is, and how a value is escaped for it.

use serde::de::IgnoredAny;

/// What the output of a template is. Values are escaped accordingly; the template's own text is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputKind {
    /// An HTML document.
    Html,
    /// A JSON text; values stand inside string literals, or are written by `{{json …}}`.
    Json,
    /// A JSON text whose strings Slack reads as mrkdwn.
    Slack,
    /// One line of a mail header.
    Header,
    /// Plain text.
    Plain,
}

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
            OutputKind::Header => one_line(text),
            OutputKind::Plain => text.to_string(),
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

    /// The finished output, or why it cannot be sent.
    pub(super) fn finished(self, output: String) -> Result<String, String> {
        match self {
            OutputKind::Header => Ok(one_line(&output)),
            OutputKind::Json | OutputKind::Slack => match serde_json::from_str::<IgnoredAny>(&output) {
                Ok(IgnoredAny) => Ok(output),
                // The parser's words quote nothing of the text; its place is in the output, not in the template.
                Err(error) => Err(format!("the output is no JSON at its line {}: {error}", error.line())),
            },
            OutputKind::Html | OutputKind::Plain => Ok(output),
        }
    }
}

/// The inside of a JSON string literal.
pub(super) fn json_inner(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_string()
}

/// Everything on one line, runs of white space and control characters made one blank.
fn one_line(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    words.join(" ")
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
pub(super) fn slack_code(text: &str) -> String {
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

    proptest! {
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
