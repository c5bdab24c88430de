//! Which configuration is in force: a number that grows with each one, over restarts too.

use jiff::Timestamp;

use super::super::StoreError;
use super::{SqlStore, rows};

pub(super) async fn begin(
    store: &SqlStore,
    fingerprint: &str,
    is_reload: bool,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let mut write = store.write().await?;
    let row = sqlx::query(
        "INSERT INTO generation (id, number, fingerprint, since) VALUES (1, 1, $1, $3) ON CONFLICT (id) DO UPDATE SET \
           number = generation.number + 1, fingerprint = excluded.fingerprint, since = excluded.since \
         WHERE $2 = 1 OR generation.fingerprint <> excluded.fingerprint RETURNING number",
    )
    .bind(fingerprint)
    .bind(i64::from(is_reload))
    .bind(now.as_millisecond())
    .fetch_optional(write.on())
    .await
    .map_err(|error| store.failed(error))?;
    let number = match row {
        Some(row) => rows::number(&row, 0)?,
        None => {
            let row = sqlx::query("SELECT number FROM generation WHERE id = 1").fetch_one(write.on()).await;
            rows::number(&row.map_err(|error| store.failed(error))?, 0)?
        }
    };
    store.commit(write).await?;
    Ok(number)
}
