//! The parts that the configuration names, opened: sources, receivers with their templates, loops.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::AppError;
use crate::alert::identity::{delivery_id, digest_delivery_id};
use crate::clock::Clock;
use crate::config::Config;
use crate::limits::RATE_MINUTE;
use crate::model::{AlertId, Attempt, Delivery, Message, MessageKind, ReceiverId};
use crate::notify::{AnyNotifier, Notifier as _, Rate, ReceiverSettings, Renderer};
use crate::rule::{MatchCache, Muting, Rule};
use crate::source::{AnySource, Learnt, Source as _};
use crate::store::{SqlStore, Store as _, StoreError};
use crate::template::{TemplateProblem, sample_message};
use crate::worker::budget::Budget;
use crate::worker::deliver::{Jitter, Lane};
use crate::worker::fallback::{Fallbacks, Route};
use crate::worker::poll::{Addressee, Addressees, Poller, Terms};
use crate::worker::remind::Reminders;

/// A receiver, opened.
pub(super) struct Opened {
    settings: ReceiverSettings,
    notifier: AnyNotifier,
    renderer: Renderer,
}

/// Opens every receiver.
pub(super) fn open_receivers(config: &Config) -> Result<Vec<Opened>, AppError> {
    let is_about_jobs = config.rules.tells_of_jobs() || !config.watch.notify.is_empty();
    let open = |settings| {
        let opened = open_receiver(settings)?;
        let problems = if is_about_jobs { opened.renderer.problems_about_jobs() } else { Vec::new() };
        if problems.is_empty() {
            return Ok(opened);
        }
        Err(AppError::Receiver { id: settings.id.to_string(), reason: listed(&problems) })
    };
    config.receivers.iter().map(open).collect()
}

fn open_receiver(settings: &ReceiverSettings) -> Result<Opened, AppError> {
    let failed = |reason: String| AppError::Receiver { id: settings.id.to_string(), reason };
    let notifier = AnyNotifier::open(settings).map_err(failed)?;
    let renderer = Renderer::open(settings).map_err(|problems| failed(listed(&problems)))?;
    Ok(Opened { settings: settings.clone(), notifier, renderer })
}

