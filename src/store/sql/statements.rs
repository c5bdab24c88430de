//! The statements that differ between databases, put together once when the store is opened.
//!
//! Every one binds a JSON list of rows as `$1` and works on all its rows at once. `WHERE true` tells SQLite's parser
//! that an `ON CONFLICT` after a SELECT is no join condition.

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use super::candidate::CANDIDATE;
use super::dialect::{Column, Dialect};
use super::items::{
    AboutItem, AlertItem, DamagedItem, DeliveryItem, IdItem, InstanceItem, JobItem, MemberItem, SettledItem,
    SubjectItem,
};

/// Statements over a bound list.
pub(super) struct Statements {
    pub(super) upsert_instances: SqlStr,
    /// Those of the listed instances that are new or look otherwise are noted, with the sequence number `$2`.
    pub(super) log_transitions: SqlStr,
    pub(super) known_alerts: SqlStr,
    /// The listed runs as they were last seen.
    pub(super) snapshots: SqlStr,
    /// Those of the listed jobs of which any run is known.
    pub(super) known_jobs: SqlStr,
    pub(super) insert_alerts: SqlStr,
    pub(super) update_alerts: SqlStr,
    pub(super) insert_deliveries: SqlStr,
    /// Of the listed deliveries, those whose predecessor was merged follow what it was merged into.
    pub(super) follow_merged: SqlStr,
    /// What is pending of who is on an alert is told by a listed delivery that tells the same receiver of its end, or of who is
    /// on it since.
    pub(super) supersede_acks: SqlStr,
    /// Of the listed deliveries, those whose predecessor is dead die.
    pub(super) bury_late_followers: SqlStr,
    pub(super) settle: SqlStr,
    pub(super) log_attempts: SqlStr,
    /// Whatever waits behind a listed delivery that is dead now dies too.
    pub(super) bury_followers: SqlStr,
    pub(super) done_so_far: SqlStr,
    pub(super) release: SqlStr,
    pub(super) bury: SqlStr,
    /// The listed deliveries, as [`CANDIDATE`] says.
    pub(super) named: SqlStr,
    /// What died (`$2`: of what) because of the listed ones.
    pub(super) buried_followers: SqlStr,
    /// The listed deliveries wait for no others any more: they are due at `$2`.
    pub(super) tell_alone: SqlStr,
    /// Dead ones are pending again from `$2` on, and pending ones wait no longer.
    pub(super) revive: SqlStr,
    /// The facts of the listed deliveries' alerts, with the resolutions behind them that can be told at once.
    pub(super) mergeable: SqlStr,
    /// The listed deliveries are told by another one.
    pub(super) merge: SqlStr,
    /// What a listed delivery tells together is told by the one that tells it: a merged delivery always names the last.
    pub(super) merge_members: SqlStr,
    /// What follows a listed delivery follows the one that tells it.
    pub(super) follow_group: SqlStr,
    /// The latest successful durations of the listed jobs, at most `$2` of each.
    pub(super) durations: SqlStr,
    /// How the jobs of the listed alerts have fared before them: their runs since `$2` without the alert's own, how many of
    /// those failed, the last success, and the facts of the last alert of the same rule that is over.
    pub(super) lately: SqlStr,
    /// The facts of the alerts about the listed runs, over or not, the latest last.
    pub(super) facts_of_runs: SqlStr,
    /// The listed deliveries with their receivers.
    pub(super) receivers: SqlStr,
}

/// A store prints without its statements, which are long.
impl std::fmt::Debug for Statements {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Statements")
    }
}

