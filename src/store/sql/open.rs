//! Opening a store: by its address it is a file or a database on a server.

use super::database::{Mode, SqlStore};
use super::{file, server};
use crate::store::address::{Kind, StoreAddress};
use crate::store::error::StoreError;

impl SqlStore {
    /// Opens the store at `address`. To work, it is made if it is not there and brought up to the present version; to read
    /// or to amend, it is taken as it is.
    ///
    /// # Errors
    /// [`StoreError::Held`] when another process works on the file; [`StoreError::Unusable`] when what is there cannot
    /// serve, with the place and what is wrong; [`StoreError::Misconfigured`] when the server does not let us in;
    /// [`StoreError::Away`] when it cannot be reached.
    pub async fn open(address: impl Into<StoreAddress>, mode: Mode) -> Result<SqlStore, StoreError> {
        let address = address.into();
        match address.kind()? {
            Kind::File(path) => file::open(&path, mode).await,
            Kind::Server => server::open(&address, mode).await,
        }
    }

    /// A store in memory, gone when it is dropped: to try out what would be decided.
    ///
    /// # Errors
    /// When the database cannot be made.
    pub async fn in_memory() -> Result<SqlStore, StoreError> {
        file::in_memory().await
    }
}
