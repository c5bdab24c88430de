//! What the configuration says to whoever receives an alert: a description, a runbook, the place in the scheduler's console.
//!
//! Each is a template over the data that every message has. A [`Guide`] belongs to jobs, to a rule or to a source;
//! [`put`] fills in what the nearest of them says. Pure: which guides an alert has is decided elsewhere.
//!
//! # Design
//! The author's text is trusted and what a job wrote is not. So a description stays in pieces until a channel's own template
//! writes it, and an address must name its host itself: values are percent-encoded, and can be no more than a part of its
//! path or query. What cannot be filled in, because an alert has no run or a value is empty, is left out: half an address
//! leads to the wrong place.

use std::sync::{Arc, LazyLock};

use handlebars::{Context, Handlebars, RenderContext, Renderable, Template};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::data::data;
use super::form::{Form, Locale};
use super::kind::{HAS_NO_VALUE, OutputKind, VALUE_MARK};
use super::output::{Capped, reason_in_words};
use super::sample::sample_message;
use super::{address, check, clean, helpers, say};
use crate::limits::GUIDE_TEXT_BYTES_MAX;
use crate::model::{AlertFacts, Message, MessageData, MessageKind, Piece, Prose, ReceiverId};
use crate::words::Language;

static ADDRESSES: LazyLock<Handlebars<'static>> = LazyLock::new(|| helpers::registry(OutputKind::Address));
static TEXTS: LazyLock<Handlebars<'static>> = LazyLock::new(|| helpers::registry(OutputKind::Prose));

/// What is said to whoever receives an alert.
#[derive(Debug, Clone, Default)]
pub struct Guide {
    /// What it means.
    pub description: Option<Line>,
    /// Where it says what to do.
    pub runbook: Option<Line>,
    /// Where the job or the run is in the scheduler's console.
    pub console_url: Option<Line>,
}

impl Guide {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.description.is_none() && self.runbook.is_none() && self.console_url.is_none()
    }
}

/// A text or an address with places for values. Cheap to copy.
#[derive(Debug, Clone)]
pub struct Line(Arc<CompiledLine>);

#[derive(Debug)]
struct CompiledLine {
    kind: OutputKind,
    template: Template,
}

impl Line {
    /// A text for people.
    ///
    /// # Errors
    /// What is wrong with the template, in words.
    pub fn text(written: &str) -> Result<Line, String> {
        let lines: Vec<String> = written.trim().lines().map(clean::display_text).collect();
        Line::compile(&lines.join("\n"), OutputKind::Prose)
    }