impl Statements {
    pub(super) fn new(dialect: Dialect) -> Statements {
        let (ids, listed) = (dialect.items(IdItem::COLUMNS), dialect.is_listed("id"));
        Statements {
            upsert_instances: upsert_instances(dialect),
            log_transitions: log_transitions(dialect),
            known_alerts: sql(format!("SELECT alert.id FROM {ids} JOIN alert ON alert.id = item.id")),
            snapshots: sql(format!(
                "SELECT {} FROM {} JOIN instance ON instance.source = item.source AND instance.job = item.job \
                   AND instance.id = item.instance",
                super::rows::snapshot_columns(),
                dialect.items(SubjectItem::COLUMNS)
            )),
            known_jobs: sql(format!(
                "SELECT item.job FROM {} WHERE EXISTS (SELECT 1 FROM instance \
                   WHERE instance.source = item.source AND instance.job = item.job)",
                dialect.items(JobItem::COLUMNS)
            )),
            insert_alerts: insert(dialect, "alert", AlertItem::COLUMNS, "DO NOTHING RETURNING id"),
            update_alerts: update_alerts(dialect),
            insert_deliveries: insert(dialect, "delivery", DeliveryItem::COLUMNS, "DO NOTHING"),
            follow_merged: sql(format!(
                "UPDATE delivery SET follows = (SELECT leader.merged_into FROM delivery AS leader WHERE leader.id = delivery.follows) \
                 WHERE {listed} AND state = 'pending' \
                   AND EXISTS (SELECT 1 FROM delivery AS leader WHERE leader.id = delivery.follows AND leader.state = 'merged')"
            )),
            // By the alert, which has few deliveries, and not by the receiver, for whom thousands may be pending.
            supersede_acks: sql(format!(
                "UPDATE delivery SET state = 'merged', merged_into = later.id, next_attempt_at = NULL \
                 FROM {ids} JOIN delivery AS later ON later.id = item.id \
                 WHERE delivery.alert = later.alert AND delivery.receiver || '' = later.receiver AND delivery.id <> later.id \
                   AND delivery.kind IN ('alert.acknowledged', 'alert.unacknowledged') AND delivery.state = 'pending' \
                   AND delivery.claimed_at IS NULL AND later.state = 'pending' \
                   AND later.kind IN ('alert.resolved', 'alert.acknowledged', 'alert.unacknowledged')"
            )),
            bury_late_followers: sql(format!(
                "UPDATE delivery SET state = 'dead', next_attempt_at = NULL, last_error = $2 \
                 WHERE {listed} AND state = 'pending' \
                   AND EXISTS (SELECT 1 FROM delivery AS leader WHERE leader.id = delivery.follows AND leader.state = 'dead')"
            )),
            settle: settle(dialect),
            log_attempts: log_attempts(dialect),
            bury_followers: sql(format!(
                "UPDATE delivery SET state = 'dead', next_attempt_at = NULL, claimed_at = NULL, last_error = $2 \
                 WHERE state = 'pending' AND {} \
                   AND EXISTS (SELECT 1 FROM delivery AS leader WHERE leader.id = delivery.follows AND leader.state = 'dead')",
                dialect.is_listed("follows")
            )),
            done_so_far: sql(format!(
                "SELECT delivery.id, delivery.done FROM {ids} JOIN delivery ON delivery.id = item.id"
            )),
            release: sql(format!("UPDATE delivery SET claimed_at = NULL WHERE {listed}")),
            bury: sql(format!(
                "UPDATE delivery SET state = 'dead', next_attempt_at = NULL, claimed_at = NULL, last_error = item.error \
                 FROM {items} WHERE delivery.id = item.id AND delivery.state = 'pending'{}",
                dialect.and_is_listed("delivery.id"),
                items = dialect.items(DamagedItem::COLUMNS)
            )),
            named: sql(format!(
                "SELECT {CANDIDATE} FROM {ids} JOIN delivery AS one ON one.id = item.id \
                   LEFT JOIN delivery AS leader ON leader.id = one.follows"
            )),
            buried_followers: sql(format!(
                "SELECT follower.id FROM {ids} JOIN delivery AS follower ON follower.follows = item.id \
                 WHERE follower.state = 'dead' AND follower.last_error = $2"
            )),
            tell_alone: sql(format!(
                "UPDATE delivery SET group_told_at = $2, \
                   next_attempt_at = CASE WHEN next_attempt_at > $2 THEN $2 ELSE next_attempt_at END \
                 WHERE {listed} AND state = 'pending' AND group_key IS NOT NULL AND group_told_at IS NULL"
            )),
            revive: sql(format!(
                "UPDATE delivery SET state = 'pending', next_attempt_at = $2, revived_at = $2, revived_attempts = attempts, patience_spent = 0, dead_at = NULL, \
                   dropped_at = NULL, \
                   group_told_at = CASE WHEN group_key IS NULL THEN NULL ELSE COALESCE(group_told_at, $2) END, \
                   last_error = CASE attempts WHEN 0 THEN NULL ELSE last_error END \
                 WHERE {listed} AND (state = 'dead' OR state = 'pending' AND claimed_at IS NULL)"
            )),
            mergeable: mergeable(dialect),
            merge: sql(format!(
                "UPDATE delivery SET state = 'merged', merged_into = item.group_id, next_attempt_at = NULL FROM {} \
                 WHERE delivery.id = item.id AND delivery.state = 'pending' AND delivery.claimed_at IS NULL{}",
                dialect.items(MemberItem::COLUMNS),
                dialect.and_is_listed("delivery.id")
            )),
            merge_members: sql(format!(
                "UPDATE delivery SET merged_into = item.group_id FROM {} WHERE delivery.merged_into = item.id{}",
                dialect.items(MemberItem::COLUMNS),
                dialect.and_is_listed("delivery.merged_into")
            )),
            follow_group: sql(format!(
                "UPDATE delivery SET follows = item.group_id FROM {} \
                 WHERE delivery.follows = item.id AND delivery.state = 'pending'{}",
                dialect.items(MemberItem::COLUMNS),
                dialect.and_is_listed("delivery.follows")
            )),
            durations: sql(format!(
                "SELECT source, job, duration FROM (SELECT run.source, run.job, run.end_time - run.start_time AS duration, \
                   ROW_NUMBER() OVER (PARTITION BY run.source, run.job ORDER BY run.settled_moment DESC) AS place \
                 FROM {jobs} JOIN instance AS run ON run.source = item.source AND run.job = item.job \
                 WHERE run.status IN ('success', 'forced-success', 'ignored-failure') \
                   AND run.settled_moment IS NOT NULL AND run.end_time >= run.start_time{listed}) AS latest WHERE place <= $2",
                jobs = dialect.items(JobItem::COLUMNS),
                listed = dialect.and_are_listed(&["run.source", "run.job"])
            )),
            lately: lately(dialect),
            receivers: sql(format!(
                "SELECT delivery.id, delivery.receiver FROM {ids} JOIN delivery ON delivery.id = item.id"
            )),
            facts_of_runs: sql(format!(
                "SELECT alert.facts FROM {subjects} JOIN alert ON alert.source = item.source AND alert.job = item.job \
                   AND alert.instance = item.instance ORDER BY alert.noted_moment, alert.id",
                subjects = dialect.items(SubjectItem::COLUMNS)
            )),
        }
    }
}

