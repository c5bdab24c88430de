//! The integration tests, all in one binary: one module for each part.

mod rule;
mod schedule;
mod notify;
