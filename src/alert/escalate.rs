//! Alerts that go further because they still fire.

use crate::model::{Alert, AlertFacts, Escalation, ReasonCode};
use crate::words::{self, Language};

/// Has the facts say that they are told once more, to whom and why.
pub fn attach_escalation(facts: &mut AlertFacts, escalation: Escalation) {
    facts.alert.escalation = Some(Box::new(escalation));
    let can_be_said_again = facts.alert.reason.as_ref().is_some_and(|reason| reason.code != ReasonCode::Other);
    if can_be_said_again {
        facts.alert.summary = words::stored_summary(facts);
    } else {
        let note = words::escalation(facts, Language::En);
        facts.alert.summary.push_str(&note);
    }
}

impl Alert {
    /// The alert as a later step tells it. What is stored stays as it is.
    #[must_use]
    pub fn escalated(&self, escalation: Escalation) -> Alert {
        let mut alert = self.clone();
        attach_escalation(&mut alert.facts, escalation);
        alert
    }
}
