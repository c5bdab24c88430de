//! The parser's faults, in words for the person who wrote the file.

use serde_yaml::Error;

use super::node::{Node, Scalar, Value};
use crate::limits::CONFIG_DEPTH_MAX;

/// How far above the line of an error its cause is looked for.
const LINES_ABOVE: u32 = 5;

/// A character that looks like one that YAML reads: what to do about it.
pub(super) fn odd_character(text: &str) -> Option<&'static str> {
    let odd = |c: char| match c {
        '：' => Some("this is a full-width colon (：): write an ordinary one and a blank, as in key: value"),
        '，' => Some("this is a full-width comma (，): write an ordinary one and a blank"),
        '\u{a0}' => Some("there is a no-break space (U+00A0) here: write an ordinary one"),
        '\u{3000}' => Some("there is a full-width space (U+3000) here: write ordinary ones"),
        '“' | '”' | '‘' | '’' => Some("these are quotation marks of text: write ordinary ones (\" or ')"),
        _ => None,
    };
    text.chars().find_map(odd)
}

/// What to do about a blank that is none for YAML at the beginning or the end of a value, where nobody sees it.
pub(super) fn odd_end(node: &Node) -> Option<&'static str> {
    let Value::Scalar(Scalar { text, .. }) = &node.value else { return None };
    let ends = [text.chars().next()?, text.chars().next_back()?];
    ends.into_iter()
        .filter(|c| matches!(c, '\u{a0}' | '\u{3000}'))
        .find_map(|c| odd_character(c.encode_utf8(&mut [0; 4])))
}

/// The first character, in the line of an error or a few above, that looks like one that YAML reads and stands where
/// that one would: its line and column, counted from 1, and what to do about it. Texts in quotes and comments hold what
/// they like.
pub(super) fn look_alike(text: &str, line: u32) -> Option<(u32, u32, &'static str)> {
    let first = line.saturating_sub(LINES_ABOVE).max(1);
    for (number, line) in (1..).zip(text.lines()).filter(|(number, _)| (first..=line).contains(number)) {
        let (mut before, mut quote) = ('\n', None);
        for (column, c) in (1..).zip(line.chars()) {
            if let Some(closing) = quote {
                // A text in quotes is over at the next quote; a second one begins another.
                (quote, before) = (quote.filter(|_| c != closing), c);
                continue;
            }
            if c == '#' && matches!(before, '\n' | ' ') {
                break;
            }
            if matches!(c, '"' | '\'') && !before.is_alphanumeric() {
                (quote, before) = (Some(c), c);
                continue;
            }
            // A colon ends a key; a blank indents, or stands behind a colon or a dash.
            let stands_there = match c {
                '：' => before.is_ascii_alphanumeric() || matches!(before, '_' | '-'),
                '，' => before.is_ascii_alphanumeric() || matches!(before, '_' | '-' | '"' | '\'' | ']' | '}'),
                _ => matches!(before, '\n' | ' ' | ':' | '-' | '\u{a0}' | '\u{3000}'),
            };
            if let (true, Some(help)) = (stands_there, odd_character(c.encode_utf8(&mut [0; 4]))) {
                return Some((number, column, help));
            }
            before = c;
        }
    }
    None
}

/// Where a tab indents a line, in this line or below it: its line and column, counted from 1.
pub(super) fn tab_from(text: &str, line: u32) -> Option<(u32, u32)> {
    let lines = (1..).zip(text.lines()).skip_while(|(number, _)| *number < line);
    let tab = |line: &str| line.chars().take_while(|c| c.is_whitespace()).position(|c| c == '\t');
    lines.take(2).find_map(|(number, line)| Some((number, u32::try_from(tab(line)? + 1).ok()?)))
}

