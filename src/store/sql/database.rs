//! [`SqlStore`]: the connections of a store, and transactions that write.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;

use super::connections::{Connection, Connections};
use super::dialect::Dialect;
use super::gathering::Gathering;
use super::statements::Statements;
use crate::limits::{STORE_RETRY_PAUSE, STORE_TRIES_MAX, STORE_WAIT_MAX};
use crate::store::error::StoreError;
use crate::store::leases::Fence;

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

/// A store in a SQL database. Cheap to copy.
#[derive(Debug, Clone)]
pub struct SqlStore {
    pub(super) dialect: Dialect,
    /// The file, for messages.
    pub(super) place: String,
    /// A single connection to a file: writers wait for their turn here, in order, and not in the database with back-off.
    pub(super) writer: Connections,
    pub(super) readers: Connections,
    /// For the leases alone, which must not wait until others are done with theirs.
    pub(super) keeper: Connections,
    pub(super) statements: Arc<Statements>,
    pub(super) gathering: Arc<Gathering>,
    /// The file as it was opened; none in memory.
    pub(super) opened: Option<Arc<Opened>>,
    /// Held as long as the store; the operating system lets go of it when the process dies, however it dies.
    pub(super) _lock: Option<Arc<File>>,
    /// What every write proves first; none for who has the store for itself, or speaks for a person.
    pub(super) fence: Option<Fence>,
}

impl SqlStore {
    /// The same store, which takes a write only as long as the lease is held under this token.
    #[must_use]
    pub fn fenced(&self, fence: Fence) -> SqlStore {
        SqlStore { fence: Some(fence), ..self.clone() }
    }

    /// The token of the lease that it writes under; none where it needs none.
    pub fn writes_under(&self) -> Option<i64> {
        self.fence.as_ref().map(|fence| fence.token)
    }

    /// Proves that the lease is held, and keeps others from taking it until the transaction ends.
    async fn prove(&self, write: &mut Write, fence: &Fence) -> Result<(), StoreError> {
        let statement = format!(
            "SELECT 1 FROM lease WHERE name = $1 AND token = $2 AND holder IS NOT NULL AND until > {}{}",
            self.dialect.clock(),
            self.dialect.keep_key()
        );
        let found = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(fence.name.as_str())
            .bind(fence.token)
            .fetch_optional(write.on())
            .await
            .map_err(|error| self.failed(error))?;
        found.map(drop).ok_or_else(|| StoreError::Fenced(fence.name.clone()))
    }

