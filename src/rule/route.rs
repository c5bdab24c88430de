//! Routes: who else is told of alerts of some kind, beside the receivers that a rule names.

use std::sync::Arc;

use super::mute::AlertMatch;
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
}

/// Everybody who is told of an alert: those in `named`, then those of every route that concerns it, each once.
pub fn addressed(named: &[ReceiverId], routes: &[Route], alert: &Alert) -> Vec<ReceiverId> {
    let mut told = named.to_vec();
    let concerned = routes.iter().filter(|route| route.matches.concerns(alert));
    for receiver in concerned.flat_map(|route| &route.notify) {
        if !told.contains(receiver) {
            told.push(receiver.clone());
        }
    }
    told
}
