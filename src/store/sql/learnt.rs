//! What was learnt of a source, kept apart from its memory: it outlives a rewound cursor and moves no generation.

use std::collections::BTreeMap;

use super::super::StoreError;
use super::{SqlStore, rows};
use crate::model::SourceId;

pub(super) async fn load(store: &SqlStore, source: &SourceId) -> Result<BTreeMap<String, String>, StoreError> {
    let found = sqlx::query("SELECT question, answer FROM learnt WHERE source = $1")
        .bind(source.as_str())
        .fetch_all(&store.readers)
        .await
        .map_err(|error| store.failed(error))?;
    found.iter().map(|row| Ok((rows::text(row, 0)?, rows::text(row, 1)?))).collect()
}

pub(super) async fn save(
    store: &SqlStore,
    source: &SourceId,
    learnt: &BTreeMap<String, String>,
) -> Result<(), StoreError> {
    let mut write = store.write().await?;
    sqlx::query("DELETE FROM learnt WHERE source = $1")
        .bind(source.as_str())
        .execute(write.on())
        .await
        .map_err(|error| store.failed(error))?;
    for (question, answer) in learnt {
        sqlx::query("INSERT INTO learnt (source, question, answer) VALUES ($1, $2, $3)")
            .bind(source.as_str())
            .bind(question)
            .bind(answer)
            .execute(write.on())
            .await
            .map_err(|error| store.failed(error))?;
    }
    store.commit(write).await
}
