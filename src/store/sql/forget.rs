//! Forgetting runs: which of them go, and what is kept of them.
//!
//! A run goes when its source can no longer list it and no rule counts it among the last ones of its job. In the same
//! transaction it is counted in `job_day`. Reads and writes the tables `instance` and `job_day`.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sqlx::any::AnyRow;

use super::ask::Ask as _;
use super::database::{SqlStore, Write};
use super::items::{SubjectItem, to_json};
use super::rows;
use crate::clock::day_of;
use crate::limits::{FOLLOWED_AGE_MAX, LISTED_AGAIN_MAX, STORE_PURGE_ROWS_MAX};
use crate::model::{InstanceKey, Snapshot, SourceId, Status};
use crate::rule::history::went_well;
use crate::store::error::StoreError;
use crate::store::upkeep::KeptRuns;

/// Removes the runs of a source that nobody needs any more. Returns how many.
///
/// They are measured against the source's cursor and not against the clock: after a long stop or outage, or with a clock
/// that leapt, the next poll still reads back to there.
pub(super) async fn purge_instances(
    store: &SqlStore,
    source: &SourceId,
    (last_seen, before): (Timestamp, Timestamp),
    kept: &KeptRuns,
    zone: &TimeZone,
) -> Result<u64, StoreError> {
    let ago = |span| last_seen.checked_sub(span).unwrap_or(Timestamp::MIN).min(before);
    let bounds = Bounds { before, listed: ago(LISTED_AGAIN_MAX), followed: ago(FOLLOWED_AGE_MAX) };
    let none = BTreeMap::new();
    let kept = kept.get(source).unwrap_or(&none);
    let mut since: HashMap<String, Since> = HashMap::new();
    let mut removed = 0;
    for mut place in [Place::first(None), Place::first(Some(Timestamp::MIN))] {
        loop {
            let (page, is_last) = old_runs(store, source, &bounds, &place).await?;
            let last = page.last().cloned();
            let mut gone = Vec::new();
            for (key, run) in page {
                if let Some(runs) = kept.get(&key.job) {
                    if !since.contains_key(&key.job) {
                        since.insert(key.job.clone(), since_kept(store, source, &key.job, *runs).await?);
                    }
                    if since.get(&key.job).is_some_and(|since| is_kept(since, &run)) {
                        continue;
                    }
                }
                gone.push(key);
            }
            removed += store.retried(|| Box::pin(forget(store, source, (before, zone), &gone))).await?;
            match last.filter(|_| !is_last) {
                Some((after, run)) => place = Place { due: due(&run), after },
                None => break,
            }
        }
    }
    Ok(removed)
}

/// What is old.
struct Bounds {
    /// What has changed since stays.
    before: Timestamp,
    /// What has ended and was planned since may be listed again.
    listed: Timestamp,
    /// What has not ended and was planned since may be asked after.
    followed: Timestamp,
}

/// How far the runs of a source were looked through. Those that nobody knows when they were due are looked through by
/// themselves: an index has the others in order.
struct Place {
    due: Option<Timestamp>,
    after: InstanceKey,
}

impl Place {
    fn first(due: Option<Timestamp>) -> Place {
        Place { due, after: InstanceKey { job: String::new(), id: String::new() } }
    }
}

fn due(run: &Snapshot) -> Option<Timestamp> {
    run.plan_time.or(run.start_time)
}

/// From which due time on the runs of a job are kept, by type.
type Since = HashMap<&'static str, Timestamp>;

fn is_kept(since: &Since, run: &Snapshot) -> bool {
    since.get(run.kind.as_str()).zip(due(run)).is_some_and(|(since, due)| due >= *since)
}

/// The next runs that are old enough to go, by when they were due, and whether they are the last ones.
async fn old_runs(
    store: &SqlStore,
    source: &SourceId,
    bounds: &Bounds,
    place: &Place,
) -> Result<(Vec<(InstanceKey, Snapshot)>, bool), StoreError> {
    const DUE: &str = "COALESCE(old.plan_time, old.start_time)";
    let wanted = match place.due {
        // Few have no due time: the comparison of keys is put so that no database goes through all runs by their keys for it.
        None => {
            format!("{DUE} IS NULL AND $7 IS NULL AND CASE WHEN (old.job, old.id) > ($2, $3) THEN 1 ELSE 0 END = 1")
        }
        // Whatever its status, what was due later than this may be listed or asked after.
        Some(_) => format!("{DUE} >= $7 AND {DUE} < $5 AND ({DUE} > $7 OR (old.job, old.id) > ($2, $3))"),
    };
    let statement = format!(
        "SELECT {} FROM instance AS old WHERE old.source = $1 AND {wanted} AND old.changed_at < $4 \
           AND COALESCE(old.plan_time, old.changed_at) < CASE old.ended WHEN 1 THEN $5 ELSE $6 END \
           AND NOT EXISTS (SELECT 1 FROM alert WHERE alert.source = old.source AND alert.job = old.job \
             AND alert.instance = old.id AND alert.state = 'firing') \
         ORDER BY {DUE}, old.job, old.id LIMIT $8",
        rows::SNAPSHOT_COLUMNS
    );
    let found = sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(source.as_str())
        .bind(place.after.job.as_str())
        .bind(place.after.id.as_str())
        .bind(bounds.before.as_millisecond())
        .bind(bounds.listed.as_millisecond())
        .bind(bounds.followed.as_millisecond())
        .bind(place.due.map(Timestamp::as_millisecond))
        .bind(i64::try_from(STORE_PURGE_ROWS_MAX).unwrap_or(i64::MAX))
        .all(store)
        .await?;
    Ok((rows::all(&found, "instance", rows::snapshot), found.len() < STORE_PURGE_ROWS_MAX))
}

