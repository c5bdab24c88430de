//! Which receivers there are: what is pending for one that is gone can never be sent, and is dead.

use std::time::Duration;

use jiff::Timestamp;

use super::ask::Ask as _;
use super::database::{SqlStore, Write};
use super::items::{IdItem, milliseconds, to_json};
use super::rows;
use crate::limits::{FALLBACK_DEAD_AGE_MAX, LANE_HANGS_AFTER};
use crate::model::{RECEIVER_GONE, ReceiverId};
use crate::store::error::StoreError;
use crate::store::fallback::KnownReceiver;

pub(super) async fn keep(
    store: &SqlStore,
    known: &[KnownReceiver],
    configuration: Option<&str>,
    now: Timestamp,
) -> Result<Vec<KnownReceiver>, StoreError> {
    let mut write = store.write().await?;
    let is_in_force = match configuration {
        Some(fingerprint) => is_in_force(store, &mut write, fingerprint).await?,
        None => true,
    };
    if is_in_force {
        note(store, &mut write, known).await?;
        remove_others(store, &mut write, known, now).await?;
    }
    let gone = sqlx::query("SELECT id, fallback, fallback_after FROM receiver WHERE removed_at >= $1 ORDER BY id")
        .bind(long_ago(now))
        .all_in(store, write.on())
        .await?;
    store.commit(write).await?;
    let gone = rows::all(&gone, "receiver", |row| {
        let fallback = rows::optional_text(row, 1)?.map(ReceiverId::new);
        let after: Option<Duration> = rows::optional_span(row, 2)?;
        Ok(KnownReceiver { id: ReceiverId::new(rows::text(row, 0)?), fallback: fallback.zip(after) })
    });
    Ok(gone)
}

/// Whether the configuration is the one in force; another one waits until the transaction ends.
async fn is_in_force(store: &SqlStore, write: &mut Write, fingerprint: &str) -> Result<bool, StoreError> {
    let statement = format!("SELECT 1 FROM generation WHERE id = 1 AND fingerprint = $1{}", store.dialect.keep_row());
    Ok(sqlx::query(sqlx::AssertSqlSafe(statement)).bind(fingerprint).at_most_one_in(store, write.on()).await?.is_some())
}

async fn note(store: &SqlStore, write: &mut Write, known: &[KnownReceiver]) -> Result<(), StoreError> {
    for one in known {
        let (to, after) = one.fallback.as_ref().map(|(to, after)| (to.as_str(), milliseconds(*after))).unzip();
        let done = sqlx::query(
            "INSERT INTO receiver (id, fallback, fallback_after) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE \
             SET fallback = excluded.fallback, fallback_after = excluded.fallback_after, removed_at = NULL",
        );
        done.bind(one.id.as_str()).bind(to).bind(after).run(store, write.on()).await?;
    }
    Ok(())
}

async fn remove_others(
    store: &SqlStore,
    write: &mut Write,
    known: &[KnownReceiver],
    now: Timestamp,
) -> Result<(), StoreError> {
    let items: Vec<IdItem> = known.iter().map(|one| IdItem { id: one.id.as_str() }).collect();
    let (known, texts) = (to_json(&items)?, store.dialect.bound_texts(1));
    // What is under way is left to its lane: once that has ended, this is done again. A claim that is older than any attempt
    // takes is of a lane that died, and has no heir.
    let longest = milliseconds(LANE_HANGS_AFTER);
    let pending = format!(
        "state = 'pending' AND (claimed_at IS NULL OR claimed_at < $2 - {longest}) AND receiver NOT IN {texts}"
    );
    // Each with how many it binds of: the known ones, now, and why.
    let statements = [
        // How a receiver fared that is gone concerns nobody, but for what is lost with it.
        (
            1,
            format!(
                "DELETE FROM receiver_health WHERE receiver NOT IN {texts} \
                   AND receiver NOT IN (SELECT id FROM receiver WHERE removed_at IS NOT NULL)"
            ),
        ),
        (
            2,
            format!(
                "INSERT INTO receiver (id, removed_at) SELECT DISTINCT receiver, $2 FROM delivery WHERE {pending} \
                 ON CONFLICT (id) DO UPDATE SET removed_at = excluded.removed_at WHERE receiver.removed_at < {}",
                long_ago(now)
            ),
        ),
        (2, format!("UPDATE receiver SET removed_at = $2 WHERE removed_at IS NULL AND id NOT IN {texts}")),
        (
            3,
            format!(
                "INSERT INTO receiver_health (receiver, since, lasting, error) SELECT DISTINCT receiver, $2, 1, $3 FROM delivery \
                 WHERE {pending} ON CONFLICT (receiver) DO UPDATE SET lasting = 1, error = excluded.error"
            ),
        ),
        (
            3,
            format!(
                "UPDATE delivery SET state = 'dead', claimed_at = NULL, next_attempt_at = NULL, dead_at = $2, last_error = $3 \
                 WHERE {pending}"
            ),
        ),
    ];
    let mut dead = 0;
    for (binds, statement) in statements {
        let mut query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(known.as_str());
        if binds > 1 {
            query = query.bind(now.as_millisecond());
        }
        if binds > 2 {
            query = query.bind(RECEIVER_GONE);
        }
        dead = query.run(store, write.on()).await?;
    }
    if dead > 0 {
        tracing::error!(deliveries = dead, "gave up deliveries: {RECEIVER_GONE}");
    }
    for statement in [
        "DELETE FROM receiver_health WHERE receiver IN (SELECT id FROM receiver WHERE removed_at < $1)",
        // Whom a step has told of what fires is kept in mind: the step looks for who took its place.
        "DELETE FROM receiver WHERE removed_at < $1 AND id NOT IN (SELECT receiver FROM escalation WHERE ended = 0)",
    ] {
        sqlx::query(statement).bind(long_ago(now)).run(store, write.on()).await?;
    }
    Ok(())
}

/// What is gone since before then concerns no fallback any more.
fn long_ago(now: Timestamp) -> i64 {
    now.checked_sub(FALLBACK_DEAD_AGE_MAX).unwrap_or(Timestamp::MIN).as_millisecond()
}