    /// Closes the connections, which folds the write-ahead log into the file.
    pub async fn close(&self) {
        self.keeper.close().await;
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Begins a transaction that will write.
    pub(super) async fn write(&self) -> Result<Write, StoreError> {
        self.say_if_lost();
        let connection = self.writer.take().await.map_err(|error| self.failed(error))?;
        // The guard stands before the transaction begins: whatever ends this half-way, nobody is handed an open one.
        let mut write = Transaction { connection, is_over: false };
        self.begin(&mut write, self.dialect.begin_write()).await?;
        if let Some(fence) = &self.fence {
            self.prove(&mut write, fence).await?;
        }
        Ok(write)
    }

    /// Begins a transaction in which all that is read is of one commit. To be ended by [`SqlStore::done`].
    pub(super) async fn snapshot(&self) -> Result<Read, StoreError> {
        let connection = self.readers.take().await.map_err(|error| self.failed(error))?;
        let mut read = Transaction { connection, is_over: false };
        self.begin(&mut read, self.dialect.begin_snapshot()).await?;
        Ok(read)
    }

    async fn begin(&self, transaction: &mut Transaction, statement: &'static str) -> Result<(), StoreError> {
        let begun = sqlx::query(statement).execute(transaction.on()).await;
        begun.map(drop).map_err(|error| self.failed(error))
    }

    /// Ends a transaction that has only read.
    pub(super) async fn done(&self, read: Read) -> Result<(), StoreError> {
        self.commit(read).await
    }

    /// Does the work again when the database says that others were in its way, which leaves nothing of it behind: at most
    /// [`STORE_TRIES_MAX`] times.
    pub(super) async fn retried<'a, T>(
        &self,
        work: impl Fn() -> BoxFuture<'a, Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let mut tries = 1;
        loop {
            match work().await {
                Err(StoreError::Contended(words)) if tries < STORE_TRIES_MAX => {
                    tracing::debug!(tries, "the store is asked again: {words}");
                    tokio::time::sleep(STORE_RETRY_PAUSE * tries).await;
                    tries += 1;
                }
                outcome => return outcome,
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
        write.is_over = true;
        Ok(())
    }

    /// The error of a statement, with the place it happened at.
    pub(super) fn failed(&self, error: sqlx::Error) -> StoreError {
        let words = format!("{}: {}", self.place, words(&error));
        match error {
            _ if has_code(&error, &CONTENDED) => StoreError::Contended(words),
            _ if has_code(&error, &HELD_UP) => StoreError::HeldUp(words),
            _ if self.dialect.is_shared() && is_away(&error) => StoreError::Away(format!("store {words}")),
            _ => StoreError::Database(words),
        }
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

/// A transaction that writes.
pub(super) type Write = Transaction;
/// A transaction that only reads.
pub(super) type Read = Transaction;

/// A transaction. One that ends without a commit takes its connection with it: after a full disk SQLite may
/// have rolled back by itself, and a fresh connection is the one state that is certain.
pub(super) struct Transaction {
    connection: Connection,
    is_over: bool,
}

impl Transaction {
    /// The connection, for one statement.
    pub(super) fn on(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.is_over {
            self.connection.close_on_drop();
        }
    }
}

/// The database gave this transaction up because of others: an order that cannot be, or a deadlock.
const CONTENDED: [&str; 2] = ["40001", "40P01"];
/// It waited for a lock, or worked, for longer than it may: `lock_timeout`, `statement_timeout`.
pub(super) const HELD_UP: [&str; 2] = ["55P03", "57014"];

/// Whether the database gave one of these reasons.
pub(super) fn has_code(error: &sqlx::Error, codes: &[&str]) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| codes.contains(&code.as_ref()))
}

/// Whether a server cannot be reached, or not any more: it is shutting down, the connection broke, or there is none.
fn is_away(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    match error {
        sqlx::Error::Database(_) => code.is_some_and(|code| code.starts_with("57P") || code.starts_with("08")),
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
        _ => false,
    }
}

/// What the database said, without the driver's preamble.
pub(super) fn words(error: &sqlx::Error) -> String {
    match error {
        // SQLITE_IOERR_GETTEMPPATH: "disk I/O error" would send people to their disks.
        sqlx::Error::Database(error) if error.code().as_deref() == Some("6410") => {
            "there is no directory for temporary files that can be written: name one in SQLITE_TMPDIR".to_string()
        }
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

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::error::Error;
    use std::fmt;

    use sqlx::error::{DatabaseError, ErrorKind};

    use super::*;

    /// What SQLite answers, with its extended code.
    #[derive(Debug)]
    struct Answer(&'static str);

    impl fmt::Display for Answer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("disk I/O error")
        }
    }

    impl Error for Answer {}

    impl DatabaseError for Answer {
        fn message(&self) -> &str {
            "disk I/O error"
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }

        fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    /// Each error of the server: whether it is done again at once, and whether whoever starts waits for it to pass.
    #[tokio::test]
    async fn what_passes_by_itself_is_told_from_what_does_not() {
        let server = SqlStore { dialect: Dialect::Postgres, ..SqlStore::in_memory().await.unwrap() };
        let answered = |code| sqlx::Error::Database(Box::new(Answer(code)));
        let broken = || sqlx::Error::Io(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        for (error, is_done_again, passes) in [
            (answered("40001"), true, true),
            (answered("40P01"), true, true),
            (answered("55P03"), false, true),
            (answered("57014"), false, true),
            (answered("57P01"), false, true),
            (broken(), false, true),
            (sqlx::Error::PoolTimedOut, false, true),
            // A role without rights, a full disk, a statement that is wrong.
            (answered("42501"), false, false),
            (answered("53100"), false, false),
            (answered("42601"), false, false),
        ] {
            let words = format!("{error:?}");
            let failed = server.failed(error);
            assert_eq!(matches!(failed, StoreError::Contended(_)), is_done_again, "{words}");
            assert_eq!(failed.passes(), passes, "{words}");
        }
        let file = SqlStore::in_memory().await.unwrap();
        assert!(!file.failed(broken()).passes(), "a file is no server that comes back");
    }

    /// A transaction that is not done again when the database gives it up because of others is an error that somebody sees for
    /// nothing.
    #[test]
    fn every_transaction_that_writes_is_done_again_when_others_were_in_its_way() {
        // It writes into a database that nobody else works on.
        const ALONE: &str = "to.write().await?";
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sql");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let texts: Vec<String> = files
            .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect();
        let is_done_again = |name: &str| {
            let calls = texts.iter().flat_map(|text| text.split("retried(|| Box::pin(").skip(1));
            calls.filter_map(|call| call.split('(').next()).any(|path| path.rsplit("::").next() == Some(name))
        };
        let mut found = 0;
        for text in &texts {
            let lines: Vec<&str> = text.split("#[cfg(test)]").next().unwrap().lines().collect();
            for (at, line) in lines.iter().enumerate() {
                if !line.contains(".write().await?") || line.contains(ALONE) {
                    continue;
                }
                found += 1;
                let before = lines[..at].iter().rev();
                // It stands in what is done again, or in a function that is.
                if before.clone().take(16).any(|line| line.contains(".retried(|| {")) {
                    continue;
                }
                let name = before.clone().find_map(|line| line.split_once("async fn ")).unwrap().1;
                let name = name.split(['(', '<']).next().unwrap();
                assert!(is_done_again(name), "{name} writes once: {line}");
            }
        }
        assert!(found > 40, "{found}");
    }

    #[test]
    fn a_missing_directory_for_temporary_files_is_no_broken_disk() {
        let said = |code| words(&sqlx::Error::Database(Box::new(Answer(code))));
        assert!(said("6410").contains("no directory for temporary files"), "{}", said("6410"));
        assert_eq!(said("266"), "disk I/O error");
    }
}
