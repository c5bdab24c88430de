//! From a message to what one receiver is sent. Never fails: a template that does is replaced by the plain message.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use tracing::warn;

use super::channel::{Parts, body_part};
use super::email;
use super::fallback;
use super::guides::Guides;
use super::plain::Plain;
use super::receiver::{ChannelSettings, ReceiverSettings};
use crate::alert::{bundle_message, group_message, reminder_message};
use crate::limits::{ACK_LINK_TIME, TEMPLATE_FILE_BYTES_MAX};
use crate::model::{AlertFacts, AlertState, Content, MeantFor, Message, MessageData, MessageKind, ReceiverId};
use crate::sign::{ACK, Link, LinkKey};
use crate::template::{BuiltIn, Form, Locale, Override, TemplateProblem, TemplateSet, samples_of};
use crate::words::Language;
use crate::yaml::closest;

/// What one receiver is sent of a message.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The content of the delivery.
    pub content: Content,
    /// Why the content is the plain form, if a template failed.
    pub problem: Option<String>,
}

impl Rendered {
    /// The content for `receiver`. That a template failed, and the plain message goes out, is said in the log, with what
    /// the message is about.
    pub fn into_content(self, receiver: &ReceiverId, about: impl fmt::Display) -> Content {
        if let Some(problem) = &self.problem {
            warn!(%receiver, %about, "the template failed, the plain message goes out: {problem}");
        }
        self.content
    }
}

/// One message about several alerts.
#[derive(Debug, Clone)]
pub struct Grouped {
    /// How many of the alerts it names: the first ones of those that were to be told.
    pub named: usize,
    /// What is sent.
    pub rendered: Rendered,
}

/// Renders messages for one receiver.
#[derive(Debug, Clone)]
pub struct Renderer {
    channel: ChannelSettings,
    templates: TemplateSet,
    /// The templates for several alerts at once; none where those are never told together.
    group: Option<TemplateSet>,
    digests: TemplateSet,
    /// The built-in templates of digests are long, and tests hold them: only what took their place is tried out.
    are_digests_replaced: bool,
    locale: Locale,
    /// How people reach the page.
    page: Option<String>,
    /// What the configuration says to whoever receives an alert.
    guides: Guides,
    /// What the links of messages are signed with; without it they have none that does something.
    links: Option<LinkKey>,
}

impl Renderer {
    /// Reads and checks the receiver's templates.
    ///
    /// # Errors
    /// Everything wrong with them, each with file, line and column, found by reading and by rendering the samples.
    pub fn open(settings: &ReceiverSettings) -> Result<Renderer, Vec<TemplateProblem>> {
        let kind = settings.channel.kind();
        let built_in = [kind.alert, kind.group, kind.digest];
        let mut overrides: [Vec<Override>; 3] = Default::default();
        for path in &settings.templates {
            for (overrides, newer) in overrides.iter_mut().zip(read_overrides(built_in, path)?) {
                replace(overrides, newer);
            }
        }
        let [of_alerts, of_groups, of_digests] = overrides;
        let templates = TemplateSet::compile(built_in[0], &of_alerts, Form::Alert)?;
        // A service whose bodies are the user's own need not understand ours.
        let only_theirs = kind.is_verbatim && !of_alerts.is_empty() && of_groups.is_empty();
        let group = match kind.merges() && !only_theirs {
            true => Some(TemplateSet::compile(built_in[1], &of_groups, Form::Group)?),
            false => None,
        };
        let digests = TemplateSet::compile(built_in[2], &of_digests, Form::Digest)?;
        let are_digests_replaced = !of_digests.is_empty();
        let tried_out = std::iter::once(&templates).chain(&group).chain(are_digests_replaced.then_some(&digests));
        let problems: Vec<TemplateProblem> =
            tried_out.flat_map(|set| set.check_with_sample(settings.language)).collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        let (timezone, receiver) = (settings.timezone.clone(), settings.id.clone());
        let locale = Locale { timezone, receiver, language: settings.language };
        let (channel, page, guides) = (settings.channel.clone(), settings.page.clone(), settings.guides.clone());
        let renderer =
            Renderer { channel, templates, group, digests, are_digests_replaced, locale, page, guides, links: None };
        let problems = renderer.oversized();
        if problems.is_empty() { Ok(renderer) } else { Err(problems) }
    }

    /// The same, whose messages have links that do something, signed with `key`.
    #[must_use]
    pub fn signing(self, key: LinkKey) -> Renderer {
        Renderer { links: Some(key), ..self }
    }

