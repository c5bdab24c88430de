//! The integration tests, all in one binary: one module for each part.

mod notify;
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod config;
mod rule;
mod schedule;
mod yaml;
