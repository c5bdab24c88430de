//! What Nightbell watches itself with, wired: the alerts about its own sources and receivers, and the heartbeat.

use std::sync::Arc;

use super::error::AppError;
use super::ground::Ground;
use crate::config::Config;
use crate::http::{HttpClient, HttpSettings};
use crate::model::SourcePart;
use crate::rule::Muting;
use crate::store::SqlStore;
use crate::worker::heartbeat::{Asked, Heartbeat};
use crate::worker::own::{Outdated, OwnWatch};
use crate::worker::pending::Receivers;

/// What asks for the heartbeat; none where there is no heartbeat.
///
/// # Errors
/// When its certificate file cannot be used.
pub(super) fn heartbeat_client(config: &Config) -> Result<Option<HttpClient>, AppError> {
    let open = |ca_file| {
        let http = HttpSettings { ca_file, ..HttpSettings::default() };
        HttpClient::new(&http).map_err(|error| AppError::Heartbeat(error.to_string()))
    };
    config.heartbeat.as_ref().map(|settings| open(settings.ca_file.clone())).transpose()
}

/// The loop that watches sources and receivers.
pub(super) fn watch(
    config: &Config,
    ground: &Ground,
    store: Arc<SqlStore>,
    receivers: &Arc<Receivers>,
) -> OwnWatch<SqlStore> {
    let sources = config
        .sources
        .iter()
        .map(|settings| SourcePart { id: settings.id.clone(), kind: settings.scheduler.kind().to_string() });
    OwnWatch {
        watch: config.watch.clone(),
        sources: sources.collect(),
        store,
        receivers: Arc::clone(receivers),
        muting: Muting::new(Arc::clone(&config.mute_windows)),
        started_at: ground.started_at,
        reloads: ground.reloads.clone(),
        statuses: ground.statuses.clone(),
        metrics: ground.metrics.clone(),
        outdated: Outdated::default(),
    }
}

/// The heartbeat, asked for by `client`.
pub(super) fn heartbeat(
    config: &Config,
    ground: &Ground,
    store: Arc<SqlStore>,
    client: HttpClient,
) -> Option<Heartbeat<SqlStore>> {
    let settings = config.heartbeat.as_ref()?;
    Some(Heartbeat {
        url: settings.url.clone(),
        every: settings.every,
        client,
        sources: config.sources.iter().map(|settings| (settings.id.clone(), settings.poll.clone())).collect(),
        store,
        started_at: ground.started_at,
        asked: Asked::default(),
        statuses: ground.statuses.clone(),
    })
}
