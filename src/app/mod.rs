//! Wires the checked configuration into running loops: opens the store, takes back what a dead process had claimed,
//! makes one poller per source and one lane per receiver, starts and stops them, and puts another configuration in the
//! place of the one in force.
//!
//! Everything fallible happens in [`App::open`], before any loop runs, and before a new configuration takes effect. This
//! module decides nothing and sends nothing.

mod error;
mod examine;
mod generation;
mod ground;
mod lease_names;
mod lease_status;
mod leases;
mod loops;
mod once;
mod own;
mod parts;
mod program;
mod recorded;
mod reload;
mod remembering;
mod shared_clock;
mod supervisor;
mod watch;

pub use error::AppError;
pub use examine::{Examined, Kept, examine, keep_learnt};
pub use once::OnceReport;
pub use parts::{ReceiverFault, check_receivers, send_once, send_test};
pub use program::App;
pub use recorded::{OnRecord, Recorded, recorded};
pub use reload::{ReloadError, Reloader};
pub use watch::{AskReload, Attempted, OnReload, RuleWatch};
