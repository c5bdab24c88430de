//! Days that are played again: the decisions are those that were made.

mod counts;
mod day;
mod notes;
mod rehearsal;
mod warnings;