fn listed(problems: &[TemplateProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Opens every source.
pub(super) fn open_sources(config: &Config, clock: &Arc<dyn Clock>) -> Result<Vec<AnySource>, AppError> {
    let open = |settings| {
        AnySource::open(settings, Arc::clone(clock))
            .map_err(|error| AppError::Source { id: settings.id.to_string(), error })
    };
    config.sources.iter().map(open).collect()
}

/// The loops that reach the receivers, and what the others need of them.
pub(super) struct Wired {
    pub(super) addressees: Arc<Addressees>,
    pub(super) lanes: Vec<Lane<SqlStore, AnyNotifier>>,
    pub(super) fallbacks: Fallbacks<SqlStore>,
}

/// One lane per receiver, and the loop that has fallbacks told.
pub(super) fn lanes(
    receivers: Vec<Opened>,
    budgets: &HashMap<ReceiverId, Budget>,
    store: &Arc<SqlStore>,
    clock: &Arc<dyn Clock>,
) -> Wired {
    let mut addressees = HashMap::new();
    let (mut lanes, mut routes) = (Vec::new(), Vec::new());
    for Opened { settings, notifier, renderer } in receivers {
        let mut lane =
            Lane::new(settings.id.clone(), Arc::clone(store), Arc::new(notifier), Arc::clone(clock), jitter());
        if let Some(budget) = budgets.get(&settings.id) {
            lane = lane.within(budget.clone(), Arc::new(renderer.clone()));
        }
        let addressee = Addressee { renderer, send_resolved: settings.send_resolved, nudge: lane.nudge() };
        addressees.insert(settings.id.clone(), addressee);
        lanes.push(lane);
        routes.extend(settings.fallback.map(|fallback| Route { receiver: settings.id, fallback }));
    }
    let addressees = Arc::new(addressees);
    let fallbacks = Fallbacks::new(Arc::clone(store), Arc::clone(clock), Arc::clone(&addressees), routes);
    let lanes = lanes.into_iter().map(|lane| lane.telling_of_deaths(fallbacks.nudge())).collect();
    Wired { addressees, lanes, fallbacks }
}

/// The loop that tells groups again.
pub(super) fn reminders(
    config: &Config,
    store: &Arc<SqlStore>,
    addressees: &Arc<Addressees>,
    clock: &Arc<dyn Clock>,
) -> Reminders<SqlStore> {
    let repeats = |rule: &Rule| rule.group.as_ref().is_some_and(|group| group.repeat.is_some());
    Reminders {
        store: Arc::clone(store),
        clock: Arc::clone(clock),
        addressees: Arc::clone(addressees),
        muting: Muting::new(Arc::clone(&config.mute_windows)),
        is_wanted: config.rules.rules().iter().any(repeats),
    }
}

/// What each receiver may be sent: one budget for each destination, in which the attempts of the last minute count, also
/// those of a process that is gone.
pub(super) async fn budgets(
    config: &Config,
    store: &SqlStore,
    now: Timestamp,
) -> Result<HashMap<ReceiverId, Budget>, StoreError> {
    let mut rates: HashMap<String, Rate> = HashMap::new();
    for receiver in &config.receivers {
        let rate = rates.entry(receiver.channel.destination()).or_insert(receiver.rate);
        *rate = rate.stricter(receiver.rate);
    }
    let of_destinations: HashMap<String, Budget> =
        rates.into_iter().map(|(destination, rate)| (destination, Budget::new(rate))).collect();
    let budgets: HashMap<ReceiverId, Budget> = config
        .receivers
        .iter()
        .filter_map(|it| Some((it.id.clone(), of_destinations.get(&it.channel.destination())?.clone())))
        .collect();
    let since = now.checked_sub(RATE_MINUTE).unwrap_or(Timestamp::MIN);
    for (receiver, at) in store.attempts_since(since).await? {
        if let Some(budget) = budgets.get(&receiver) {
            budget.remember(at);
        }
    }
    Ok(budgets)
}

/// Random numbers from the operating system. Where it has none, the middle of the range serves: jitter only spreads.
fn jitter() -> Jitter {
    Box::new(|| getrandom::u32().map_or(0.5, |number| f64::from(number) / (f64::from(u32::MAX) + 1.0)))
}

/// Hands each source what was learnt of it before.
pub(super) async fn teach(
    config: &Config,
    sources: Vec<AnySource>,
    store: &SqlStore,
) -> Result<Vec<(AnySource, Learnt)>, StoreError> {
    let mut taught = Vec::with_capacity(sources.len());
    for (settings, source) in config.sources.iter().zip(sources) {
        let learnt = store.load_learnt(&settings.id).await?;
        source.learn(&learnt);
        taught.push((source, learnt));
    }
    Ok(taught)
}

/// One poller per source.
pub(super) fn pollers(
    config: &Config,
    sources: Vec<(AnySource, Learnt)>,
    store: &Arc<SqlStore>,
    addressees: &Arc<Addressees>,
    clock: &Arc<dyn Clock>,
) -> Vec<Poller<AnySource, SqlStore>> {
    let rules = Arc::new(config.rules.clone());
    let pair = config.sources.iter().zip(sources);
    pair.map(|(settings, (source, learnt))| Poller {
        settings: settings.clone(),
        source,
        store: Arc::clone(store),
        rules: Arc::clone(&rules),
        addressees: Arc::clone(addressees),
        clock: Arc::clone(clock),
        matches: MatchCache::default(),
        muting: Muting::new(Arc::clone(&config.mute_windows)),
        terms: Terms { labels: settings.labels.clone(), routes: Arc::clone(&config.routes), generation: None },
        followed_at: HashMap::new(),
        past: HashMap::new(),
        learnt,
        memory: None,
    })
    .collect()
}

/// Everything wrong with the receivers' templates, found by rendering samples. Contacts nobody.
pub fn check_templates(config: &Config) -> Vec<String> {
    let is_about_jobs = config.rules.tells_of_jobs() || !config.watch.notify.is_empty();
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

/// Makes one attempt to send a message marked TEST to a receiver. Keeps nothing.
///
/// # Errors
/// When the receiver cannot be opened. A refused attempt is no error here.
pub async fn send_test(settings: &ReceiverSettings, now: Timestamp) -> Result<Attempt, AppError> {
    let Opened { notifier, renderer, .. } = open_receiver(settings)?;
    let message = sample_message(MessageKind::Test, now);
    // Each test is a message of its own, and its id says when it was made.
    let alert = AlertId::new(format!("test-{}", now.as_millisecond()));
    let id = delivery_id(&alert, &settings.id, MessageKind::Test);
    let content = renderer.render(&message).content;
    let delivery = Delivery::owed(id, settings.id.clone(), MessageKind::Test, content, now);
    Ok(notifier.send(&delivery, now).await)
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
    let delivery = Delivery::owed(id, settings.id.clone(), message.kind, content, now);
    Ok(notifier.send(&delivery, now).await)
}
