//! Moments, and the times in which a source was not read: opened and closed with what the polls commit.
//!
//! A source has at most one gap open; another cause closes it and opens the next.

use jiff::Timestamp;

use super::ask::Ask as _;
use super::database::{SqlStore, Write};
use super::items::clean;
use super::rows;
use crate::model::{GapCause, SourceId};
use crate::store::error::StoreError;
use crate::store::ledger::PollCommit;

/// The next sequence number: larger than every one before, and the wall clock's milliseconds as long as that goes forward.
/// The table and its columns keep the name `moment` that they were made with: renamed, they would stop a replica of the version
/// before that still runs.
pub(super) async fn next_sequence(store: &SqlStore, write: &mut Write, now: Timestamp) -> Result<i64, StoreError> {
    let row = sqlx::query(
        "UPDATE moment SET last = CASE WHEN $1 > last THEN $1 ELSE last + 1 END WHERE id = 1 RETURNING last",
    )
    .bind(now.as_millisecond())
    .one_in(store, write.on())
    .await?;
    rows::number(&row, 0)
}

/// Waits until no other transaction is between this call, or a number of its own, and its end.
pub(super) async fn queue_up(store: &SqlStore, write: &mut Write) -> Result<(), StoreError> {
    sqlx::query("UPDATE moment SET last = last WHERE id = 1").run(store, write.on()).await.map(drop)
}

/// Opens or closes the gap of a source that was polled. Returns the sequence number of the commit; a poll that has nothing to
/// record gets none of its own, so that it writes as little as before.
pub(super) async fn after_poll<A>(
    store: &SqlStore,
    write: &mut Write,
    commit: &PollCommit<A>,
) -> Result<i64, StoreError> {
    if let Some(reason) = &commit.incomplete {
        return open(store, write, &commit.source, GapCause::Incomplete, reason, commit.now).await;
    }
    let open = sqlx::query("SELECT 1 FROM gap WHERE source = $1 AND closed_moment IS NULL")
        .bind(commit.source.as_str())
        .at_most_one_in(store, write.on())
        .await?;
    if open.is_none() && commit.instances.is_empty() && commit.fired.is_empty() {
        return Ok(0);
    }
    let sequence = next_sequence(store, write, commit.now).await?;
    if open.is_some() {
        close(store, write, &commit.source, None, commit.now, sequence).await?;
    }
    Ok(sequence)
}

/// Opens a gap, or goes on with one of the same cause. It begins where the source was last read, or the last gap ended.
/// Returns the sequence number of the commit.
pub(super) async fn open(
    store: &SqlStore,
    write: &mut Write,
    source: &SourceId,
    cause: GapCause,
    reason: &str,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let sequence = next_sequence(store, write, now).await?;
    close(store, write, source, Some(cause), now, sequence).await?;
    let goes_on = sqlx::query("UPDATE gap SET reason = $3 WHERE source = $1 AND cause = $2 AND closed_moment IS NULL")
        .bind(source.as_str())
        .bind(cause.as_str())
        .bind(clean(reason).into_owned())
        .run(store, write.on())
        .await?;
    if goes_on > 0 {
        return Ok(sequence);
    }
    sqlx::query(
        "INSERT INTO gap (source, cause, reason, began_at, opened_moment) VALUES ($1, $2, $3, COALESCE((SELECT MAX(known.at) \
           FROM (SELECT read_until AS at FROM source WHERE id = $1 UNION ALL SELECT ended_at FROM gap WHERE source = $1) \
           AS known WHERE known.at <= $4), $4), $5)",
    )
    .bind(source.as_str())
    .bind(cause.as_str())
    .bind(clean(reason).into_owned())
    .bind(now.as_millisecond())
    .bind(sequence)
    .run(store, write.on()).await?;
    Ok(sequence)
}

/// Closes the open gap of a source, unless its cause is `except`.
async fn close(
    store: &SqlStore,
    write: &mut Write,
    source: &SourceId,
    except: Option<GapCause>,
    now: Timestamp,
    sequence: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE gap SET ended_at = $3, closed_moment = $4 WHERE source = $1 AND closed_moment IS NULL AND cause <> $2",
    )
    .bind(source.as_str())
    .bind(except.map_or("", GapCause::as_str))
    .bind(now.as_millisecond())
    .bind(sequence)
    .run(store, write.on())
    .await?;
    Ok(())
}
