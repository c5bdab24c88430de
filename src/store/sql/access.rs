//! Who may look and act over the web.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::ask::Ask as _;
use super::database::SqlStore;
use super::items::{behind, clean, to_json};
use super::rows;
use crate::model::Role;
use crate::store::access::{Access, NewToken, TokenRecord};
use crate::store::error::StoreError;

const COLUMNS: &str = "hash, name, role, created_at, expires_at, revoked_at, scope";

/// Whether the token in the row holds at the instant bound as `$2`.
const HOLDS: &str =
    "access_token.revoked_at IS NULL AND (access_token.expires_at IS NULL OR access_token.expires_at > $2)";

impl Access for SqlStore {
    async fn add_token(&self, new: &NewToken, now: Timestamp) -> Result<(), StoreError> {
        self.retried(|| {
            Box::pin(async {
                let scope = Some(&new.scope).filter(|scope| !scope.is_empty()).map(to_json).transpose()?;
                let mut write = self.write().await?;
                sqlx::query(
                    "INSERT INTO access_token (hash, name, role, created_at, expires_at, scope) \
                     VALUES ($1, $2, $3, $4, $5, $6)",
                )
                .bind(new.hash.as_str())
                .bind(clean(&new.name).into_owned())
                .bind(new.role.as_str())
                .bind(now.as_millisecond())
                .bind(new.expires_at.map(Timestamp::as_millisecond))
                .bind(scope)
                .run(self, write.on())
                .await?;
                self.commit(write).await
            })
        })
        .await
    }

    async fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        let statement = AssertSqlSafe(format!("SELECT {COLUMNS} FROM access_token ORDER BY created_at DESC, hash"));
        let found = sqlx::query(statement).all(self).await?;
        Ok(rows::all(&found, "access_token", record))
    }

    async fn revoke_tokens(&self, prefix: &str, now: Timestamp) -> Result<Vec<TokenRecord>, StoreError> {
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                let statement = AssertSqlSafe(format!(
                    "UPDATE access_token SET revoked_at = $3 \
             WHERE hash >= $1 AND hash < $2 AND revoked_at IS NULL RETURNING {COLUMNS}"
                ));
                let found = sqlx::query(statement)
                    .bind(prefix)
                    .bind(behind(prefix))
                    .bind(now.as_millisecond())
                    .all_in(self, write.on())
                    .await?;
                let revoked = rows::all(&found, "access_token", record);
                for token in &revoked {
                    sqlx::query("DELETE FROM access_session WHERE token = $1")
                        .bind(token.hash.as_str())
                        .run(self, write.on())
                        .await?;
                }
                self.commit(write).await?;
                Ok(revoked)
            })
        })
        .await
    }

    async fn token(&self, hash: &str, now: Timestamp) -> Result<Option<TokenRecord>, StoreError> {
        let statement = AssertSqlSafe(format!("SELECT {COLUMNS} FROM access_token WHERE hash = $1 AND {HOLDS}"));
        let found = sqlx::query(statement).bind(hash).bind(now.as_millisecond()).at_most_one(self).await?;
        found.as_ref().map(record).transpose()
    }

    async fn begin_session(
        &self,
        session: &str,
        token: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                sqlx::query("DELETE FROM access_session WHERE expires_at <= $1")
                    .bind(now.as_millisecond())
                    .run(self, write.on())
                    .await?;
                sqlx::query("INSERT INTO access_session (hash, token, created_at, expires_at) VALUES ($1, $2, $3, $4)")
                    .bind(session)
                    .bind(token)
                    .bind(now.as_millisecond())
                    .bind(until.as_millisecond())
                    .run(self, write.on())
                    .await?;
                self.commit(write).await
            })
        })
        .await
    }

    async fn session(&self, hash: &str, now: Timestamp) -> Result<Option<TokenRecord>, StoreError> {
        let columns = COLUMNS.split(", ").map(|column| format!("access_token.{column}")).collect::<Vec<_>>().join(", ");
        let statement = AssertSqlSafe(format!(
            "SELECT {columns} FROM access_session JOIN access_token ON access_token.hash = access_session.token \
             WHERE access_session.hash = $1 AND access_session.expires_at > $2 AND {HOLDS}"
        ));
        let found = sqlx::query(statement).bind(hash).bind(now.as_millisecond()).at_most_one(self).await?;
        found.as_ref().map(record).transpose()
    }

    async fn link_key(&self, fresh: &str) -> Result<String, StoreError> {
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                sqlx::query("INSERT INTO link_key (id, secret) VALUES (1, $1) ON CONFLICT (id) DO NOTHING")
                    .bind(fresh)
                    .run(self, write.on())
                    .await?;
                let row = sqlx::query("SELECT secret FROM link_key WHERE id = 1").one_in(self, write.on()).await?;
                let key = rows::text(&row, 0)?;
                self.commit(write).await?;
                Ok(key)
            })
        })
        .await
    }

    async fn end_session(&self, hash: &str) -> Result<(), StoreError> {
        self.retried(|| {
            Box::pin(async {
                let mut write = self.write().await?;
                sqlx::query("DELETE FROM access_session WHERE hash = $1").bind(hash).run(self, write.on()).await?;
                self.commit(write).await
            })
        })
        .await
    }
}

fn record(row: &AnyRow) -> Result<TokenRecord, StoreError> {
    let word = rows::text(row, 2)?;
    Ok(TokenRecord {
        hash: rows::text(row, 0)?,
        name: rows::text(row, 1)?,
        role: Role::from_word(&word).ok_or_else(|| rows::unknown("role", &word))?,
        created_at: rows::instant(rows::number(row, 3)?)?,
        expires_at: rows::optional_instant(row, 4)?,
        revoked_at: rows::optional_instant(row, 5)?,
        // One that cannot be understood makes the token one of no use, and never one for everything.
        scope: rows::optional_json(row, 6)?.unwrap_or_default(),
    })
}