/// Of the runs that were first seen to be over since then; where none of them succeeded, the last success is that of the older one
/// that was seen last. A run that was made again long after is not looked for. The alert before is found by the job: of its source,
/// or of its rule, there may be thousands.
fn lately(dialect: Dialect) -> SqlStr {
    let run = "run.source = item.source AND run.job = item.job AND run.id <> item.instance AND run.ended = 1 \
        AND run.kind <> 'backfill'";
    let succeeded = "run.status IN ('success', 'forced-success')";
    sql(format!(
        "SELECT item.id, COUNT(CASE WHEN COALESCE(run.plan_time, run.start_time) >= $2 THEN 1 END), \
           COUNT(CASE WHEN COALESCE(run.plan_time, run.start_time) >= $2 \
             AND run.status IN ('fail', 'running-exception', 'rejected') THEN 1 END), \
           COALESCE(MAX(CASE WHEN {succeeded} THEN run.end_time END), (SELECT run.end_time FROM instance AS run WHERE {run} \
             AND run.settled_moment IS NOT NULL AND run.end_time IS NOT NULL AND {succeeded} \
             ORDER BY run.settled_moment DESC LIMIT 1)), \
           (SELECT earlier.facts FROM alert AS earlier WHERE COALESCE(earlier.source, '') = item.source \
              AND earlier.job = item.job AND COALESCE(earlier.rule, '') = item.rule AND earlier.state = 'resolved' AND earlier.id <> item.id \
              ORDER BY earlier.created_at DESC, earlier.id DESC LIMIT 1) \
         FROM {about} LEFT JOIN instance AS run ON {run} AND run.settled_moment >= $2{listed} \
         GROUP BY item.id, item.source, item.job, item.instance, item.rule",
        about = dialect.items(AboutItem::COLUMNS),
        // The id is listed in any case; it stands for its place.
        listed = dialect.and_are_listed(&["item.id", "run.source", "run.job"])
    ))
}

fn mergeable(dialect: Dialect) -> SqlStr {
    // One statement sees one state of the database: where the facts say that the alert is over, its resolution is there.
    sql(format!(
        "SELECT pending.id, alert.facts, CASE alert.state WHEN 'resolved' THEN (SELECT next.id FROM delivery AS next \
           WHERE next.follows = pending.id AND next.kind = 'alert.resolved' AND next.state = 'pending' \
             AND next.claimed_at IS NULL LIMIT 1) END, pending.follows, \
           (SELECT note FROM escalation WHERE escalation.delivery = pending.id) \
         FROM {} JOIN delivery AS pending ON pending.id = item.id JOIN alert ON alert.id = pending.alert \
         WHERE pending.kind IN ('alert.firing', 'alert.resolved') AND pending.done = '[]' \
           AND NOT EXISTS (SELECT 1 FROM attempt WHERE attempt.delivery = pending.id AND attempt.outcome = 'unknown'){}",
        dialect.items(IdItem::COLUMNS),
        dialect.and_is_listed("pending.id")
    ))
}

