//! The integration tests, all in one binary: one module for each part.

mod notify;
mod rule;
mod schedule;
