//! From a message to what one receiver is sent. Never fails: a template that does is replaced by the plain message.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::channel::Parts;
use super::plain::Plain;
use super::stand_in;
use super::{ChannelSettings, ReceiverSettings};
use crate::limits::TEMPLATE_FILE_BYTES_MAX;
use crate::model::{Content, Message, StandsInFor};
use crate::template::{BuiltIn, Locale, Override, TemplateProblem, TemplateSet, samples};
use crate::yaml::closest;

/// What one receiver is sent of a message.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The content of the delivery.
    pub content: Content,
    /// Why the content is the plain form, if a template failed.
    pub problem: Option<String>,
}

/// Renders messages for one receiver.
#[derive(Debug, Clone)]
pub struct Renderer {
    channel: ChannelSettings,
    templates: TemplateSet,
    locale: Locale,
}

impl Renderer {
    /// Reads and checks the receiver's templates.
    ///
    /// # Errors
    /// Everything wrong with them, each with file, line and column, found by reading and by rendering the samples.
    pub fn open(settings: &ReceiverSettings) -> Result<Renderer, Vec<TemplateProblem>> {
        let built_in = settings.channel.built_in_templates();
        let mut overrides: Vec<Override> = Vec::new();
        for path in &settings.templates {
            for newer in read_overrides(built_in, path)? {
                overrides.retain(|older| older.part != newer.part);
                overrides.push(newer);
            }
        }
        let templates = TemplateSet::compile(built_in, &overrides)?;
        let problems = templates.check_with_sample(settings.language);
        if !problems.is_empty() {
            return Err(problems);
        }
        let (timezone, receiver) = (settings.timezone.clone(), settings.id.clone());
        let locale = Locale { timezone, receiver, language: settings.language };
        let renderer = Renderer { channel: settings.channel.clone(), templates, locale };
        let problems = renderer.oversized();
        if problems.is_empty() { Ok(renderer) } else { Err(problems) }
    }

    /// What is wrong with the templates for alerts about jobs, which have no instance: `{{#if data.instance}}` guards.
    pub fn problems_about_jobs(&self) -> Vec<TemplateProblem> {
        self.templates.check_about_jobs(self.locale.language)
    }

    /// The receiver's form of a message.
    pub fn render(&self, message: &Message) -> Rendered {
        self.render_for(message, None)
    }

    /// The receiver's form of a message that was meant for another one, which it says.
    pub fn render_stand_in(&self, message: &Message, meant: &StandsInFor) -> Rendered {
        self.render_for(message, Some(meant))
    }

    fn render_for(&self, message: &Message, meant: Option<&StandsInFor>) -> Rendered {
        let channel = self.channel.channel();
        if channel.is_verbatim() && !self.templates.is_replaced("body") {
            return Rendered { content: default_body(message, meant), problem: None };
        }
        let language = self.locale.language;
        let finished = |mut parts: Parts| {
            if let Some(meant) = meant {
                stand_in::put(channel, &mut parts, meant, &self.locale);
            }
            channel.finished(parts, message, language)
        };
        let rendered = self.templates.render(message, &self.locale);
        match rendered.and_then(|content| finished(content.parts)) {
            Ok(parts) => Rendered { content: Content { parts }, problem: None },
            Err(problem) => {
                let plain = Plain { message, locale: &self.locale, problem: &problem };
                // The plain form is short: it fits every channel.
                let parts: Parts = finished(channel.plain(&plain)).unwrap_or_default();
                Rendered { content: Content { parts }, problem: Some(problem) }
            }
        }
    }

    /// The sample messages that come out too large for the channel, which only a replaced template can bring about.
    fn oversized(&self) -> Vec<TemplateProblem> {
        let mut problems = Vec::new();
        for (name, message) in samples() {
            let Ok(content) = self.templates.render(&message, &self.locale) else { continue };
            if let Err(reason) = self.channel.channel().finished(content.parts, &message, self.locale.language) {
                let file = self.channel.kind().to_string();
                let message = format!("{reason} (with the sample message {name:?})");
                problems.push(TemplateProblem { file, line: 1, column: 1, message });
            }
        }
        problems.truncate(1);
        problems
    }
}

/// The webhook body of the contract, texts verbatim: machines read it.
fn default_body(message: &Message, meant: Option<&StandsInFor>) -> Content {
    #[derive(Serialize)]
    struct Body<'a> {
        #[serde(flatten)]
        message: &'a Message,
        #[serde(skip_serializing_if = "Option::is_none")]
        stands_in_for: Option<&'a StandsInFor>,
    }
    // A message is plain data with text keys, which always has a JSON form.
    let body = serde_json::to_string(&Body { message, stands_in_for: meant }).unwrap_or_default();
    Content { parts: BTreeMap::from([("body".to_string(), body)]) }
}

/// The user's templates at `path`: a directory with files named as the built-in ones, or, for kinds with one part, a
/// file.
///
/// # Errors
/// What cannot be read, and template files that replace nothing.
pub fn read_overrides(built_in: &[BuiltIn], path: &Path) -> Result<Vec<Override>, Vec<TemplateProblem>> {
    let problem = |file: &Path, message: String| TemplateProblem {
        file: file.display().to_string(),
        line: 1,
        column: 1,
        message,
    };
    if !path.is_dir() {
        let [only] = built_in else {
            let files: Vec<&str> = built_in.iter().map(|it| it.file).collect();
            let message = format!("not a directory; this kind of receiver has {}", files.join(", "));
            return Err(vec![problem(path, message)]);
        };
        return read(path, only.part).map(|it| vec![it]).map_err(|message| vec![problem(path, message)]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| vec![problem(path, error.to_string())])?;
    let mut names: Vec<_> =
        entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
    names.sort();
    let (mut overrides, mut problems) = (Vec::new(), Vec::new());
    for name in names.iter().filter(|name| name.ends_with(".hbs")) {
        let file = path.join(name);
        let Some(known) = built_in.iter().find(|it| it.file == name) else {
            let files: Vec<&str> = built_in.iter().map(|it| it.file).collect();
            let hint = closest(name, files.iter().copied()).map_or_else(
                || format!("the templates here are {}", files.join(", ")),
                |it| format!("did you mean {it:?}?"),
            );
            problems.push(problem(&file, format!("this template replaces nothing; {hint}")));
            continue;
        };
        match read(&file, known.part) {
            Ok(it) => overrides.push(it),
            Err(message) => problems.push(problem(&file, message)),
        }
    }
    if problems.is_empty() { Ok(overrides) } else { Err(problems) }
}

fn read(file: &Path, part: &str) -> Result<Override, String> {
    let size = std::fs::metadata(file).map_err(|error| error.to_string())?.len();
    if size > TEMPLATE_FILE_BYTES_MAX as u64 {
        return Err(format!("the template is larger than {} KiB", TEMPLATE_FILE_BYTES_MAX >> 10));
    }
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    Ok(Override { part: part.to_string(), file: file.display().to_string(), text })
}
