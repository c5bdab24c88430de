//! `/metrics`: what was counted, and what there is now, in the OpenMetrics text format. Of a store that does not answer
//! nothing is told but that: a number that nobody has read is not 0.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::fault::Fault;
use super::sight::Sight;
use super::state::{InForce, Web};
use crate::alert::own as watched;
use crate::config::Config;
use crate::limits::WEB_SCRAPE_STORE_TIME_MAX;
use crate::metrics::{Label, Labels};
use crate::rule::Rule;
use crate::store::{Archive as _, Counted, Counts as _, SourceCondition};
use crate::worker::turn::Status;
use crate::worker::{deliver, digest, escalation, fallback, heartbeat, housekeeping, own, poll, remind, unwatched};

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Whole<L> = Family<L, Gauge>;
type Seconds<L> = Family<L, Gauge<f64, AtomicU64>>;

/// `GET /metrics`. Of a store that does not answer the rest is told all the same, with `nightbell_store_up` at 0.
pub(super) async fn metrics(State(web): State<Web>, sight: Sight) -> Result<Response, Fault> {
    sight.must_be_whole()?;
    let now = web.now();
    let mut registry = Registry::with_prefix("nightbell");
    web.metrics.register(&mut registry);
    let in_force = web.in_force();
    of_program(&mut registry, &web, &in_force, now);
    let stored = stored(&web, now).await;
    if let Err(error) = &stored {
        tracing::warn!(%error, "the metrics lack what the store has");
    }
    let up = Gauge::<i64>::default();
    up.set(i64::from(stored.is_ok()));
    registry.register("store_up", "Whether the store answers", up);
    if let Ok((counted, sources)) = &stored {
        of_store(&mut registry, &in_force, counted, now);
        of_sources(&mut registry, &in_force, sources, now);
    }
    let mut text = String::new();
    encode(&mut text, &registry)
        .map_err(|_| Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written"))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

async fn stored(web: &Web, now: Timestamp) -> Result<(Counted, Vec<SourceCondition>), String> {
    let asked = async { Ok((web.store.gauges(now).await?, web.store.sources().await?)) };
    let answered = tokio::time::timeout(WEB_SCRAPE_STORE_TIME_MAX, asked).await;
    let answered = answered.map_err(|_| format!("no answer within {} s", WEB_SCRAPE_STORE_TIME_MAX.as_secs()))?;
    answered.map_err(|error: crate::store::StoreError| error.to_string())
}

/// The loops that a configuration has, by the names under which their statuses are known, whether they have begun or not:
/// another replica may run them.
fn loops_of(config: &Config) -> impl Iterator<Item = String> {
    let rules = config.rules.rules();
    let own = [
        (digest::NAME, !config.digests.is_empty()),
        (escalation::NAME, true),
        (fallback::NAME, config.receivers.iter().any(|receiver| receiver.fallback.is_some())),
        (heartbeat::NAME, config.heartbeat.is_some()),
        (housekeeping::NAME, true),
        (own::NAME, true),
        (remind::NAME, rules.iter().any(Rule::repeats)),
        (unwatched::NAME, true),
    ];
    let own = own.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name.to_string());
    let lanes = config.receivers.iter().map(|receiver| deliver::status_name(&receiver.id));
    let polls = config.sources.iter().map(|source| poll::status_name(&source.id));
    own.chain(lanes).chain(polls)
}

fn of_program(registry: &mut Registry, web: &Web, in_force: &InForce, now: Timestamp) {
    registry.register("build", "The version that runs", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
    let started = Gauge::<f64, AtomicU64>::default();
    started.set(seconds(web.started_at));
    registry.register("start_timestamp_seconds", "Since when it runs", started);
    let generation = Gauge::<i64>::default();
    generation.set(in_force.number);
    registry.register("config_generation", "How many configurations have been in force", generation);
    let success = Gauge::<i64>::default();
    success.set(i64::from(web.reloads.refusal().is_none()));
    registry.register("config_last_reload_successful", "Whether what the files say is in force", success);
    let since = Gauge::<f64, AtomicU64>::default();
    since.set(seconds(in_force.since));
    let says = "Since when the configuration is in force";
    registry.register("config_last_reload_success_timestamp_seconds", says, since);
    let (failing, hanging, looked) =
        (Whole::<Label>::default(), Whole::<Label>::default(), Seconds::<Label>::default());
    let mut loops: BTreeMap<String, Status> =
        loops_of(&in_force.config).map(|name| (name, Status::default())).collect();
    loops.extend(web.statuses.all());
    for (name, status) in loops {
        let label = [("loop", name)];
        failing.get_or_create(&label).set(i64::from(status.failing.is_some()));
        hanging.get_or_create(&label).set(i64::from(status.fault(now).is_some()));
        looked.get_or_create(&label).set(status.looked_at.map_or(0.0, seconds));
    }
    registry.register("loop_failing", "Whether the last turn of a loop failed", failing);
    registry.register("loop_faulty", "Whether a loop has failed for long, or hangs", hanging);
    registry.register("loop_last_turn_timestamp_seconds", "When the last turn of a loop began; 0 before it", looked);
}

fn of_store(registry: &mut Registry, in_force: &InForce, counted: &Counted, now: Timestamp) {
    let (pending, oldest, dead) = (Whole::<Label>::default(), Seconds::<Label>::default(), Whole::<Label>::default());
    for settings in &in_force.config.receivers {
        let label = [("receiver", settings.id.to_string())];
        pending.get_or_create(&label).set(0);
        oldest.get_or_create(&label).set(0.0);
        dead.get_or_create(&label).set(0);
    }
    for (receiver, count, made) in &counted.pending {
        let label = [("receiver", receiver.to_string())];
        pending.get_or_create(&label).set(whole(*count));
        oldest.get_or_create(&label).set(now.duration_since(*made).as_secs_f64().max(0.0));
    }
    for (receiver, count) in &counted.dead {
        dead.get_or_create(&[("receiver", receiver.to_string())]).set(whole(*count));
    }
    registry.register("outbox_pending", "Deliveries that are pending", pending);
    registry.register("outbox_oldest_age_seconds", "Age of the oldest delivery that is pending; 0 for none", oldest);
    registry.register("dead_letters", "Deliveries that were given up and are kept", dead);
    let firing = Whole::<Labels>::default();
    for rule in in_force.config.rules.rules() {
        firing.get_or_create(&[("rule", rule.id.to_string()), ("severity", rule.severity.to_string())]).set(0);
    }
    for rule in watched::RULES {
        let severity = watched::severity_of(rule).to_string();
        firing.get_or_create(&[("rule", rule.to_string()), ("severity", severity)]).set(0);
    }
    for (rule, severity, count) in &counted.firing {
        let severity = severity.map_or_else(|| "unknown".to_string(), |severity| severity.to_string());
        firing.get_or_create(&[("rule", rule.to_string()), ("severity", severity)]).set(whole(*count));
    }
    registry.register("alerts_firing", "Alerts that fire now", firing);
    let silences = Gauge::<i64>::default();
    silences.set(whole(counted.silences));
    registry.register("silences_active", "Silences that hold now", silences);
}

fn of_sources(registry: &mut Registry, in_force: &InForce, sources: &[SourceCondition], now: Timestamp) {
    let (readable, lag) = (Whole::<Label>::default(), Seconds::<Label>::default());
    for settings in &in_force.config.sources {
        let condition = sources.iter().find(|condition| condition.id == settings.id);
        let label = [("source", settings.id.to_string())];
        let is_readable = condition.is_some_and(|condition| condition.unreadable.is_none());
        readable.get_or_create(&label).set(i64::from(is_readable));
        let read_until = condition.and_then(|condition| condition.read_until);
        lag.get_or_create(&label).set(read_until.map_or(0.0, |until| now.duration_since(until).as_secs_f64().max(0.0)));
    }
    registry.register("source_readable", "Whether the source could be read at the last poll", readable);
    let says = "How long ago everything was read of the source; 0 before the first time";
    registry.register("source_lag_seconds", says, lag);
}

fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
