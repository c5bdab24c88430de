//! The memory of a source, as a poll finds it: what is covered, the runs whose story is not over, and the alerts; and the
//! runs that it asks for.
//!
//! Runs that have ended are many, and most of them are never listed again: none is read before it is asked for.

use std::collections::{BTreeSet, HashMap, HashSet};

use futures_util::TryStreamExt as _;
use jiff::{SignedDuration, Timestamp};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::ask::Ask as _;
use super::database::SqlStore;
use super::items::{JobItem, SubjectItem, lists};
use super::own::IS_OWN;
use super::rows;
use crate::decide::Memory;
use crate::limits::LISTED_AGAIN_MAX;
use crate::model::{Alert, AlertId, Covered, EndReason, InstanceKey, ReceiverId, RuleId, Snapshot, SourceId};
use crate::store::error::StoreError;

pub(super) async fn load(store: &SqlStore, source: &SourceId) -> Result<Memory, StoreError> {
    // One transaction, so that all answers are of the same commit.
    let mut read = store.snapshot().await?;
    let row = sqlx::query("SELECT generation, read_until, known_rules, polled_at, coverage FROM source WHERE id = $1")
        .bind(source.as_str())
        .at_most_one_in(store, read.on())
        .await?;
    let Some(row) = row else {
        store.done(read).await?;
        return Ok(Memory::default());
    };
    let (until, polled_at) = (rows::optional_instant(&row, 1)?, rows::instant(rows::number(&row, 3)?)?);
    let mut memory = Memory {
        generation: rows::number(&row, 0)?,
        polled_at: Some(polled_at),
        covered: covered(&row, 4, until)?,
        known_rules: rows::json(&row, 2)?,
        ..Memory::default()
    };
    // Row by row: what a row is read into is several times as large as what is kept of it.
    let mut names = Names::default();
    let mut firing = sqlx::query(sql_firing()).bind(source.as_str()).fetch(read.on());
    while let Some(row) = firing.try_next().await.map_err(|error| store.failed(error))? {
        for mut alert in rows::all(&[row], "alert", rows::alert) {
            names.share(&mut alert);
            memory.firing.insert(alert);
        }
    }
    drop(firing);
    let mut snapshots = sqlx::query(sql_snapshots()).bind(source.as_str()).fetch(read.on());
    while let Some(row) = snapshots.try_next().await.map_err(|error| store.failed(error))? {
        for (key, snapshot) in rows::all(&[row], "instance", rows::snapshot) {
            let is_firing = memory.firing.concerns_subject(&key);
            memory.runs.enter(key, snapshot, is_firing);
        }
    }
    drop(snapshots);
    // After a long outage the next poll reads back to the cursor, not only to the last try.
    let last_seen = until.map_or(polled_at, |until| until.min(polled_at));
    let horizon = last_seen.checked_sub(LISTED_AGAIN_MAX).unwrap_or(Timestamp::MIN).as_millisecond();
    let ended = sqlx::query(SQL_ENDED).bind(source.as_str()).bind(horizon).all_in(store, read.on()).await?;
    for row in &ended {
        let reason = rows::optional_text(row, 1)?.and_then(|word| EndReason::from_word(&word));
        memory.ended.enter(&AlertId::new(rows::text(row, 0)?), reason);
    }
    store.done(read).await?;
    Ok(memory)
}

/// The names that alerts share: of thousands of one rule it is held once.
#[derive(Default)]
struct Names {
    rules: BTreeSet<RuleId>,
    receivers: BTreeSet<ReceiverId>,
}

impl Names {
    fn share(&mut self, alert: &mut Alert) {
        shared(&mut self.rules, &mut alert.rule);
        alert.receivers.iter_mut().for_each(|receiver| shared(&mut self.receivers, receiver));
        let facts = &mut alert.facts;
        (facts.alert.id, facts.alert.rule) = (alert.id.clone(), alert.rule.clone());
        facts.source.id = alert.source.clone();
    }
}

fn shared<T: Ord + Clone>(known: &mut BTreeSet<T>, name: &mut T) {
    match known.get(name) {
        Some(same) => *name = same.clone(),
        None => drop(known.insert(name.clone())),
    }
}

/// How far back an older version is taken to have read: as far as a poll does unless the file says else.
const COVERED_BEFORE: SignedDuration = SignedDuration::from_hours(24);

/// What is covered of a source. What an older version stored says up to when, and nothing of where that began.
fn covered(row: &AnyRow, index: usize, until: Option<Timestamp>) -> Result<Covered, StoreError> {
    let stored: Option<Covered> = rows::optional_json(row, index)?;
    let covered = stored.unwrap_or_else(|| {
        let from = until.and_then(|until| until.checked_sub(COVERED_BEFORE).ok());
        Covered { from, ..Covered::default() }
    });
    Ok(Covered { until, ..covered })
}

pub(super) async fn snapshots(
    store: &SqlStore,
    source: &SourceId,
    keys: &[InstanceKey],
) -> Result<HashMap<InstanceKey, Snapshot>, StoreError> {
    let items: Vec<SubjectItem<'_>> =
        keys.iter().map(|key| SubjectItem { source: source.as_str(), job: &key.job, instance: &key.id }).collect();
    let mut known = HashMap::new();
    for text in lists(&items)? {
        let found = sqlx::query(store.statements.snapshots.clone()).bind(text).all(store).await?;
        known.extend(rows::all(&found, "instance", rows::snapshot));
    }
    Ok(known)
}

pub(super) async fn known_jobs(
    store: &SqlStore,
    source: &SourceId,
    jobs: &BTreeSet<String>,
) -> Result<HashSet<String>, StoreError> {
    let items: Vec<JobItem<'_>> = jobs.iter().map(|job| JobItem { source: source.as_str(), job }).collect();
    let mut known = HashSet::new();
    for text in lists(&items)? {
        let found = sqlx::query(store.statements.known_jobs.clone()).bind(text).all(store).await?;
        for row in &found {
            known.insert(rows::text(row, 0)?);
        }
    }
    Ok(known)
}

fn sql_snapshots() -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "SELECT {} FROM instance WHERE source = $1 AND ended = 0 \
         UNION ALL SELECT {} FROM alert JOIN instance ON instance.source = alert.source AND instance.job = alert.job \
             AND instance.id = alert.instance \
           WHERE alert.source = $1 AND alert.state = 'firing'",
        rows::SNAPSHOT_COLUMNS,
        rows::snapshot_columns()
    ))
}

fn sql_firing() -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "SELECT {} FROM alert WHERE source = $1 AND state = 'firing' AND NOT ({IS_OWN}) ORDER BY created_at, id",
        rows::ALERT_COLUMNS
    ))
}

const SQL_ENDED: &str = "SELECT id, end_reason FROM alert WHERE source = $1 AND state = 'resolved' AND ended_at >= $2";
