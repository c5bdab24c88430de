//! The command line: one file per command.
//!
//! stdout carries data, stderr talk; `--json` prints one JSON object a line. Exit codes are a contract: 0 done, 1
//! failed, 2 wrong usage, 78 configuration error.

mod ack;
mod alerts;
mod backtest;
mod check;
mod deliveries;
mod demo;
mod digest;
mod doctor;
mod explain;
mod healthcheck;
mod history;
mod init;
mod instances;
mod jobs;
mod log;
mod names;
mod output;
mod place;
mod run;
mod schema;
mod send_test;
mod shell;
mod silence;
mod simulate;
mod status;
mod test;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use self::log::LogFormat;
use self::place::{ConfigFile, RULES, StorePlace, load, load_desk, load_with_files};
use crate::config::ConfigProblem;

/// The on-call bell for scheduled data jobs.
///
/// Polls the job instances of cloud schedulers, decides by YAML rules what people must hear about, and tells them
/// once, in the right place, with the failing node and its log path.
#[derive(Debug, Parser)]
#[command(name = "nightbell", version, max_term_width = 100)]
pub struct Cli {
    /// How much is logged on stderr: error, warn, info (the default; error for the demo), debug, trace, or a filter as
    /// `nightbell=debug,warn`.
    #[arg(long, global = true, value_name = "LEVEL")]
    log: Option<String>,
    /// How it is logged: for people, or as one JSON object a line.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Human)]
    log_format: LogFormat,
    /// The configuration file, or a directory of them.
    #[arg(short = 'c', long = "config", value_name = "PATH", default_value = RULES, global = true)]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Poll, decide and deliver, until told to stop. Changed rule files are taken up as they are saved, and on SIGHUP.
    Run {
        #[command(flatten)]
        file: ConfigFile,
        /// One cycle now: poll every source, attempt every due delivery once, and exit; 0 when every source was read
        /// and nothing is pending.
        #[arg(long)]
        once: bool,
    },
    /// Everything that is wrong with the configuration; contacts nobody.
    Check {
        #[command(flatten)]
        file: ConfigFile,
        /// Do not ask for the secrets' values.
        #[arg(long)]
        offline: bool,
        /// What the past says of the rules: which match no job, which say what others say, which cry too often, and who is
        /// never told. Reads the store, beside a running Nightbell too.
        #[arg(long)]
        history: bool,
        /// With --history: more messages of a rule than this to one receiver on one day are noise.
        #[arg(long, value_name = "N", requires = "history")]
        noise: Option<usize>,
        /// Map a saved answer of a scheduler of the type http as a poll would, and show its rows beside the raw ones.
        #[arg(long, value_name = "FILE", conflicts_with = "history")]
        sample: Option<std::path::PathBuf>,
        /// With --sample: the source whose answer it is, where there are several.
        #[arg(long, value_name = "SOURCE", requires = "sample")]
        source: Option<String>,
        /// With --history: one JSON object a line.
        #[arg(long, requires = "history")]
        json: bool,
    },
    /// Runs the tests that stand under "tests" in the configuration; 1 when one fails. Contacts nobody.
    Test {
        #[command(flatten)]
        chosen: test::Chosen,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// What the rules would have told over a time that is past, message by message; with --rules, what two versions of
    /// them tell differently. Sends nothing, and works beside a running Nightbell.
    Backtest {
        #[command(flatten)]
        chosen: backtest::Chosen,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// The whole thing on a simulated workspace: no account, no configuration, no network.
    Demo(demo::Arguments),
    /// One message marked TEST through the real path to one receiver.
    SendTest {
        /// The receiver's key in the configuration.
        receiver: String,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Asks the real accounts what their documents leave open, with a handful of read-only calls, and tells what is
    /// wrong with signing in; 1 when something does not work.
    Doctor {
        /// One source's key in the configuration; all when it is left out.
        source: Option<String>,
        #[command(flatten)]
        file: ConfigFile,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// A digest as it would be now, shown and not sent; works beside a running Nightbell.
    Digest {
        #[command(flatten)]
        show: digest::Show,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// The configuration file as a JSON Schema: with it editors complete keys, explain them and mark mistakes. Make the
    /// file that the example's first line names by `nightbell schema > nightbell.schema.json`.
    Schema {
        /// For the files of a directory, where what every configuration needs may stand in another one.
        #[arg(long)]
        part: bool,
        /// All keys as Markdown, for people.
        #[arg(long, conflicts_with = "part")]
        reference: bool,
    },
    /// Writes a configuration to begin with, with a comment for each thing to change; asks nothing and replaces nothing.
    Init(init::Arguments),
    /// Whether nightbell runs and sees: each source with its last poll and its error, what is pending and dead, what fires,
    /// what is silenced. Needs the store alone; exits with 1 when it does not run, or a source is not read.
    Status {
        #[command(flatten)]
        place: StorePlace,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// What fired, and what became of it; the newest first.
    Alerts {
        #[command(flatten)]
        place: StorePlace,
        #[command(flatten)]
        filter: alerts::Filter,
        #[command(flatten)]
        listing: Listing,
    },
    /// Why somebody was told of a run or a job, or why not: what each rule makes of it, in numbers, and what became of
    /// what was told. Works beside a running Nightbell.
    Explain {
        #[command(flatten)]
        arguments: explain::Arguments,
        #[command(flatten)]
        place: StorePlace,
    },
    /// What is remembered of the jobs: how often they ran and failed, how they stand; by name.
    Jobs {
        #[command(flatten)]
        place: StorePlace,
        #[command(flatten)]
        chosen: instances::Chosen,
        #[command(flatten)]
        listing: Listing,
    },
    /// The instances that are remembered; the latest planned first.
    Instances {
        #[command(flatten)]
        place: StorePlace,
        #[command(flatten)]
        chosen: instances::Chosen,
        #[command(flatten)]
        listing: Listing,
    },
    /// New alerts of some kind are not told for some time. A running Nightbell knows of it from its next poll on.
    #[command(subcommand)]
    Silence(silence::SilenceCommand),
    /// Acknowledges firing alerts: everybody who looks sees who works on them. Steps of "notify" that say "unless: acked"
    /// are left out from now on. A later acknowledgement replaces an earlier one.
    Ack(ack::Acknowledgement),
    /// Removes acknowledgements: steps of "notify" that say "unless: acked" are taken again.
    Unack(ack::Removal),
    /// Ends firing alerts by hand: those who were notified of the beginning are notified of the end, and the same failure does
    /// not fire again.
    Close(ack::Closure),
    /// Who may look at the page and ask the API: makes, lists and ends tokens. A running Nightbell knows of it at once.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Asks the Nightbell that runs on this machine by this configuration whether it is well; 1 when it is not, or does not
    /// answer.
    Healthcheck {
        /// Whether it is ready: its store takes writes, and every source was asked since the start.
        #[arg(long)]
        ready: bool,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// What was delivered to whom, and what is pending or dead, the newest first; with `show` one of them in full, with `retry` dead ones
    /// sent again.
    Deliveries {
        #[command(flatten)]
        place: StorePlace,
        #[command(flatten)]
        arguments: deliveries::Arguments,
    },
    /// What the shell completes after "nightbell": a script for bash, zsh, fish, elvish or PowerShell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// A simulated workspace that goes on, with a configuration that watches it: to try packages, and for long trials.
    #[command(hide = true)]
    Simulate(simulate::Arguments),
    /// Writes a manual page for the program and for each command into a directory.
    #[command(hide = true)]
    Man {
        /// The directory; it is made where it is not there.
        directory: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Listing {
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Config = 78,
}

/// Runs the command that was given and returns the exit code.
pub fn run(cli: Cli) -> ExitCode {
    // Between the demo's messages nothing else is to stand.
    let usual = if matches!(cli.command, Command::Demo(_)) { "error" } else { "info" };
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
            Command::Digest { show, file } => digest::digest(&load(&file, !show.sends())?, &show).await,
            Command::Schema { part, reference } => schema::schema(part, reference),
            Command::Init(arguments) => init::init(&arguments),
            Command::Status { place, json } => status::status(&load_desk(&place)?, json).await,
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
            Command::Token(command) => token::token(&command).await,
            Command::Healthcheck { ready, file } => healthcheck::healthcheck(&load(&file, true)?, ready).await,
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
            ExitCode::from(Exit::Failed as u8)
        }
    }
}

/// Whether the reader of stdout has had enough (`nightbell alerts | head`): no failure of ours.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Why a command did not do its work.
enum Failure {
    Config(Box<ConfigProblem>),
    /// The command line names what the configuration does not have.
    Usage(String),
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Other(error.into())
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    crate::yaml::parse_duration(text).ok_or_else(|| "write it as 30s, 5m or 1h30m".to_string())
}
