//! Whether anything waits for its group: a store that has never held such a delivery is not asked, so that who groups
//! nothing pays nothing.

//! Whether anything waits for its group: a store that has never held such a delivery is not asked, so that who groups
//! nothing pays nothing.

use std::sync::atomic::{AtomicU8, Ordering};

use sqlx::{AnyPool, AssertSqlSafe};

use crate::model::Delivery;

/// Which rows wait.
pub(super) const WAITS: &str = "queued.group_key IS NOT NULL AND queued.group_told_at IS NULL";

/// Whether anything waits for its group, or did since the store was opened.
#[derive(Debug, Default)]
pub(super) struct Gathering(AtomicU8);

const UNKNOWN: u8 = 0;
const NOTHING: u8 = 1;
const SOMETHING: u8 = 2;

impl Gathering {
    /// To be called before such deliveries are written.
    pub(super) fn note<'a>(&self, mut deliveries: impl Iterator<Item = &'a Delivery>) {
        if deliveries.any(|one| one.group.is_some()) {
            self.0.store(SOMETHING, Ordering::SeqCst);
        }
    }
    /// Whether there may be something that waits. Only the first call asks the database.
    pub(super) async fn may_wait(&self, readers: &AnyPool) -> Result<bool, sqlx::Error> {
        if self.0.load(Ordering::SeqCst) == UNKNOWN {
            let statement = AssertSqlSafe(format!(
                "SELECT 1 FROM delivery AS queued WHERE queued.state = 'pending' AND {WAITS} LIMIT 1"
            ));
            let found = sqlx::query(statement).fetch_optional(readers).await?;
            let answer = if found.is_some() { SOMETHING } else { NOTHING };
            // What was written meanwhile has set it already, and that stays.
            let _ = self.0.compare_exchange(UNKNOWN, answer, Ordering::SeqCst, Ordering::SeqCst);
        }
        Ok(self.0.load(Ordering::SeqCst) == SOMETHING)
    }
}
