//! Templates: the looks of a message, never its facts.
//!
//! [`TemplateSet::compile`] takes the built-in templates of a receiver kind and the user's replacements, and says
//! everything wrong with them, with line and column; [`TemplateSet::render`] makes one message's [`Content`]. The data
//! a template sees is the webhook body (its summary in the receiver's language), plus `receiver` and what Nightbell says of
//! it: `level`, `headline`, of one alert `subject`, `when` and the pieces of its `description`, of several their `lines`. Every value is cleaned for display and escaped
//! for the part's [`OutputKind`]; output, nesting and loops are bounded, and templates reach no file and no network.
//!
//! Pure: reads no file and no clock (the zone and the instant are in its arguments). It must never know of a channel's
//! address, of SMTP or of HTTP.
//!
//! # Design
//! The engine's strict mode lets a misspelt name in `{{#if}}` pass, overflows the stack on deep nesting and loops for
//! ever in partials that include each other. So a template is walked before it is accepted: names against the shape
//! of the data, helpers against the list of [`helpers`], nesting against the limits; partials and decorators are refused.

mod address;
mod check;
mod clean;
mod conditions;
mod digest;
mod guide;
mod helpers;
mod kind;
mod marks;
mod names;
mod sample;
mod say;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use handlebars::{Context, Handlebars, Output, RenderContext, RenderError, RenderErrorReason, Renderable, Template};
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

pub use clean::{clean_value, display_text};
pub use digest::{digest_samples, sample_digest};
pub use guide::{Guide, Line, put as put_guides};
pub use helpers::local_time;
pub use kind::{OutputKind, markdown_text, slack_text, telegram_text};
pub use marks::{Palette, color};
pub use sample::{group_samples, sample_message, samples};

use crate::limits::TEMPLATE_OUTPUT_BYTES_MAX;
use crate::model::{AlertFacts, AlertState, Content, Message, MessageData, MessageKind, Piece, ReceiverId, Severity};
pub use crate::words::truncated;
use crate::words::{self, Language, Listener};

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

/// The checked templates of one receiver, one for each part of its content.
#[derive(Clone)]
pub struct TemplateSet {
    form: Form,
    parts: Arc<[Part]>,
}

struct Part {
    name: &'static str,
    file: String,
    replaced: bool,
    template: Template,
    registry: Handlebars<'static>,
    kind: OutputKind,
}

impl std::fmt::Debug for TemplateSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.parts.iter().map(|part| &part.file)).finish()
    }
}

