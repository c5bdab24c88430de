//! `nightbell ack`, `nightbell unack` and `nightbell close`: somebody takes alerts on, gives them up, or ends them. Works
//! beside a running `nightbell run`.

use std::collections::BTreeSet;

use clap::Args;

use super::ground::{Exit, Failure, now_of};
use super::names;
use super::output::{complain, fail, local, print};
use super::place::{Desk, StorePlace, load_desk};
use super::silence::{author, words};
use crate::config::Config;
use crate::desk::{self as asked, Acked, Closing};
use crate::limits::{ACK_ALERTS_MAX, ALERT_PREFIX_MIN};
use crate::model::{Ack, Alert, AlertState, ReceiverId, RuleId};
use crate::rule::Pattern;
use crate::store::{AlertQuery, Archive as _, Desk as _, Mode, SqlStore, StoreError};
use crate::template::display_text;
use crate::words::{Language, summary};

/// Which firing alerts are meant. Alerts that several options name must meet all of them.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// The beginnings of their ids, as `nightbell alerts` shows them.
    #[arg(value_name = "ALERT", required_unless_present_any = ["job", "rule", "group"])]
    alerts: Vec<String>,
    /// All firing alerts about jobs whose name matches: a pattern as in the rules, 'etl_*'. May be given several times.
    #[arg(long, value_name = "PATTERN", value_parser = Pattern::parse, conflicts_with = "alerts")]
    job: Vec<Pattern>,
    /// All firing alerts of this rule.
    #[arg(long, conflicts_with = "alerts")]
    rule: Option<String>,
    /// All firing alerts that belong to the same group of messages as this one.
    #[arg(long, value_name = "ALERT", conflicts_with = "alerts")]
    group: Option<String>,
}

/// Who takes alerts on, and what there is to say about it.
#[derive(Debug, Args)]
pub(super) struct Acknowledgement {
    #[command(flatten)]
    which: Which,
    /// Who takes them on; without it, the login name.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// What there is to say about it.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    place: StorePlace,
}

/// Which acknowledgements are removed, and by whom.
#[derive(Debug, Args)]
pub(super) struct Removal {
    #[command(flatten)]
    which: Which,
    /// Who removes them; without it, the login name.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    place: StorePlace,
}

/// Which alerts are closed, by whom and why.
#[derive(Debug, Args)]
pub(super) struct Closure {
    #[command(flatten)]
    which: Which,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who closes them; without it, the login name.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    place: StorePlace,
}

/// Closes alerts: all that were named, or none.
pub(super) async fn close(arguments: &Closure) -> Result<Exit, Failure> {
    let by = author(arguments.by.as_deref()).map_err(Failure::Usage)?;
    let reason = words("--reason", &arguments.reason).map_err(Failure::Usage)?;
    let desk = load_desk(&arguments.place)?;
    let config = &desk.config;
    let store = SqlStore::open(&config.store, Mode::Amend).await?;
    let Some(alerts) = arguments.which.alerts(&desk, &store).await? else { return Ok(Exit::Failed) };
    let closing = Closing { by, reason, at: now_of(&store).await? };
    let receivers = asked::receivers_of(config, &alerts);
    let told: BTreeSet<&ReceiverId> = alerts.iter().flat_map(|alert| &alert.receivers).collect();
    let left_out: Vec<ReceiverId> = told.into_iter().filter(|it| receivers.get(it).is_none()).cloned().collect();
    // What is broken here the running process has in its last good configuration; what a sound file does not have is gone.
    let is_known = |it: &&ReceiverId| config.receivers.iter().any(|settings| settings.id == **it);
    let (owed, gone): (Vec<_>, Vec<_>) = left_out.iter().partition(|it| !desk.is_whole || is_known(it));
    let owed: Vec<ReceiverId> = owed.into_iter().cloned().collect();
    let is_owed = asked::owe(&store, &alerts, &owed).await? > 0;
    let notified = asked::close(&store, &receivers, &alerts, &closing).await?;
    store.close().await;
    for alert in &alerts {
        print(format_args!("{}: closed by {}", what(alert), display_text(&closing.by)))?;
    }
    let listed = |ids: Vec<&ReceiverId>| ids.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", ");
    if !gone.is_empty() {
        let gone = listed(gone);
        complain(format_args!("warning: {gone} not notified of the end: not in the configuration any more"));
    }
    if is_owed {
        let owed = listed(owed.iter().collect());
        complain(format_args!(
            "{owed} cannot be opened here: a running nightbell notifies it of the end within a minute"
        ));
    }
    if notified > 0 {
        let pending = match notified {
            1 => "1 resolution is pending; a running nightbell sends it".to_string(),
            several => format!("{several} resolutions are pending; a running nightbell sends them"),
        };
        complain(format_args!("{pending} within a minute"));
    }
    Ok(Exit::Done)
}

