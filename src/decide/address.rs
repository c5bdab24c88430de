//! The stage that completes what has begun: labels, who is told, and the generation of the configuration.
//!
//! Decides nothing of its own: it says of alerts what the configuration says, before anything mutes them.

use std::sync::Arc;

use jiff::Timestamp;

use super::decided::{Decided, Place};
use super::decider::Decider;
use super::episodes::Episodes;
use super::live::Lived;
use crate::model::{Alert, Labels, ReceiverId, joined_labels};
use crate::rule::{addressed, held};

/// Episodes that are addressed.
#[derive(Debug)]
pub(super) struct Addressed(pub(super) Lived);

impl Decider {
    /// Gives the alerts that begin their labels, their generation, and everybody who is told of them.
    pub(super) fn address(&self, mut lived: Lived, now: Timestamp) -> Addressed {
        let Episodes { ledger, fired, overdue, .. } = &mut lived.episodes;
        for shared in fired {
            let alert = Arc::make_mut(shared);
            let of_rule = self.rules.get(&alert.rule).map(|rule| &rule.labels);
            alert.facts.alert.labels = joined_labels(&self.terms.labels, of_rule.unwrap_or(&Labels::new()));
            alert.generation = self.terms.generation;
            if alert.suppressed_by.is_none() {
                alert.receivers = addressed(&alert.receivers, &self.terms.routes, alert, now);
            }
            ledger.replace(Arc::clone(shared));
        }
        // It is worse than it was, and there may be routes for that; and by now others may have the duty.
        for alert in overdue.iter_mut().filter(|alert| alert.suppressed_by.is_none()) {
            let by_hours = self.rules.get(&alert.rule).filter(|rule| !rule.hours.is_empty());
            let on_duty = by_hours.map(|rule| rule.told_at(now)).unwrap_or_default();
            let new = on_duty.into_iter().filter(|receiver| !alert.receivers.contains(receiver));
            let named: Vec<ReceiverId> = alert.receivers.iter().cloned().chain(new).collect();
            alert.receivers = addressed(&named, &self.terms.routes, alert, now);
        }
        Addressed(lived)
    }

    /// Everybody who is told of an alert at `now` by what the configuration says now.
    pub(super) fn receivers_of(&self, alert: &Alert, now: Timestamp) -> Vec<ReceiverId> {
        let named = self.rules.get(&alert.rule).map(|rule| rule.told_at(now)).unwrap_or_default();
        addressed(&named, &self.terms.routes, alert, now)
    }

    /// Notes of what people are notified of at `now` which of it is held back until a window opens.
    pub(super) fn hold(&self, decided: &mut Decided, now: Timestamp) {
        let Decided { fired, changed, notices, .. } = decided;
        for notice in notices {
            let alert = match notice.alert {
                Place::Fired(at) => &fired[at],
                Place::Changed(at) => &changed[at],
            };
            notice.held = held(self.rules.get(&alert.rule), &self.terms.routes, alert, notice.kind, now);
        }
    }
}