impl TemplateSet {
    /// Parses and checks the built-in templates, each replaced by the user's where there is one.
    ///
    /// # Errors
    /// Everything that is wrong with the templates' text, in the order of the parts. What only shows when a message is
    /// rendered is found by [`TemplateSet::check_with_sample`].
    pub fn compile(
        built_in: &[BuiltIn],
        overrides: &[Override],
        form: Form,
    ) -> Result<TemplateSet, Vec<TemplateProblem>> {
        let mut problems = Vec::new();
        for stray in overrides.iter().filter(|it| built_in.iter().all(|known| known.part != it.part)) {
            let near = crate::yaml::closest(&stray.part, built_in.iter().map(|known| known.part));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
            let message = format!("there is no part {:?} in this kind of message{hint}", stray.part);
            problems.push(TemplateProblem { file: stray.file.clone(), line: 1, column: 1, message });
        }
        let mut parts = Vec::with_capacity(built_in.len());
        for known in built_in {
            let replacement = overrides.iter().rev().find(|it| it.part == known.part);
            let (file, text) = replacement.map_or((known.file, known.text), |it| (it.file.as_str(), it.text.as_str()));
            match check::checked(file, text, known.kind, form) {
                Ok(template) => parts.push(Part {
                    name: known.part,
                    file: file.to_string(),
                    replaced: replacement.is_some(),
                    template,
                    registry: helpers::registry(known.kind),
                    kind: known.kind,
                }),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() { Ok(TemplateSet { form, parts: parts.into() }) } else { Err(problems) }
    }

    /// Whether the user replaced the template of a part.
    pub fn is_replaced(&self, part: &str) -> bool {
        self.parts.iter().any(|it| it.name == part && it.replaced)
    }

    /// The content of one message.
    ///
    /// # Errors
    /// What went wrong, with file, line and column, in one line. Holds no data of the message.
    pub fn render(&self, message: &Message, locale: &Locale) -> Result<Content, String> {
        self.render_parts(message, locale).map_err(|problem| problem.to_string())
    }

    /// Renders every sample message, ordinary and nasty ones, and says which templates fail on which.
    pub fn check_with_sample(&self, language: Language) -> Vec<TemplateProblem> {
        self.check_with(language, |message| !is_about_job(message))
    }

    /// The same with the samples of alerts about jobs, which have no instance. Only who has a rule about jobs needs
    /// templates that can tell of them.
    pub fn check_about_jobs(&self, language: Language) -> Vec<TemplateProblem> {
        self.check_with(language, is_about_job)
    }

    fn check_with(&self, language: Language, is_wanted: impl Fn(&Message) -> bool) -> Vec<TemplateProblem> {
        let locale = Locale { timezone: TimeZone::UTC, receiver: ReceiverId::new("sample"), language };
        let mut problems: Vec<TemplateProblem> = Vec::new();
        for (name, message) in samples_of(self.form).into_iter().filter(|(_, message)| is_wanted(message)) {
            if let Err(mut problem) = self.render_parts(&message, &locale) {
                problem.message = format!("{} (with the sample message {name:?})", problem.message);
                if problems.iter().all(|known| (known.line, known.column, &known.file) != problem.place()) {
                    problems.push(problem);
                }
            }
        }
        problems
    }

    fn render_parts(&self, message: &Message, locale: &Locale) -> Result<Content, TemplateProblem> {
        let context = Context::from(data(message, locale));
        let mut parts = BTreeMap::new();
        for part in self.parts.iter() {
            parts.insert(part.name.to_string(), part.render(message, locale, &context)?);
        }
        Ok(Content { parts })
    }
}

fn is_about_job(message: &Message) -> bool {
    matches!(&message.data, MessageData::Alert(facts) if facts.instance.is_none())
}

/// The sample messages of a form.
pub fn samples_of(form: Form) -> Vec<(String, Message)> {
    match form {
        Form::Alert => samples(),
        Form::Group => group_samples(),
        Form::Digest => digest_samples(),
    }
}

impl TemplateProblem {
    fn place(&self) -> (usize, usize, &String) {
        (self.line, self.column, &self.file)
    }
}

impl Part {
    fn render(&self, message: &Message, locale: &Locale, context: &Context) -> Result<String, TemplateProblem> {
        let mut render_context = RenderContext::new(None);
        say::register(&mut render_context, locale, message.timestamp);
        let mut output = Capped::default();
        let rendered = self.template.render(&self.registry, context, &mut render_context, &mut output);
        rendered.map_err(|error| self.problem(&error))?;
        self.kind.finished(output.text).map_err(|reason| TemplateProblem {
            file: self.file.clone(),
            line: 1,
            column: 1,
            message: reason,
        })
    }

    /// The engine's error in our words: its own may quote data.
    fn problem(&self, error: &RenderError) -> TemplateProblem {
        let message = reason_in_words(error);
        let (line, column) = (error.line_no.unwrap_or(1), error.column_no.unwrap_or(1));
        TemplateProblem { file: self.file.clone(), line, column, message }
    }
}

fn reason_in_words(error: &RenderError) -> String {
    match error.reason() {
        RenderErrorReason::MissingVariable(Some(name)) => format!("there is no value {name:?} in this message"),
        RenderErrorReason::IOError(error) => error.to_string(),
        RenderErrorReason::InvalidJsonIndex(_) => "a list has no named values".to_string(),
        RenderErrorReason::Other(reason) => reason.clone(),
        RenderErrorReason::ParamTypeMismatchForName(helper, ..) => {
            format!("{helper:?} cannot take a value of this type")
        }
        _ => "it cannot be rendered".to_string(),
    }
}

/// The message with what Nightbell itself says in it, the summary, in a language.
fn localised(message: &Message, language: Language) -> Message {
    let mut message = message.clone();
    // English is what is stored, and stays as it was told.
    if language != Language::En {
        match &mut message.data {
            MessageData::Alert(facts) => facts.alert.summary = words::summary(facts, language),
            MessageData::Group(group) => {
                for facts in &mut group.alerts {
                    facts.alert.summary = words::summary(facts, language);
                }
            }
            MessageData::Digest(facts) => words::say_digest(facts, language),
        }
    }
    message
}

/// How bad it is in one word: `test`, `resolved` when all of it is over, or the worst severity.
pub fn level(message: &Message) -> &'static str {
    if message.digest().is_some() {
        return message.kind.as_str();
    }
    let fires = |facts: &&AlertFacts| facts.alert.state == AlertState::Firing;
    let worst = message.data.alerts().iter().filter(fires).map(|facts| facts.alert.severity).max();
    match (message.kind, worst) {
        (MessageKind::Test, _) => MessageKind::Test.as_str(),
        // Who is on an alert is news for those who were told, and wakes nobody.
        (MessageKind::AlertAcknowledged | MessageKind::AlertUnacknowledged, _) => Severity::Info.as_str(),
        (_, None) => AlertState::Resolved.as_str(),
        (_, Some(severity)) => severity.as_str(),
    }
}

/// What a template sees: the webhook body, its texts cleaned for display, the receiver, and how bad it is.
fn data(message: &Message, locale: &Locale) -> Value {
    // A message is plain data with text keys, which always has a JSON form; without one, every name is missing and the
    // caller falls back to the plain message.
    let message = &localised(message, locale.language);
    let mut value = serde_json::to_value(message).unwrap_or_default();
    clean::clean_value(&mut value);
    if let Value::Object(map) = &mut value {
        let zone = locale.timezone.iana_name().unwrap_or("local");
        let language = locale.language.as_str();
        let receiver = serde_json::json!({ "id": locale.receiver.as_str(), "timezone": zone, "language": language });
        map.insert("receiver".to_string(), receiver);
        said(map, message, locale);
    }
    value
}

/// What Nightbell says of the message as a whole: how bad it is, its headline, what it is about and since when.
fn said(map: &mut Map<String, Value>, message: &Message, locale: &Locale) {
    let (level, language) = (level(message), locale.language);
    let headline = words::headline(message, level, &locale.timezone, language);
    let mut own = serde_json::json!({ "level": level, "headline": headline });
    if !matches!(message.data, MessageData::Digest(_)) {
        own["short_id"] = serde_json::json!(words::short_id(message));
        own["command"] = serde_json::json!(words::command(message));
    }
    if let MessageData::Alert(facts) = &message.data {
        let words::Subject { label, name, source } = words::subject(facts, language);
        own["subject"] = serde_json::json!({ "label": label, "name": name, "source": source });
        own["lately"] = serde_json::json!(words::lately(facts, message.timestamp, &locale.timezone, language));
        own["when"] = Value::from(words::when(facts, message.timestamp, &locale.timezone, language));
    }
    if let MessageData::Group(group) = &message.data {
        let listener = Listener { language, timezone: &locale.timezone, now: message.timestamp };
        own["lines"] = serde_json::json!(words::group_lines(group, &listener));
    }
    if let MessageData::Digest(facts) = &message.data {
        let listener = Listener { language, timezone: &locale.timezone, now: message.timestamp };
        own["lines"] = serde_json::json!(words::digest_lines(facts, &listener));
    }
    clean::clean_value(&mut own);
    // What its author wrote keeps its lines.
    if let MessageData::Alert(facts) = &message.data {
        let piece = |Piece { text, is_own }: &Piece| {
            let text = if *is_own { text.clone() } else { display_text(text) };
            serde_json::json!({ "text": text, "is_own": is_own })
        };
        own["description"] = facts.alert.description.iter().flat_map(|prose| &prose.0).map(piece).collect();
    }
    if let Value::Object(own) = own {
        map.extend(own);
    }
}

/// Collects output up to the limit; a template that runs away is stopped there.
#[derive(Default)]
struct Capped {
    text: String,
}

impl Output for Capped {
    fn write(&mut self, segment: &str) -> io::Result<()> {
        if self.text.len() + segment.len() > TEMPLATE_OUTPUT_BYTES_MAX {
            return Err(io::Error::other(format!("the output is longer than {} KiB", TEMPLATE_OUTPUT_BYTES_MAX >> 10)));
        }
        self.text.push_str(segment);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
