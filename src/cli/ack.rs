//! `nightbell ack`: somebody is on it. Works beside a running `nightbell run`.

use super::output::{complain, local, print};
use super::silence::{author, words};
use super::{Exit, Failure};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::limits::ALERT_PREFIX_MIN;
use crate::model::{Ack, Alert, AlertId, AlertState};
use crate::store::{Desk as _, Mode, SqlStore, StoreError};
use crate::template::display_text;

/// Acknowledges the alerts whose ids begin with `names`: all of them, or none.
pub(super) async fn ack(
    config: &Config,
    names: &[String],
    by: Option<&str>,
    reason: Option<&str>,
) -> Result<Exit, Failure> {
    let by = author(by).map_err(Failure::Usage)?;
    let reason = reason.map(|reason| words("--reason", reason)).transpose().map_err(Failure::Usage)?;
    let store = SqlStore::open(&config.store, Mode::Amend).await?;
    let mut alerts = Vec::new();
    for name in names {
        match named(&store, name).await? {
            Ok(alert) => alerts.push(alert),
            Err(fault) => complain(fault),
        }
    }
    if alerts.len() < names.len() {
        return Ok(Exit::Failed);
    }
    let ids: Vec<AlertId> = alerts.iter().map(|alert| alert.id.clone()).collect();
    let at = SystemClock.now();
    store.ack(&ids, &Ack { by, reason, at }).await?;
    let acks = store.acks().await?;
    store.close().await;
    for alert in &alerts {
        let what = display_text(&alert.facts.alert.summary);
        if let Some(ack) = acks.get(&alert.id) {
            let when = local(ack.at, &config.timezone);
            print(format_args!("{what}: acknowledged by {} at {when}", display_text(&ack.by)))?;
        }
    }
    Ok(Exit::Done)
}

/// The one alert that fires and whose id begins with `name`, or why there is none.
async fn named(store: &SqlStore, name: &str) -> Result<Result<Alert, String>, StoreError> {
    let name = name.to_ascii_lowercase();
    if name.len() < ALERT_PREFIX_MIN {
        return Ok(Err(format!("{name:?}: write at least {ALERT_PREFIX_MIN} characters of the alert's id")));
    }
    let mut found = store.alerts_named(&name).await?;
    if let Some(exact) = found.iter().position(|alert| alert.id.as_str() == name) {
        found = vec![found.swap_remove(exact)];
    }
    Ok(match (found.pop(), found.is_empty()) {
        (None, _) => Err(format!("no alert's id begins with {name:?}; nightbell alerts shows them")),
        (Some(_), false) => Err(format!("several alerts' ids begin with {name:?}; write more of it")),
        (Some(alert), true) if alert.state() == AlertState::Resolved => {
            Err(format!("{name:?} is over already: {}", display_text(&alert.facts.alert.summary)))
        }
        (Some(alert), true) => Ok(alert),
    })
}
