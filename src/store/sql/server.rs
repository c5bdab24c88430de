//! A store in a PostgreSQL database: from the address to checked, migrated, connected.
//!
//! A database that is no store of ours, or one of a newer version, is refused with words and left as it is. Every connection
//! is told how long the server bears with it: what a process that is frozen, cut off or dead has locked is free soon.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};
use tokio::time::timeout;

use super::connections::Connections;
use super::database::{HELD_UP, Mode, SqlStore, words};
use super::dialect::Dialect;
use super::gathering::Gathering;
use super::migrations::{self, migrations};
use super::statements::Statements;
use crate::limits::{
    STORE_CALL_MAX, STORE_CONNECTION_LIFE, STORE_CONNECTIONS_MAX, STORE_IDLE_MAX, STORE_IDLE_TRANSACTION_MAX,
    STORE_MIGRATION_LOCK_MAX, STORE_MIGRATION_MAX, STORE_PING_MAX, STORE_SILENCE_MAX, STORE_WAIT_MAX,
};
use crate::store::address::StoreAddress;
use crate::store::error::StoreError;

const DIALECT: Dialect = Dialect::Postgres;
/// The oldest server whose SQL is enough, as `server_version_num` has it.
const VERSION_MIN: i32 = 150_000;
/// By what replicas that start at once take turns to bring a database up to date.
const MIGRATION_LOCK: i64 = 0x4e42_656c;

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Migrate,
    Write,
    Read,
}

/// Opens the store at `address`.
pub(super) async fn open(address: &StoreAddress, mode: Mode) -> Result<SqlStore, StoreError> {
    sqlx::any::install_default_drivers();
    let mut connection = connect(address).await?;
    let work = async {
        check_server(&mut connection, address).await?;
        match mode {
            Mode::Work => prepare(&mut connection, address).await,
            Mode::Read | Mode::Amend => check(&mut connection, address).await,
        }
    };
    let outcome = timeout(STORE_MIGRATION_MAX, work).await;
    outcome.map_err(|_| away(address, "it does not come to an end with the first questions"))??;
    // The answer changes nothing: everything was committed.
    drop(timeout(STORE_PING_MAX, connection.close()).await);
    let readers = pool(address, Access::Read, STORE_CONNECTIONS_MAX)?;
    let (writer, keeper) = match mode {
        Mode::Read => (readers.clone(), readers.clone()),
        // One connection: when that falls silent nothing more is sent before another one is made, which needs answers.
        Mode::Work => (pool(address, Access::Write, STORE_CONNECTIONS_MAX)?, pool(address, Access::Write, 1)?),
        Mode::Amend => {
            let writer = pool(address, Access::Write, STORE_CONNECTIONS_MAX)?;
            (writer.clone(), writer)
        }
    };
    Ok(SqlStore {
        dialect: DIALECT,
        place: address.place(),
        writer,
        readers,
        keeper,
        statements: Arc::new(Statements::new(DIALECT)),
        gathering: Arc::new(Gathering::shared()),
        opened: None,
        _lock: None,
        fence: None,
    })
}

fn away(address: &StoreAddress, reason: impl std::fmt::Display) -> StoreError {
    StoreError::Away(format!("store {}: {reason}", address.place()))
}

fn unusable(address: &StoreAddress, reason: impl std::fmt::Display) -> StoreError {
    StoreError::Unusable(format!("store {}: {reason}", address.place()))
}

