//! The command line: every command with its options, as clap reads them and `--help` prints them.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::ground::Listing;
use super::log::LogFormat;
use super::place::{ConfigFile, StorePlace};
use super::{
    ack, alerts, backtest, deliveries, demo, digest, explain, init, instances, silence, simulate, store, test, token,
};

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
    pub(super) log: Option<String>,
    /// How it is logged: for people, or as one JSON object a line.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Human)]
    pub(super) log_format: LogFormat,
    /// The configuration file, or a directory of them [default: rules.yaml, and where there is none /etc/nightbell/rules.yaml].
    #[arg(short = 'c', long = "config", value_name = "PATH", global = true)]
    pub(super) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
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
    /// Who works on a store that several machines share: each replica with its clock and configuration, and each loop with who
    /// runs it. Exits with 1 when a loop has nobody.
    Replicas {
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
    /// Moves a store from a file to a PostgreSQL database, or back.
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Who may look at the page and ask the API: makes, lists and ends tokens. A running Nightbell knows of it at once.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Asks the Nightbell that runs on this machine by this configuration whether it is well, at the address of "web"; without
    /// that it looks into the store, whether somebody works on it and sources are asked when they are due. 1 when it is not
    /// well, or does not answer.
    Healthcheck {
        /// Whether it is ready: its store takes writes, and every source was asked since the start.
        #[arg(long)]
        ready: bool,
        #[command(flatten)]
        place: StorePlace,
    },
    /// What was delivered to whom, and what is pending or dead, the newest first; with `show` one of them in full, with `retry` dead
    /// or pending ones sent now.
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
