//! Whom a rule tells at once at an instant, and what of it is held back until a window opens.
//!
//! Pure: reads the rule, the routes, the alert and the instant. It must never know who asks.

use jiff::Timestamp;

use super::definition::Rule;
use super::hours::{Hold, Hours};
use super::route::Route;
use crate::model::{Alert, MessageKind, ReceiverId};

static ANY_TIME: Hours = Hours { during: None, hold: None };

impl Rule {
    /// Whom it tells at once at `now`, each once.
    pub fn told_at(&self, now: Timestamp) -> Vec<ReceiverId> {
        let mut told: Vec<ReceiverId> = Vec::new();
        for (receiver, _) in self.first_steps().filter(|(_, hours)| hours.include(now)) {
            if !told.contains(receiver) {
                told.push(receiver.clone());
            }
        }
        told
    }

    /// Whom it tells at once, and in which hours.
    pub fn first_steps(&self) -> impl Iterator<Item = (&ReceiverId, &Hours)> {
        let at_any_time = self.notify.iter().filter(|_| self.hours.is_empty()).map(|receiver| (receiver, &ANY_TIME));
        let by_hours = self.hours.iter().flat_map(|step| step.to.iter().map(|receiver| (receiver, &step.hours)));
        at_any_time.chain(by_hours)
    }
}

/// Which receivers of an alert are not told at once of what begins or ends at `now`, and until when that is held back. Of a
/// receiver that several steps or routes name, the one that tells it first counts.
pub fn held(
    rule: Option<&Rule>,
    routes: &[Route],
    alert: &Alert,
    kind: MessageKind,
    now: Timestamp,
) -> Vec<(ReceiverId, Hold)> {
    let of_rule = || rule.into_iter().flat_map(Rule::first_steps);
    let holds =
        of_rule().any(|(_, hours)| hours.hold.is_some()) || routes.iter().any(|route| route.hours.hold.is_some());
    if !holds {
        return Vec::new();
    }
    let concerned: Vec<&Route> = routes.iter().filter(|route| route.matches.concerns(alert)).collect();
    let is_end = kind == MessageKind::AlertResolved;
    let hold = |receiver: &ReceiverId| {
        let of_routes = concerned.iter().flat_map(|route| route.notify.iter().map(|told| (told, &route.hours)));
        let all =
            of_rule().chain(of_routes).filter(|(told, hours)| *told == receiver && (is_end || hours.include(now)));
        let mut first: Option<Hold> = None;
        for (_, hours) in all {
            // Something tells it at once.
            let hold = hours.hold(now)?;
            if first.as_ref().is_none_or(|first| hold.until < first.until) {
                first = Some(hold);
            }
        }
        first
    };
    alert.receivers.iter().filter_map(|receiver| Some((receiver.clone(), hold(receiver)?))).collect()
}