    /// What is wrong with the templates for alerts about jobs, which have no instance: `{{#if data.instance}}` guards.
    pub fn problems_about_jobs(&self) -> Vec<TemplateProblem> {
        self.templates.check_about_jobs(self.locale.language)
    }

    /// The kind of receiver that it renders for.
    pub fn kind(&self) -> &'static str {
        self.channel.kind().word
    }

    /// Whether the receiver keeps an incident open for each alert until it hears of the end.
    pub fn keeps_incidents(&self) -> bool {
        self.channel.kind().pages
    }

    /// Whether waiting alerts may be told together.
    pub fn merges(&self) -> bool {
        self.group.is_some()
    }

    /// The receiver's form of a message.
    pub fn render(&self, message: &Message) -> Rendered {
        self.render_for(message, None)
    }

    /// The receiver's form of a message that was meant for another one, which it says.
    pub fn render_fallback(&self, message: &Message, meant: &MeantFor) -> Rendered {
        self.render_for(message, Some(meant))
    }

    fn render_for(&self, message: &Message, meant: Option<&MeantFor>) -> Rendered {
        let message = &*self.guided(message);
        match self.by_template(message, meant) {
            Ok(content) => Rendered { content, problem: None },
            Err(problem) => {
                // The plain form is short: it fits every channel.
                let content = self.plain(message, meant, &problem).unwrap_or_default();
                Rendered { content, problem: Some(problem) }
            }
        }
    }

    /// The receiver's form of a message that tells who is on an alert: short, and with what the first message of the alert says
    /// from now on (`marked`), where the channel can change that.
    pub fn render_ack(&self, message: &Message, marked: &Message) -> Rendered {
        let made = match self.channel.kind().is_verbatim {
            true => self.by_template(message, None),
            false => self.untemplated(message, None, None),
        };
        let mut rendered = match made {
            Ok(content) => Rendered { content, problem: None },
            Err(problem) => {
                let content = self.untemplated(message, None, Some(&problem)).unwrap_or_default();
                Rendered { content, problem: Some(problem) }
            }
        };
        if let Some((holds, mark)) = self.channel.channel().marks() {
            let first = self.render(marked).content;
            rendered.content.parts.insert(mark.to_string(), first.part(holds).to_string());
        }
        rendered
    }

    /// The receiver's form of one message about the first of `alerts`, as many as fit, two at least; what does not fit
    /// waits with the `waiting` others. `guess` says where to begin to measure. None when not even two fit, or when the
    /// receiver is told of each alert alone.
    pub fn group(&self, alerts: &[AlertFacts], waiting: u64, now: Timestamp, guess: usize) -> Option<Grouped> {
        self.as_many_as_fit(2, &self.all_guided(alerts, now), guess, |named| {
            group_message(named.to_vec(), waiting + (alerts.len() - named.len()) as u64, now)
        })
    }

    /// The same about alerts that were held back until a window of this name has opened.
    pub fn bundle(
        &self,
        alerts: &[AlertFacts],
        waiting: u64,
        window: &str,
        now: Timestamp,
        guess: usize,
    ) -> Option<Grouped> {
        self.as_many_as_fit(2, &self.all_guided(alerts, now), guess, |named| {
            let others = waiting + (alerts.len() - named.len()) as u64;
            bundle_message(named.to_vec(), others, window, now)
        })
    }

    /// The same about alerts that were told before and still fire; one is enough.
    pub fn group_again(&self, alerts: &[AlertFacts], last_told_at: Timestamp, now: Timestamp) -> Option<Grouped> {
        self.as_many_as_fit(1, &self.all_guided(alerts, now), alerts.len(), |named| {
            reminder_message(named.to_vec(), (alerts.len() - named.len()) as u64, last_told_at, now)
        })
    }

    /// Whether a message about several alerts is brought up to date by what answers it.
    pub fn updates(&self) -> bool {
        self.group.is_some() && self.channel.channel().updates().is_some()
    }

    /// Puts into `answer` what the message that it answers says from now on: these alerts, as they are now. When they do not
    /// fit any more, that message stays as it was.
    pub fn add_update(&self, answer: &mut Content, alerts: &[AlertFacts], now: Timestamp) {
        let Some((holds, update)) = self.channel.channel().updates() else { return };
        let guided = self.all_guided(alerts, now);
        let whole = self.as_many_as_fit(1, &guided, alerts.len(), |named| group_message(named.to_vec(), 0, now));
        if let Some(Grouped { named, rendered: Rendered { content, .. } }) = whole
            && named == alerts.len()
        {
            answer.parts.insert(update.to_string(), content.part(holds).to_string());
        }
    }

    fn as_many_as_fit(
        &self,
        least: usize,
        alerts: &[AlertFacts],
        guess: usize,
        message: impl Fn(&[AlertFacts]) -> Message,
    ) -> Option<Grouped> {
        self.group.as_ref()?;
        let mut problem = String::new();
        let by_template = most(least, alerts.len(), guess, |named| {
            self.by_template(&message(&alerts[..named]), None).map_err(|reason| problem = reason).ok()
        });
        if let Some((named, content)) = by_template {
            return Some(Grouped { named, rendered: Rendered { content, problem: None } });
        }
        let plain = |named| self.plain(&message(&alerts[..named]), None, &problem).ok();
        let (named, content) = most(least, alerts.len(), guess, plain)?;
        Some(Grouped { named, rendered: Rendered { content, problem: Some(problem) } })
    }

    /// The templates for a message; none where such a message is never made.
    fn templates_for(&self, message: &Message) -> Option<&TemplateSet> {
        match &message.data {
            MessageData::Alert(_) => Some(&self.templates),
            MessageData::Group(_) => self.group.as_ref(),
            MessageData::Digest(_) => Some(&self.digests),
        }
    }

    /// The message about one alert with what the configuration says of it. A test is about nothing that it knows.
    fn guided<'a>(&self, message: &'a Message) -> Cow<'a, Message> {
        let MessageData::Alert(facts) = &message.data else { return Cow::Borrowed(message) };
        if self.guides.is_empty() || message.kind == MessageKind::Test {
            return Cow::Borrowed(message);
        }
        let mut facts = facts.clone();
        self.guides.put(&mut facts, message.timestamp, &self.locale);
        Cow::Owned(Message { data: MessageData::Alert(facts), ..message.clone() })
    }

    /// Alerts that are told together, with what the configuration says of each.
    fn all_guided<'a>(&self, alerts: &'a [AlertFacts], now: Timestamp) -> Cow<'a, [AlertFacts]> {
        if self.guides.is_empty() {
            return Cow::Borrowed(alerts);
        }
        let mut alerts = alerts.to_vec();
        alerts.iter_mut().for_each(|facts| self.guides.put(facts, now, &self.locale));
        Cow::Owned(alerts)
    }

    /// The message with where each of its alerts is on the page.
    fn linked<'a>(&self, message: &'a Message) -> Cow<'a, Message> {
        let Some(page) = &self.page else { return Cow::Borrowed(message) };
        let mut message = message.clone();
        let until = message.timestamp.checked_add(ACK_LINK_TIME).unwrap_or(message.timestamp);
        let may_be_acked = matches!(
            message.kind,
            MessageKind::AlertFiring | MessageKind::AlertGroup | MessageKind::AlertUnacknowledged
        );
        let links = self.links.as_ref().filter(|_| may_be_acked);
        let link = |facts: &mut AlertFacts| {
            let offers = links.filter(|_| facts.alert.state == AlertState::Firing);
            let part = &mut facts.alert;
            part.links.url = Some(format!("{page}/alerts/{}", part.id));
            let link = Link { alert: part.id.as_str(), episode: part.episode, action: ACK, until };
            let second = until.as_second();
            let signed =
                offers.map(|key| format!("{page}/ack/{}?until={second}&sign={}", part.id, key.signature(&link)));
            part.links.ack_url = signed.filter(|_| part.acked.is_none());
        };
        match &mut message.data {
            MessageData::Alert(facts) => link(facts),
            MessageData::Group(group) => {
                group.alerts.iter_mut().for_each(link);
                group.url = Some(format!("{page}/alerts"));
            }
            MessageData::Digest(_) => {}
        }
        Cow::Owned(message)
    }

    fn by_template(&self, message: &Message, meant: Option<&MeantFor>) -> Result<Content, String> {
        let message = &*self.linked(message);
        let channel = self.channel.channel();
        let templates = self.templates_for(message).ok_or("alerts are not told together here")?;
        if self.channel.kind().is_verbatim && !templates.is_replaced("body") {
            let parts = body_part(default_body(message, meant));
            return channel.finished(parts, message, self.locale.language).map(|parts| Content { parts });
        }
        self.finished(templates.render(message, &self.locale)?.parts, message, meant)
    }

    fn plain(&self, message: &Message, meant: Option<&MeantFor>, problem: &str) -> Result<Content, String> {
        self.untemplated(message, meant, Some(problem))
    }

    /// The message without a template; `problem` is what is wrong with that, where there should be one.
    fn untemplated(
        &self,
        message: &Message,
        meant: Option<&MeantFor>,
        problem: Option<&str>,
    ) -> Result<Content, String> {
        let message = &*self.linked(message);
        let plain = Plain { message, locale: &self.locale, problem };
        self.finished(self.channel.channel().plain(&plain), message, meant)
    }

    /// The content as the channel wants it, saying for whom it was meant where that was somebody else.
    fn finished(&self, mut parts: Parts, message: &Message, meant: Option<&MeantFor>) -> Result<Content, String> {
        let channel = self.channel.channel();
        if let Some(meant) = meant {
            fallback::put(&self.channel, &mut parts, meant, &self.locale);
        }
        channel.finished(parts, message, self.locale.language).map(|parts| Content { parts })
    }

    /// The sample messages that come out too large for the channel, which only a replaced template can bring about.
    fn oversized(&self) -> Vec<TemplateProblem> {
        let mut problems = Vec::new();
        let of_digests = if self.are_digests_replaced { samples_of(Form::Digest) } else { Vec::new() };
        let of_alerts = samples_of(Form::Alert).into_iter().chain(samples_of(Form::Group));
        for (name, message) in of_alerts.chain(of_digests) {
            let rendered = self.templates_for(&message).map(|templates| templates.render(&message, &self.locale));
            // Of one that cannot be rendered the reason is told elsewhere.
            let Some(Ok(content)) = rendered else { continue };
            if let Err(reason) = self.channel.channel().finished(content.parts, &message, self.locale.language) {
                let file = self.channel.kind().word.to_string();
                let message = format!("{reason} (with the sample message {name:?})");
                problems.push(TemplateProblem { file, line: 1, column: 1, message });
            }
        }
        problems.truncate(1);
        problems
    }
}

