//! What the commands print, and where: data to stdout, talk and logs to stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tracing_subscriber::EnvFilter;

/// Logs go to stderr, filtered by `filter`; a filter that cannot be read is replaced by `info`.
pub(super) fn start_logging(filter: &str, json: bool) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|error| {
        complain(format_args!("--log {filter:?}: {error}; logging at info"));
        EnvFilter::new("info")
    });
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    // A second start (tests) keeps the first.
    let started =
        if json { builder.json().try_init() } else { builder.with_ansi(io::stderr().is_terminal()).try_init() };
    drop(started);
}

/// Writes a line to stderr.
pub(super) fn complain(text: impl Display) {
    // A closed stderr leaves nobody to complain to.
    drop(writeln!(anstream::stderr(), "{text}"));
}

/// Writes a line of data to stdout.
///
/// # Errors
/// When stdout is closed (`nightbell alerts | head`).
pub(super) fn print(text: impl Display) -> io::Result<()> {
    writeln!(anstream::stdout(), "{text}")
}

/// A time as tables show it: to the second, in the configured zone.
pub(super) fn local(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Foreign text for a terminal: control characters, which could move the cursor or forge a line, become spaces.
pub(super) fn safe(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A table of the rows, columns aligned whatever the width of their characters.
pub(super) fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    table.trim_fmt()
}
