//! What sources are made of, whatever scheduler they speak to: patience and the one retry, texts that are safe to parse and to
//! show, failure texts without secrets.
//!
//! It knows no scheduler's fields, codes or addresses.

pub(super) mod excerpt;
pub(super) mod foreign;
mod retry;

pub use retry::Patience;
pub(super) use retry::{Retry, once_more, retry_of};