/// The statuses that say whether a job goes well, as a list of SQL.
pub(super) fn counted_statuses() -> String {
    let counted = Status::ALL.into_iter().filter(|status| went_well(*status).is_some());
    counted.map(|status| format!("'{status}'")).collect::<Vec<_>>().join(", ")
}

/// When the last `runs` runs of a job that say whether it went well begin, for each type of run.
async fn since_kept(store: &SqlStore, source: &SourceId, job: &str, runs: usize) -> Result<Since, StoreError> {
    let statement = format!(
        "SELECT kind, MIN(due) FROM (SELECT kind, COALESCE(plan_time, start_time) AS due, \
           ROW_NUMBER() OVER (PARTITION BY kind ORDER BY COALESCE(plan_time, start_time) DESC, id DESC) AS place \
           FROM instance WHERE source = $1 AND job = $2 AND status IN ({}) \
             AND COALESCE(plan_time, start_time) IS NOT NULL) AS run \
         WHERE place <= $3 GROUP BY kind",
        counted_statuses()
    );
    let found = sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(source.as_str())
        .bind(job)
        .bind(i64::try_from(runs).unwrap_or(i64::MAX))
        .all(store)
        .await?;
    let since = |row| Ok((rows::instance_type(row, 0)?.as_str(), rows::instant(rows::number(row, 1)?)?));
    found.iter().map(since).collect()
}

/// What is kept of runs of one job, day, type and status.
#[derive(Default)]
struct Day {
    runs: i64,
    timed: i64,
    took_ms: i64,
    longest_ms: i64,
    settled_sequence: i64,
}

/// Removes these runs, unless they have changed since, and counts them.
async fn forget(
    store: &SqlStore,
    source: &SourceId,
    (before, zone): (Timestamp, &TimeZone),
    gone: &[InstanceKey],
) -> Result<u64, StoreError> {
    if gone.is_empty() {
        return Ok(0);
    }
    let items: Vec<SubjectItem<'_>> =
        gone.iter().map(|key| SubjectItem { source: source.as_str(), job: &key.job, instance: &key.id }).collect();
    let statement = format!(
        "DELETE FROM instance WHERE (source, job, id) IN (SELECT source, job, instance FROM {}) AND changed_at < $2 \
         RETURNING job, id, kind, status, COALESCE(plan_time, start_time, changed_at), end_time - start_time, \
           COALESCE(settled_moment, changed_at)",
        store.dialect.items(SubjectItem::COLUMNS)
    );
    let mut write = store.write().await?;
    let removed = sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(to_json(&items)?)
        .bind(before.as_millisecond())
        .all_in(store, write.on())
        .await?;
    let mut days: BTreeMap<(String, i64, String, String), Day> = BTreeMap::new();
    for row in &removed {
        add(&mut days, row, zone)?;
    }
    for ((job, day, kind, status), counts) in days {
        count(store, &mut write, source, (&job, day, &kind, &status), counts).await?;
    }
    store.commit(write).await?;
    Ok(removed.len() as u64)
}

fn add(
    days: &mut BTreeMap<(String, i64, String, String), Day>,
    row: &AnyRow,
    zone: &TimeZone,
) -> Result<(), StoreError> {
    let due = rows::instant(rows::number(row, 4)?)?;
    let key = (rows::text(row, 0)?, day_of(due, zone), rows::text(row, 2)?, rows::text(row, 3)?);
    let day = days.entry(key).or_default();
    day.runs += 1;
    if let Some(took) = rows::optional_number(row, 5)?.filter(|took| *took >= 0) {
        day.timed += 1;
        day.took_ms += took;
        day.longest_ms = day.longest_ms.max(took);
    }
    day.settled_sequence = day.settled_sequence.max(rows::number(row, 6)?);
    Ok(())
}

async fn count(
    store: &SqlStore,
    write: &mut Write,
    source: &SourceId,
    (job, day, kind, status): (&str, i64, &str, &str),
    counts: Day,
) -> Result<(), StoreError> {
    let statement = "INSERT INTO job_day (source, job, day, kind, status, runs, timed, took_ms, longest_ms, settled_moment) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (source, job, day, kind, status) DO UPDATE SET runs = job_day.runs + excluded.runs, \
           timed = job_day.timed + excluded.timed, took_ms = job_day.took_ms + excluded.took_ms, \
           longest_ms = CASE WHEN excluded.longest_ms > job_day.longest_ms THEN excluded.longest_ms \
             ELSE job_day.longest_ms END, \
           settled_moment = CASE WHEN excluded.settled_moment > job_day.settled_moment THEN excluded.settled_moment \
             ELSE job_day.settled_moment END";
    sqlx::query(statement)
        .bind(source.as_str())
        .bind(job)
        .bind(day)
        .bind(kind)
        .bind(status)
        .bind(counts.runs)
        .bind(counts.timed)
        .bind(counts.took_ms)
        .bind(counts.longest_ms)
        .bind(counts.settled_sequence)
        .run(store, write.on())
        .await?;
    Ok(())
}
