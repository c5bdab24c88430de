//! The connections of a store, and the guard of each call on them.
//!
//! A server can go away in silence: a call on such a connection would wait for minutes, and one that is given up half-way
//! leaves a transaction open on a connection that the next caller is handed. So each call to a server ends by a deadline, and
//! a connection on which a call has not come to its end is closed and never used again. The embedded database has no
//! network: its calls are passed on as they are. This module knows no statement.

use std::io;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use sqlx::any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyPool, Either, Execute, Executor, SqlStr};
use tokio::time::timeout;

/// A result, or a row.
type Step = Result<Either<AnyQueryResult, AnyRow>, sqlx::Error>;

/// Some connections of a store: each call is made on one of them.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    pool: AnyPool,
    /// How long one call may take; none for the embedded database.
    limit: Option<Duration>,
}

impl Connections {
    /// Connections to the embedded database.
    pub(super) fn embedded(pool: AnyPool) -> Connections {
        Connections { pool, limit: None }
    }

    /// Connections to a server, each call on which may take so long.
    pub(super) fn to_server(pool: AnyPool, limit: Duration) -> Connections {
        Connections { pool, limit: Some(limit) }
    }

    /// Takes a connection for several calls.
    pub(super) async fn take(&self) -> Result<Connection, sqlx::Error> {
        let connection = self.pool.acquire().await?;
        Ok(Connection { connection, limit: self.limit, is_sound: true })
    }

    /// Closes all of them.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

impl<'c> Executor<'c> for &'c Connections {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Step>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        if self.limit.is_none() {
            return (&self.pool).fetch_many(query);
        }
        let all = async move {
            let mut taken = self.take().await?;
            let steps: Vec<_> = taken.fetch_many(query).try_collect().await?;
            Ok::<_, sqlx::Error>(stream::iter(steps.into_iter().map(Ok)))
        };
        stream::once(all).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        if self.limit.is_none() {
            return (&self.pool).fetch_optional(query);
        }
        async move { self.take().await?.fetch_optional(query).await }.boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        (&self.pool).prepare_with(sql, parameters)
    }
}

/// One connection, for several calls. It is closed when it is dropped while a call is under way or after one that did not
/// come to its end.
#[derive(Debug)]
pub(super) struct Connection {
    connection: PoolConnection<Any>,
    limit: Option<Duration>,
    is_sound: bool,
}

impl Connection {
    /// Has the connection be closed when it is dropped, instead of used again.
    pub(super) fn close_on_drop(&mut self) {
        self.connection.close_on_drop();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.is_sound && self.limit.is_some() {
            self.connection.close_on_drop();
        }
    }
}

impl<'c> Executor<'c> for &'c mut Connection {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Step>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let Some(limit) = self.limit else { return (&mut *self.connection).fetch_many(query) };
        self.is_sound = false;
        let (steps, is_sound) = ((&mut *self.connection).fetch_many(query), &mut self.is_sound);
        // The deadline is that of the next row: reading many of them may take its time.
        let guarded = stream::unfold(Some((steps, is_sound)), move |reading| async move {
            let (mut steps, is_sound) = reading?;
            match timeout(limit, steps.next()).await {
                Ok(Some(Ok(step))) => Some((Ok(step), Some((steps, is_sound)))),
                Ok(Some(Err(error))) => {
                    *is_sound = is_answer(&error);
                    Some((Err(error), None))
                }
                Ok(None) => {
                    *is_sound = true;
                    None
                }
                Err(_) => Some((Err(timed_out(limit)), None)),
            }
        });
        guarded.boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let Some(limit) = self.limit else { return (&mut *self.connection).fetch_optional(query) };
        self.is_sound = false;
        let (call, is_sound) = ((&mut *self.connection).fetch_optional(query), &mut self.is_sound);
        async move {
            let outcome = timeout(limit, call).await.map_err(|_| timed_out(limit))?;
            *is_sound = outcome.as_ref().err().is_none_or(is_answer);
            outcome
        }
        .boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        (&mut *self.connection).prepare_with(sql, parameters)
    }
}

/// Whether the error is what the server answered: then the call has come to its end, and the connection is as good as before.
fn is_answer(error: &sqlx::Error) -> bool {
    match error {
        // The server is shutting down, or has given this connection up.
        sqlx::Error::Database(error) => {
            !error.code().is_some_and(|code| code.starts_with("57P") || code.starts_with("25P"))
        }
        sqlx::Error::RowNotFound => true,
        _ => false,
    }
}

fn timed_out(limit: Duration) -> sqlx::Error {
    let words = format!("the database did not answer within {} s", limit.as_secs());
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, words))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use sqlx::Row as _;
    use sqlx::any::AnyPoolOptions;

    use super::super::server_plans::cluster;
    use super::*;

    const LIMIT: Duration = Duration::from_secs(2);

    /// Which of the server's processes answers, of which there is one for each connection.
    async fn who_answers(all: &Connections) -> i32 {
        sqlx::query("SELECT pg_backend_pid()").fetch_one(all).await.unwrap().get(0)
    }

    #[tokio::test]
    async fn a_call_that_takes_too_long_is_given_up_and_its_connection_is_used_no_more() {
        const SLOW: &str = "SELECT 1 FROM pg_sleep(60)";
        let url = tokio::task::spawn_blocking(|| cluster::empty_database("")).await.unwrap();
        sqlx::any::install_default_drivers();
        let all = Connections::to_server(AnyPoolOptions::new().max_connections(1).connect(&url).await.unwrap(), LIMIT);
        for way in ["one row", "all rows", "on a connection that was taken"] {
            let before = who_answers(&all).await;
            assert_eq!(who_answers(&all).await, before, "one that is sound is used again");
            let began = Instant::now();
            let outcome = match way {
                "one row" => sqlx::query(SLOW).fetch_optional(&all).await.map(drop),
                "all rows" => sqlx::query(SLOW).fetch_all(&all).await.map(drop),
                _ => sqlx::query(SLOW).execute(&mut all.take().await.unwrap()).await.map(drop),
            };
            let took = began.elapsed();
            let is_late = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
            assert!(matches!(&outcome, Err(sqlx::Error::Io(error)) if is_late(error)), "{way}: {outcome:?}");
            assert!(took >= LIMIT && took < Duration::from_secs(30), "{way}: {took:?}");
            assert_ne!(who_answers(&all).await, before, "{way}: the connection is used again");
        }
        all.close().await;
        tokio::task::spawn_blocking(move || cluster::remove(&url)).await.unwrap();
    }
}
