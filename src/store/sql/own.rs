//! What Nightbell watches of itself: receivers in trouble, noted as attempts are settled; its alerts, which no poll
//! decides about; the proof that the store takes a write.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::database::{SqlStore, Write};
use super::items::{IdItem, alert_items, lists};
use super::{gap, insert, rows};
use crate::model::{AttemptOutcome, DeliveryState, GapCause, GapPart, ReceiverId, SourceId};
use crate::store::archive::Archive as _;
use crate::store::error::StoreError;
use crate::store::outbox::Settled;
use crate::store::own::{OwnAlerts, OwnCommit, OwnState, Troubled};

/// The rows of Nightbell's own alerts, whose rules are called `self/…`; no other rule has a slash in its name. Written as a
/// span, because an index answers that.
pub(super) const IS_OWN: &str = "rule >= 'self/' AND rule < 'self0'";

impl OwnAlerts for SqlStore {
    async fn own_state(&self, closed_since: Timestamp) -> Result<OwnState, StoreError> {
        let sources = self.sources().await?;
        // A row for each open gap, and those that ended lately: moments are the wall clock's milliseconds, or later.
        let gaps = sqlx::query(
            "SELECT source, cause, reason, began_at, ended_at FROM gap WHERE closed_moment IS NULL OR closed_moment >= $1 \
             ORDER BY opened_moment",
        )
        .bind(closed_since.as_millisecond())
        .fetch_all(&self.readers)
        .await
        .map_err(|error| self.failed(error))?;
        let troubled = sqlx::query("SELECT receiver, since, lasting, error FROM trouble ORDER BY receiver")
            .fetch_all(&self.readers)
            .await
            .map_err(|error| self.failed(error))?;
        let firing = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {} FROM alert WHERE state = 'firing' AND {IS_OWN} ORDER BY created_at, id",
            rows::ALERT_COLUMNS
        )))
        .fetch_all(&self.readers)
        .await
        .map_err(|error| self.failed(error))?;
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
                })
            }),
            troubled: rows::all(&troubled, "trouble", |row| {
                Ok(Troubled {
                    receiver: ReceiverId::new(rows::text(row, 0)?),
                    since: rows::instant(rows::number(row, 1)?)?,
                    is_lasting: rows::number(row, 2)? != 0,
                    error: rows::text(row, 3)?,
                })
            }),
            firing: rows::all(&firing, "alert", rows::alert),
        })
    }

    /// Alerts and what is owed for them, as a poll commits them; no source is moved.
    async fn commit_own(&self, own: &OwnCommit) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        let moment = gap::next_moment(self, &mut write, own.now).await?;
        let changed = alert_items(&own.changed, own.now, moment)?;
        insert::execute(self, &mut write, &self.statements.update_alerts, &changed).await?;
        let repeated = insert::insert_fired(self, &mut write, &own.fired, own.now, moment).await?;
        insert::insert_deliveries(self, &mut write, &own.deliveries, &repeated).await?;
        self.commit(write).await
    }
}

/// What attempts did to the troubles of one receiver, in the order in which they ended.
#[derive(Default)]
struct Course {
    /// Whether one arrived.
    arrived: bool,
    /// What failed after the last one that did.
    failed: Option<Failed>,
}

struct Failed {
    since: Timestamp,
    is_lasting: bool,
    error: String,
}

impl Course {
    fn note(&mut self, settled: &Settled) {
        if settled.state == DeliveryState::Delivered {
            *self = Course { arrived: true, failed: None };
            return;
        }
        let is_lasting =
            settled.state == DeliveryState::Dead || settled.attempt.outcome == AttemptOutcome::Unauthorized;
        let error = settled.last_error.clone().unwrap_or_else(|| settled.attempt.outcome.as_str().to_string());
        let before = self.failed.take();
        self.failed = Some(Failed {
            since: before.as_ref().map_or(settled.started_at, |before| before.since),
            is_lasting: is_lasting || before.is_some_and(|before| before.is_lasting),
            error,
        });
    }
}

/// Notes which receivers were told, and which were not. As long as everything arrives it only looks.
pub(super) async fn note_outcomes(store: &SqlStore, write: &mut Write, settled: &[Settled]) -> Result<(), StoreError> {
    let all_arrived = settled.iter().all(|one| one.state == DeliveryState::Delivered);
    if all_arrived && !any_trouble(store, write).await? {
        return Ok(());
    }
    let receivers = receivers_of(store, write, settled).await?;
    let mut in_order: Vec<&Settled> = settled.iter().collect();
    in_order.sort_by_key(|one| one.ended_at);
    let mut courses: BTreeMap<&ReceiverId, Course> = BTreeMap::new();
    for one in in_order {
        if let Some(receiver) = receivers.get(one.id.as_str()) {
            courses.entry(receiver).or_default().note(one);
        }
    }
    for (receiver, course) in courses {
        if course.arrived {
            sqlx::query("DELETE FROM trouble WHERE receiver = $1")
                .bind(receiver.as_str())
                .execute(write.on())
                .await
                .map_err(|error| store.failed(error))?;
        }
        let Some(failed) = course.failed else { continue };
        sqlx::query(
            "INSERT INTO trouble (receiver, since, lasting, error) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (receiver) DO UPDATE SET error = excluded.error, \
               lasting = CASE WHEN excluded.lasting > trouble.lasting THEN excluded.lasting ELSE trouble.lasting END",
        )
        .bind(receiver.as_str())
        .bind(failed.since.as_millisecond())
        .bind(i64::from(failed.is_lasting))
        .bind(failed.error.as_str())
        .execute(write.on())
        .await
        .map_err(|error| store.failed(error))?;
    }
    Ok(())
}

async fn any_trouble(store: &SqlStore, write: &mut Write) -> Result<bool, StoreError> {
    let found = sqlx::query("SELECT 1 FROM trouble LIMIT 1").fetch_optional(write.on()).await;
    Ok(found.map_err(|error| store.failed(error))?.is_some())
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
        let found = sqlx::query(statement).bind(text).fetch_all(write.on()).await;
        for row in &found.map_err(|error| store.failed(error))? {
            receivers.insert(rows::text(row, 0)?, ReceiverId::new(rows::text(row, 1)?));
        }
    }
    Ok(receivers)
}