/// Acknowledges alerts: all that were named, or none. Whoever acknowledged one before is replaced.
pub(super) async fn ack(arguments: &Acknowledgement) -> Result<Exit, Failure> {
    let by = author(arguments.by.as_deref()).map_err(Failure::Usage)?;
    let reason = arguments.reason.as_deref().map(|reason| words("--reason", reason)).transpose();
    let reason = reason.map_err(Failure::Usage)?;
    let desk = load_desk(&arguments.place)?;
    let config = &desk.config;
    let store = SqlStore::open(&config.store, Mode::Amend).await?;
    let Some(alerts) = arguments.which.alerts(&desk, &store).await? else { return Ok(Exit::Failed) };
    let ack = Ack { by, reason, at: now_of(&store).await? };
    let receivers = asked::hearers(config, &store, &alerts).await?;
    let Acked { before, notified } = asked::acknowledge(&store, &receivers, &alerts, &ack).await?;
    store.close().await;
    for alert in &alerts {
        let when = local(ack.at, &config.timezone);
        let replaced = before.get(&alert.id).map(|before| format!(", instead of {}", said_of(before, config)));
        let by = display_text(&ack.by);
        print(format_args!("{}: acknowledged by {by} at {when}{}", what(alert), replaced.unwrap_or_default()))?;
    }
    tell_pending(notified);
    Ok(Exit::Done)
}

/// Removes the acknowledgements of alerts: steps that say "unless: acked" are taken again.
pub(super) async fn unack(arguments: &Removal) -> Result<Exit, Failure> {
    let by = author(arguments.by.as_deref()).map_err(Failure::Usage)?;
    let desk = load_desk(&arguments.place)?;
    let config = &desk.config;
    let store = SqlStore::open(&config.store, Mode::Amend).await?;
    let Some(alerts) = arguments.which.alerts(&desk, &store).await? else { return Ok(Exit::Failed) };
    let receivers = asked::hearers(config, &store, &alerts).await?;
    let now = now_of(&store).await?;
    let Acked { before, notified } = asked::unacknowledge(&store, &receivers, &alerts, (&by, now)).await?;
    store.close().await;
    for alert in &alerts {
        match before.get(&alert.id) {
            Some(before) => {
                print(format_args!("{}: no longer acknowledged by {}", what(alert), said_of(before, config)))?;
            }
            None => print(format_args!("{}: was not acknowledged", what(alert)))?,
        }
    }
    tell_pending(notified);
    Ok(Exit::Done)
}

/// Who is told of it, on stderr.
fn tell_pending(notified: usize) {
    if notified > 0 {
        let messages = if notified == 1 { "message goes" } else { "messages go" };
        complain(format_args!(
            "{notified} {messages} to those who were notified; a running nightbell sends within a minute"
        ));
    }
}

fn what(alert: &Alert) -> String {
    display_text(&summary(&alert.facts, Language::En))
}

/// "kim (at 03:12)".
fn said_of(ack: &Ack, config: &Config) -> String {
    format!("{} (since {})", display_text(&ack.by), local(ack.at, &config.timezone))
}

impl Which {
    /// The alerts, all of which fire; none, and why on stderr, where one is not found or nothing fires.
    pub(super) async fn alerts(&self, desk: &Desk, store: &SqlStore) -> Result<Option<Vec<Alert>>, Failure> {
        if !self.alerts.is_empty() {
            return self.named(store).await;
        }
        names::rules(desk, store, self.rule.as_slice()).await?;
        let query = AlertQuery {
            jobs: super::alerts::jobs_matching(&self.job, store).await?,
            rule: self.rule.as_ref().map(RuleId::new),
            state: Some(AlertState::Firing),
            ..AlertQuery::default()
        };
        let mut alerts = store.find_alerts(&query, ACK_ALERTS_MAX + 1).await?;
        if let Some(name) = &self.group {
            let one = match named(store, name).await? {
                Ok(alert) => alert,
                Err(fault) => {
                    fail(fault);
                    return Ok(None);
                }
            };
            let group = store.told_in_group(&one.id).await?;
            alerts.retain(|alert| alert.id == one.id || group.contains(&alert.id));
        }
        if alerts.is_empty() {
            fail("no such alert fires; nightbell alerts --state firing shows those that do");
            return Ok(None);
        }
        if alerts.len() > ACK_ALERTS_MAX {
            fail(format_args!("more than {ACK_ALERTS_MAX} alerts; name fewer"));
            return Ok(None);
        }
        Ok(Some(alerts))
    }

    async fn named(&self, store: &SqlStore) -> Result<Option<Vec<Alert>>, Failure> {
        let mut alerts = Vec::new();
        for name in &self.alerts {
            match named(store, name).await? {
                Ok(alert) => alerts.push(alert),
                Err(fault) => fail(fault),
            }
        }
        Ok((alerts.len() == self.alerts.len()).then_some(alerts))
    }
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
            Err(format!("{name:?} has ended: {}", what(&alert)))
        }
        (Some(alert), true) => Ok(alert),
    })
}
