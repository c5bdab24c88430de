//! Why what somebody wished was not done.

use crate::store::StoreError;

/// Why a wish was not fulfilled; nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system has no random numbers to give.
    #[error("the operating system has no random numbers to give")]
    Random,
}