    /// An address of the web.
    ///
    /// # Errors
    /// What is wrong with it or with the template, in words.
    pub fn address(written: &str) -> Result<Line, String> {
        let written = written.trim();
        let scheme = written.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| !scheme.contains(['{', '/']));
        if let Some(scheme) = scheme.filter(|scheme| !address::is_web(scheme)) {
            return Err(format!("an address begins with https:// or http://, and not with {scheme}:"));
        }
        let Some(authority) = address::authority(written) else {
            return Err("an address begins with https:// or http://".to_string());
        };
        if authority.contains("{{") {
            return Err("the host must stand in the address itself: no value may choose where a link leads".to_string());
        }
        // What is written before the host may be a password, and would be read by everybody who is told.
        if authority.contains('@') {
            return Err("an address in a message names no user and no password".to_string());
        }
        if authority.is_empty() || authority.contains(|c: char| c.is_whitespace() || "<>\"\\^`|{}".contains(c)) {
            return Err("the address has no valid host".to_string());
        }
        Line::compile(written, OutputKind::Address)
    }

    fn compile(written: &str, kind: OutputKind) -> Result<Line, String> {
        if written.is_empty() {
            return Err("it is empty".to_string());
        }
        if written.len() > GUIDE_TEXT_BYTES_MAX {
            return Err(format!("it is longer than {GUIDE_TEXT_BYTES_MAX} bytes"));
        }
        let template = check::checked("", written, kind, Form::Alert).map_err(|problems| {
            let said = problems.into_iter().map(|problem| problem.message);
            said.collect::<Vec<_>>().join("; ")
        })?;
        let line = Line(Arc::new(CompiledLine { kind, template }));
        line.try_out()?;
        Ok(line)
    }

    /// Fills in the values of two sample messages. That they have no value for a place is no mistake.
    fn try_out(&self) -> Result<(), String> {
        let locale = Locale { timezone: TimeZone::UTC, receiver: ReceiverId::new("sample"), language: Language::En };
        let now = Timestamp::UNIX_EPOCH;
        for kind in [MessageKind::AlertFiring, MessageKind::AlertResolved] {
            let message = sample_message(kind, now);
            let filled = self.filled(&Context::from(data(&message, &locale)), now, &locale);
            if let Err(reason) = filled
                && reason != HAS_NO_VALUE
            {
                return Err(reason);
            }
        }
        Ok(())
    }

    fn filled(&self, context: &Context, now: Timestamp, locale: &Locale) -> Result<String, String> {
        let CompiledLine { kind, template } = &*self.0;
        let registry = if *kind == OutputKind::Prose { &*TEXTS } else { &*ADDRESSES };
        let mut render_context = RenderContext::new(None);
        say::register(&mut render_context, locale, now);
        let mut output = Capped::default();
        let rendered = template.render(registry, context, &mut render_context, &mut output);
        rendered.map_err(|error| reason_in_words(&error))?;
        kind.finished(output.text)
    }
}

/// Puts into an alert's facts what the nearest of its guides says that can be filled in; `guides` are the nearest first.
pub fn put(facts: &mut AlertFacts, guides: &[&Guide], now: Timestamp, locale: &Locale) {
    if guides.iter().all(|guide| guide.is_empty()) {
        return;
    }
    let kind = MessageKind::about(facts.alert.state);
    let message = Message { kind, timestamp: now, data: MessageData::Alert(Box::new(facts.clone())) };
    let context = Context::from(data(&message, locale));
    let nearest = |of: fn(&Guide) -> Option<&Line>| {
        let mut lines = guides.iter().filter_map(|guide| of(guide));
        lines.find_map(|line| line.filled(&context, now, locale).ok().filter(|text| !text.is_empty()))
    };
    facts.alert.links.description = nearest(|guide| guide.description.as_ref()).map(|text| pieces(&text));
    facts.alert.links.runbook = nearest(|guide| guide.runbook.as_ref());
    facts.alert.links.console_url = nearest(|guide| guide.console_url.as_ref());
    if let (Some(run), Some(url)) = (&mut facts.instance, &facts.alert.links.console_url) {
        run.url.get_or_insert_with(|| url.clone());
    }
}

