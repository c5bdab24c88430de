//! The command line: every command with its options, as clap reads them and `--help` prints them.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::ground::Listing;
use super::log::LogFormat;
use super::place::{ConfigFile, StorePlace};
use super::{
    ack, alerts, backtest, deliveries, demo, digest, explain, init, instances, schema, silence, simulate, store, test,
    token,
};
use crate::words::Language;

/// The on-call bell for scheduled data jobs.
///
/// Polls the job instances of cloud schedulers, decides by YAML rules what people must hear about, and notifies them
/// once, in the right place, with the failing node and its log path.
#[derive(Debug, Parser)]
#[command(name = "nightbell", version, max_term_width = 100)]
pub struct Cli {
    /// How much to log on stderr: error, warn, info (the default; error for the demo), debug, trace, or a filter such as
    /// `nightbell=debug,warn`.
    #[arg(long, global = true, value_name = "LEVEL", display_order = 1000)]
    pub(super) log: Option<String>,
    /// The form of the log: for people, or one JSON object a line.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Human, display_order = 1000)]
    pub(super) log_format: LogFormat,
    /// The configuration file, or a directory of them [default: rules.yaml, and where there is none /etc/nightbell/rules.yaml].
    #[arg(short = 'c', long = "config", value_name = "PATH", global = true, display_order = 999)]
    pub(super) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Polls, decides and delivers until it is stopped. Reloads changed rule files when they are saved, and on SIGHUP.
    Run {
        #[command(flatten)]
        file: ConfigFile,
        /// Run one cycle now: poll every source, attempt every due delivery once, and exit with 0 when every source was read
        /// and nothing is left due.
        #[arg(long)]
        once: bool,
    },
    /// Checks the configuration and reports everything wrong with it. Contacts nobody.
    Check {
        #[command(flatten)]
        file: ConfigFile,
        /// Check without the values of secrets.
        #[arg(long)]
        offline: bool,
        /// Check the rules against the recorded past: rules that match no job, repeat what others say or send too much, and
        /// receivers that are never notified. Reads the store; works beside a running Nightbell.
        #[arg(long)]
        history: bool,
        /// With --history: a rule is noisy when it sends one receiver more messages than this in a day.
        #[arg(long, value_name = "N", requires = "history")]
        noise: Option<usize>,
        /// Map a saved answer of an http source as a poll would, and show its rows beside the raw ones.
        #[arg(long, value_name = "FILE", conflicts_with = "history")]
        sample: Option<std::path::PathBuf>,
        /// With --sample: the source whose answer it is, where there are several.
        #[arg(long, value_name = "SOURCE", requires = "sample")]
        source: Option<String>,
        /// With --history: one JSON object a line.
        #[arg(long, requires = "history")]
        json: bool,
    },
    /// Runs the tests under "tests" in the configuration. Exits with 1 when one fails. Contacts nobody.
    Test {
        #[command(flatten)]
        chosen: test::Chosen,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Shows which messages the rules would have sent over a past time; with --rules, how two versions of them differ. Sends
    /// nothing; works beside a running Nightbell.
    Backtest {
        #[command(flatten)]
        chosen: backtest::Chosen,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Runs everything on a simulated workspace: no account, no configuration, no network.
    Demo(demo::Arguments),
    /// Sends one message marked TEST to a receiver, the same way as real ones.
    SendTest {
        /// The receiver's key in the configuration.
        receiver: String,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Tests the real accounts with a few read-only calls: signing in, and what the vendors' documents leave open. Exits with 1
    /// when something does not work.
    Doctor {
        /// One source's key in the configuration; all when it is left out.
        source: Option<String>,
        #[command(flatten)]
        file: ConfigFile,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Shows a digest as it would be now, without sending it. Works beside a running Nightbell.
    Digest {
        #[command(flatten)]
        show: digest::Show,
        #[command(flatten)]
        place: StorePlace,
    },
    /// Prints the JSON Schema of the configuration file, with which editors complete and explain keys and mark mistakes:
    /// `nightbell schema > nightbell.schema.json`, the name in the first line of the example.
    Schema {
        /// For the files of a directory, where what every configuration needs may stand in another one.
        #[arg(long)]
        part: bool,
        /// All keys as Markdown, for people.
        #[arg(long, conflicts_with = "part")]
        reference: bool,
        /// With --reference: the language of the page.
        #[arg(long, value_name = "LANGUAGE", default_value = "en", requires = "reference", value_parser = schema::language())]
        language: Language,
    },
    /// Writes a starter configuration with a comment at each thing to change. Asks nothing and replaces nothing.
    Init(init::Arguments),
    /// Shows whether Nightbell is running, each source with its last good poll and its error, and what is pending, dead, firing
    /// and silenced. Needs the store only. Exits with 1 when Nightbell is not running or a source is not read.
    Status {
        #[command(flatten)]
        place: StorePlace,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Shows who works on a store that several machines share: each replica with its clock and configuration, and which replica
    /// runs each loop. Exits with 1 when a loop is run by none.
    Replicas {
        #[command(flatten)]
        place: StorePlace,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Lists alerts and what became of them, newest first.
    Alerts {
        #[command(flatten)]
        place: StorePlace,
        #[command(flatten)]
        filter: alerts::Filter,
        #[command(flatten)]
        listing: Listing,
    },
    /// Explains why a run or a job notified somebody, or why not: what each rule makes of it, in numbers, and what became of
    /// each message. Works beside a running Nightbell.
    Explain {
        #[command(flatten)]
        arguments: explain::Arguments,
        #[command(flatten)]
        place: StorePlace,
    },
    /// Lists jobs by name: how often they ran and failed, and their last status.
    Jobs {
        #[command(flatten)]
        place: StorePlace,
        #[command(flatten)]
        chosen: instances::Chosen,
        #[command(flatten)]
        listing: Listing,
    },
    /// Lists recorded instances, latest plan time first.
    Instances {
        #[command(flatten)]
        place: StorePlace,
        #[command(flatten)]
        chosen: instances::Chosen,
        #[command(flatten)]
        listing: Listing,
    },
    /// Silences new alerts of some kind for some time. A running Nightbell applies it from its next poll on.
    #[command(subcommand)]
    Silence(silence::SilenceCommand),
    /// Acknowledges firing alerts, so that everybody sees who works on them. Steps of "notify" with "unless: acked" are skipped
    /// from now on. A later acknowledgement replaces an earlier one.
    Ack(ack::Acknowledgement),
    /// Removes acknowledgements. Steps of "notify" with "unless: acked" are taken again.
    Unack(ack::Removal),
    /// Closes firing alerts by hand. Whoever was notified of the beginning is notified of the end, and the same failure does not
    /// fire again.
    Close(ack::Closure),
    /// Moves a store from a file to a PostgreSQL database, or back.
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Creates, lists and revokes tokens for the page and the API. A running Nightbell knows of it at once.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Checks whether the Nightbell that runs on this machine with this configuration is healthy, at the address of "web"; without
    /// that in the store: whether somebody works on it and sources are polled when they are due. Exits with 1 when it is not, or
    /// does not answer.
    Healthcheck {
        /// Check that it is ready: its store takes writes, and every source was polled since the start.
        #[arg(long)]
        ready: bool,
        #[command(flatten)]
        place: StorePlace,
    },
    /// Lists deliveries, newest first: what was delivered to whom, what is pending or dead. `show` shows one in full, `retry`
    /// sends dead or pending ones now.
    Deliveries {
        #[command(flatten)]
        place: StorePlace,
        #[command(flatten)]
        arguments: deliveries::Arguments,
    },
    /// Prints a completion script for bash, zsh, fish, elvish or PowerShell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Runs a simulated workspace with a configuration that watches it: to try packages, and for long trials.
    #[command(hide = true)]
    Simulate(simulate::Arguments),
    /// Writes a manual page for the program and for each command into a directory.
    #[command(hide = true)]
    Man {
        /// The directory; it is made where it is not there.
        directory: PathBuf,
    },
}
