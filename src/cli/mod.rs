//! The command line: one file per command.
//!
//! stdout carries data, stderr talk; `--json` prints one JSON object a line. Exit codes are a contract: 0 done, 1
//! failed, 2 wrong usage, 78 configuration error.

mod ack;
mod alerts;
mod backtest;
mod check;
mod command_line;
mod deliveries;
mod demo;
mod digest;
mod doctor;
mod explain;
mod ground;
mod healthcheck;
mod history;
mod init;
mod instances;
mod jobs;
mod log;
mod names;
mod output;
mod place;
mod replicas;
mod run;
mod schema;
mod send_test;
mod shell;
mod silence;
mod simulate;
mod status;
mod store;
mod test;
mod token;

use std::process::ExitCode;
use std::time::Duration;

pub use self::command_line::Cli;
use self::command_line::Command;
use self::ground::{Exit, Failure};
use self::place::{load, load_desk, load_desk_or_sender, load_with_files};
use crate::app::AppError;
use crate::store::StoreError;

/// Runs the command that was given and returns the exit code.
pub fn run(cli: Cli) -> ExitCode {
    // Between the demo's messages nothing else is to stand; that some are rejected is a part of its story.
    let of_demo = "error,nightbell::worker::deliver::lane=off";
    let usual = if matches!(cli.command, Command::Demo(_)) { of_demo } else { "info" };
    if let Some(fault) = log::start(cli.log.as_deref().unwrap_or(usual), cli.log_format) {
        output::complain(fault);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::fail(format_args!("cannot start: {error}"));
            return ExitCode::from(Exit::Failed as u8);
        }
    };
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Run { file, once } => run::run(&file.config, once).await,
            Command::Check { file, history: true, noise, json, .. } => {
                history::history(&load(&file, true)?, noise, json).await
            }
            Command::Check { file, sample: Some(sample), source, .. } => {
                check::sample(&load(&file, true)?, &sample, source.as_deref())
            }
            Command::Check { file, offline, .. } => check::check(&file.config, offline),
            Command::Backtest { chosen, file } => backtest::backtest(&load(&file, !chosen.fetches())?, &chosen).await,
            Command::Test { chosen, file } => test::test(&load_with_files(&file, true)?, &chosen),
            Command::Demo(arguments) => demo::demo(&arguments).await,
            Command::SendTest { receiver, file } => send_test::send_test(&load(&file, false)?, &receiver).await,
            Command::Doctor { source, file, json } => {
                doctor::doctor(&load(&file, false)?, source.as_deref(), json).await
            }
            Command::Digest { show, place } => digest::digest(&load_desk_or_sender(&place, show.sends())?, &show).await,
            Command::Schema { part, reference, language } => schema::schema(part, reference, language),
            Command::Init(arguments) => init::init(&arguments),
            Command::Status { place, json } => status::status(&load_desk(&place)?, json).await,
            Command::Replicas { place, json } => replicas::replicas(&load_desk(&place)?, json).await,
            Command::Alerts { place, filter, listing } => alerts::alerts(&load_desk(&place)?, &filter, &listing).await,
            Command::Explain { arguments, place } => explain::explain_all(&load_desk(&place)?, &arguments).await,
            Command::Jobs { place, chosen, listing } => jobs::jobs(&load_desk(&place)?, &chosen, &listing).await,
            Command::Instances { place, chosen, listing } => {
                instances::instances(&load_desk(&place)?, &chosen, &listing).await
            }
            Command::Deliveries { place, arguments } => deliveries::deliveries(&load_desk(&place)?, &arguments).await,
            Command::Completions { shell } => shell::completions(shell),
            Command::Simulate(arguments) => simulate::simulate(&arguments).await,
            Command::Man { directory } => shell::man(&directory),
            Command::Store(command) => store::store(&command).await,
            Command::Token(command) => token::token(&command).await,
            Command::Healthcheck { ready, place } => healthcheck::healthcheck(&load_desk(&place)?, ready).await,
            Command::Silence(command) => silence::silence(&command).await,
            Command::Ack(arguments) => ack::ack(&arguments).await,
            Command::Unack(arguments) => ack::unack(&arguments).await,
            Command::Close(arguments) => ack::close(&arguments).await,
        }
    });
    // What still runs in the background must not keep the process: everything pending is in the store.
    runtime.shutdown_timeout(Duration::from_secs(1));
    log::flush(Duration::from_secs(1));
    match outcome {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(Failure::Config(problem)) => {
            output::complain(problem);
            ExitCode::from(Exit::Config as u8)
        }
        Err(Failure::Usage(fault)) => {
            output::fail(fault);
            ExitCode::from(Exit::Usage as u8)
        }
        Err(Failure::Other(error)) if is_closed_pipe(&error) => ExitCode::from(Exit::Done as u8),
        Err(Failure::Other(error)) => {
            output::fail(format_args!("{error:#}"));
            ExitCode::from(if is_misconfigured(&error) { Exit::Config } else { Exit::Failed } as u8)
        }
    }
}

/// Whether nothing but another configuration helps: a server does not let us in as it is.
fn is_misconfigured(error: &anyhow::Error) -> bool {
    let store = error.downcast_ref::<StoreError>();
    let store = store.or_else(|| match error.downcast_ref::<AppError>()? {
        AppError::Store(error) => Some(error),
        _ => None,
    });
    matches!(store, Some(StoreError::Misconfigured(_)))
}

/// Whether the reader of stdout has had enough (`nightbell alerts | head`): no failure of ours.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
