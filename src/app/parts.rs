//! The parts that the configuration names, opened: sources, receivers with their templates.
//!
//! What a configuration says the same of as the one before it is taken over as it is: a source keeps its tokens and what
//! it has learnt, a receiver its connections.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::error::AppError;
use crate::alert::identity::{delivery_id, digest_delivery_id};
use crate::clock::Clock;
use crate::config::Config;
use crate::limits::RATE_MINUTE;
use crate::model::{
    AlertId, AlertState, Attempt, AttemptOutcome, Delivery, Message, MessageData, MessageKind, Notification,
    ReceiverId, SourceId,
};
use crate::notify::{AnyNotifier, Notifier as _, Rate, ReceiverSettings, Renderer};
use crate::source::{Learnt, Source};
use crate::store::{Outbox as _, PollLedger as _, SqlStore, StoreError};
use crate::template::{TemplateProblem, sample_message};
use crate::worker::budget::{self, Budget};
use crate::worker::deliver::Jitter;

/// What a receiver has open.
pub(super) type Known = (Arc<AnyNotifier>, Arc<Renderer>);

/// A receiver, opened.
pub(super) struct Opened {
    pub(super) settings: ReceiverSettings,
    pub(super) notifier: Arc<AnyNotifier>,
    pub(super) renderer: Arc<Renderer>,
}

/// Opens every receiver, except those that are `known`: open already, and what they were. `were_about_jobs` says whether
/// messages could be about jobs before.
pub(super) fn open_receivers(
    config: &Config,
    were_about_jobs: bool,
    known: impl Fn(&ReceiverId) -> Option<Known>,
) -> Result<Vec<Opened>, AppError> {
    let is_about_jobs = tells_of_jobs(config);
    let open = |settings: &ReceiverSettings| {
        let (opened, is_known) = match known(&settings.id) {
            Some((notifier, renderer)) => (Opened { settings: settings.clone(), notifier, renderer }, true),
            None => (open_receiver(settings)?, false),
        };
        let is_proven = !is_about_jobs || is_known && were_about_jobs;
        let problems = if is_proven { Vec::new() } else { opened.renderer.problems_about_jobs() };
        if problems.is_empty() {
            return Ok(opened);
        }
        Err(AppError::Receiver { id: settings.id.to_string(), reason: listed(&problems) })
    };
    config.receivers.iter().map(open).collect()
}

/// Whether messages can be about something that is no instance.
pub(super) fn tells_of_jobs(config: &Config) -> bool {
    config.rules.tells_of_jobs() || !config.watch.notify.is_empty()
}

fn open_receiver(settings: &ReceiverSettings) -> Result<Opened, AppError> {
    let failed = |reason: String| AppError::Receiver { id: settings.id.to_string(), reason };
    let notifier = AnyNotifier::open(settings).unwrap_or_else(|reason| {
        tracing::warn!(receiver = %settings.id, "the receiver cannot be reached until this is mended: {reason}");
        AnyNotifier::open_later(settings)
    });
    let notifier = Arc::new(notifier);
    let renderer = Arc::new(Renderer::open(settings).map_err(|problems| failed(listed(&problems)))?);
    Ok(Opened { settings: settings.clone(), notifier, renderer })
}