/// The text in pieces: between two marks stands a value.
fn pieces(text: &str) -> Prose {
    let parts = text.split(VALUE_MARK).enumerate().filter(|(_, part)| !part.is_empty());
    Prose(parts.map(|(index, part)| Piece { text: part.to_string(), is_own: index % 2 == 0 }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::samples;

    fn locale() -> Locale {
        Locale { timezone: TimeZone::UTC, receiver: ReceiverId::new("oncall"), language: Language::En }
    }

    fn facts(sample: &str) -> AlertFacts {
        let found = samples().into_iter().find(|(name, _)| name == sample).unwrap();
        found.1.data.alerts()[0].clone()
    }

    fn guided(mut facts: AlertFacts, guides: &[&Guide]) -> AlertFacts {
        put(&mut facts, guides, Timestamp::UNIX_EPOCH, &locale());
        facts
    }

    fn runbook(written: &str) -> Guide {
        Guide { runbook: Some(Line::address(written).unwrap()), ..Guide::default() }
    }

    #[test]
    fn a_value_in_an_address_is_no_more_than_a_part_of_it() {
        let guide = runbook("https://wiki.example.com/{{data.job.name}}?q={{data.alert.rule}}#x");
        let url = guided(facts("alert.firing hostile"), &[&guide]).alert.links.runbook.clone().unwrap();
        assert!(
            url.starts_with("https://wiki.example.com/%3C%21channel%3E%20%3C%40U024BE7LH%3E%20%3Chttps%3A%2F%2Fevil"),
            "{url}"
        );
        assert!(url.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%:/?=#".contains(&byte)), "{url}");
        assert_eq!((url.matches('/').count(), url.matches(['?', '#', '&']).count()), (3, 2), "{url}");
    }

    #[test]
    fn the_nearest_that_can_be_filled_in_counts() {
        let of_run = runbook("https://wiki.example.com/runs/{{data.instance.id}}");
        let of_job = runbook("https://wiki.example.com/jobs/{{data.job.name}}");
        let url = |sample, guides: &[&Guide]| guided(facts(sample), guides).alert.links.runbook.clone();
        assert_eq!(url("alert.firing ordinary", &[&of_run, &of_job]).unwrap(), "https://wiki.example.com/runs/34765");
        // There is no run, and an owner that is not known is no part of an address.
        assert_eq!(
            url("alert.firing job", &[&of_run, &of_job]).unwrap(),
            "https://wiki.example.com/jobs/stream_orders"
        );
        let of_owner = runbook("https://wiki.example.com/people/{{data.job.owner}}");
        assert_eq!(url("alert.firing ordinary", &[&of_owner]), None);
        assert_eq!(
            url("alert.firing ordinary", &[&Guide::default(), &of_job]).unwrap(),
            "https://wiki.example.com/jobs/etl_orders"
        );
    }

    #[test]
    fn what_the_author_wrote_and_what_a_job_wrote_stay_apart() {
        let text = "Call *finance* about {{data.job.name}}: https://wiki.example.com/a_b?x=1&y=2\nthen rerun.";
        let guide = Guide { description: Some(Line::text(text).unwrap()), ..Guide::default() };
        let prose = guided(facts("alert.firing hostile"), &[&guide]).alert.links.description.clone().unwrap();
        let own: Vec<&str> = prose.0.iter().filter(|piece| piece.is_own).map(|piece| piece.text.as_str()).collect();
        assert_eq!(own, ["Call *finance* about ", ": https://wiki.example.com/a_b?x=1&y=2\nthen rerun."]);
        let [_, foreign, _] = &prose.0[..] else { panic!("{prose:?}") };
        assert!(!foreign.is_own && foreign.text.starts_with("<!channel>"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let fault = |written: &str| Line::address(written).unwrap_err();
        assert_eq!(
            fault("javascript:alert(1)"),
            "an address begins with https:// or http://, and not with javascript:"
        );
        assert_eq!(fault("wiki.example.com/x"), "an address begins with https:// or http://");
        assert_eq!(fault("{{data.job.name}}"), "an address begins with https:// or http://");
        let chosen = "the host must stand in the address itself: no value may choose where a link leads";
        assert_eq!(fault("https://{{data.job.name}}/"), chosen);
        assert_eq!(fault("https://wiki.example.com{{data.job.name}}"), chosen);
        assert_eq!(fault("https://u:p@wiki.example.com/"), "an address in a message names no user and no password");
        assert_eq!(fault("https:///x"), "the address has no valid host");
        let named = fault("https://x.example/{{data.jobb.name}}");
        assert_eq!(named, "unknown name \"jobb\" in \"data.jobb.name\"; did you mean \"job\"?");
        assert!(fault("https://x.example/{{{data.job.name}}}").starts_with("unescaped output"));
        assert!(fault("https://x.example/{{duration data.job.name}}").contains("wants milliseconds"));
        assert!(Line::text("{{#if data.job.owner}}").unwrap_err().starts_with("not readable from here on"));
        assert_eq!(Line::text(" ").unwrap_err(), "it is empty");
    }
}
