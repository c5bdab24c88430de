//! Alerts that are held back, and told late.

use jiff::Timestamp;

use crate::model::{Alert, HeldBack, ReceiverId, Silence, Suppression};
use crate::words::{self, Language};

impl Alert {
    /// The alert is recorded and nobody is told, because of `by`.
    pub fn hold_back(&mut self, by: Suppression) {
        self.suppressed_by = Some(by);
        self.receivers = Vec::new();
    }

    /// The alert is told after all, and says what has held it back until `now`: `silence`, or else what its suppression
    /// names.
    pub fn let_go(&mut self, receivers: &[ReceiverId], silence: Option<&Silence>, now: Timestamp) {
        let Some(by) = self.suppressed_by.take() else { return };
        self.receivers = receivers.to_vec();
        let held_back = HeldBack {
            by: by.to_string(),
            who: silence.map(|silence| silence.by.clone()),
            reason: silence.map(|silence| silence.reason.clone()),
            until: now,
        };
        self.facts.alert.held_back = Some(held_back);
        // What was stored with a reason can be said again as a whole; to what an older version stored it is added.
        let note = words::held_back(&self.facts, Language::En);
        self.facts.alert.summary.push_str(&note);
    }
}
