//! What every answer is made from: the store, the configuration in force, how the loops fare.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::config::{Config, WebSettings};
use crate::metrics::Metrics;
use crate::model::SourceId;
use crate::sign::LinkKey;
use crate::store::SqlStore;
use crate::worker::own::Reloads;
use crate::worker::pending::Receivers;
use crate::worker::turn::Statuses;

/// A configuration in force.
#[derive(Debug)]
pub struct InForce {
    /// How many there have been, this one included.
    pub number: i64,
    /// Since when.
    pub since: Timestamp,
    /// What it says.
    pub config: Config,
    /// Its receivers, with what wakes their lanes.
    pub receivers: Arc<Receivers>,
    /// Has a source polled now, by its name.
    pub polls: HashMap<SourceId, Arc<Notify>>,
}

/// What every answer is made from. Cheap to copy.
#[derive(Clone)]
pub struct Web(Arc<Parts>);

/// The parts of a [`Web`].
pub struct Parts {
    /// The store.
    pub store: Arc<SqlStore>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// How the loops fare.
    pub statuses: Statuses,
    /// Whether the configuration is in force that is wanted.
    pub reloads: Reloads,
    /// What was counted.
    pub metrics: Metrics,
    /// The configuration in force.
    pub in_force: watch::Receiver<Arc<InForce>>,
    /// The name of this process among those on the same store.
    pub replica: Arc<str>,
    /// Since when it runs.
    pub started_at: Timestamp,
    /// What the links of messages are signed with.
    pub(super) links: LinkKey,
    /// The last answer to whether it is ready, and when that was found out.
    pub(super) ready: Mutex<Option<(Instant, Result<(), String>)>>,
}

impl Web {
    /// The server's state.
    pub fn new(
        store: Arc<SqlStore>,
        clock: Arc<dyn Clock>,
        (statuses, reloads, metrics): (Statuses, Reloads, Metrics),
        in_force: watch::Receiver<Arc<InForce>>,
        (replica, started_at): (Arc<str>, Timestamp),
        links: LinkKey,
    ) -> Web {
        let ready = Mutex::new(None);
        Web(Arc::new(Parts { store, clock, statuses, reloads, metrics, in_force, replica, started_at, links, ready }))
    }

    /// The configuration in force now.
    pub fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.in_force.borrow())
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl InForce {
    /// Where the page is served and who may look. Whoever removed that from the file has not restarted yet: until then
    /// nobody is let in who must show something.
    pub fn web(&self) -> WebSettings {
        let locked = || WebSettings { tokens: true, ..WebSettings::anywhere() };
        self.config.web.clone().unwrap_or_else(locked)
    }
}

impl std::ops::Deref for Web {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
