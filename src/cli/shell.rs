//! `nightbell completions` and `nightbell man`: what packages put beside the program for shells and for `man`.
//!
//! Both are written from the very definition of the command line. They read and contact nothing.

use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

use super::command_line::Cli;
use super::ground::{Exit, Failure};
use super::output::{complain, print};

/// Prints the script that tells a shell what can follow.
pub(super) fn completions(shell: Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "nightbell", &mut script);
    print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Done)
}

/// Writes `nightbell.1` and a page for each command.
pub(super) fn man(directory: &Path) -> Result<Exit, Failure> {
    std::fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    // The help names no date and no machine, so that a package that is built again is the same.
    clap_mangen::generate_to(Cli::command(), directory)
        .with_context(|| format!("the pages cannot be written to {}", directory.display()))?;
    complain(format_args!("manual pages written to {}", directory.display()));
    Ok(Exit::Done)
}
