//! Whether anything waits for its group: a store that has never held such a delivery is not asked, so that who groups
//! nothing pays nothing.

use std::sync::atomic::{AtomicU8, Ordering};

use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use super::connections::Connections;
use super::free::FREE;
use crate::clock::latest_due;
use crate::limits::GROUP_WAIT_MAX;
use crate::model::{Notification, ReceiverId};

/// Which rows wait.
pub(super) const WAITS: &str = "queued.group_key IS NOT NULL AND queued.group_told_at IS NULL";

/// Which of them wait until later than `$4` ([`latest`]) and their interval allow: by a clock that was set back.
/// What is held back until a window opens waits for [`crate::limits::HOLD_MAX`] at most.
pub(super) const AHEAD: &str = "queued.next_attempt_at > $4 + COALESCE(queued.group_interval, 0) \
     + CASE WHEN queued.group_key LIKE 'hold/%' THEN 1209600000 ELSE 0 END";

/// The latest time until which a group waits by a clock that is right, its interval not counted.
pub(super) fn latest(now: Timestamp) -> i64 {
    latest_due(now, GROUP_WAIT_MAX).as_millisecond()
}

/// Whether anything waits for its group, or did since the store was opened.
#[derive(Debug, Default)]
pub(super) struct Gathering(AtomicU8);

const UNKNOWN: u8 = 0;
const NOTHING: u8 = 1;
const SOMETHING: u8 = 2;

impl Gathering {
    /// Of a store that others write, too: it is asked each time.
    pub(super) fn shared() -> Gathering {
        Gathering(AtomicU8::new(SOMETHING))
    }

    /// To be called before such deliveries are written.
    pub(super) fn note<'a>(&self, mut deliveries: impl Iterator<Item = &'a Notification>) {
        if deliveries.any(|one| one.group.is_some()) {
            self.0.store(SOMETHING, Ordering::SeqCst);
        }
    }

    /// Whether something of `receiver` waits longer than anything may.
    pub(super) async fn waits_too_long(
        &self,
        readers: &Connections,
        receiver: &ReceiverId,
        now: Timestamp,
    ) -> Result<bool, sqlx::Error> {
        if !self.may_wait(readers).await? {
            return Ok(false);
        }
        let ahead = AHEAD.replace("$4", "$2");
        let statement =
            AssertSqlSafe(format!("SELECT 1 FROM delivery AS queued WHERE {FREE} AND {WAITS} AND {ahead} LIMIT 1"));
        let found = sqlx::query(statement).bind(receiver.as_str()).bind(latest(now)).fetch_optional(readers).await?;
        Ok(found.is_some())
    }

    /// Whether there may be something that waits. Only the first call asks the database.
    pub(super) async fn may_wait(&self, readers: &Connections) -> Result<bool, sqlx::Error> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::HOLD_MAX;
    use crate::model::GroupPlace;

    #[test]
    fn the_statement_knows_how_long_anything_is_held_back() {
        assert!(AHEAD.contains(&format!("THEN {} ELSE", HOLD_MAX.as_millis())));
        let prefix = AHEAD.split("LIKE '").nth(1).unwrap().split('%').next().unwrap();
        assert!(GroupPlace::of_window("nights").key.starts_with(prefix));
    }
}