/// A digest as mail, whatever kind the receiver is: in its words and its zone. A mailbox's own templates count.
///
/// # Errors
/// What is wrong with the templates, in words.
pub fn mail_of_digest(settings: &ReceiverSettings, message: &Message) -> Result<Content, String> {
    if settings.channel.kind().is_mail {
        let listed = |problems: Vec<TemplateProblem>| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
        return Ok(Renderer::open(settings).map_err(|found| listed(found).join("\n"))?.render(message).content);
    }
    let (timezone, receiver) = (settings.timezone.clone(), settings.id.clone());
    built_in_mail_of_digest(&Locale { timezone, receiver, language: settings.language }, message)
}

/// The same in English, for whom no receiver says otherwise.
///
/// # Errors
/// What is wrong with the templates, in words.
pub fn plain_mail_of_digest(timezone: &TimeZone, message: &Message) -> Result<Content, String> {
    let (timezone, receiver) = (timezone.clone(), ReceiverId::new(""));
    built_in_mail_of_digest(&Locale { timezone, receiver, language: Language::En }, message)
}

fn built_in_mail_of_digest(locale: &Locale, message: &Message) -> Result<Content, String> {
    let templates = TemplateSet::compile(email::KIND.digest, &[], Form::Digest);
    let templates = templates.map_err(|_| "the built-in templates are damaged".to_string())?;
    Ok(Content { parts: email::with_pictures(templates.render(message, locale)?.parts, message) })
}

