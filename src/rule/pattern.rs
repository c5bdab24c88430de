//! Patterns of job names.
//!
//! A glob (`*` any text, `?` one character, `[..]` one of, `{a,b}` alternatives, `\` takes the next character as it is),
//! or a regular expression between slashes. Both must match the whole name, and upper and lower case differ.

use std::fmt;

use globset::{ErrorKind, Glob, GlobBuilder};
use regex::RegexBuilder;

use crate::limits::{PATTERN_BYTES_MAX, PATTERN_COMPILED_BYTES_MAX};

/// A checked pattern; it keeps the text it was written as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    form: PatternForm,
}

/// What a pattern is matched with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum PatternForm {
    /// A glob without `?` and `[..]`.
    Glob(String),
    /// A regular expression, anchored at both ends. Globs with `?` or `[..]` are turned into one: to the glob crate one
    /// character is one byte, and in a name of Chinese characters `?` must stand for a character.
    Regex(String),
}

impl Pattern {
    /// Checks a pattern.
    ///
    /// # Errors
    /// In words, with what to write instead.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        if text.is_empty() {
            return Err("the pattern is empty; write \"*\" for every job".into());
        }
        if text.len() > PATTERN_BYTES_MAX {
            return Err(format!("the pattern is longer than {PATTERN_BYTES_MAX} bytes"));
        }
        let form = match text.strip_prefix('/') {
            Some(rest) => {
                let inner = rest.strip_suffix('/').filter(|inner| !inner.is_empty()).ok_or_else(|| {
                    format!("{text:?} begins a regular expression and does not end it; write it between slashes")
                })?;
                anchored(text, inner)?
            }
            None => glob_form(text)?,
        };
        Ok(Pattern { text: text.to_string(), form })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The one name it matches, if it names a job in full.
    pub fn literal(&self) -> Option<&str> {
        let is_plain = !self.text.contains(['*', '?', '[', ']', '{', '}', '\\']) && !self.text.starts_with('/');
        is_plain.then_some(self.text.as_str())
    }

    /// The pattern by itself, ready to be asked about names.
    ///
    /// # Errors
    /// In words; a checked pattern compiles.
    pub fn matcher(&self) -> Result<Matcher, String> {
        match &self.form {
            PatternForm::Glob(glob) => compile_glob(glob)
                .map(|glob| Matcher::Glob(glob.compile_matcher()))
                .map_err(|error| glob_fault(&self.text, error.kind())),
            PatternForm::Regex(regex) => {
                compile_regex(regex).map(Matcher::Regex).map_err(|error| regex_fault(&self.text, &error))
            }
        }
    }

    pub(super) fn form(&self) -> &PatternForm {
        &self.form
    }
}

/// A pattern that is matched by itself. Rules, of which there are many, are matched all together in a set.
#[derive(Debug, Clone)]
pub enum Matcher {
    /// A glob.
    Glob(globset::GlobMatcher),
    /// A regular expression.
    Regex(regex::Regex),
}

impl Matcher {
    /// Whether the whole name matches.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Matcher::Glob(glob) => glob.is_match(name),
            Matcher::Regex(regex) => regex.is_match(name),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A glob as the set of all globs takes it.
pub(super) fn compile_glob(glob: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(glob).literal_separator(false).empty_alternates(true).backslash_escape(true).build()
}

fn compile_regex(regex: &str) -> Result<regex::Regex, regex::Error> {
    RegexBuilder::new(regex).size_limit(PATTERN_COMPILED_BYTES_MAX).build()
}

/// The user's expression, made to match whole names. It is compiled by itself first, so that a parenthesis too many
/// cannot close our group, and errors speak of what the user wrote.
fn anchored(text: &str, inner: &str) -> Result<PatternForm, String> {
    compile_regex(inner).map_err(|error| regex_fault(text, &error))?;
    let plain = format!(r"\A(?:{inner})\z");
    if compile_regex(&plain).is_ok() {
        return Ok(PatternForm::Regex(plain));
    }
    // `(?x)` lets an expression end in a comment, which would swallow our end; a line break ends it.
    let commented = format!("\\A(?:{inner}\n)\\z");
    compile_regex(&commented).map_err(|error| regex_fault(text, &error))?;
    Ok(PatternForm::Regex(commented))
}

fn regex_fault(text: &str, error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => {
            format!("{text:?} is too large when compiled; use fewer or smaller repetitions")
        }
        // The last line of the crate's message names the fault, the ones above draw the expression.
        other => {
            let message = other.to_string();
            let fault = message.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("{text:?} is not a valid regular expression: {fault}")
        }
    }
}