/// What the driver and the server are told at the beginning of each connection.
fn options(address: &StoreAddress, access: Access) -> Result<AnyConnectOptions, StoreError> {
    let longest = if access == Access::Migrate { STORE_MIGRATION_MAX } else { STORE_CALL_MAX };
    let idle = if access == Access::Read { longest } else { STORE_IDLE_TRANSACTION_MAX };
    let third = STORE_SILENCE_MAX / 3;
    let is_read = if access == Access::Read { "on" } else { "off" };
    let settings = [
        ("statement_timeout", in_ms(longest)),
        ("idle_in_transaction_session_timeout", in_ms(idle)),
        // Replicas that bring a database up to date wait for each other.
        ("lock_timeout", in_ms(if access == Access::Migrate { longest } else { STORE_WAIT_MAX })),
        ("tcp_user_timeout", in_ms(STORE_SILENCE_MAX)),
        ("tcp_keepalives_idle", third.as_secs().to_string()),
        ("tcp_keepalives_interval", third.as_secs().to_string()),
        ("tcp_keepalives_count", "2".into()),
        ("default_transaction_read_only", is_read.into()),
    ];
    let mut parameters: Vec<(String, String)> =
        settings.into_iter().map(|(name, value)| (format!("options[{name}]"), value)).collect();
    parameters.push(("application_name".into(), "nightbell".into()));
    let url = address.to_driver(&parameters)?;
    // The driver's words name the part of the address that is wrong, and no value.
    let options = AnyConnectOptions::from_str(url.expose());
    let options = options.map_err(|error| address.misconfigured(error))?;
    // The tests of the plans take the statements from the driver's log.
    Ok(if cfg!(test) { options } else { options.disable_statement_logging() })
}

fn in_ms(span: Duration) -> String {
    span.as_millis().to_string()
}

fn pool(address: &StoreAddress, access: Access, connections: u32) -> Result<Connections, StoreError> {
    let pool = pool_options(connections).connect_lazy_with(options(address, access)?);
    Ok(Connections::to_server(pool, STORE_CALL_MAX))
}

/// How long a connection is waited for, kept, and left idle.
fn pool_options(connections: u32) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(STORE_WAIT_MAX)
        .max_lifetime(STORE_CONNECTION_LIFE)
        .idle_timeout(STORE_CONNECTION_LIFE)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                // One that was used just now is there; one that has been idle may have been cut off in silence.
                let is_fresh = meta.idle_for < STORE_IDLE_MAX;
                Ok(is_fresh || matches!(timeout(STORE_PING_MAX, connection.ping()).await, Ok(Ok(()))))
            })
        })
}

/// One connection outside of a pool: a pool would try again and again what is refused for good.
async fn connect(address: &StoreAddress) -> Result<AnyConnection, StoreError> {
    let options = options(address, Access::Migrate)?;
    match timeout(STORE_WAIT_MAX, AnyConnection::connect_with(&options)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(not_let_in(address, &error)),
        Err(_) => Err(away(address, format!("it did not answer within {} s", STORE_WAIT_MAX.as_secs()))),
    }
}

/// What helps with TLS.
const TLS_HELP: &str = "check \"ca_file\" and \"sslmode\" of \"store\", and the certificate of the server";

/// Why there is no connection: each reason with what helps.
fn not_let_in(address: &StoreAddress, error: &sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(|error| error.code());
    let said = words(error);
    match (code.as_deref(), error) {
        (Some("28P01" | "28000"), _) => address
            .misconfigured(format!("{said}; check the user of \"store\", its password and the server's pg_hba.conf")),
        (Some("3D000"), _) => {
            address.misconfigured(format!("{said}; make it (createdb), or name another one in \"store\""))
        }
        (Some("42501"), _) => address.misconfigured(format!("{said}; grant CONNECT on the database to this user")),
        // It starts or stops, or has no place for one more.
        (Some(_), _) => away(address, said),
        (None, sqlx::Error::Tls(error)) => address.misconfigured(format!("no TLS with it: {error}; {TLS_HELP}")),
        (None, sqlx::Error::Io(failure)) if failure.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            address.misconfigured(format!("no TLS with it: {failure}; {TLS_HELP}"))
        }
        (None, sqlx::Error::Configuration(error)) => address.misconfigured(error),
        (None, _) => away(address, said),
    }
}

