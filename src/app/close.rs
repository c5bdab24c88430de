//! Alerts that a person closes: they end, and those who were notified of the beginning are notified of that.
//!
//! Works beside a running process: its lanes send what is pending within a minute, and its polls find the alert closed.

use std::sync::Arc;

use jiff::Timestamp;

use super::AppError;
use crate::alert::close as closed;
use crate::config::Config;
use crate::model::{Alert, Delivery};
use crate::notify::Renderer;
use crate::store::{OwnAlerts as _, OwnCommit, SqlStore};
use crate::worker::poll::{Addressee, Addressees};
use crate::worker::unwatched::ends;

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

/// Closes alerts that fire. Returns how many receivers are notified.
///
/// # Errors
/// When a receiver's templates cannot be used, or the store fails; nothing was written.
pub async fn close(config: &Config, store: &SqlStore, alerts: &[Alert], closing: &Closing) -> Result<usize, AppError> {
    let mut addressees = Addressees::new();
    let is_meant = |receiver| alerts.iter().any(|alert| alert.receivers.contains(receiver));
    for settings in config.receivers.iter().filter(|settings| is_meant(&settings.id)) {
        let renderer = Renderer::open(settings).map_err(|problems| {
            let reason = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            AppError::Receiver { id: settings.id.to_string(), reason }
        })?;
        let addressee = Addressee { renderer, send_resolved: settings.send_resolved, nudge: Arc::default() };
        addressees.insert(settings.id.clone(), addressee);
    }
    let now = closing.at;
    let changed: Vec<Alert> = alerts.iter().map(|alert| closed(alert, &closing.by, &closing.reason, now)).collect();
    let deliveries: Vec<Delivery> =
        changed.iter().flat_map(|alert| ends(alert, &addressees, now).collect::<Vec<_>>()).collect();
    let count = deliveries.len();
    store.commit_own(&OwnCommit { now, fired: Vec::new(), changed, deliveries }).await?;
    Ok(count)
}
