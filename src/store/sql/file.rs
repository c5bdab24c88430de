//! A store in a file: from the path to guarded, migrated, connected.
//!
//! A worker holds an exclusive lock beside the file before it touches the file.
//! A file that is no store of ours, or one of a newer version, is refused with words and left as it is.

use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, ConnectOptions as _, Connection as _, Executor as _, Row as _};

use super::connections::Connections;
use super::database::{LOST, Mode, Opened, SqlStore, words};
use super::dialect::Dialect;
use super::lock::{locked, private};
use super::migrations::{self, migrations};
use super::path::{found, unusable};
use super::statements::Statements;
use crate::coding::percent_encoded_path;
use crate::limits::{STORE_CHECK_SIZE_MAX, STORE_WAIT_MAX};
use crate::store::error::StoreError;

/// Marks a SQLite file as ours ("NBel" in the header's application id).
const APPLICATION_ID: i64 = 0x4e42_656c;

/// Opens the store in the file at `path`. To work, it takes the file for itself, makes it if it is not there and brings it
/// up to the present version; to read or to amend, it takes the file as it is.
pub(super) async fn open(path: &Path, mode: Mode) -> Result<SqlStore, StoreError> {
    let path = found(path, mode)?;
    let lock = match mode {
        Mode::Work => {
            let lock = locked(&path)?;
            made(&path)?;
            Some(lock)
        }
        Mode::Read | Mode::Amend => None,
    };
    sqlx::any::install_default_drivers();
    let place = path.display().to_string();
    let opened = Arc::new(Opened::at(path.clone()));
    let pool = |access| pool(&opened, access).map(Connections::embedded);
    let (writer, readers) = match mode {
        Mode::Work => {
            prepare(&path, &place).await?;
            (pool(Access::Write)?, pool(Access::Read)?)
        }
        Mode::Read => {
            check_version(&path, &place).await?;
            let readers = pool(Access::ReadOnly)?;
            (readers.clone(), readers)
        }
        Mode::Amend => {
            check_version(&path, &place).await?;
            (pool(Access::Write)?, pool(Access::ReadOnly)?)
        }
    };
    let dialect = Dialect::Sqlite;
    Ok(SqlStore {
        dialect,
        place,
        keeper: writer.clone(),
        writer,
        readers,
        statements: Arc::new(Statements::new(dialect)),
        gathering: Arc::default(),
        opened: Some(opened),
        _lock: lock.map(Arc::new),
        fence: None,
    })
}

/// A store in memory, gone when it is dropped.
pub(super) async fn in_memory() -> Result<SqlStore, StoreError> {
    sqlx::any::install_default_drivers();
    let place = "in memory".to_string();
    let cannot = |error: sqlx::Error| StoreError::Unusable(format!("store {place}: {}", words(&error)));
    let options = AnyConnectOptions::from_str("sqlite::memory:").map_err(cannot)?.disable_statement_logging();
    // The connection is the database: there is one, and it is never given up.
    let only = AnyPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(STORE_WAIT_MAX)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(options)
        .await
        .map_err(cannot)?;
    let run = migrations(Dialect::Sqlite).run(&only).await;
    run.map_err(|error| migrations::refused(&place, error))?;
    let only = Connections::embedded(only);
    let dialect = Dialect::Sqlite;
    let statements = Arc::new(Statements::new(dialect));
    Ok(SqlStore {
        dialect,
        place,
        writer: only.clone(),
        keeper: only.clone(),
        readers: only,
        statements,
        gathering: Arc::default(),
        opened: None,
        _lock: None,
        fence: None,
    })
}

/// Makes the file, private to its owner, or proves that it can be written: SQLite would open a read-only one and
/// complain later. Its log files inherit the permissions.
fn made(path: &Path) -> Result<(), StoreError> {
    private().open(path).map(drop).map_err(|error| unusable(path, format!("it cannot be written: {error}")))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// The worker's writing connection.
    Write,
    /// The worker's reading connections.
    Read,
    /// Connections of a process that only looks.
    ReadOnly,
}

impl Access {
    /// What a fresh connection is told. WAL lets readers and the writer work side by side; FULL means that a commit that
    /// was answered survives a power cut. SQLite asks for foreign_keys on each connection. What it sorts it keeps in memory:
    /// there may be no directory for temporary files. Readers keep half a megabyte of pages each, a quarter of what they
    /// would: the system has the file's pages in its own cache.
    const fn pragmas(self) -> &'static str {
        match self {
            Access::Write => {
                "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                 PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY"
            }
            Access::Read | Access::ReadOnly => {
                "PRAGMA busy_timeout = 10000; PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; \
                 PRAGMA cache_size = -512"
            }
        }
    }
}

fn options(path: &Path, access: Access) -> Result<AnyConnectOptions, StoreError> {
    let mode = if access == Access::ReadOnly { "ro" } else { "rw" };
    let Some(text) = path.to_str() else { return Err(unusable(path, "its name is not UTF-8")) };
    let options = AnyConnectOptions::from_str(&format!("sqlite://{}?mode={mode}", percent_encoded_path(text)));
    let options = options.map_err(|error| unusable(path, words(&error)))?;
    // The tests of the plans take the statements from the driver's log.
    Ok(if cfg!(test) { options } else { options.disable_statement_logging() })
}

