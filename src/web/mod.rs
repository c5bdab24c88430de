//! What people and programs see and do over HTTP: pages, the API, metrics, health.
//!
//! # Design
//! One table ([`routes::routes`]) has every route with what it needs of who asks; the server is built from it, so that no
//! route exists that nobody thought about. What somebody may see of what there is, one file says ([`sight`]). Every answer is dressed in one place: the headers that keep a browser from
//! running what it should not, and errors as a page or as a problem document. What is shown is read from the store anew
//! for each answer, and what people do goes through [`crate::desk`], as commands do. Nothing here keeps state but the store
//! does: who signs in on one replica is known to all.
//!
//! It reads the store, how loops fare and the configuration in force; it writes what people do. It must never run a loop,
//! and never hold up one: connections, sizes and times are bounded.

mod access;
mod api;
mod calendar;
mod cursor;
mod deeds;
mod durations;
mod fault;
mod health;
mod meant;
mod needs;
mod night;
mod page;
mod routes;
mod scrape;
mod server;
mod sight;
mod state;
mod waiting;

pub use needs::Needs;
pub use routes::{Route, routes};
pub use server::serve;
pub use state::{InForce, Web};
