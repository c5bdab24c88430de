//! What Nightbell watches itself with, wired: the alerts about its own sources and receivers, and the heartbeat.

use std::sync::Arc;

use jiff::Timestamp;

use super::AppError;
use crate::clock::Clock;
use crate::config::Config;
use crate::http::{HttpClient, HttpSettings};
use crate::model::SourcePart;
use crate::rule::Muting;
use crate::store::SqlStore;
use crate::worker::heartbeat::{Heartbeat, Turns};
use crate::worker::own::{Reloads, SelfWatch};
use crate::worker::poll::Addressees;

/// The loops.
pub(super) struct Own {
    pub(super) watch: SelfWatch<SqlStore>,
    pub(super) heartbeat: Option<Heartbeat<SqlStore>>,
}

/// Opens them; `now` is when the program began.
pub(super) fn open(
    config: &Config,
    store: &Arc<SqlStore>,
    addressees: &Arc<Addressees>,
    clock: &Arc<dyn Clock>,
    now: Timestamp,
) -> Result<Own, AppError> {
    let sources = config
        .sources
        .iter()
        .map(|settings| SourcePart { id: settings.id.clone(), kind: settings.scheduler.kind().to_string() });
    let watch = SelfWatch {
        watch: config.watch.clone(),
        sources: sources.collect(),
        store: Arc::clone(store),
        addressees: Arc::clone(addressees),
        muting: Muting::new(Arc::clone(&config.mute_windows)),
        clock: Arc::clone(clock),
        started_at: now,
        reloads: Reloads::default(),
    };
    let beating = config.heartbeat.as_ref().map(|settings| -> Result<_, AppError> {
        let http = HttpSettings { ca_file: settings.ca_file.clone(), ..HttpSettings::default() };
        Ok(Heartbeat {
            url: settings.url.clone(),
            every: settings.every,
            client: HttpClient::new(&http).map_err(|error| AppError::Heartbeat(error.to_string()))?,
            sources: config.sources.iter().map(|settings| (settings.id.clone(), settings.poll.clone())).collect(),
            receivers: config.receivers.iter().map(|settings| settings.id.clone()).collect(),
            store: Arc::clone(store),
            clock: Arc::clone(clock),
            started_at: now,
            turns: Turns::default(),
            said: None,
        })
    });
    Ok(Own { watch, heartbeat: beating.transpose()? })
}