fn listed(problems: &[TemplateProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Opens every source, except those that are `known`: open already, and what they were.
pub(super) fn open_sources(
    config: &Config,
    known: impl Fn(&SourceId) -> Option<Arc<dyn Source>>,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Arc<dyn Source>>, AppError> {
    let open = |settings: &crate::source::SourceSettings| {
        if let Some(known) = known(&settings.id) {
            return Ok(known);
        }
        settings.open(Arc::clone(clock)).map_err(|error| AppError::Source { id: settings.id.to_string(), error })
    };
    config.sources.iter().map(open).collect()
}

/// What the receivers of one destination may be sent together, by destination.
pub(super) type Budgets = HashMap<String, (Rate, Budget)>;

/// What each destination may be sent. A budget is kept as long as its rate is the same; in a new one the attempts of the
/// last minute count, also those of a process that is gone.
pub(super) async fn budgets(
    config: &Config,
    before: Option<&Budgets>,
    store: &SqlStore,
    now: Timestamp,
) -> Result<Budgets, StoreError> {
    let mut budgets = Budgets::new();
    let mut fresh: HashMap<&ReceiverId, Budget> = HashMap::new();
    for (destination, rate) in budget::rates(&config.receivers) {
        let kept = before.and_then(|before| before.get(&destination)).filter(|(known, _)| *known == rate);
        let budget = kept.map_or_else(|| Budget::new(rate), |(_, budget)| budget.clone());
        if kept.is_none() {
            let led_there = config.receivers.iter().filter(|it| it.channel.destination() == destination);
            fresh.extend(led_there.map(|receiver| (&receiver.id, budget.clone())));
        }
        budgets.insert(destination, (rate, budget));
    }
    if !fresh.is_empty() {
        let since = now.checked_sub(RATE_MINUTE).unwrap_or(Timestamp::MIN);
        for (receiver, at) in store.attempts_since(since).await? {
            if let Some(budget) = fresh.get(&receiver) {
                budget.remember(at);
            }
        }
    }
    Ok(budgets)
}

/// Hands a source that was just opened what was learnt of it before.
pub(super) async fn teach(
    source: &dyn Source,
    id: &crate::model::SourceId,
    store: &SqlStore,
) -> Result<Learnt, StoreError> {
    let learnt = store.load_learnt(id).await?;
    source.learn(&learnt);
    Ok(learnt)
}

/// Random numbers from the operating system. Where it has none, the middle of the range serves: jitter only spreads.
pub(super) fn jitter() -> Jitter {
    Box::new(|| getrandom::u32().map_or(0.5, |number| f64::from(number) / (f64::from(u32::MAX) + 1.0)))
}

/// Something wrong with a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverFault {
    /// The key path: `receivers.oncall.webhook_url`. Empty for a template, whose place the message names.
    pub path: String,
    /// What is wrong. Never holds a secret's value.
    pub message: String,
    /// What to do about it, where there is something to say.
    pub help: Option<String>,
}

/// Everything wrong with the receivers: their templates, found by rendering samples, the files they name, and, unless
/// `offline`, the present values of their secrets. Contacts nobody.
pub fn check_receivers(config: &Config, offline: bool) -> Vec<ReceiverFault> {
    let mut all: Vec<ReceiverFault> = Vec::new();
    for settings in &config.receivers {
        let wrong = if offline { Vec::new() } else { settings.channel.check_secrets() };
        all.extend(wrong.into_iter().map(|(key, message)| {
            let help = settings.channel.place_of_secret(&key).map(|place| format!("correct {place}"));
            ReceiverFault { path: format!("receivers.{}.{key}", settings.id), message, help }
        }));
        let closed = AnyNotifier::open(settings).err();
        let path = format!("receivers.{}", settings.id);
        all.extend(closed.map(|message| ReceiverFault { path, message, help: None }));
    }
    let of_template = |message| ReceiverFault { path: String::new(), message, help: None };
    all.extend(check_templates(config).into_iter().map(of_template));
    all
}

fn check_templates(config: &Config) -> Vec<String> {
    let is_about_jobs = tells_of_jobs(config);
    let problems = |settings| match Renderer::open(settings) {
        Ok(renderer) if is_about_jobs => renderer.problems_about_jobs(),
        Ok(_) => Vec::new(),
        Err(problems) => problems,
    };
    let mut all: Vec<String> = config.receivers.iter().flat_map(problems).map(|it| it.to_string()).collect();
    // Receivers of one kind share templates, and so their problems.
    all.dedup();
    all
}

/// Makes one attempt to send a message marked TEST to a receiver, and to close the incident that it opens where the receiver
/// keeps some: a test calls nobody. Keeps nothing.
///
/// # Errors
/// When the receiver cannot be opened. A refused attempt is no error here.
pub async fn send_test(settings: &ReceiverSettings, now: Timestamp) -> Result<Attempt, AppError> {
    let Opened { notifier, renderer, .. } = open_receiver(settings)?;
    // Each test is a message of its own, and its id says when it was made: two tests share no incident either.
    let alert = AlertId::new(format!("test-{}", now.as_millisecond()));
    let message = known_as(&alert, sample_message(MessageKind::Test, now));
    let id = delivery_id(&alert, &settings.id, MessageKind::Test);
    let of = |id, message: &Message| {
        let content = renderer.render(message).content;
        Delivery::pending(Notification::new(id, settings.id.clone(), MessageKind::Test, content, now))
    };
    let attempt = notifier.send(&of(id, &message), now).await;
    if attempt.outcome != AttemptOutcome::Delivered || !renderer.keeps_incidents() {
        notifier.close().await;
        return Ok(attempt);
    }
    let id = delivery_id(&alert, &settings.id, MessageKind::AlertResolved);
    Ok(sent_once(&notifier, &of(id, &over(message, now)), now).await)
}

/// The same message about an alert of that id.
fn known_as(id: &AlertId, message: Message) -> Message {
    let MessageData::Alert(mut facts) = message.data else { return message };
    facts.alert.id = id.clone();
    Message { data: MessageData::Alert(facts), ..message }
}

/// The same message when what it is about is over.
fn over(message: Message, now: Timestamp) -> Message {
    let MessageData::Alert(mut facts) = message.data else { return message };
    (facts.alert.state, facts.alert.ends_at) = (AlertState::Resolved, Some(now));
    Message { data: MessageData::Alert(facts), ..message }
}

/// Makes one attempt to send a digest that was asked for to a receiver. Keeps nothing.
///
/// # Errors
/// When the receiver cannot be opened. A refused attempt is no error here.
pub async fn send_once(
    settings: &ReceiverSettings,
    message: &Message,
    digest: &str,
    now: Timestamp,
) -> Result<Attempt, AppError> {
    let Opened { notifier, renderer, .. } = open_receiver(settings)?;
    // No digest of the configuration has a name with a slash, so that no scheduled one is taken for a repeat.
    let id = digest_delivery_id(&format!("asked/{digest}"), &settings.id, now.as_millisecond());
    let content = renderer.render(message).content;
    let notification = Notification::new(id, settings.id.clone(), message.kind, content, now);
    let delivery = Delivery::pending(notification);
    Ok(sent_once(&notifier, &delivery, now).await)
}

async fn sent_once(notifier: &AnyNotifier, delivery: &Delivery, now: Timestamp) -> Attempt {
    let attempt = notifier.send(delivery, now).await;
    notifier.close().await;
    attempt
}
