//! What sources are made of, whatever scheduler they speak to.
//!
//! ```text
//! settings   keys that several kinds have
//! client     one GET or POST: paced, tried once more, answered or classed; an Api says what differs
//! paging     pages that overlap, a total held against what was read
//! json       JSON by its raw text, values that know their place, items set aside
//! fault      errors that every API can have, and what to do about them
//! session    a token that a sign-in got: renewed ahead, and once when it is stale
//! call | pace | retry | text | excerpt | lock
//! ```
//!
//! It knows no scheduler's fields, codes or addresses.

mod call;
mod client;
pub(super) mod excerpt;
pub(super) mod fault;
pub(super) mod json;
mod pace;
pub(super) mod paging;
mod retry;
pub(super) mod session;
pub(super) mod settings;
pub(super) mod text;

pub(super) use call::{Call, with_headers};
pub(super) use client::{Api, Attempt, Client, Moment};
pub(super) use pace::Pace;
pub use retry::Patience;
