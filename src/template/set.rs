//! The checked templates of one receiver: compiled once, tried with the samples, rendered for each message.
//!
//! Pure; output is bounded. It must never know of a channel.

use std::collections::BTreeMap;
use std::sync::Arc;

use handlebars::{Context, Handlebars, RenderContext, RenderError, Renderable as _, Template};
use jiff::tz::TimeZone;

use super::data::data;
use super::digest::digest_samples;
use super::form::{BuiltIn, Form, Locale, Override, TemplateProblem};
use super::kind::OutputKind;
use super::output::{Capped, reason_in_words};
use super::sample::{group_samples, samples};
use super::{check, helpers, say};
use crate::model::{Content, Message, MessageData, ReceiverId};
use crate::words::Language;

/// The checked templates of one receiver, one for each part of its content.
#[derive(Clone)]
pub struct TemplateSet {
    form: Form,
    parts: Arc<[CompiledPart]>,
}

struct CompiledPart {
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
                Ok(template) => parts.push(CompiledPart {
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

impl CompiledPart {
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
