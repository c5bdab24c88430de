//! The steps from nothing to the present schema, one text for every database, and the words when they cannot be taken.

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};

use super::database::words;
use super::dialect::Dialect;
use crate::store::error::StoreError;

/// The steps. A step that was released is never changed, only followed.
pub(super) fn migrations(dialect: Dialect) -> Migrator {
    let step = |version: i64, name: &'static str, sql: &'static str| {
        let sql = AssertSqlSafe(dialect.schema(sql).into_owned()).into_sql_str();
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    };
    Migrator::with_migrations(vec![
        step(1, "first", include_str!("migrations/0001_first.sql")),
        step(2, "learnt", include_str!("migrations/0002_learnt.sql")),
        step(3, "delivery", include_str!("migrations/0003_delivery.sql")),
        step(4, "fallback", include_str!("migrations/0004_fallback.sql")),
        step(6, "silence", include_str!("migrations/0006_silence.sql")),
        step(7, "digest", include_str!("migrations/0007_digest.sql")),
        step(8, "group", include_str!("migrations/0008_group.sql")),
        step(9, "escalation", include_str!("migrations/0009_escalation.sql")),
        step(10, "self", include_str!("migrations/0010_self.sql")),
        step(11, "generation", include_str!("migrations/0011_generation.sql")),
        step(12, "transition", include_str!("migrations/0012_transition.sql")),
        step(14, "digest_nodes", include_str!("migrations/0014_digest_nodes.sql")),
        step(15, "coverage", include_str!("migrations/0015_coverage.sql")),
        step(16, "hot_statements", include_str!("migrations/0016_hot_statements.sql")),
        step(18, "patience", include_str!("migrations/0018_patience.sql")),
        step(19, "receivers", include_str!("migrations/0019_receivers.sql")),
        step(20, "receiver_health", include_str!("migrations/0020_receiver_health.sql")),
        step(22, "job_day", include_str!("migrations/0022_job_day.sql")),
        step(30, "access", include_str!("migrations/0030_access.sql")),
        step(31, "lists", include_str!("migrations/0031_lists.sql")),
        step(32, "link_key", include_str!("migrations/0032_link_key.sql")),
        step(34, "thread", include_str!("migrations/0034_thread.sql")),
        step(36, "receiver_list", include_str!("migrations/0036_receiver_list.sql")),
        step(37, "action", include_str!("migrations/0037_action.sql")),
        step(40, "lease", include_str!("migrations/0040_lease.sql")),
        step(43, "worst_first", include_str!("migrations/0043_worst_first.sql")),
        step(47, "since", include_str!("migrations/0047_since.sql")),
        step(48, "open_runs", include_str!("migrations/0048_open_runs.sql")),
        step(49, "dropped", include_str!("migrations/0049_dropped.sql")),
        step(50, "end_owed", include_str!("migrations/0050_end_owed.sql")),
        step(51, "delivery_lists", include_str!("migrations/0051_delivery_lists.sql")),
        step(52, "by_severity", include_str!("migrations/0052_by_severity.sql")),
        step(54, "runs_of_a_job", include_str!("migrations/0054_runs_of_a_job.sql")),
        step(55, "digest_facts", include_str!("migrations/0055_digest_facts.sql")),
        step(56, "pages", include_str!("migrations/0056_pages.sql")),
    ])
}

/// The number of the last step.
pub(super) fn present(dialect: Dialect) -> i64 {
    migrations(dialect).iter().map(|step| step.version).max().unwrap_or(0)
}

/// Why the store at `place` could not be brought up to date.
pub(super) fn refused(place: &str, error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(version) => newer(place, version),
        MigrateError::Execute(error) => StoreError::Unusable(format!("store {place}: {}", words(&error))),
        MigrateError::ExecuteMigration(error, version) => {
            let reason = words(&error);
            StoreError::Unusable(format!("store {place}: step {version} of bringing it up to date failed: {reason}"))
        }
        other => StoreError::Unusable(format!("store {place}: {other}")),
    }
}

pub(super) fn newer(place: &str, version: i64) -> StoreError {
    StoreError::Unusable(format!("store {place} was made by a newer nightbell (its format is {version}); use that one"))
}

/// Refuses a store whose last step is `version`, unless that is the present one: for who cannot bring it up to date.
pub(super) fn check_version(place: &str, version: Option<i64>, dialect: Dialect) -> Result<(), StoreError> {
    let known = present(dialect);
    match version.unwrap_or(0) {
        version if version > known => Err(newer(place, version)),
        version if version < known => Err(StoreError::Unusable(format!(
            "store {place} is of an older nightbell; `nightbell run` brings it up to date"
        ))),
        _ => Ok(()),
    }
}
