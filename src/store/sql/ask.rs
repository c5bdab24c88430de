//! How statements are asked of the store: an error says where it happened.
//!
//! What reads by itself goes to the readers; what belongs to a transaction goes to its connection.

use std::future::Future;

use sqlx::Any;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;

use super::connections::Connection;
use super::database::SqlStore;
use crate::store::error::StoreError;

/// A statement with what it binds.
pub(super) trait Ask: Sized {
    /// All rows that it finds.
    fn all(self, store: &SqlStore) -> impl Future<Output = Result<Vec<AnyRow>, StoreError>> + Send;

    /// The one row that it finds.
    fn one(self, store: &SqlStore) -> impl Future<Output = Result<AnyRow, StoreError>> + Send;

    /// The first row that it finds, if any.
    fn at_most_one(self, store: &SqlStore) -> impl Future<Output = Result<Option<AnyRow>, StoreError>> + Send;

    /// All rows that it finds within a transaction.
    fn all_in(
        self,
        store: &SqlStore,
        on: &mut Connection,
    ) -> impl Future<Output = Result<Vec<AnyRow>, StoreError>> + Send;

    /// The one row that it finds within a transaction.
    fn one_in(self, store: &SqlStore, on: &mut Connection) -> impl Future<Output = Result<AnyRow, StoreError>> + Send;

    /// The first row that it finds within a transaction, if any.
    fn at_most_one_in(
        self,
        store: &SqlStore,
        on: &mut Connection,
    ) -> impl Future<Output = Result<Option<AnyRow>, StoreError>> + Send;

    /// Changes rows within a transaction. Returns how many.
    fn run(self, store: &SqlStore, on: &mut Connection) -> impl Future<Output = Result<u64, StoreError>> + Send;
}

impl Ask for Query<'_, Any, AnyArguments> {
    async fn all(self, store: &SqlStore) -> Result<Vec<AnyRow>, StoreError> {
        self.fetch_all(&store.readers).await.map_err(|error| store.failed(error))
    }

    async fn one(self, store: &SqlStore) -> Result<AnyRow, StoreError> {
        self.fetch_one(&store.readers).await.map_err(|error| store.failed(error))
    }

    async fn at_most_one(self, store: &SqlStore) -> Result<Option<AnyRow>, StoreError> {
        self.fetch_optional(&store.readers).await.map_err(|error| store.failed(error))
    }

    async fn all_in(self, store: &SqlStore, on: &mut Connection) -> Result<Vec<AnyRow>, StoreError> {
        self.fetch_all(on).await.map_err(|error| store.failed(error))
    }

    async fn one_in(self, store: &SqlStore, on: &mut Connection) -> Result<AnyRow, StoreError> {
        self.fetch_one(on).await.map_err(|error| store.failed(error))
    }

    async fn at_most_one_in(self, store: &SqlStore, on: &mut Connection) -> Result<Option<AnyRow>, StoreError> {
        self.fetch_optional(on).await.map_err(|error| store.failed(error))
    }

    async fn run(self, store: &SqlStore, on: &mut Connection) -> Result<u64, StoreError> {
        let done = self.execute(on).await.map_err(|error| store.failed(error))?;
        Ok(done.rows_affected())
    }
}
