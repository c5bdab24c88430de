//! `nightbell init`: a configuration to begin with. Asks nothing, contacts nobody, and replaces no file.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::ground::{Exit, Failure};
use super::output::{complain, fail, print};
use super::place::{ConfigFile, RULES};

/// The least that watches one source and notifies one receiver.
const STARTER: &str = include_str!("starter.yaml");
/// Every key, with what it does.
const EXAMPLE: &str = include_str!("../../../rules.example.yaml");

/// What is written, and where.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The whole example instead: every key with a comment.
    #[arg(long)]
    example: bool,
    /// Print it instead of writing the file.
    #[arg(long)]
    stdout: bool,
    #[command(flatten)]
    file: ConfigFile,
}

pub(super) fn init(arguments: &Arguments) -> Result<Exit, Failure> {
    let text = if arguments.example { EXAMPLE } else { STARTER };
    if arguments.stdout {
        print(text.trim_end())?;
        return Ok(Exit::Done);
    }
    // What is installed is somebody's already: without a name it is a file here.
    let named = if arguments.file.is_named { arguments.file.config.clone() } else { PathBuf::from(RULES) };
    let path: PathBuf = if named.is_dir() { named.join(RULES) } else { named };
    let shown = path.display();
    match std::fs::File::create_new(&path) {
        Ok(mut file) => {
            file.write_all(text.as_bytes()).with_context(|| format!("{shown} cannot be written"))?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            fail(format_args!(
                "{shown} is there already and stays as it is; name another file: nightbell init -c PATH"
            ));
            return Ok(Exit::Failed);
        }
        Err(error) => {
            fail(format_args!("{shown} cannot be made: {error}"));
            return Ok(Exit::Failed);
        }
    }
    print(&shown)?;
    complain(format_args!(
        "Next: change what is marked with \"<-\", then\n  nightbell check -c {shown} --offline   finds every mistake\n  \
         nightbell doctor -c {shown}            tries the account, read-only\n  nightbell send-test oncall -c {shown}  \
         sends one message marked TEST\n  nightbell run -c {shown}"
    ));
    Ok(Exit::Done)
}
