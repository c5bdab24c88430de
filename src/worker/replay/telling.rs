//! What was told, as a person counts it: one telling of one alert, however many receivers heard it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::Played;
use crate::alert::identity::escalation_step;
use crate::model::{Alert, AlertId, Content, MessageKind, ReceiverId, RuleId, Severity, SourceId};

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
    /// What it says in one line: of a beginning, as it was told then; of an end, as it is.
    pub summary: String,
    /// What each receiver is sent.
    pub messages: BTreeMap<ReceiverId, Content>,
}

impl Telling {
    /// Who is told.
    pub fn receivers(&self) -> BTreeSet<ReceiverId> {
        self.messages.keys().cloned().collect()
    }

    /// Whether an end is told.
    pub fn is_end(&self) -> bool {
        self.kind == MessageKind::AlertResolved
    }
}

/// The tellings of what was played, the earliest first.
pub fn tellings(played: &Played) -> Vec<Telling> {
    let alerts: HashMap<&AlertId, &Alert> = played.alerts.iter().map(|alert| (&alert.id, alert)).collect();
    let mut tellings: BTreeMap<(Timestamp, bool, AlertId, Option<u32>), Telling> = BTreeMap::new();
    for delivery in &played.deliveries {
        let Some(alert) = delivery.alert.as_ref().and_then(|id| alerts.get(id)) else { continue };
        let is_end = delivery.kind == MessageKind::AlertResolved;
        let step = escalation_step(delivery);
        let telling = tellings.entry((delivery.created_at, is_end, alert.id.clone(), step));
        let telling = telling.or_insert_with(|| Telling {
            at: delivery.created_at,
            alert: alert.id.clone(),
            rule: alert.rule.clone(),
            severity: delivery.severity.unwrap_or(alert.facts.alert.severity),
            kind: delivery.kind,
            step,
            source: alert.source.clone(),
            job: alert.facts.job.name.clone(),
            instance: alert.facts.instance.as_ref().map(|instance| instance.id.clone()),
            summary: match played.said_at(&alert.id, delivery.created_at).filter(|_| !is_end) {
                Some(said) => said.to_string(),
                None => alert.facts.alert.summary.clone(),
            },
            messages: BTreeMap::new(),
        });
        telling.messages.insert(delivery.receiver.clone(), delivery.content.clone());
    }
    tellings.into_values().collect()
}
