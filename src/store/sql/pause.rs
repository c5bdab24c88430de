//! Channels that have asked to be left alone, and until when: whoever delivers to them next keeps to it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::ask::Ask as _;
use super::database::{SqlStore, Write};
use super::rows;
use crate::limits::LANE_PAUSE_UNASKED_MAX;
use crate::model::{AttemptOutcome, ReceiverId};
use crate::store::error::StoreError;
use crate::store::outbox::Settled;

pub(super) async fn keep(store: &SqlStore, receiver: &ReceiverId, until: Timestamp) -> Result<(), StoreError> {
    let mut write = store.write().await?;
    sqlx::query(
        "INSERT INTO pause (receiver, until) VALUES ($1, $2) ON CONFLICT (receiver) DO UPDATE SET until = excluded.until",
    )
    .bind(receiver.as_str())
    .bind(until.as_millisecond())
    .run(store, write.on()).await?;
    store.commit(write).await
}

pub(super) async fn until(store: &SqlStore, receiver: &ReceiverId) -> Result<Option<Timestamp>, StoreError> {
    let row =
        sqlx::query("SELECT until FROM pause WHERE receiver = $1").bind(receiver.as_str()).at_most_one(store).await?;
    row.map(|row| rows::instant(rows::number(&row, 0)?)).transpose()
}

/// Notes with the outcomes what the channels asked for: who dies the moment after has left it for its heir. Nobody inherits
/// from who has the store for itself.
pub(super) async fn note(store: &SqlStore, write: &mut Write, settled: &[Settled]) -> Result<(), StoreError> {
    if !store.dialect.is_shared() {
        return Ok(());
    }
    let mut asked: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for one in settled.iter().filter(|one| one.attempt.outcome == AttemptOutcome::Throttled) {
        let after = |span| one.ended_at.checked_add(span).unwrap_or(Timestamp::MAX);
        let unasked = after(LANE_PAUSE_UNASKED_MAX);
        let until = match one.attempt.retry_after {
            Some(span) => after(span),
            None => one.next_attempt_at.map_or(unasked, |next| next.min(unasked)),
        };
        asked.insert(one.id.as_str(), until);
    }
    for (delivery, until) in asked {
        sqlx::query(
            "INSERT INTO pause (receiver, until) SELECT receiver, $2 FROM delivery WHERE id = $1 \
             ON CONFLICT (receiver) DO UPDATE SET until = excluded.until WHERE pause.until < excluded.until",
        )
        .bind(delivery)
        .bind(until.as_millisecond())
        .run(store, write.on())
        .await?;
    }
    Ok(())
}
