//! Signing requests, one file for each scheme over one form of a request.
//!
//! Pure: reads no clock and no network, and must never know what the requests are for.

pub mod alibaba;
pub mod huawei;
mod link;
mod request;

pub use link::{ACK, Link, LinkKey};
pub use request::{Authorization, Signable, canonical_query, parse_query};
