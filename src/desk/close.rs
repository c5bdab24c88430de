//! Alerts that a person closes: they end, and those who were notified of the beginning are notified of that.
//!
//! Works beside a running process: its lanes send what is pending within a minute, and its polls find the alert closed.

use jiff::Timestamp;

use super::error::DeskError;
use crate::alert::close as closed;
use crate::config::Config;
use crate::model::{Alert, MessageKind, Notification};
use crate::notify::Renderer;
use crate::store::{OwnAlerts as _, OwnCommit, SqlStore};
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

/// Opens what the receivers of these alerts need to be told, for who has not got it open.
///
/// # Errors
/// When a receiver's templates cannot be used.
pub fn receivers_of(config: &Config, alerts: &[Alert]) -> Result<Receivers, DeskError> {
    let is_meant = |receiver| alerts.iter().any(|alert| alert.receivers.contains(receiver));
    let meant = config.receivers.iter().filter(|settings| is_meant(&settings.id));
    let opened = meant.map(|settings| match Renderer::open(settings) {
        Ok(renderer) => Ok(Receiver::new(settings, renderer)),
        Err(problems) => {
            let reason = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            Err(DeskError::Receiver { id: settings.id.to_string(), reason })
        }
    });
    Ok(opened.collect::<Result<Vec<_>, _>>()?.into_iter().collect())
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
