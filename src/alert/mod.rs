//! Alerts: from what the rules found to episodes, and from episodes to what must be told.
//!
//! Pure: instances, verdicts and `now` come in, alerts and messages come out. The [`Ledger`] holds the alerts that fire
//! and decides which begin and which end; [`identity`] names episodes and deliveries so that a repeat is recognisable;
//! [`failing_nodes`] picks the nodes to look at; [`summary`] says it in one line. This module must never know how an
//! instance was read, where an alert is stored or by what channel it is told.

pub mod identity;
pub mod own;
pub mod summary;

mod escalate;
mod failing;
mod found;
mod held_back;
mod job;
mod later;
mod ledger;
mod message;

pub use escalate::attach_escalation;
pub use failing::failing_nodes;
pub use found::{Found, Subject, begin_found, end_found, late, overdue};
pub use ledger::{Holding, Ledger};
pub use message::{
    attach_error, attach_nodes, attach_part_of, attach_workflow, firing_message, group_message, message_about,
    message_of, reminder_message, resolved_message,
};
