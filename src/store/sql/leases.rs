//! Leases in the database. Each change is one statement that stands alone, by the clock of the database at the moment at which
//! it is made: the clock of a transaction stands still where it began, and one that waited for another would write a lease
//! that is over already. Taking waits for nobody: a taking that its process has stopped waiting for could come through later,
//! and nobody would run by the lease until it is over.
//!
//! A token is the database's clock at the taking, or one more than the token before where that is not below it. So it grows
//! with each taking of a lease, and no other lease has had it before, in this database or in one that this was copied from:
//! what was claimed under another token is known to be another's. It does not come again either where a failover of the
//! database has lost the last taking, whose holder believes in its token still.

use std::time::Duration;

use sqlx::AssertSqlSafe;

use super::database::SqlStore;
use super::items::{IdItem, LeaseItem, clean, milliseconds, to_json};
use super::rows;
use crate::limits::REPLICA_FORGOTTEN_AFTER;
use crate::store::error::StoreError;
use crate::store::leases::{Fence, Lease, Leases, Present, Replica, Standing};

impl Leases for SqlStore {
    fn is_shared(&self) -> bool {
        self.dialect.is_shared()
    }

    async fn look(&self, me: Option<&Replica>) -> Result<Standing, StoreError> {
        if let Some(me) = me {
            self.say_present(me).await?;
        }
        // Who only looks, as pages do, takes no turn of those who keep the leases.
        let on = if me.is_some() { &self.keeper } else { &self.readers };
        let clock = self.dialect.clock();
        let row = sqlx::query(AssertSqlSafe(format!(
            "SELECT {clock}, generation.number, generation.fingerprint FROM moment LEFT JOIN generation ON generation.id = 1"
        )));
        let row = row.fetch_one(on).await.map_err(|error| self.failed(error))?;
        let in_force = rows::optional_number(&row, 1)?.unwrap_or(0);
        let leases =
            sqlx::query("SELECT name, token, holder, configuration, until, taken_at, status FROM lease ORDER BY name")
                .fetch_all(on)
                .await
                .map_err(|error| self.failed(error))?;
        let replicas = sqlx::query(
            "SELECT id, host, pid, version, clock_ahead, configuration, fingerprint, started_at, seen_at \
             FROM replica ORDER BY id",
        )
        .fetch_all(on)
        .await
        .map_err(|error| self.failed(error))?;
        let standing = Standing {
            now: rows::instant(rows::number(&row, 0)?)?,
            in_force: (in_force, rows::optional_text(&row, 2)?.unwrap_or_default()),
            leases: rows::all(&leases, "lease", |row| {
                Ok(Lease {
                    name: rows::text(row, 0)?,
                    token: rows::number(row, 1)?,
                    holder: rows::optional_text(row, 2)?,
                    configuration: rows::number(row, 3)?,
                    until: rows::instant(rows::number(row, 4)?)?,
                    taken_at: rows::instant(rows::number(row, 5)?)?,
                    status: rows::optional_text(row, 6)?,
                })
            }),
            replicas: rows::all(&replicas, "replica", |row| {
                Ok(Present {
                    replica: Replica {
                        id: rows::text(row, 0)?,
                        host: rows::text(row, 1)?,
                        pid: u32::try_from(rows::number(row, 2)?).unwrap_or(0),
                        version: rows::text(row, 3)?,
                        clock_ahead_ms: rows::number(row, 4)?,
                        configuration: rows::number(row, 5)?,
                        fingerprint: rows::text(row, 6)?,
                    },
                    started_at: rows::instant(rows::number(row, 7)?)?,
                    seen_at: rows::instant(rows::number(row, 8)?)?,
                })
            }),
        };
        let is_forgotten = |one: &Present| {
            let silent = standing.now.duration_since(one.seen_at);
            Duration::try_from(silent).is_ok_and(|silent| silent > REPLICA_FORGOTTEN_AFTER)
        };
        if me.is_some() && standing.replicas.iter().any(is_forgotten) {
            self.forget_replicas().await?;
        }
        Ok(standing)
    }

    async fn is_one_free(&self, names: &[String]) -> Result<bool, StoreError> {
        let statement = AssertSqlSafe(format!(
            "SELECT 1 FROM lease WHERE lease.name IN {} AND (lease.holder IS NULL OR lease.until <= {} \
               OR NOT EXISTS (SELECT 1 FROM replica WHERE replica.id = lease.holder)) LIMIT 1",
            self.dialect.bound_texts(1),
            self.dialect.clock()
        ));
        let found = sqlx::query(statement).bind(listed(names)?).fetch_optional(&self.keeper).await;
        Ok(found.map_err(|error| self.failed(error))?.is_some())
    }

