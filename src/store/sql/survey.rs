//! What the past says of the rules as a whole: who was told how much by which of them. Reads only.

use jiff::Timestamp;

use super::super::StoreError;
use super::{SqlStore, rows};
use crate::model::{ReceiverId, RuleId};

/// An alert, as far as it counts for a look at all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telling {
    /// The rule.
    pub rule: RuleId,
    /// The source, the job and the run (empty for an alert about the job itself).
    pub subject: (String, String, String),
    /// Who was told of it; nobody, when it was not told.
    pub receivers: Vec<ReceiverId>,
    /// When.
    pub at: Timestamp,
}

impl SqlStore {
    /// How far back the instances and alerts reach; nothing in an empty store.
    ///
    /// # Errors
    /// [`StoreError::Database`], here and below.
    pub async fn history_begins(&self) -> Result<Option<Timestamp>, StoreError> {
        let row = sqlx::query(
            "SELECT MIN(first) FROM (SELECT MIN(COALESCE(plan_time, start_time, changed_at)) AS first FROM instance \
             UNION ALL SELECT MIN(created_at) FROM alert) AS known",
        )
        .fetch_one(&self.readers)
        .await
        .map_err(|error| self.failed(error))?;
        rows::optional_instant(&row, 0)
    }

    /// All alerts recorded since then, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn tellings(&self, since: Timestamp) -> Result<Vec<Telling>, StoreError> {
        let found = sqlx::query(
            "SELECT rule, source, job, instance, receivers, created_at FROM alert WHERE created_at >= $1 \
             ORDER BY created_at, id",
        )
        .bind(since.as_millisecond())
        .fetch_all(&self.readers)
        .await
        .map_err(|error| self.failed(error))?;
        Ok(rows::all(&found, "alert", |row| {
            Ok(Telling {
                rule: RuleId::new(rows::text(row, 0)?),
                subject: (rows::text(row, 1)?, rows::text(row, 2)?, rows::text(row, 3)?),
                receivers: rows::json(row, 4)?,
                at: rows::instant(rows::number(row, 5)?)?,
            })
        }))
    }

    /// How many messages were owed to each receiver since then.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn owed_by_receiver(&self, since: Timestamp) -> Result<Vec<(ReceiverId, u64)>, StoreError> {
        let found = sqlx::query(
            "SELECT receiver, COUNT(*) FROM delivery WHERE created_at >= $1 GROUP BY receiver ORDER BY receiver",
        )
        .bind(since.as_millisecond())
        .fetch_all(&self.readers)
        .await
        .map_err(|error| self.failed(error))?;
        Ok(rows::all(&found, "delivery", |row| {
            Ok((ReceiverId::new(rows::text(row, 0)?), u64::try_from(rows::number(row, 1)?).unwrap_or(0)))
        }))
    }
}
