//! What was decided: the alerts that begin and that have changed, and what people are notified of.
//!
//! Data only, with the questions that a reader of it asks.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::{Alert, AlertId, AlertState, Covered, Instance, MessageKind, ReceiverId};
use crate::rule::Hold;

/// What was decided.
#[derive(Debug, Default)]
pub struct Decided {
    /// Runs that are new or changed, and those that alert.
    pub instances: Vec<Instance>,
    /// Alerts that begin. One that is over already comes ended.
    pub fired: Vec<Arc<Alert>>,
    /// Alerts that fired before and have changed.
    pub changed: Vec<Alert>,
    /// What people are notified of, by the alerts' places.
    pub notices: Vec<Notice>,
    /// What is covered from now on.
    pub covered: Covered,
    /// From when on the listing reads.
    pub listed_from: Option<Timestamp>,
    /// The rules that have looked at all of the source, where they are others than before.
    pub known_rules: Option<BTreeSet<String>>,
    /// What somebody should know who reads the log.
    pub warnings: Vec<String>,
}

/// What a receiver is notified of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Which alert.
    pub alert: Place,
    /// Its beginning or its end.
    pub kind: MessageKind,
    /// For whom.
    pub audience: Audience,
    /// The alert whose run has failed again, where this is told in its thread.
    pub again_after: Option<AlertId>,
    /// Who is not told at once, and until when that is held back.
    pub held: Vec<(ReceiverId, Hold)>,
}

/// Where an alert stands among those decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// In [`Decided::fired`].
    Fired(usize),
    /// In [`Decided::changed`].
    Changed(usize),
}

/// Which of an alert's receivers are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// All of them.
    All,
    /// Those that want to hear of ends, or keep an incident open until they do.
    WantEnds,
    /// Those that keep an incident open until they hear of its end: of a failure that another one took the place of.
    KeepIncidents,
}

impl Decided {
    /// The alert that a notice is about.
    pub fn alert(&self, place: Place) -> &Alert {
        match place {
            Place::Fired(at) => &self.fired[at],
            Place::Changed(at) => &self.changed[at],
        }
    }

    /// The receivers of a notice, before it is asked which of them its audience means.
    pub fn receivers(&self, notice: &Notice) -> &[ReceiverId] {
        &self.alert(notice.alert).receivers
    }
}

/// Of the alerts that begin and those that have changed the ones that people are notified of now and whose nodes nobody has
/// asked for yet.
pub fn to_detail<'a>(fired: &'a mut [Arc<Alert>], changed: &'a mut [Alert]) -> impl Iterator<Item = &'a mut Alert> {
    let held = changed.iter_mut().filter(|alert| {
        let is_let_go = alert.facts.alert.held_back.is_some() && alert.facts.node_details == "not asked for";
        let is_overdue = alert.facts.alert.measures.stage == Some(crate::model::Stage::Overdue);
        alert.state() == AlertState::Firing && (is_let_go || is_overdue)
    });
    fired.iter_mut().map(Arc::make_mut).chain(held).filter(|alert| alert.suppressed_by.is_none())
}
