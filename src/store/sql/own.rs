//! What Nightbell watches of itself: the health of receivers, noted as attempts are settled; its alerts, which no poll
//! decides about; the proof that the store takes a write.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::ask::Ask as _;
use super::database::{SqlStore, Write};
use super::items::{IdItem, alert_items, clean, lists, to_json};
use super::{actions, gap, insert, rows};
use crate::model::{Action, ActionKind, Alert, DeliveryState, EndReason, GapCause, GapPart, ReceiverId, SourceId};
use crate::store::archive::Archive as _;
use crate::store::error::StoreError;
use crate::store::outbox::Settled;
use crate::store::own::{OwnAlerts, OwnCommit, OwnState, ReceiverHealth};

/// The rows of Nightbell's own alerts, whose rules are called `self/…`; no other rule has a slash in its name. Written as a
/// span, because an index answers that.
pub(super) const IS_OWN: &str = "rule >= 'self/' AND rule < 'self0'";

/// The receivers to which something failed: few rows, or none.
const HEALTH: &str = "SELECT receiver, since, lasting, rejected, failing, error FROM receiver_health ORDER BY receiver";

impl OwnAlerts for SqlStore {
    async fn own_state(&self, closed_since: Timestamp) -> Result<OwnState, StoreError> {
        let sources = self.sources().await?;
        // A row for each open gap, and those that ended lately: sequence numbers are the wall clock's milliseconds, or later.
        let gaps = sqlx::query(
            "SELECT source, cause, reason, began_at, ended_at FROM gap WHERE closed_moment IS NULL OR closed_moment >= $1 \
             ORDER BY opened_moment",
        )
        .bind(closed_since.as_millisecond())
        .all(self).await?;
        let unwell = sqlx::query(HEALTH).all(self).await?;
        let firing = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {} FROM alert WHERE state = 'firing' AND {IS_OWN} ORDER BY created_at, id",
            rows::ALERT_COLUMNS
        )))
        .all(self)
        .await?;
        Ok(OwnState {
            sources,
            gaps: rows::all(&gaps, "gap", |row| {
                let cause = rows::text(row, 1)?;
                Ok(GapPart {
                    source: SourceId::new(rows::text(row, 0)?),
                    cause: GapCause::from_word(&cause).ok_or_else(|| rows::unknown("cause of a gap", &cause))?,
                    reason: rows::text(row, 2)?,
                    from: rows::instant(rows::number(row, 3)?)?,
                    until: rows::optional_instant(row, 4)?,
                    runs: None,
                    failed: None,
                })
            }),
            health: rows::all(&unwell, "receiver_health", health),
            firing: rows::all(&firing, "alert", rows::alert),
        })
    }

    async fn firing_elsewhere(&self, sources: &[SourceId]) -> Result<Vec<Alert>, StoreError> {
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT {} FROM alert WHERE state = 'firing' AND NOT ({IS_OWN}) AND source NOT IN {} ORDER BY created_at, id",
            rows::ALERT_COLUMNS,
            self.dialect.bound_texts(1)
        ));
        let items: Vec<IdItem> = sources.iter().map(|source| IdItem { id: source.as_str() }).collect();
        let found = sqlx::query(statement).bind(to_json(&items)?).all(self).await?;
        Ok(rows::all(&found, "alert", rows::alert))
    }

    /// Alerts and what is pending for them, as a poll commits them; no cursor is moved.
    async fn commit_own(&self, own: &OwnCommit) -> Result<(), StoreError> {
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                let sequence = gap::next_sequence(self, &mut write, own.now).await?;
                let changed = alert_items(&own.changed, own.now, sequence);
                insert::execute(self, &mut write, &self.statements.update_alerts, &changed).await?;
                let closed: Vec<Action> = own.changed.iter().filter_map(closing).collect();
                actions::record(self, &mut write, &closed).await?;
                let touched = own.changed.iter().filter(|alert| !alert.rule.as_str().starts_with("self/"));
                for source in touched.map(|alert| &alert.source).collect::<BTreeSet<_>>() {
                    sqlx::query("UPDATE source SET generation = generation + 1 WHERE id = $1")
                        .bind(source.as_str())
                        .run(self, write.on())
                        .await?;
                }
                let repeated = insert::insert_fired(self, &mut write, &own.fired, own.now, sequence).await?;
                insert::insert_deliveries(self, &mut write, std::iter::once(&own.deliveries), &repeated).await?;
                self.commit(write).await
            })
        })
        .await
    }
}

