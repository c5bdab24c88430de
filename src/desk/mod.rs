//! What people ask and do: explained runs, acknowledged and closed alerts, tokens. Commands, pages and the API all come here,
//! so that the same wish has the same outcome however it is uttered.
//!
//! Reads the store and writes it as [`crate::store::Desk`] and its like allow; nothing here runs by itself. It must never
//! know of the command line, of HTTP or of a page.

mod ack;
mod close;
mod error;
pub mod explain;
pub mod json;
mod picture;
mod silence;
mod token;

pub use ack::{Acked, acknowledge, hearers, unacknowledge};
pub use close::{Closing, close, owe, receivers_of};
pub use error::DeskError;
pub use picture::{is_picture, page_of};
pub use silence::{Hits, Named, Wrong, check_length, check_silence, ends_after, one_line, preview_silence};
pub use token::{TOKEN_HEAD, hash_of, new_secret, new_token};
