//! Alerts that are held back, and told late.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::model::{Alert, HeldBack, ReceiverId, Silence, SilenceId, Suppression};
use crate::words::{self, Language};

impl Alert {
    /// The alert is recorded and nobody is told, because of `by`.
    pub fn hold_back(&mut self, by: Suppression) {
        self.suppressed_by = Some(by);
        self.receivers = Vec::new();
    }

    /// Whether something holds it back for the time being. What is suspended waits in any case.
    pub fn is_held_back(&self) -> bool {
        self.suspended_at.is_none() && self.suppressed_by.as_ref().is_some_and(Suppression::holds_back)
    }

    /// What becomes of an alert that was held back, at `now`: `by` holds it back from now on, or nothing does and it is let
    /// go, to the receivers that `receivers` says. None where nothing changes. `silences` has those that were.
    pub fn held_on(
        &self,
        by: Option<Suppression>,
        silences: &HashMap<SilenceId, Silence>,
        receivers: impl FnOnce(&Alert) -> Vec<ReceiverId>,
        now: Timestamp,
    ) -> Option<Alert> {
        let mut alert = self.clone();
        match by {
            Some(by) if self.suppressed_by.as_ref() == Some(&by) => return None,
            // Who was warned of its deadline keeps the right to hear of the end, whatever holds it back.
            Some(by) => alert.suppressed_by = Some(by),
            None => {
                let silence = match &self.suppressed_by {
                    Some(Suppression::Silence(id)) => silences.get(id),
                    _ => None,
                };
                alert.let_go(&receivers(self), silence, now);
            }
        }
        Some(alert)
    }

    /// The alert is told after all, and says what has held it back until `now`: `silence`, or else what its suppression
    /// names.
    fn let_go(&mut self, receivers: &[ReceiverId], silence: Option<&Silence>, now: Timestamp) {
        let Some(by) = self.suppressed_by.take() else { return };
        self.receivers = receivers.to_vec();
        let held_back = HeldBack {
            by: by.to_string(),
            who: silence.map(|silence| silence.by.clone()),
            reason: silence.map(|silence| silence.reason.clone()),
            until: now,
        };
        self.facts.alert.held_back = Some(Box::new(held_back));
        // What was stored with a reason can be said again as a whole; to what an older version stored it is added.
        let note = words::held_back(&self.facts, Language::En);
        self.facts.alert.summary.push_str(&note);
    }
}