fn pool(opened: &Arc<Opened>, access: Access) -> Result<AnyPool, StoreError> {
    let options = options(&opened.path, access)?;
    let opened = Arc::clone(opened);
    Ok(AnyPoolOptions::new()
        .max_connections(if access == Access::Write { 1 } else { 2 })
        .acquire_timeout(STORE_WAIT_MAX)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let opened = Arc::clone(&opened);
            Box::pin(async move {
                // Another file that has the name by now is another store.
                if !opened.is_there() {
                    return Err(sqlx::Error::Protocol(LOST.into()));
                }
                connection.execute(sqlx::raw_sql(access.pragmas())).await.map(drop)
            })
        })
        .connect_lazy_with(options))
}

/// One connection outside of a pool: a pool would try again and again what is refused for good.
async fn connection(path: &Path, access: Access) -> Result<AnyConnection, StoreError> {
    let cannot = |error: sqlx::Error| unusable(path, words(&error));
    let mut connection = AnyConnection::connect_with(&options(path, access)?).await.map_err(cannot)?;
    connection.execute(sqlx::raw_sql(access.pragmas())).await.map_err(cannot)?;
    Ok(connection)
}

/// Makes sure that the file is a whole store of ours and brings it up to the present version.
async fn prepare(path: &Path, place: &str) -> Result<(), StoreError> {
    let mut connection = connection(path, Access::Write).await?;
    let cannot = |error: sqlx::Error| StoreError::Unusable(format!("store {place}: {}", words(&error)));
    check_owner(&mut connection, place, true).await?;
    // Reading a large file from end to end would take longer than everything else that `run --once` does; what is wrong
    // with it is said by the first statement that meets it.
    let is_small = std::fs::metadata(path).is_ok_and(|meta| meta.len() <= STORE_CHECK_SIZE_MAX);
    let verdict: String = match is_small {
        true => sqlx::query("PRAGMA quick_check(1)")
            .fetch_one(&mut connection)
            .await
            .and_then(|row| row.try_get(0))
            .map_err(cannot)?,
        false => "ok".into(),
    };
    if verdict != "ok" {
        let advice = "restore a backup, or move it away to start with a new one";
        return Err(StoreError::Unusable(format!("store {place} is damaged ({verdict}); {advice}")));
    }
    let run = migrations(Dialect::Sqlite).run_direct(None, &mut connection, false).await;
    run.map_err(|error| migrations::refused(place, error))?;
    connection.close().await.map_err(cannot)
}

/// Refuses the database of another program, which may be a file that somebody needs.
async fn check_owner(connection: &mut AnyConnection, place: &str, may_mark: bool) -> Result<(), StoreError> {
    let cannot = |error: sqlx::Error| StoreError::Unusable(format!("store {place}: {}", words(&error)));
    let row = sqlx::query("SELECT (SELECT application_id FROM pragma_application_id), COUNT(*) FROM sqlite_master");
    let row = row.fetch_one(&mut *connection).await.map_err(cannot)?;
    let (application, tables): (i64, i64) = (row.try_get(0).map_err(cannot)?, row.try_get(1).map_err(cannot)?);
    if application == APPLICATION_ID {
        return Ok(());
    }
    if tables > 0 {
        return Err(StoreError::Unusable(format!("store {place} is a database of another program")));
    }
    if !may_mark {
        return Err(StoreError::Unusable(format!("store {place} is empty; `nightbell run` fills it")));
    }
    let mark = sqlx::AssertSqlSafe(format!("PRAGMA application_id = {APPLICATION_ID}"));
    sqlx::raw_sql(mark).execute(connection).await.map_err(cannot)?;
    Ok(())
}

/// For readers, which cannot bring a file up to date.
async fn check_version(path: &Path, place: &str) -> Result<(), StoreError> {
    let mut connection = connection(path, Access::ReadOnly).await?;
    check_owner(&mut connection, place, false).await?;
    let version: Result<Option<i64>, sqlx::Error> = sqlx::query("SELECT MAX(version) FROM _sqlx_migrations")
        .fetch_one(&mut connection)
        .await
        .and_then(|row| row.try_get(0));
    migrations::check_version(place, version.ok().flatten(), Dialect::Sqlite)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root that cannot be written, without a directory for temporary files, is enough for a poll that sorts hundreds of runs.
    #[tokio::test]
    async fn what_is_sorted_is_kept_in_memory() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nightbell.db");
        let store = SqlStore::open(&format!("sqlite://{}", path.display()), Mode::Work).await.unwrap();
        for access in [Access::Write, Access::Read, Access::ReadOnly] {
            let mut connection = connection(&path, access).await.unwrap();
            let row = sqlx::query("PRAGMA temp_store").fetch_one(&mut connection).await.unwrap();
            // 2 is memory.
            assert_eq!(row.try_get::<i64, _>(0).unwrap(), 2);
            connection.close().await.unwrap();
        }
        store.close().await;
    }
}
