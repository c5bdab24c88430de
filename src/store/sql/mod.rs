//! [`SqlStore`]: the store in a SQL database.
//!
//! It reads and writes one SQLite file, or one PostgreSQL database. `database` has the transactions, on `connections`;
//! `open` finds the store, by `file` (which `lock` guards) or `server`, and `migrations` bring it up to date.
//! Each role of the store is implemented in the file that holds its statements: `poll` the ledger, `outbox` and `groups`
//! what lanes do, `fallback` and `escalation` who else is notified, `desk` what people say, `archive`, `board`,
//! `deliveries`, `inquiry` and `counts` what they ask, `digest`, `own` and `upkeep` (with `forget` for runs) the rest. Below them,
//! `ask` puts statements to the database, `insert` writes alerts and deliveries for all of them, `transition` what polls saw,
//! `actions` what people did, `gap` keeps when a source was not read, `gathering` whether anything waits for its group,
//! `memory` loads what a poll remembers;
//! `items` turns values into rows and `rows` turns rows into values; `statements` and `dialect` hold the SQL, so that
//! another database needs a dialect and no second copy of the logic. Nothing here knows why a row is written.

mod access;
mod actions;
mod archive;
mod ask;
mod board;
mod candidate;
mod connections;
mod copy;
mod counts;
mod database;
mod deliveries;
mod desk;
mod dialect;
mod digest;
mod escalation;
mod fallback;
mod file;
mod forget;
mod free;
mod gap;
mod gathering;
mod groups;
mod inquiry;
mod insert;
mod items;
mod lately;
mod leases;
mod lists;
mod lock;
mod memory;
mod migrations;
mod open;
mod outbox;
mod own;
mod path;
mod pause;
#[cfg(test)]
mod plans;
mod poll;
mod receivers;
mod rows;
mod server;
#[cfg(test)]
mod server_plans;
mod statements;
mod transition;
mod upkeep;

pub use copy::Copied;
pub use database::{Mode, SqlStore};
