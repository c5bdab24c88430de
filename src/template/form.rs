//! What a template is made for, and for whom a message is rendered.
//!
//! Data only.

use jiff::tz::TimeZone;

use super::kind::OutputKind;
use crate::model::ReceiverId;
use crate::words::Language;

/// A template that comes with the program.
#[derive(Debug, Clone, Copy)]
pub struct BuiltIn {
    /// The part of the content it makes ("body", "subject", "html", "text").
    pub part: &'static str,
    /// The file that replaces it, by its name in a directory of templates.
    pub file: &'static str,
    /// What its output is.
    pub kind: OutputKind,
    /// The template itself.
    pub text: &'static str,
}

impl BuiltIn {
    /// The name of the file at a path below `templates/`.
    pub const fn file_name(path: &'static str) -> &'static str {
        let bytes = path.as_bytes();
        let mut at = bytes.len();
        while at > 0 && bytes[at - 1] != b'/' {
            at -= 1;
        }
        path.split_at(at).1
    }
}

/// What the messages of a set of templates tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One alert: its beginning, its end, or a test.
    Alert,
    /// Several alerts at once.
    Group,
    /// A summary of a period.
    Digest,
}

/// A user's template in the place of a built-in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The part of the content it makes.
    pub part: String,
    /// What to call the file in findings.
    pub file: String,
    /// The template itself.
    pub text: String,
}

/// Something wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct TemplateProblem {
    /// The file, as it was labelled.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong, and what to write instead where that is known.
    pub message: String,
}

impl TemplateProblem {
    pub(super) fn place(&self) -> (usize, usize, &String) {
        (self.line, self.column, &self.file)
    }
}

/// For whom a message is rendered.
#[derive(Debug, Clone)]
pub struct Locale {
    /// The zone of the times in the message.
    pub timezone: TimeZone,
    /// The receiver.
    pub receiver: ReceiverId,
    /// The language of what the message says.
    pub language: Language,
}
