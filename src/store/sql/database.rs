//! [`SqlStore`]: the connections of a store, and transactions that write.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool};

use super::dialect::Dialect;
use super::gathering::Gathering;
use super::statements::Statements;
use crate::limits::STORE_WAIT_MAX;
use crate::store::error::StoreError;

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To poll and deliver: alone on the file, which is made if it is not there.
    Work,
    /// To look, beside a process that works.
    Read,
    /// To make one small change, beside a process that works: takes no lock, makes no file, migrates nothing.
    Amend,
}

/// A store in a SQL database.
#[derive(Debug)]
pub struct SqlStore {
    pub(super) dialect: Dialect,
    /// The file, for messages.
    pub(super) place: String,
    /// A single connection: writers wait for their turn here, in order, and not in the database with back-off.
    pub(super) writer: AnyPool,
    pub(super) readers: AnyPool,
    pub(super) statements: Statements,
    pub(super) gathering: Gathering,
    /// The file as it was opened; none in memory.
    pub(super) opened: Option<Arc<Opened>>,
    /// Held as long as the store; the operating system lets go of it when the process dies, however it dies.
    pub(super) _lock: Option<File>,
}

impl SqlStore {
    /// Closes the connections, which folds the write-ahead log into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Begins a transaction that will write.
    pub(super) async fn write(&self) -> Result<Write, StoreError> {
        self.say_if_lost();
        let mut connection = self.writer.acquire().await.map_err(|error| self.failed(error))?;
        match sqlx::query(self.dialect.begin_write()).execute(&mut *connection).await {
            Ok(_) => Ok(Write { connection, committed: false }),
            Err(error) => {
                connection.close_on_drop();
                Err(self.failed(error))
            }
        }
    }

    /// Says, once each time, that the file is not there any more. What is written goes on going into the file that was
    /// opened, whose name is gone: who is on call still hears of what happens.
    fn say_if_lost(&self) {
        let Some(opened) = &self.opened else { return };
        let is_lost = !opened.is_there();
        if is_lost && !opened.is_said.swap(is_lost, Ordering::Relaxed) {
            tracing::error!("{}", self.lost());
        }
    }

    /// Proves that what is written will be there after a restart.
    pub(super) fn check_file(&self) -> Result<(), StoreError> {
        match &self.opened {
            Some(opened) if !opened.is_there() => Err(self.lost()),
            _ => Ok(()),
        }
    }

    fn lost(&self) -> StoreError {
        StoreError::Database(format!("{}: {LOST}", self.place))
    }

    pub(super) async fn commit(&self, mut write: Write) -> Result<(), StoreError> {
        sqlx::query("COMMIT").execute(write.on()).await.map_err(|error| self.failed(error))?;
        write.committed = true;
        Ok(())
    }

    /// The error of a statement, with the place it happened at.
    pub(super) fn failed(&self, error: sqlx::Error) -> StoreError {
        StoreError::Database(format!("{}: {}", self.place, words(&error)))
    }
}

/// What is said of a file that is gone.
pub(super) const LOST: &str = "the file was deleted or replaced while nightbell works with it; what it records from now on \
     is lost when it stops. Put the file back and start nightbell again";

/// The file of a store as it was when it was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) path: PathBuf,
    identity: Option<(u64, u64)>,
    is_said: AtomicBool,
}

impl Opened {
    /// The file at `path`, which is there.
    pub(super) fn at(path: PathBuf) -> Opened {
        let identity = identity(&path);
        Opened { path, identity, is_said: AtomicBool::new(false) }
    }

    /// Whether the same file still has its name.
    pub(super) fn is_there(&self) -> bool {
        identity(&self.path) == self.identity
    }
}

/// By what a file is known again; none where there is none.
fn identity(path: &std::path::Path) -> Option<(u64, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    return Some((std::os::unix::fs::MetadataExt::dev(&meta), std::os::unix::fs::MetadataExt::ino(&meta)));
    #[cfg(not(unix))]
    return Some((0, u64::from(meta.is_file())));
}

/// A transaction that writes. One that ends without a commit takes its connection with it: after a full disk SQLite may
/// have rolled back by itself, and a fresh connection is the one state that is certain.
pub(super) struct Write {
    connection: PoolConnection<Any>,
    committed: bool,
}

impl Write {
    /// The connection, for one statement.
    pub(super) fn on(&mut self) -> &mut AnyConnection {
        &mut self.connection
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        if !self.committed {
            self.connection.close_on_drop();
        }
    }
}

/// What the database said, without the driver's preamble.
pub(super) fn words(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_string(),
        sqlx::Error::PoolTimedOut => {
            format!(
                "no turn to use it within {} s: another process holds it, or its disk is slow",
                STORE_WAIT_MAX.as_secs()
            )
        }
        other => other.to_string(),
    }
}