/// What a person did who closed an alert.
fn closing(alert: &Alert) -> Option<Action> {
    let ended = alert.facts.alert.ended.as_ref().filter(|ended| ended.reason == EndReason::Closed)?;
    Some(Action::on_alert(ActionKind::Close, &alert.id, ended.by.as_deref()?, ended.note.as_deref(), ended.at))
}

/// Notes how receivers fare. As long as everything arrives it only looks.
pub(super) async fn note_outcomes(store: &SqlStore, write: &mut Write, settled: &[Settled]) -> Result<(), StoreError> {
    let known = sqlx::query(HEALTH).all_in(store, write.on()).await?;
    if known.is_empty() && settled.iter().all(|one| one.state == DeliveryState::Delivered) {
        return Ok(());
    }
    let known = rows::all(&known, "receiver_health", health).into_iter().map(|one| (one.receiver.clone(), one));
    let known: HashMap<ReceiverId, ReceiverHealth> = known.collect();
    let receivers = receivers_of(store, write, settled).await?;
    let mut in_order: Vec<&Settled> = settled.iter().collect();
    in_order.sort_by_key(|one| one.ended_at);
    let mut now: BTreeMap<&ReceiverId, Option<ReceiverHealth>> = BTreeMap::new();
    for one in in_order {
        if let Some(receiver) = receivers.get(one.id.as_str()) {
            let health = now.entry(receiver).or_insert_with(|| known.get(receiver).cloned());
            *health = ReceiverHealth::after(health.take(), receiver, one);
        }
    }
    for (receiver, health) in now {
        if health.as_ref() != known.get(receiver) {
            put_health(store, write, receiver, health.as_ref()).await?;
        }
    }
    Ok(())
}

async fn put_health(
    store: &SqlStore,
    write: &mut Write,
    receiver: &ReceiverId,
    health: Option<&ReceiverHealth>,
) -> Result<(), StoreError> {
    let Some(health) = health else {
        let removed = sqlx::query("DELETE FROM receiver_health WHERE receiver = $1").bind(receiver.as_str());
        return removed.run(store, write.on()).await.map(drop);
    };
    sqlx::query(
        "INSERT INTO receiver_health (receiver, since, lasting, rejected, failing, error) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (receiver) DO UPDATE SET since = excluded.since, lasting = excluded.lasting, \
           rejected = excluded.rejected, failing = excluded.failing, error = excluded.error",
    )
    .bind(receiver.as_str())
    .bind(health.since.as_millisecond())
    .bind(i64::from(health.is_lasting))
    .bind(i64::from(health.rejected))
    .bind(i64::from(health.is_failing))
    .bind(clean(&health.error).into_owned())
    .run(store, write.on()).await.map(drop)
}

fn health(row: &AnyRow) -> Result<ReceiverHealth, StoreError> {
    Ok(ReceiverHealth {
        receiver: ReceiverId::new(rows::text(row, 0)?),
        since: rows::instant(rows::number(row, 1)?)?,
        is_lasting: rows::number(row, 2)? != 0,
        rejected: u32::try_from(rows::number(row, 3)?).unwrap_or(u32::MAX),
        is_failing: rows::number(row, 4)? != 0,
        error: rows::text(row, 5)?,
    })
}

/// The receivers of the deliveries, by the deliveries' ids.
async fn receivers_of(
    store: &SqlStore,
    write: &mut Write,
    settled: &[Settled],
) -> Result<HashMap<String, ReceiverId>, StoreError> {
    let ids: Vec<IdItem> = settled.iter().map(|one| IdItem { id: one.id.as_str() }).collect();
    let mut receivers = HashMap::new();
    for text in lists(&ids)? {
        let statement = store.statements.receivers.clone();
        let found = sqlx::query(statement).bind(text).all_in(store, write.on()).await?;
        for row in &found {
            receivers.insert(rows::text(row, 0)?, ReceiverId::new(rows::text(row, 1)?));
        }
    }
    Ok(receivers)
}
