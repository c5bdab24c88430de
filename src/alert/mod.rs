//! Alerts: one condition that holds for one subject, and the messages that tell of it.
//!
//! Pure: what a condition has found comes in, alerts and messages come out. [`begin`] makes an alert, [`end`] ends it for
//! one reason; the [`Ledger`] holds those of a source that fire; [`identity`] names episodes and deliveries so that a
//! repeat is recognisable; [`failing_nodes`] picks the nodes to look at; [`summary`] says it in one line. This module must
//! never know how an instance was read, when an alert begins or ends, where it is stored or by what channel it is told.

pub mod identity;
pub mod own;
pub mod summary;

mod begin;
mod end;
mod escalate;
mod failing;
mod held_back;
mod later;
mod ledger;
mod message;

pub use begin::{Found, Subject, begin, held_as, is_about, is_about_job_status, late, overdue, readdressed};
pub use end::{Ending, close, end, end_with_job, is_superseded, unwatched};
pub use escalate::attach_escalation;
pub use failing::failing_nodes;
pub use ledger::Ledger;
pub use message::{
    ack_message, attach_belonging, attach_error, attach_log_tail, attach_nodes, attach_place, bundle_message,
    firing_message, group_message, marked_message, message_about, message_of, reminder_message, resolved_message,
};
