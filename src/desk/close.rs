//! Alerts that a person closes: they end, and those who were notified of the beginning are notified of that.
//!
//! Works beside a running process: its lanes send what is pending within a minute, and its polls find the alert closed.

use jiff::Timestamp;

use super::error::DeskError;
use crate::alert::close as closed;
use crate::config::Config;
use crate::model::{Alert, AlertId, MessageKind, Notification, ReceiverId};
use crate::notify::Renderer;
use crate::store::{OwnAlerts as _, OwnCommit, SqlStore, Steps as _};
use crate::worker::pending::{Receiver, Receivers};

/// Who closes an alert, and why.
#[derive(Debug, Clone)]
pub struct Closing {
    /// The person.
    pub by: String,
    /// What they say.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Opens what the receivers of these alerts need to be notified, for who has not got it open. One whose templates cannot be used
/// is left out: that an alert is over must not hang on that.
pub fn receivers_of(config: &Config, alerts: &[Alert]) -> Receivers {
    let is_meant = |receiver| alerts.iter().any(|alert| alert.receivers.contains(receiver));
    let meant = config.receivers.iter().filter(|settings| is_meant(&settings.id));
    meant.filter_map(|settings| Some(Receiver::new(settings, Renderer::open(settings).ok()?))).collect()
}

/// Notes the ends of these alerts for receivers that cannot be opened here: whoever runs notifies them. Before the alerts are
/// closed, so that nothing is lost between. Returns how many are owed.
///
/// # Errors
/// When the store fails.
pub async fn owe(store: &SqlStore, alerts: &[Alert], receivers: &[ReceiverId]) -> Result<u64, DeskError> {
    let of = |alert: &Alert| {
        let own = receivers.iter().filter(|receiver| alert.receivers.contains(receiver));
        own.map(|receiver| (alert.id.clone(), receiver.clone())).collect::<Vec<_>>()
    };
    let owed: Vec<(AlertId, ReceiverId)> = alerts.iter().flat_map(of).collect();
    Ok(if owed.is_empty() { 0 } else { store.owe_ends(&owed).await? })
}

/// Closes alerts that fire. Returns how many receivers are notified.
///
/// # Errors
/// When the store fails; nothing was written.
pub async fn close(
    store: &SqlStore,
    receivers: &Receivers,
    alerts: &[Alert],
    closing: &Closing,
) -> Result<usize, DeskError> {
    let now = closing.at;
    let changed: Vec<Alert> = alerts.iter().map(|alert| closed(alert, &closing.by, &closing.reason, now)).collect();
    let deliveries: Vec<Notification> =
        changed.iter().flat_map(|alert| receivers.deliveries(alert, MessageKind::AlertResolved, now)).collect();
    let count = deliveries.len();
    store.commit_own(&OwnCommit { now, fired: Vec::new(), changed, deliveries }).await?;
    receivers.wake(alerts.iter().flat_map(|alert| &alert.receivers));
    Ok(count)
}