fn glob_form(text: &str) -> Result<PatternForm, String> {
    compile_glob(text).map_err(|error| glob_fault(text, error.kind()))?;
    let walked = WalkedGlob::walk(text);
    // The glob crate takes a name of two dots for a path and finds no ending in it, so `*.` would miss it.
    if walked.single_characters || text.ends_with('.') {
        let regex = format!(r"(?s)\A{}\z", walked.regex);
        compile_regex(&regex).map_err(|error| regex_fault(text, &error))?;
        return Ok(PatternForm::Regex(regex));
    }
    compile_glob(&walked.glob).map_err(|error| glob_fault(text, error.kind()))?;
    Ok(PatternForm::Glob(walked.glob))
}

fn glob_fault(text: &str, kind: &ErrorKind) -> String {
    let fault = match kind {
        ErrorKind::UnclosedClass => "a \"[\" is not closed; write [..], or \\[ for the character itself".into(),
        ErrorKind::UnclosedAlternates => "a \"{\" is not closed; write {a,b}, or \\{ for the character itself".into(),
        ErrorKind::UnopenedAlternates => "a \"}\" closes nothing; write \\} for the character itself".into(),
        ErrorKind::InvalidRange(from, to) => format!("the range {from}-{to} runs backwards"),
        ErrorKind::DanglingEscape => "a \"\\\" at the end escapes nothing".into(),
        other => other.to_string(),
    };
    format!("{text:?} is not a valid glob: {fault}")
}

/// A glob that the glob crate has accepted, gone through once.
#[derive(Default)]
struct WalkedGlob {
    /// The same with runs of `*` made one: the glob crate gives `**` beside a slash a meaning that job names have no
    /// use for.
    glob: String,
    /// The same as a regular expression over characters.
    regex: String,
    /// Whether `?` or `[..]` stands in it.
    single_characters: bool,
}

impl WalkedGlob {
    fn walk(text: &str) -> WalkedGlob {
        let mut walked = WalkedGlob::default();
        let mut depth = 0_u32;
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '*' => {
                    while rest.next_if_eq(&'*').is_some() {}
                    walked.push("*", ".*");
                }
                '?' => {
                    walked.single_characters = true;
                    walked.push("?", ".");
                }
                '[' => walked.class(&mut rest),
                '{' => {
                    depth += 1;
                    walked.push("{", "(?:");
                }
                '}' => {
                    depth = depth.saturating_sub(1);
                    walked.push("}", ")");
                }
                ',' if depth > 0 => walked.push(",", "|"),
                '\\' => {
                    let escaped = rest.next().unwrap_or('\\');
                    walked.push(&format!("\\{escaped}"), &regex::escape(escaped.encode_utf8(&mut [0; 4])));
                }
                literal => {
                    let mut buffer = [0; 4];
                    let literal: &str = literal.encode_utf8(&mut buffer);
                    walked.push(literal, &regex::escape(literal));
                }
            }
        }
        walked
    }

    fn push(&mut self, glob: &str, regex: &str) {
        self.glob.push_str(glob);
        self.regex.push_str(regex);
    }

    /// The rest of a `[..]`. In it only `]`, `-` and a leading `!` or `^` mean something.
    fn class(&mut self, rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
        self.single_characters = true;
        self.push("[", "[");
        if let Some(negation) = rest.next_if(|c| matches!(c, '!' | '^')) {
            self.push(&negation.to_string(), "^");
        }
        let mut members = String::new();
        while let Some(c) = rest.next_if(|c| *c != ']' || members.is_empty()) {
            members.push(c);
        }
        rest.next();
        let last = members.chars().count().saturating_sub(1);
        let mut in_range = false;
        for (index, c) in members.chars().enumerate() {
            // At either end a minus is a member, between two members it makes a range, and ending a range it is one
            // again. Every member is written by its number, so that the regex crate's set operators stay texts.
            in_range = c == '-' && index > 0 && index < last && !in_range;
            let member = if in_range { "-".into() } else { format!("\\u{{{:x}}}", u32::from(c)) };
            self.push(&c.to_string(), &member);
        }
        self.push("]", "]");
    }
}