    async fn take(&self, names: &[String], me: &Replica, span: Duration) -> Result<Vec<Fence>, StoreError> {
        let (clock, names) = (self.dialect.clock(), listed(names)?);
        // One that nobody has ever had gets its row first, under a token by which nobody writes.
        let first = AssertSqlSafe(format!(
            "INSERT INTO lease (name, token, configuration, until, taken_at) \
             SELECT item.id, 1, 0, {clock}, {clock} FROM {} WHERE true ON CONFLICT (name) DO NOTHING",
            self.dialect.items(IdItem::COLUMNS)
        ));
        let made = sqlx::query(first).bind(names.as_str()).execute(&self.keeper).await;
        made.map_err(|error| self.failed(error))?;
        let statement = AssertSqlSafe(format!(
            "WITH chosen AS MATERIALIZED (SELECT lease.name FROM lease WHERE lease.name IN {} \
               AND (lease.holder IS NULL OR lease.until <= {clock}){}) \
             UPDATE lease SET token = CASE WHEN token < {clock} THEN {clock} ELSE token + 1 END, holder = $2, \
               configuration = $3, until = {clock} + $4, taken_at = {clock}, status = NULL \
             WHERE name IN (SELECT chosen.name FROM chosen) AND (holder IS NULL OR until <= {clock}) \
             RETURNING name, token",
            self.dialect.bound_texts(1),
            self.dialect.skip_locked("lease")
        ));
        let taken = sqlx::query(statement)
            .bind(names)
            .bind(me.id.as_str())
            .bind(me.configuration)
            .bind(milliseconds(span))
            .fetch_all(&self.keeper)
            .await
            .map_err(|error| self.failed(error))?;
        taken.iter().map(|row| Ok(Fence { name: rows::text(row, 0)?, token: rows::number(row, 1)? })).collect()
    }

    async fn renew(
        &self,
        held: &[(Fence, Option<String>)],
        configuration: i64,
        span: Duration,
    ) -> Result<Vec<String>, StoreError> {
        let items: Vec<LeaseItem> = held
            .iter()
            .map(|(fence, status)| LeaseItem { name: &fence.name, token: fence.token, status: status.as_deref() })
            .collect();
        let clock = self.dialect.clock();
        let statement = AssertSqlSafe(format!(
            "UPDATE lease SET until = {clock} + $2, status = item.status, configuration = $3 FROM {} \
             WHERE lease.name = item.name AND lease.token = item.token AND lease.holder IS NOT NULL \
               AND lease.until > {clock} RETURNING lease.name",
            self.dialect.items(LeaseItem::COLUMNS)
        ));
        let found = sqlx::query(statement)
            .bind(to_json(&items)?)
            .bind(milliseconds(span))
            .bind(configuration)
            .fetch_all(&self.keeper)
            .await
            .map_err(|error| self.failed(error))?;
        found.iter().map(|row| rows::text(row, 0)).collect()
    }

    async fn give_up(&self, held: &[Fence]) -> Result<(), StoreError> {
        let items: Vec<LeaseItem> =
            held.iter().map(|fence| LeaseItem { name: &fence.name, token: fence.token, status: None }).collect();
        let clock = self.dialect.clock();
        // It is free from now on: how long it stays so is counted from here.
        let statement = AssertSqlSafe(format!(
            "UPDATE lease SET holder = NULL, until = {clock}, status = NULL FROM {} \
             WHERE lease.name = item.name AND lease.token = item.token",
            self.dialect.items(LeaseItem::COLUMNS)
        ));
        let done = sqlx::query(statement).bind(to_json(&items)?).execute(&self.keeper).await;
        done.map(drop).map_err(|error| self.failed(error))
    }

    async fn leave(&self, replica: &str) -> Result<(), StoreError> {
        let done = sqlx::query("DELETE FROM replica WHERE id = $1").bind(replica).execute(&self.keeper).await;
        done.map(drop).map_err(|error| self.failed(error))
    }
}

impl SqlStore {
    async fn say_present(&self, me: &Replica) -> Result<(), StoreError> {
        let clock = self.dialect.clock();
        let statement = AssertSqlSafe(format!(
            "INSERT INTO replica (id, host, pid, version, started_at, seen_at, clock_ahead, configuration, fingerprint) \
             VALUES ($1, $2, $3, $4, {clock}, {clock}, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET seen_at = {clock}, \
               clock_ahead = excluded.clock_ahead, configuration = excluded.configuration, \
               fingerprint = excluded.fingerprint"
        ));
        sqlx::query(statement)
            .bind(me.id.as_str())
            .bind(clean(&me.host).into_owned())
            .bind(i64::from(me.pid))
            .bind(me.version.as_str())
            .bind(me.clock_ahead_ms)
            .bind(me.configuration)
            .bind(me.fingerprint.as_str())
            .execute(&self.keeper)
            .await
            .map(drop)
            .map_err(|error| self.failed(error))
    }

    async fn forget_replicas(&self) -> Result<(), StoreError> {
        let statement = AssertSqlSafe(format!("DELETE FROM replica WHERE seen_at < {} - $1", self.dialect.clock()));
        let done = sqlx::query(statement).bind(milliseconds(REPLICA_FORGOTTEN_AFTER)).execute(&self.keeper).await;
        done.map(drop).map_err(|error| self.failed(error))
    }
}

/// These names as a list to be bound.
fn listed(names: &[String]) -> Result<String, StoreError> {
    to_json(&names.iter().map(|name| IdItem { id: name }).collect::<Vec<_>>())
}
