//! What is counted while the program runs: polls, listings, alerts, attempts, how long things take.
//!
//! The loops count here and the scrape reads it; what the store can tell at any time (what is pending, what fires) is not
//! counted but asked for when somebody looks. Names and units follow the conventions of Prometheus: `_total` for counters,
//! seconds for times. Labels are names from the configuration and words of our own, never what a scheduler or a request
//! says: their number is known, and each series is there from the start, at 0. Cheap to copy; a copy counts into the same
//! series. This module must never know who counts, nor the store.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// One label: its name and its value.
pub type Label = [(&'static str, String); 1];
/// Two labels.
pub type Labels = [(&'static str, String); 2];

/// From the scheduler's word to the decision: a poll a minute makes it half a minute in the usual case.
const LAG_BUCKETS: [f64; 11] = [1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14_400.0];
/// From the decision to the channel's answer: a healthy one takes less than a second.
const DELIVERY_BUCKETS: [f64; 11] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 14_400.0];
/// How long a poll takes, with everything that it asks.
const POLL_BUCKETS: [f64; 9] = [0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0];
/// How long the store takes to keep something for good.
const STORE_BUCKETS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];
/// How long a page, an answer of the API or a scrape takes.
const HTTP_BUCKETS: [f64; 8] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// How a poll can end.
pub const POLL_OUTCOMES: [&str; 4] = ["whole", "short", "unread", "failed"];
/// How an attempt can end.
pub const ATTEMPT_OUTCOMES: [&str; 6] = ["delivered", "retry", "throttled", "unauthorized", "unknown", "rejected"];
/// What can hold an alert back.
pub const SUPPRESSIONS: [&str; 5] = ["first-poll", "silence", "mute-window", "inhibited", "too-many-episodes"];
/// What the store is asked to keep.
pub const STORE_WRITES: [&str; 2] = ["poll", "attempts"];
/// The classes of what the web server answers.
pub const HTTP_CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

type Timed<L> = Family<L, Histogram, fn() -> Histogram>;

/// Everything that is counted.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Series>);

#[derive(Debug)]
struct Series {
    polls: Family<Labels, Counter>,
    poll_seconds: Timed<Label>,
    listed: Family<Label, Counter>,
    last_success: Family<Label, Gauge<f64, std::sync::atomic::AtomicU64>>,
    alerts: Family<Labels, Counter>,
    ended: Family<Labels, Counter>,
    suppressed: Family<Label, Counter>,
    decision_lag: Histogram,
    attempts: Family<Labels, Counter>,
    retries: Family<Label, Counter>,
    delivered: Family<Label, Counter>,
    dead: Family<Label, Counter>,
    delivery_lag: Timed<Label>,
    notice_lag: Timed<Label>,
    store_seconds: Timed<Label>,
    lease_held: Family<Label, Gauge>,
    lease_token: Family<Label, Gauge>,
    requests: Family<Label, Counter>,
    request_seconds: Histogram,
    connections_refused: Counter,
}

impl Default for Series {
    fn default() -> Self {
        Series {
            polls: Family::default(),
            poll_seconds: Family::new_with_constructor(|| Histogram::new(POLL_BUCKETS)),
            listed: Family::default(),
            last_success: Family::default(),
            alerts: Family::default(),
            ended: Family::default(),
            suppressed: Family::default(),
            decision_lag: Histogram::new(LAG_BUCKETS),
            attempts: Family::default(),
            retries: Family::default(),
            delivered: Family::default(),
            dead: Family::default(),
            delivery_lag: Family::new_with_constructor(|| Histogram::new(DELIVERY_BUCKETS)),
            notice_lag: Family::new_with_constructor(|| Histogram::new(LAG_BUCKETS)),
            store_seconds: Family::new_with_constructor(|| Histogram::new(STORE_BUCKETS)),
            lease_held: Family::default(),
            lease_token: Family::default(),
            requests: Family::default(),
            request_seconds: Histogram::new(HTTP_BUCKETS),
            connections_refused: Counter::default(),
        }
    }
}

/// What a poll came to, as far as it is counted.
#[derive(Debug, Clone, Copy)]
pub struct Polled {
    /// One of [`POLL_OUTCOMES`].
    pub outcome: &'static str,
    /// How many instances were listed.
    pub listed: usize,
    /// How long it took.
    pub took: Duration,
    /// When it ended, in seconds since 1970.
    pub ended_at: f64,
}

/// What an attempt came to, as far as it is counted.
#[derive(Debug, Clone, Copy)]
pub struct Attempted {
    /// One of [`ATTEMPT_OUTCOMES`].
    pub outcome: &'static str,
    /// Whether it was the first one of its delivery.
    pub is_first: bool,
    /// Whether the delivery was given up after it.
    pub is_dead: bool,
    /// How long after its making the delivery arrived, if it did.
    pub arrived_after: Option<Duration>,
    /// How long after that came to hold which it is the first to tell of.
    pub noticed_after: Option<Duration>,
}

impl Metrics {
    /// Has every series of a source be there.
    pub fn expect_source(&self, source: &str) {
        for outcome in POLL_OUTCOMES {
            drop(self.0.polls.get_or_create(&[("source", source.into()), ("outcome", outcome.into())]));
        }
        drop(self.0.poll_seconds.get_or_create(&[("source", source.into())]));
        drop(self.0.listed.get_or_create(&[("source", source.into())]));
        drop(self.0.last_success.get_or_create(&[("source", source.into())]));
    }

    /// Has every series of a receiver be there.
    pub fn expect_receiver(&self, receiver: &str) {
        for outcome in ATTEMPT_OUTCOMES {
            drop(self.0.attempts.get_or_create(&[("receiver", receiver.into()), ("outcome", outcome.into())]));
        }
        for family in [&self.0.retries, &self.0.delivered, &self.0.dead] {
            drop(family.get_or_create(&[("receiver", receiver.into())]));
        }
        for family in [&self.0.delivery_lag, &self.0.notice_lag] {
            drop(family.get_or_create(&[("receiver", receiver.into())]));
        }
    }

    /// Has every series of a rule be there.
    pub fn expect_rule(&self, rule: &str, severity: &str, reasons: impl IntoIterator<Item = &'static str>) {
        drop(self.0.alerts.get_or_create(&[("rule", rule.into()), ("severity", severity.into())]));
        for reason in reasons {
            drop(self.0.ended.get_or_create(&[("rule", rule.into()), ("reason", reason.into())]));
        }
    }

    /// Has every series be there that belongs to no name of the configuration.
    pub fn expect_common(&self) {
        for reason in SUPPRESSIONS {
            drop(self.0.suppressed.get_or_create(&[("reason", reason.into())]));
        }
        for write in STORE_WRITES {
            drop(self.0.store_seconds.get_or_create(&[("write", write.into())]));
        }
        for class in HTTP_CLASSES {
            drop(self.0.requests.get_or_create(&[("class", class.into())]));
        }
    }

    /// A poll has ended.
    pub fn polled(&self, source: &str, polled: Polled) {
        self.0.polls.get_or_create(&[("source", source.into()), ("outcome", polled.outcome.into())]).inc();
        self.0.poll_seconds.get_or_create(&[("source", source.into())]).observe(polled.took.as_secs_f64());
        self.0.listed.get_or_create(&[("source", source.into())]).inc_by(polled.listed as u64);
        if polled.outcome == "whole" {
            self.0.last_success.get_or_create(&[("source", source.into())]).set(polled.ended_at);
        }
    }

    /// An alert began.
    pub fn fired(&self, rule: &str, severity: &str) {
        self.0.alerts.get_or_create(&[("rule", rule.into()), ("severity", severity.into())]).inc();
    }

    /// It was decided that a condition holds, `lag` after it came to.
    pub fn decided(&self, lag: Duration) {
        self.0.decision_lag.observe(lag.as_secs_f64());
    }

    /// An alert began and nobody is notified, for the reason of this word; what stands behind a colon in it names one of
    /// many and is no label.
    pub fn held_back(&self, word: &str) {
        let reason = word.split(':').next().unwrap_or_default();
        self.0.suppressed.get_or_create(&[("reason", reason.into())]).inc();
    }

    /// An alert ended, for this reason.
    pub fn ended(&self, rule: &str, reason: &str) {
        self.0.ended.get_or_create(&[("rule", rule.into()), ("reason", reason.into())]).inc();
    }

    /// An attempt has ended.
    pub fn attempted(&self, receiver: &str, attempted: Attempted) {
        let labels = [("receiver", receiver.to_string()), ("outcome", attempted.outcome.to_string())];
        self.0.attempts.get_or_create(&labels).inc();
        let label = || [("receiver", receiver.to_string())];
        if !attempted.is_first {
            self.0.retries.get_or_create(&label()).inc();
        }
        if attempted.is_dead {
            self.0.dead.get_or_create(&label()).inc();
        }
        if let Some(after) = attempted.arrived_after {
            self.0.delivered.get_or_create(&label()).inc();
            self.0.delivery_lag.get_or_create(&label()).observe(after.as_secs_f64());
        }
        if let Some(after) = attempted.noticed_after {
            self.0.notice_lag.get_or_create(&label()).observe(after.as_secs_f64());
        }
    }

    /// How this process stands to a lease: the token under which it holds it, or none while it does not. A lease that needs no
    /// token, because the process is alone, has 0.
    pub fn lease(&self, name: &str, token: Option<i64>) {
        let label = || [("lease", name.to_string())];
        self.0.lease_held.get_or_create(&label()).set(i64::from(token.is_some()));
        self.0.lease_token.get_or_create(&label()).set(token.unwrap_or(0));
    }

    /// There is no such lease any more.
    pub fn forget_lease(&self, name: &str) {
        for family in [&self.0.lease_held, &self.0.lease_token] {
            family.remove(&[("lease", name.to_string())]);
        }
    }

    /// The store has kept something: one of [`STORE_WRITES`].
    pub fn stored(&self, write: &'static str, took: Duration) {
        self.0.store_seconds.get_or_create(&[("write", write.into())]).observe(took.as_secs_f64());
    }

    /// The web server has answered.
    pub fn answered(&self, status: u16, took: Duration) {
        let class = HTTP_CLASSES.get(usize::from(status / 100).saturating_sub(2)).copied().unwrap_or("5xx");
        self.0.requests.get_or_create(&[("class", class.into())]).inc();
        self.0.request_seconds.observe(took.as_secs_f64());
    }

    /// The web server has turned a connection away because there were too many.
    pub fn refused_connection(&self) {
        self.0.connections_refused.inc();
    }

    /// Puts all of it under `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let Series { polls, poll_seconds, listed, last_success, alerts, ended, suppressed, decision_lag, .. } =
            &*self.0;
        registry.register("polls", "Polls of a source, by how they ended", polls.clone());
        registry.register("poll_duration_seconds", "How long a poll takes", poll_seconds.clone());
        registry.register("instances_listed", "Instances that a source has listed", listed.clone());
        let says = "When a source was last read as a whole; 0 before the first time";
        registry.register("source_last_success_timestamp_seconds", says, last_success.clone());
        registry.register("alerts", "Alerts that began, also those that nobody was notified of", alerts.clone());
        registry.register("alerts_ended", "Alerts that ended, by the reason", ended.clone());
        let says = "Alerts that began and were held back, by what held them back";
        registry.register("alerts_suppressed", says, suppressed.clone());
        let says = "From when a condition came to hold until Nightbell decided that it does";
        registry.register("decision_lag_seconds", says, decision_lag.clone());
        let Series { attempts, retries, delivered, dead, delivery_lag, notice_lag, store_seconds, requests, .. } =
            &*self.0;
        registry.register("delivery_attempts", "Attempts to deliver, by what they came to", attempts.clone());
        registry.register("delivery_retries", "Attempts after the first one of a delivery", retries.clone());
        registry.register("deliveries_delivered", "Deliveries that the channel has confirmed", delivered.clone());
        registry.register("deliveries_dead", "Deliveries that were given up", dead.clone());
        let says = "From the making of a delivery until the channel has confirmed it";
        registry.register("delivery_lag_seconds", says, delivery_lag.clone());
        let says = "From when a condition came to hold until the channel has confirmed its first message, a group's too; \
                    of what no window holds back";
        registry.register("notice_lag_seconds", says, notice_lag.clone());
        registry.register("store_write_seconds", "How long the store takes to keep something", store_seconds.clone());
        let Series { lease_held, lease_token, .. } = &*self.0;
        let says = "Whether this process may run the loop of a lease; one process of all on a store may";
        registry.register("lease_held", says, lease_held.clone());
        let says =
            "Under which token this process holds a lease; it grows with each taking. 0 where it does not, or is alone";
        registry.register("lease_token", says, lease_token.clone());
        registry.register("http_requests", "What the page and the API have answered", requests.clone());
        let says = "How long the page and the API take";
        registry.register("http_request_duration_seconds", says, self.0.request_seconds.clone());
        let says = "Connections that were turned away because there were too many";
        registry.register("http_connections_refused", says, self.0.connections_refused.clone());
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn every_series_is_there_from_the_start_and_no_name_of_a_thing_becomes_a_label() {
        let metrics = Metrics::default();
        metrics.expect_source("warehouse");
        metrics.expect_receiver("oncall");
        metrics.expect_rule("etl-failed", "critical", ["recovered"]);
        metrics.expect_common();
        let mut registry = Registry::with_prefix("nightbell");
        metrics.register(&mut registry);
        let text = |registry: &Registry| {
            let mut text = String::new();
            encode(&mut text, registry).unwrap();
            text
        };
        let before = text(&registry);
        for line in [
            r#"nightbell_polls_total{source="warehouse",outcome="unread"} 0"#,
            r#"nightbell_delivery_attempts_total{receiver="oncall",outcome="rejected"} 0"#,
            r#"nightbell_alerts_total{rule="etl-failed",severity="critical"} 0"#,
            r#"nightbell_alerts_suppressed_total{reason="silence"} 0"#,
            r#"nightbell_http_requests_total{class="5xx"} 0"#,
        ] {
            assert!(before.contains(line), "{line} is not in\n{before}");
        }
        metrics.held_back("silence:17");
        metrics.held_back("inhibited:orders");
        let after = text(&registry);
        assert!(after.contains(r#"nightbell_alerts_suppressed_total{reason="silence"} 1"#), "{after}");
        assert!(after.contains(r#"nightbell_alerts_suppressed_total{reason="inhibited"} 1"#), "{after}");
        assert_eq!(before.lines().count(), after.lines().count(), "a series was added");
    }
}