/// What is wrong, and what to do about it. Never holds a value of the file: it may be a secret.
pub(super) fn in_words(error: &Error) -> (String, Option<String>) {
    let (message, help) = match error.without_snippet() {
        Error::AliasError { error, .. } => return in_words(error),
        Error::MultipleDocuments { .. } => {
            ("more than one document".into(), Some("remove the lines \"---\" and \"...\" between them"))
        }
        Error::NullIntoString { .. } => ("a key is empty".into(), None),
        Error::Unexpected { expected: "string scalar", .. } => {
            ("a key is a list or a mapping".into(), Some("put text that begins with [ or { in quotes"))
        }
        Error::UnknownAnchor { .. } => {
            let help = "text that begins with * stands in quotes: \"*\"";
            ("an alias (*name) of an anchor that is not defined".into(), Some(help))
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => ("an alias inside its own anchor".into(), None),
        Error::UnsupportedTag { .. } => {
            ("a tag (!name)".into(), Some("text that begins with ! stands in quotes: \"!\""))
        }
        Error::Budget { .. } => (budget_in_words(&error.to_string()), None),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => ("too many aliases".into(), None),
        Error::InvalidScalar { .. } | Error::InvalidBinaryBase64 { .. } | Error::BinaryNotUtf8 { .. } => {
            ("a value is not of the kind its tag (!!name) says".into(), Some("remove the tag"))
        }
        other => scanner_in_words(&other.to_string()),
    };
    (message, help.map(str::to_string))
}

fn budget_in_words(message: &str) -> String {
    let message = message.to_ascii_lowercase();
    if message.contains("depth") {
        return format!("nested deeper than {CONFIG_DEPTH_MAX} levels");
    }
    if message.contains("alias") || message.contains("anchor") || message.contains("merge") {
        return "too many aliases".into();
    }
    "too large: more values than a configuration can need".into()
}

/// The scanner's own words where they help, and better ones for the mistakes that people make most.
fn scanner_in_words(message: &str) -> (String, Option<&'static str>) {
    let message = message.lines().next().unwrap_or_default();
    let message = message.split(" at line ").next().unwrap_or_default();
    let says = |words: &str| message.contains(words);
    if says("budget") {
        return (budget_in_words(message), None);
    }
    if says("recursion limit") {
        return (format!("nested deeper than {CONFIG_DEPTH_MAX} levels"), None);
    }
    if says("anchor or alias") {
        return ("an alias without a name".into(), Some("text that begins with * or & stands in quotes: \"*\""));
    }
    if says("tab") {
        return ("a tab where only spaces may indent".into(), Some("indent with spaces"));
    }
    if says("mapping values are not allowed") {
        let help = "check the indentation, and put text that holds \": \" in quotes";
        return ("a \":\" where no key can be".into(), Some(help));
    }
    if says("escape") {
        let help = "text with backslashes stands in single quotes: '\\d+'";
        return ("a backslash in double quotes begins what YAML does not know".into(), Some(help));
    }
    if says("quoted scalar") || says("unclosed quote") {
        return ("a quoted text is not closed".into(), Some("the quote that opens it is on this line or above"));
    }
    if says("unexpected character") {
        let help = "text that begins with @, `, % or another special character stands in quotes";
        return ("a character that cannot begin a text".into(), Some(help));
    }
    if says("mismatched bracket") {
        return ("a bracket is closed by one of the other kind".into(), Some("close [ with ], and { with }"));
    }
    if says("illegal placement of ':'") || says("unclosed bracket") || says("flow mapping") || says("flow sequence") {
        return ("a [ or { is not closed, or a comma is missing in it".into(), Some("close it with ] or }"));
    }
    if says("did not find expected key") {
        return ("a line that is indented like nothing above it".into(), Some("check the indentation"));
    }
    if says("expected '-' indicator") {
        return ("a key where the list's next \"-\" should be".into(), Some("check the indentation"));
    }
    if message.is_empty() {
        return ("the parser does not say why".into(), None);
    }
    (message.to_string(), None)
}
