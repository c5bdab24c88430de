//! The stage that completes what has begun: labels, who is told, and the generation of the configuration.
//!
//! Decides nothing of its own: it says of alerts what the configuration says, before anything mutes them.

use std::sync::Arc;

use super::live::Lived;
use super::{Decider, Episodes};
use crate::model::{Alert, Labels, ReceiverId, joined_labels};
use crate::rule::{Route, addressed};

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

/// Episodes that are addressed.
#[derive(Debug)]
pub(super) struct Addressed(pub(super) Lived);

impl Decider {
    /// Gives the alerts that begin their labels, their generation, and everybody who is told of them.
    pub(super) fn address(&self, mut lived: Lived) -> Addressed {
        let Episodes { ledger, fired, overdue, .. } = &mut lived.episodes;
        for shared in fired {
            let alert = Arc::make_mut(shared);
            let of_rule = self.rules.get(&alert.rule).map(|rule| &rule.labels);
            alert.facts.alert.labels = joined_labels(&self.terms.labels, of_rule.unwrap_or(&Labels::new()));
            alert.generation = self.terms.generation;
            if alert.suppressed_by.is_none() {
                alert.receivers = addressed(&alert.receivers, &self.terms.routes, alert);
            }
            ledger.replace(Arc::clone(shared));
        }
        // It is worse than it was, and there may be routes for that.
        for alert in overdue.iter_mut().filter(|alert| alert.suppressed_by.is_none()) {
            alert.receivers = addressed(&alert.receivers, &self.terms.routes, alert);
        }
        Addressed(lived)
    }

    /// Everybody who is told of an alert by what the configuration says now.
    pub(super) fn receivers_of(&self, alert: &Alert) -> Vec<ReceiverId> {
        let named = self.rules.get(&alert.rule).map(|rule| rule.notify.as_slice()).unwrap_or_default();
        addressed(named, &self.terms.routes, alert)
    }
}
