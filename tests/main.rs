//! The integration tests, all in one binary: one module for each part.

mod notify;
mod config;
mod rule;
mod schedule;
