//! The integration tests, all in one binary: one module for each part.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tests say what they skip and what they drew by chance")]

mod airflow;
mod app;
mod cluster;
mod conditions;
mod config;
mod decide;
mod deliver;
mod described;
mod digest;
mod explain;
mod fallback;
mod hours;
mod newcomer;
mod notify;
mod own;
mod packages;
mod poll;
mod postgres;
mod program;
mod readme;
mod reload;
mod replay;
mod rule;
mod sample;
mod schedule;
mod schedulerx;
mod sim;
mod source;
mod store;
mod tidy;
mod web;
mod window;
mod words;
mod yaml;
