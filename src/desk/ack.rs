//! Alerts that a person acknowledges, or gives up: those who were told of them are told of that.
//!
//! Works beside a running process, as closing does. Only who was told of an alert hears who is on it, each once, and only
//! where that disturbs nobody or was asked for.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use crate::alert::{ack_message, marked_message};
use crate::config::Config;
use crate::model::{Ack, Alert, AlertId, Notification, ReceiverId};
use crate::notify::Renderer;
use crate::store::{Board as _, Desk as _, SqlStore, StoreError, Told};
use crate::worker::pending::{Receiver, Receivers};

/// What came of it.
#[derive(Debug)]
pub struct Acked {
    /// Who was on the alerts before.
    pub before: HashMap<AlertId, Ack>,
    /// How many messages are pending that tell of it.
    pub notified: usize,
}

/// Opens the receivers that hear of acknowledgements and were told of these alerts, for who has not got them open. One whose
/// templates cannot be used is left out: who is on an alert must not hang on that.
///
/// # Errors
/// When the store fails.
pub async fn hearers(config: &Config, store: &SqlStore, alerts: &[Alert]) -> Result<Receivers, StoreError> {
    let told = store.told(&ids(alerts)).await?;
    let told: BTreeSet<&ReceiverId> = told.iter().map(|told| &told.receiver).collect();
    let meant = config.receivers.iter().filter(|it| told.contains(&it.id) && !it.hears_of_acks().is_empty());
    let opened = meant.filter_map(|settings| match Renderer::open(settings) {
        Ok(renderer) => Some(Receiver::new(settings, renderer)),
        Err(problems) => {
            let problem = problems.first().map(ToString::to_string).unwrap_or_default();
            tracing::warn!(receiver = %settings.id, problem, "not notified of the acknowledgement: its templates cannot be used");
            None
        }
    });
    Ok(opened.collect())
}

/// Acknowledges alerts; whoever did before is replaced. Whoever says the same again tells nobody anything new.
///
/// # Errors
/// When the store fails; nothing was written.
pub async fn acknowledge(
    store: &SqlStore,
    receivers: &Receivers,
    alerts: &[Alert],
    ack: &Ack,
) -> Result<Acked, StoreError> {
    let (ids, before) = (ids(alerts), store.acks_of(&ids(alerts)).await?);
    let is_news =
        |alert: &&Alert| before.get(&alert.id).is_none_or(|it| (&it.by, &it.reason) != (&ack.by, &ack.reason));
    let news: Vec<&Alert> = alerts.iter().filter(is_news).collect();
    let deliveries = deliveries(store, receivers, &news, (Some(ack), &before), ack.at).await?;
    let before = store.ack_and_tell(&ids, ack, &deliveries).await?;
    receivers.wake(deliveries.iter().map(|delivery| &delivery.receiver));
    Ok(Acked { before, notified: deliveries.len() })
}

/// Removes the acknowledgements of alerts for somebody.
///
/// # Errors
/// When the store fails; nothing was written.
pub async fn unacknowledge(
    store: &SqlStore,
    receivers: &Receivers,
    alerts: &[Alert],
    (by, now): (&str, Timestamp),
) -> Result<Acked, StoreError> {
    let (ids, before) = (ids(alerts), store.acks_of(&ids(alerts)).await?);
    let news: Vec<&Alert> = alerts.iter().filter(|alert| before.contains_key(&alert.id)).collect();
    let deliveries = deliveries(store, receivers, &news, (None, &before), now).await?;
    let before = store.unack_and_tell(&ids, by, now, &deliveries).await?;
    receivers.wake(deliveries.iter().map(|delivery| &delivery.receiver));
    Ok(Acked { before, notified: deliveries.len() })
}

/// What tells those who were told of these alerts who is on them now, and who was before.
async fn deliveries(
    store: &SqlStore,
    receivers: &Receivers,
    alerts: &[&Alert],
    (ack, before): (Option<&Ack>, &HashMap<AlertId, Ack>),
    now: Timestamp,
) -> Result<Vec<Notification>, StoreError> {
    if receivers.iter().all(|receiver| receiver.hears_of_acks.is_empty()) {
        return Ok(Vec::new());
    }
    let ids: Vec<AlertId> = alerts.iter().map(|alert| alert.id.clone()).collect();
    let told: Vec<Told> = store.told(&ids).await?;
    let of_alert = |alert: &&Alert| {
        let before = before.get(&alert.id).filter(|before| ack.is_none_or(|ack| ack.by != before.by));
        let (message, marked) = (ack_message(alert, ack, before, now), marked_message(alert, ack));
        let of_alert = told.iter().filter(|told| told.alert == alert.id);
        let heard = of_alert.filter_map(|told| {
            receivers.get(&told.receiver)?.acknowledgement(alert, (&message, &marked), told.by.clone(), now)
        });
        heard.collect::<Vec<Notification>>()
    };
    Ok(alerts.iter().flat_map(of_alert).collect())
}

fn ids(alerts: &[Alert]) -> Vec<AlertId> {
    alerts.iter().map(|alert| alert.id.clone()).collect()
}
