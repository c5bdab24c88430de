//! What the configuration says of a source's alerts beside the rules: labels, and who else is told.
//!
//! Decides nothing of its own: it completes what rules have decided before anything mutes it.

use std::sync::Arc;

use super::Poller;
use super::decide::Decision;
use crate::model::{Alert, Labels, ReceiverId, joined_labels};
use crate::rule::{Route, addressed};
use crate::source::Source;
use crate::store::{Desk, PollLedger};

/// The terms on which a source's alerts are told.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// The labels of the source.
    pub labels: Labels,
    /// Who else is told.
    pub routes: Arc<[Route]>,
    /// The generation of the configuration; none where nobody counts them.
    pub generation: Option<i64>,
}

impl<C: Source, S: Desk + PollLedger> Poller<C, S> {
    /// Gives the alerts that begin their labels, their generation, and everybody who is told of them. To be called when
    /// all of them are known, and before anything mutes them.
    pub(super) fn apply_terms(&self, decision: &mut Decision) {
        for alert in &mut decision.fired {
            let of_rule = self.rules.get(&alert.rule).map(|rule| &rule.labels);
            alert.facts.alert.labels = joined_labels(&self.terms.labels, of_rule.unwrap_or(&Labels::new()));
            alert.generation = self.terms.generation;
            if alert.suppressed_by.is_none() {
                alert.receivers = addressed(&alert.receivers, &self.terms.routes, alert);
            }
        }
        // It is worse than it was, and there may be routes for that.
        for alert in decision.overdue.iter_mut().filter(|alert| alert.suppressed_by.is_none()) {
            alert.receivers = addressed(&alert.receivers, &self.terms.routes, alert);
        }
    }

    /// Everybody who is told of an alert by what the configuration says now.
    pub(super) fn receivers_of(&self, alert: &Alert) -> Vec<ReceiverId> {
        let named = self.rules.get(&alert.rule).map(|rule| rule.notify.as_slice()).unwrap_or_default();
        addressed(named, &self.terms.routes, alert)
    }
}
