//! Why an alert is told: the reason, and the line in English that is stored with it.

use std::time::Duration;

use crate::model::{AlertFacts, Reason, ReasonCode};
use crate::words;

/// The reason of an alert about an instance that fires.
pub fn firing(lasted: Option<Duration>, limit: Option<Duration>) -> Reason {
    Reason {
        lasted_ms: lasted.and_then(milliseconds),
        limit_ms: limit.and_then(milliseconds),
        ..Reason::new(ReasonCode::Status)
    }
}

/// The reason of an alert's end: what ended it, and how long the instance that did it lasted.
pub fn resolved(code: ReasonCode, lasted: Option<Duration>) -> Reason {
    Reason { lasted_ms: lasted.and_then(milliseconds), ..Reason::new(code) }
}

/// Puts the reason into the facts, which say everything else by now, and what it comes to in words.
pub fn tell(facts: &mut AlertFacts, reason: Reason) {
    facts.alert.reason = Some(reason);
    facts.alert.summary = words::stored_summary(facts);
}

fn milliseconds(duration: Duration) -> Option<u64> {
    u64::try_from(duration.as_millis()).ok()
}
