//! The nightbell program: parses the command line and hands over. Everything else is in the library.

use std::process::ExitCode;

use clap::Parser as _;

/// Gives back at once what is free. What is written in C, SQLite too, goes on with the allocator of the C library.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    nightbell::cli::run(nightbell::cli::Cli::parse())
}
