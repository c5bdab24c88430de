//! Leases in the database. Each change is one statement that stands alone, by the clock of the database at the moment at which
//! it is made: the clock of a transaction stands still where it began, and one that waited for another would write a lease
//! that is over already.
//!
//! A token is the database's clock at the taking, or one more than the token before where that is not below it. So it grows
//! with each taking of a lease, and no other lease has had it before, in this database or in one that this was copied from:
//! what was claimed under another token is known to be another's. It does not come again either where a failover of the
//! database has lost the last taking, whose holder believes in its token still.

use std::time::Duration;

use sqlx::AssertSqlSafe;

use super::database::SqlStore;
use super::items::{LeaseItem, clean, milliseconds, to_json};
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
        let clock = self.dialect.clock();
        let row = sqlx::query(AssertSqlSafe(format!(
            "SELECT {clock}, generation.number, generation.fingerprint FROM moment LEFT JOIN generation ON generation.id = 1"
        )));
        let row = row.fetch_one(&self.keeper).await.map_err(|error| self.failed(error))?;
        let in_force = rows::optional_number(&row, 1)?.unwrap_or(0);
        let leases =
            sqlx::query("SELECT name, token, holder, configuration, until, taken_at, status FROM lease ORDER BY name")
                .fetch_all(&self.keeper)
                .await
                .map_err(|error| self.failed(error))?;
        let replicas = sqlx::query(
            "SELECT id, host, pid, version, clock_ahead, configuration, fingerprint, started_at, seen_at \
             FROM replica ORDER BY id",
        )
        .fetch_all(&self.keeper)
        .await
        .map_err(|error| self.failed(error))?;
        Ok(Standing {
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
        })
    }

    async fn take(&self, name: &str, me: &Replica, span: Duration) -> Result<Option<i64>, StoreError> {
        let clock = self.dialect.clock();
        let statement = AssertSqlSafe(format!(
            "INSERT INTO lease (name, token, holder, configuration, until, taken_at) \
             VALUES ($1, {clock}, $2, $3, {clock} + $4, {clock}) ON CONFLICT (name) DO UPDATE SET \
               token = CASE WHEN lease.token < excluded.token THEN excluded.token ELSE lease.token + 1 END, \
               holder = excluded.holder, configuration = excluded.configuration, until = {clock} + $4, \
               taken_at = {clock}, status = NULL \
             WHERE lease.holder IS NULL OR lease.until <= {clock} RETURNING token"
        ));
        let row = sqlx::query(statement)
            .bind(name)
            .bind(me.id.as_str())
            .bind(me.configuration)
            .bind(milliseconds(span))
            .fetch_optional(&self.keeper)
            .await
            .map_err(|error| self.failed(error))?;
        row.map(|row| rows::number(&row, 0)).transpose()
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
            .map_err(|error| self.failed(error))?;
        let statement = AssertSqlSafe(format!("DELETE FROM replica WHERE seen_at < {clock} - $1"));
        let done = sqlx::query(statement).bind(milliseconds(REPLICA_FORGOTTEN_AFTER)).execute(&self.keeper).await;
        done.map(drop).map_err(|error| self.failed(error))
    }
}
