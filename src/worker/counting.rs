//! Alerts that begin and end, counted for the metrics: by whichever loop that happens.
//!
//! Reads the alerts of a commit and writes nothing but what is counted. It must never know why they begin or end.

use crate::metrics::Metrics;
use crate::model::Alert;

/// Counts alerts that began, and those among them and among `changed` that ended. To be called once their commit has gone
/// well.
pub(super) fn count_alerts<'a>(
    metrics: &Metrics,
    fired: impl Iterator<Item = &'a Alert> + Clone,
    changed: &'a [Alert],
) {
    for alert in fired.clone() {
        metrics.fired(alert.rule.as_str(), alert.facts.alert.severity.as_str());
        if let Some(by) = &alert.suppressed_by {
            metrics.held_back(&by.to_string());
        }
    }
    for alert in fired.chain(changed) {
        if let Some(ended) = &alert.facts.alert.ended {
            metrics.ended(alert.rule.as_str(), ended.reason.as_str());
        }
    }
}
