//! Routes: who else is told of alerts of some kind, beside the receivers that a rule names.

use std::sync::Arc;

use jiff::Timestamp;

use super::concerns::AlertMatch;
use super::hours::Hours;
use crate::model::{Alert, ReceiverId};

/// A way that alerts of some kind go, whichever rule they are of.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its key in the configuration.
    pub name: Arc<str>,
    /// Which alerts it concerns.
    pub matches: AlertMatch,
    /// Who is told of them.
    pub notify: Vec<ReceiverId>,
    /// In which hours.
    pub hours: Hours,
}

/// Everybody who is told at `now` of an alert: those in `named`, then those of every route that concerns it, each once.
pub fn addressed(named: &[ReceiverId], routes: &[Route], alert: &Alert, now: Timestamp) -> Vec<ReceiverId> {
    let mut told = named.to_vec();
    let concerned = routes.iter().filter(|route| route.hours.include(now) && route.matches.concerns(alert));
    for receiver in concerned.flat_map(|route| &route.notify) {
        if !told.contains(receiver) {
            told.push(receiver.clone());
        }
    }
    told
}
