//! What was told, as a person counts it: one telling of one alert, however many receivers heard it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::model::{Alert, AlertId, Content, MessageKind, Notification, ReceiverId, RuleId, Severity, SourceId};

/// One telling.
#[derive(Debug, Clone, PartialEq)]
pub struct Telling {
    /// When it was decided.
    pub at: Timestamp,
    /// The alert.
    pub alert: AlertId,
    /// Its rule.
    pub rule: RuleId,
    /// Its severity.
    pub severity: Severity,
    /// Whether its beginning or its end is told.
    pub kind: MessageKind,
    /// Which later step of the rule tells it, counted from 2; none of the first telling.
    pub step: Option<u32>,
    /// The source.
    pub source: SourceId,
    /// The job.
    pub job: String,
    /// The run, where it is about one.
    pub instance: Option<String>,
    /// What it says in one line.
    pub summary: String,
    /// What each receiver is sent.
    pub messages: BTreeMap<ReceiverId, Content>,
}

impl Telling {
    /// The telling of an alert by `delivery`, and by those that are made with it; nobody is in it yet.
    pub(super) fn of(alert: &Alert, delivery: &Notification, step: Option<u32>) -> Telling {
        Telling {
            at: delivery.created_at,
            alert: alert.id.clone(),
            rule: alert.rule.clone(),
            severity: delivery.severity.unwrap_or(alert.facts.alert.severity),
            kind: delivery.kind,
            step,
            source: alert.source.clone(),
            job: alert.facts.job.name.clone(),
            instance: alert.facts.instance.as_ref().map(|instance| instance.id.clone()),
            summary: alert.facts.alert.summary.clone(),
            messages: BTreeMap::new(),
        }
    }

    /// Who is told.
    pub fn receivers(&self) -> BTreeSet<ReceiverId> {
        self.messages.keys().cloned().collect()
    }

    /// Whether an end is told.
    pub fn is_end(&self) -> bool {
        self.kind == MessageKind::AlertResolved
    }
}
