//! What people ask and do: explained runs, closed alerts, tokens. Commands, pages and the API all come here, so that the
//! same wish has the same outcome however it is uttered.
//!
//! Reads the store and writes it as [`crate::store::Desk`] and its like allow; nothing here runs by itself. It must never
//! know of the command line, of HTTP or of a page.

mod close;
pub mod explain;
pub mod json;
mod silence;
mod token;

pub use close::{Closing, close, receivers_of};
pub use silence::{Hits, Wrong, check_length, check_silence, ends_after, is_everything, one_line, preview_silence};
pub use token::{TOKEN_HEAD, hash_of, new_secret, new_token};

use crate::store::StoreError;

/// Why a wish was not fulfilled; nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The templates of a receiver cannot be used.
    #[error("receiver {id}: {reason}")]
    Receiver {
        /// The receiver.
        id: String,
        /// What is wrong.
        reason: String,
    },
    /// The operating system has no random numbers to give.
    #[error("the operating system has no random numbers to give")]
    Random,
}
