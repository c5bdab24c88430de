//! What still fires after a poll, and what has become of it, from the stage that lives to the one that mutes.
//!
//! Data only.

use std::sync::Arc;

use crate::alert::Ledger;
use crate::model::Alert;

/// What still fires after a poll, and what has become of it.
#[derive(Debug, Default)]
pub(super) struct Episodes {
    /// What fires.
    pub(super) ledger: Ledger,
    /// Alerts that begin; those that fire are in the ledger, too.
    pub(super) fired: Vec<Arc<Alert>>,
    /// Alerts that end.
    pub(super) ended: Vec<Alert>,
    /// Alerts that go on and are to be told as they are now, or are suspended, or are not any more.
    pub(super) continued: Vec<Alert>,
    /// Alerts whose deadline has passed after a warning: told a second time.
    pub(super) overdue: Vec<Alert>,
}