fn sql(text: String) -> SqlStr {
    // Safe by construction: nothing but the literals of this file and of the dialect goes into a statement.
    AssertSqlSafe(text).into_sql_str()
}

fn names(columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|(Column::Text(name) | Column::BigInt(name))| *name).collect();
    names.join(", ")
}

fn insert(dialect: Dialect, table: &str, columns: &[Column], on_conflict: &str) -> SqlStr {
    let (names, items) = (names(columns), dialect.items(columns));
    sql(format!("INSERT INTO {table} ({names}) SELECT {names} FROM {items} WHERE true ON CONFLICT {on_conflict}"))
}

fn upsert_instances(dialect: Dialect) -> SqlStr {
    insert(
        dialect,
        "instance",
        InstanceItem::COLUMNS,
        "(source, job, id) DO UPDATE SET job_id = COALESCE(excluded.job_id, instance.job_id), \
         name = COALESCE(excluded.name, instance.name), status = excluded.status, \
         raw_status = excluded.raw_status, kind = excluded.kind, plan_time = excluded.plan_time, \
         start_time = excluded.start_time, end_time = excluded.end_time, ended = excluded.ended, \
         changed_at = excluded.changed_at, \
         settled_moment = COALESCE(instance.settled_moment, excluded.settled_moment), \
         failed_moment = COALESCE(instance.failed_moment, excluded.failed_moment)",
    )
}

fn log_transitions(dialect: Dialect) -> SqlStr {
    sql(format!(
        "INSERT INTO transition (source, job, id, moment, seen_at, status, raw_status, kind, plan_time, start_time, end_time) \
         SELECT item.source, item.job, item.id, $2, item.changed_at, item.status, \
           CASE item.raw_status WHEN item.status THEN NULL ELSE item.raw_status END, \
           item.kind, item.plan_time, item.start_time, item.end_time \
         FROM {} LEFT JOIN instance AS known \
           ON known.source = item.source AND known.job = item.job AND known.id = item.id \
         WHERE known.id IS NULL OR known.status <> item.status OR known.raw_status <> item.raw_status \
           OR known.kind <> item.kind OR known.plan_time IS DISTINCT FROM item.plan_time \
           OR known.start_time IS DISTINCT FROM item.start_time OR known.end_time IS DISTINCT FROM item.end_time \
         ON CONFLICT (source, job, id, moment) DO NOTHING",
        dialect.items(InstanceItem::COLUMNS)
    ))
}

fn update_alerts(dialect: Dialect) -> SqlStr {
    // An ended episode stays ended: what comes after it is another one.
    sql(format!(
        "UPDATE alert SET state = item.state, facts = item.facts, receivers = item.receivers, \
           suppressed_by = item.suppressed_by, ended_at = item.ended_at, \
           suspended_at = item.suspended_at, end_reason = item.end_reason, urgency = item.urgency \
         FROM {} WHERE alert.id = item.id AND alert.state = 'firing'{}",
        dialect.items(AlertItem::COLUMNS),
        dialect.and_is_listed("alert.id")
    ))
}

fn settle(dialect: Dialect) -> SqlStr {
    // The attempt's number makes it idempotent: an outcome that was stored already changes nothing.
    sql(format!(
        "UPDATE delivery SET state = item.state, attempts = item.number, last_status = item.status, \
           last_error = item.last_error, patience_spent = item.patience_spent, done = COALESCE(item.done, delivery.done), \
           next_attempt_at = item.next_attempt_at, delivered_at = item.delivered_at, reference = COALESCE(item.reference, delivery.reference), claimed_at = NULL \
         FROM {} WHERE delivery.id = item.id AND delivery.state = 'pending' AND delivery.attempts < item.number{}",
        dialect.items(SettledItem::COLUMNS),
        dialect.and_is_listed("delivery.id")
    ))
}

fn log_attempts(dialect: Dialect) -> SqlStr {
    // A delivery that is gone takes no attempts: one stray row must not hold up the others.
    sql(format!(
        "INSERT INTO attempt (delivery, number, started_at, ended_at, outcome, status, error) \
         SELECT item.id, item.number, item.started_at, item.ended_at, item.outcome, item.status, item.error \
         FROM {} WHERE EXISTS (SELECT 1 FROM delivery WHERE delivery.id = item.id) \
         ON CONFLICT (delivery, number) DO NOTHING",
        dialect.items(SettledItem::COLUMNS)
    ))
}
