//! The parser's faults, in words for the person who wrote the file.

use serde_yaml::Error;

use crate::limits::CONFIG_DEPTH_MAX;

/// A character that looks like one that YAML reads: what to do about it.
pub(super) fn odd_character(text: &str) -> Option<&'static str> {
    let odd = |c: char| match c {
        '：' => Some("this is a full-width colon (：): write an ordinary one and a blank, as in key: value"),
        '\u{a0}' => Some("there is a no-break space (U+00A0) here: write an ordinary one"),
        '\u{3000}' => Some("there is a full-width space (U+3000) here: write ordinary ones"),
        '“' | '”' | '‘' | '’' => Some("these are quotation marks of text: write ordinary ones (\" or ')"),
        _ => None,
    };
    text.chars().find_map(odd)
}

/// The first character, in the line of an error or the one above, that looks like one that YAML reads and stands where
/// that one would: its line and column, counted from 1, and what to do about it. Texts in quotes and comments hold what
/// they like.
pub(super) fn look_alike(text: &str, line: u32) -> Option<(u32, u32, &'static str)> {
    let first = line.saturating_sub(1).max(1);
    for (number, line) in (1..).zip(text.lines()).filter(|(number, _)| (first..=line).contains(number)) {
        let mut before = '\n';
        for (column, c) in (1..).zip(line.chars()) {
            if matches!(c, '"' | '\'' | '#') {
                break;
            }
            // A colon ends a key; a blank indents, or stands behind a colon or a dash.
            let stands_there = match c {
                '：' => before.is_ascii_alphanumeric() || matches!(before, '_' | '-'),
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
