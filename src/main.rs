//! The nightbell program: parses the command line and hands over. Everything else is in the library.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    nightbell::cli::run(nightbell::cli::Cli::parse())
}