/// From how many alerts in a message on it is found out more precisely how many fit.
const MANY: usize = 100;

/// The largest number from `least` to `all` for which `make` makes something, about: it is looked for from `guess` on, in
/// steps of an eighth, because measuring is rendering.
fn most<T>(least: usize, all: usize, guess: usize, mut make: impl FnMut(usize) -> Option<T>) -> Option<(usize, T)> {
    if all < least {
        return None;
    }
    let mut number = guess.clamp(least, all);
    let mut too_many = all + 1;
    let mut best = make(number).map(|made| (number, made));
    if best.is_some() {
        let more = (number + number / 8 + 1).min(all);
        match (more > number).then(|| make(more)) {
            Some(Some(larger)) => best = Some((more, larger)),
            Some(None) => too_many = more,
            None => {}
        }
    }
    while best.is_none() && number > least {
        too_many = number;
        number = (number - number.div_ceil(8)).max(least);
        best = make(number).map(|made| (number, made));
    }
    let (mut number, mut made) = best?;
    // An eighth of many is many: of those it is found out better.
    while number >= MANY && too_many <= all && too_many - number > MANY / 8 {
        let between = number + (too_many - number) / 2;
        match make(between) {
            Some(larger) => (number, made) = (between, larger),
            None => too_many = between,
        }
    }
    Some((number, made))
}

