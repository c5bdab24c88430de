//! What outlives every configuration.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::leases::Leases;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::sign::LinkKey;
use crate::store::SqlStore;
use crate::worker::own::Reloads;
use crate::worker::turn::Statuses;

/// What outlives every configuration.
#[derive(Clone)]
pub(super) struct Ground {
    pub(super) store: Arc<SqlStore>,
    /// Which loops this process may run.
    pub(super) leases: Leases,
    pub(super) clock: Arc<dyn Clock>,
    /// The name of this process among those on the same store.
    pub(super) replica: Arc<str>,
    /// Since when the program runs.
    pub(super) started_at: Timestamp,
    /// The same by the clock that cannot be set.
    pub(super) started: Instant,
    /// Wakes the loop of the fallbacks.
    pub(super) dead_letters: Arc<Notify>,
    /// Wakes the loop of the escalations.
    pub(super) escalations: Arc<Notify>,
    /// Whether the configuration is in force that is wanted.
    pub(super) reloads: Reloads,
    /// How the loops fare.
    pub(super) statuses: Statuses,
    /// What they have done.
    pub(super) metrics: Metrics,
    /// What the links of messages are signed with.
    pub(super) links: LinkKey,
}
