//! The integration tests, all in one binary: one module for each part.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod config;
mod notify;
mod program;
mod rule;
mod schedule;
mod tidy;
mod yaml;
