//! The log of transitions, written with every poll; what explains the past or plays it again reads it, in `archive`.

use jiff::Timestamp;

use super::ask::Ask as _;
use super::database::{SqlStore, Write};
use super::insert;
use super::items::InstanceItem;
use crate::model::{PollOutcome, SourceId};
use crate::store::error::StoreError;

/// Notes those of the instances that are new or look otherwise than they are stored. To be called before they are.
pub(super) async fn log(
    store: &SqlStore,
    write: &mut Write,
    items: &[InstanceItem<'_>],
    sequence: i64,
) -> Result<(), StoreError> {
    insert::execute_with(store, write, &store.statements.log_transitions, items, sequence).await
}

/// Notes that a source was asked.
pub(super) async fn log_poll(
    store: &SqlStore,
    write: &mut Write,
    source: &SourceId,
    now: Timestamp,
    outcome: PollOutcome,
) -> Result<(), StoreError> {
    // Of two polls in one millisecond, by a clock that was set back, the last word counts.
    sqlx::query(
        "INSERT INTO poll (source, polled_at, outcome) VALUES ($1, $2, $3) \
         ON CONFLICT (source, polled_at) DO UPDATE SET outcome = excluded.outcome",
    )
    .bind(source.as_str())
    .bind(now.as_millisecond())
    .bind(outcome.as_str())
    .run(store, write.on())
    .await?;
    Ok(())
}