/// The error of a statement at the beginning.
fn cannot(address: &StoreAddress, error: &sqlx::Error) -> StoreError {
    match error.as_database_error().and_then(|error| error.code()).as_deref() {
        Some("42501") => unusable(
            address,
            format!("{}; this user needs all rights in its schema: make it the schema's owner", words(error)),
        ),
        Some(code) if HELD_UP.contains(&code) => StoreError::HeldUp(format!("{}: {}", address.place(), words(error))),
        Some(code) if !code.starts_with("57P") => unusable(address, words(error)),
        _ => away(address, words(error)),
    }
}

/// Refuses a server that is too old, or that cannot be written to; warns of one that loses what it has acknowledged.
async fn check_server(connection: &mut AnyConnection, address: &StoreAddress) -> Result<(), StoreError> {
    let row = sqlx::query(
        "SELECT current_setting('server_version_num')::integer, current_setting('server_version'), \
           CASE WHEN pg_is_in_recovery() THEN 1 ELSE 0 END, current_setting('synchronous_commit')",
    )
    .fetch_one(connection)
    .await
    .map_err(|error| cannot(address, &error))?;
    let column = |error: sqlx::Error| unusable(address, error);
    let server = Server {
        number: row.try_get(0).map_err(column)?,
        version: row.try_get(1).map_err(column)?,
        is_standby: row.try_get::<i32, _>(2).map_err(column)? != 0,
        synchronous_commit: row.try_get(3).map_err(column)?,
    };
    if let Some(doubt) = server.judged(address)? {
        tracing::warn!("store {address}: {doubt}");
    }
    Ok(())
}

/// What a server says of itself.
#[derive(Debug, Clone)]
struct Server {
    /// Its `server_version_num`.
    number: i32,
    version: String,
    is_standby: bool,
    synchronous_commit: String,
}

impl Server {
    /// Refuses one that cannot be worked with. Returns what speaks against one that can.
    fn judged(&self, address: &StoreAddress) -> Result<Option<&'static str>, StoreError> {
        if self.number < VERSION_MIN {
            return Err(unusable(address, format!("PostgreSQL {} is too old; use 15 or newer", self.version)));
        }
        if self.is_standby {
            return Err(away(address, "the server is a standby; nightbell needs the primary"));
        }
        let loses = self.synchronous_commit == "off";
        Ok(loses.then_some("synchronous_commit is off: a crash of the server loses the last moments"))
    }
}

/// What is in the schema.
enum Schema {
    Empty,
    Ours,
}

