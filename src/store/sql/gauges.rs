//! What there is at a moment, counted. Reads only.

use jiff::Timestamp;

use super::database::SqlStore;
use super::rows;
use crate::model::{ReceiverId, RuleId, Severity};
use crate::store::error::StoreError;
use crate::store::gauges::{Counted, FiringCount, Gauges};

/// What fires, counted.
const FIRING: &str = "SELECT rule, urgency, COUNT(*) FROM alert WHERE state = 'firing' GROUP BY rule, urgency";

impl Gauges for SqlStore {
    async fn gauges(&self, now: Timestamp) -> Result<Counted, StoreError> {
        let mut read = self.snapshot().await?;
        let found = sqlx::query(
            "SELECT receiver, COUNT(*), MIN(created_at) FROM delivery WHERE state = 'pending' GROUP BY receiver",
        )
        .fetch_all(read.on())
        .await
        .map_err(|error| self.failed(error))?;
        let pending = rows::all(&found, "delivery", |row| {
            Ok((ReceiverId::new(rows::text(row, 0)?), count(row, 1)?, rows::instant(rows::number(row, 2)?)?))
        });
        let found = sqlx::query(
            "SELECT receiver, COUNT(*) FROM delivery WHERE state = 'dead' AND dropped_at IS NULL GROUP BY receiver",
        )
        .fetch_all(read.on())
        .await
        .map_err(|error| self.failed(error))?;
        let dead = rows::all(&found, "delivery", |row| Ok((ReceiverId::new(rows::text(row, 0)?), count(row, 1)?)));
        let found = sqlx::query(FIRING).fetch_all(read.on()).await.map_err(|error| self.failed(error))?;
        let firing = rows::all(&found, "alert", firing_count);
        let row = sqlx::query("SELECT COUNT(*) FROM silence WHERE expired_at IS NULL AND ends_at > $1")
            .bind(now.as_millisecond())
            .fetch_one(read.on())
            .await
            .map_err(|error| self.failed(error))?;
        let silences = count(&row, 0)?;
        self.done(read).await?;
        Ok(Counted { pending, dead, firing, silences })
    }

    async fn firing_counts(&self) -> Result<Vec<FiringCount>, StoreError> {
        let found = sqlx::query(FIRING).fetch_all(&self.readers).await.map_err(|error| self.failed(error))?;
        Ok(rows::all(&found, "alert", firing_count))
    }

    async fn open_counts(&self) -> Result<(u64, u64), StoreError> {
        let row = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM alert WHERE state = 'firing'), \
               (SELECT COUNT(*) FROM delivery WHERE state = 'dead' AND dropped_at IS NULL)",
        )
        .fetch_one(&self.readers)
        .await
        .map_err(|error| self.failed(error))?;
        Ok((count(&row, 0)?, count(&row, 1)?))
    }
}

fn firing_count(row: &sqlx::any::AnyRow) -> Result<FiringCount, StoreError> {
    let urgency = rows::optional_number(row, 1)?.and_then(|urgency| u8::try_from(urgency).ok());
    Ok((RuleId::new(rows::text(row, 0)?), urgency.and_then(Severity::from_urgency), count(row, 2)?))
}

fn count(row: &sqlx::any::AnyRow, index: usize) -> Result<u64, StoreError> {
    Ok(u64::try_from(rows::number(row, index)?).unwrap_or(0))
}
