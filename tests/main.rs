//! The integration tests, all in one binary: one module for each part.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "in a test, a panic is the report and stdout is shown with it")]

mod config;
mod notify;
mod program;
mod rule;
mod schedule;
mod tidy;
mod yaml;
//! The integration tests: one binary, a module per part.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod sim;
mod source;
//! The integration tests: one binary, one module per part.

mod deliver;
mod sample;
mod store;