fn replace(overrides: &mut Vec<Override>, newer: Vec<Override>) {
    overrides.retain(|older| newer.iter().all(|it| it.part != older.part));
    overrides.extend(newer);
}

/// The webhook body of the contract, texts verbatim: machines read it.
fn default_body(message: &Message, meant: Option<&MeantFor>) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        #[serde(flatten)]
        message: &'a Message,
        #[serde(skip_serializing_if = "Option::is_none")]
        stands_in_for: Option<&'a MeantFor>,
    }
    // A message is plain data with text keys, which always has a JSON form.
    serde_json::to_string(&Body { message, stands_in_for: meant }).unwrap_or_default()
}

/// The user's templates at `path`, a list for each list of built-in ones: a directory with files named as the built-in
/// ones, or, where the first list has one part, a file for that one.
///
/// # Errors
/// What cannot be read, and template files that replace nothing.
pub fn read_overrides<const FORMS: usize>(
    built_in: [&[BuiltIn]; FORMS],
    path: &Path,
) -> Result<[Vec<Override>; FORMS], Vec<TemplateProblem>> {
    let problem = |file: &Path, message: String| TemplateProblem {
        file: file.display().to_string(),
        line: 1,
        column: 1,
        message,
    };
    let files: Vec<&str> = built_in.iter().copied().flatten().map(|it| it.file).collect();
    let mut overrides = [const { Vec::new() }; FORMS];
    if !path.is_dir() {
        let Some([only]) = built_in.first() else {
            let message = format!("not a directory; this kind of receiver has {}", files.join(", "));
            return Err(vec![problem(path, message)]);
        };
        overrides[0].push(read(path, only.part).map_err(|message| vec![problem(path, message)])?);
        return Ok(overrides);
    }
    let entries = std::fs::read_dir(path).map_err(|error| vec![problem(path, error.to_string())])?;
    let mut names: Vec<_> =
        entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
    names.sort();
    let mut problems = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(".hbs")) {
        let file = path.join(name);
        let place = |ours: &[BuiltIn]| ours.iter().find(|it| it.file == name).map(|it| it.part);
        let known = built_in.iter().zip(&mut overrides).find_map(|(ours, overrides)| Some((place(ours)?, overrides)));
        let Some((part, overrides)) = known else {
            let hint = closest(name, files.iter().copied()).map_or_else(
                || format!("the templates here are {}", files.join(", ")),
                |it| format!("did you mean {it:?}?"),
            );
            problems.push(problem(&file, format!("this template replaces nothing; {hint}")));
            continue;
        };
        match read(&file, part) {
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
    // Some editors put a byte order mark in front, which would stand before the message.
    let text = text.trim_start_matches('\u{feff}').to_string();
    Ok(Override { part: part.to_string(), file: file.display().to_string(), text })
}

#[cfg(test)]
mod tests {
    use super::most;

    #[test]
    fn what_fits_is_found_near_the_guess() {
        for fits in 2..200 {
            for guess in [1, 2, 7, 50, 150, 500] {
                for all in [2, 3, 20, 150, 300] {
                    let mut tries = 0;
                    let found = most(2, all, guess, |number| {
                        tries += 1;
                        (number <= fits).then_some(number)
                    });
                    let (number, made) = found.expect("two fit");
                    assert!(number == made && number <= fits.min(all) && tries < 40);
                    // Too high a guess finds what fits within an eighth; too low a one grows by as much each time.
                    if guess >= fits {
                        assert!(number >= fits.min(all) * 7 / 8, "{number} of {fits}");
                    } else {
                        assert!(number > guess.clamp(2, all) || number >= fits.min(all) * 7 / 8, "{number} of {fits}");
                    }
                }
            }
        }
        assert_eq!(most(2, 300, 300, |_| None::<()>), None);
        assert_eq!(most(2, 1, 300, Some), None);
        assert_eq!(most(1, 0, 0, Some), None);
        assert_eq!(most(1, 9, 9, |number| (number < 2).then_some(())), Some((1, ())));
    }
}