/// Refuses the database of another program.
async fn schema(connection: &mut AnyConnection, address: &StoreAddress) -> Result<Schema, StoreError> {
    let row = sqlx::query(
        "SELECT COALESCE(CAST(current_schema() AS TEXT), ''), COUNT(relation.oid), \
           COALESCE(SUM(CASE relation.relname WHEN '_sqlx_migrations' THEN 1 ELSE 0 END), 0) \
         FROM pg_class AS relation JOIN pg_namespace AS space ON space.oid = relation.relnamespace \
         WHERE space.nspname = current_schema() AND relation.relkind IN ('r', 'p', 'v', 'm')",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(|error| cannot(address, &error))?;
    let column = |error: sqlx::Error| unusable(address, error);
    if row.try_get::<String, _>(0).map_err(column)?.is_empty() {
        return Err(unusable(address, "this user can use no schema of it; grant USAGE and CREATE on one"));
    }
    let (tables, steps): (i64, i64) = (row.try_get(1).map_err(column)?, row.try_get(2).map_err(column)?);
    if tables == 0 {
        return Ok(Schema::Empty);
    }
    let another = || unusable(address, "it is the database of another program; give nightbell one of its own");
    if steps == 0 {
        return Err(another());
    }
    let first: Option<Vec<u8>> = sqlx::query("SELECT checksum FROM _sqlx_migrations WHERE version = 1")
        .fetch_optional(connection)
        .await
        .and_then(|row| row.map(|row| row.try_get(0)).transpose())
        .map_err(|error| cannot(address, &error))?;
    let is_ours = migrations(DIALECT).iter().next().is_some_and(|step| Some(&*step.checksum) == first.as_deref());
    if is_ours { Ok(Schema::Ours) } else { Err(another()) }
}

/// Brings the database up to the present version, all of it or nothing. Replicas that start at once do so one by one.
async fn prepare(connection: &mut AnyConnection, address: &StoreAddress) -> Result<(), StoreError> {
    let failed = |error: sqlx::Error| cannot(address, &error);
    let mut all = connection.begin().await.map_err(failed)?;
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK);
    lock.execute(&mut *all).await.map_err(failed)?;
    schema(&mut all, address).await?;
    // What a step changes it wants for itself, and while it waits for that nobody gets it: it gives way and comes again.
    let patience = format!("SET LOCAL lock_timeout = {}", in_ms(STORE_MIGRATION_LOCK_MAX));
    sqlx::query(AssertSqlSafe(patience)).execute(&mut *all).await.map_err(failed)?;
    let mut steps = migrations(DIALECT);
    // The lock of the driver is one of the session, which outlives a process that is frozen or a proxy's connection.
    steps.set_locking(false);
    let run = steps.run_direct(None, &mut *all, false).await;
    run.map_err(|error| match error {
        sqlx::migrate::MigrateError::Execute(error) => failed(error),
        sqlx::migrate::MigrateError::ExecuteMigration(error, _) if error.as_database_error().is_some() => failed(error),
        error => migrations::refused(&address.place(), error),
    })?;
    all.commit().await.map_err(failed)
}

/// For who cannot bring it up to date.
async fn check(connection: &mut AnyConnection, address: &StoreAddress) -> Result<(), StoreError> {
    match schema(connection, address).await? {
        Schema::Empty => Err(unusable(address, "it is empty; `nightbell run` fills it")),
        Schema::Ours => {
            let version = sqlx::query("SELECT MAX(version) FROM _sqlx_migrations").fetch_one(connection).await;
            let version = version.and_then(|row| row.try_get(0)).map_err(|error| cannot(address, &error))?;
            migrations::check_version(&address.place(), version, DIALECT)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that lives for ever keeps to what its server was told at its beginning, and to a primary that is none any more.
    #[test]
    fn a_connection_does_not_live_for_ever() {
        let pool = pool_options(3);
        assert_eq!((pool.get_max_connections(), pool.get_acquire_timeout()), (3, STORE_WAIT_MAX));
        let life = Some(STORE_CONNECTION_LIFE);
        assert_eq!((pool.get_max_lifetime(), pool.get_idle_timeout()), (life, life));
    }

    #[test]
    fn a_server_that_cannot_be_worked_with_is_refused_with_words() {
        let address = StoreAddress::new("postgres://bell@127.0.0.1/night");
        let good =
            Server { number: 150_000, version: "15.0".into(), is_standby: false, synchronous_commit: "on".into() };
        assert_eq!(good.judged(&address), Ok(None));
        let old = Server { number: 140_012, version: "14.12".into(), ..good.clone() };
        let said = old.judged(&address).unwrap_err();
        assert!(
            matches!(&said, StoreError::Unusable(words) if words.ends_with("PostgreSQL 14.12 is too old; use 15 or newer"))
        );
        // It may be the primary in a moment: `run` waits for that.
        let standby = Server { is_standby: true, ..good.clone() };
        let said = standby.judged(&address).unwrap_err();
        assert!(matches!(&said, StoreError::Away(words) if words.ends_with("a standby; nightbell needs the primary")));
        for (setting, is_doubted) in [("off", true), ("local", false), ("remote_apply", false)] {
            let server = Server { synchronous_commit: setting.into(), ..good.clone() };
            assert_eq!(server.judged(&address).unwrap().is_some(), is_doubted, "{setting}");
        }
    }
}
