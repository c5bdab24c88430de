//! What the commands print, and where: data to stdout, talk to stderr.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::log;
use crate::rule::RuleSet;

/// Writes a line to stderr.
pub(super) fn complain(text: impl Display) {
    // What was logged before comes before. A closed stderr leaves nobody to complain to.
    log::flush(Duration::from_secs(1));
    drop(writeln!(anstream::stderr(), "{text}"));
}

/// Writes to stderr why a command did not do its work: as every error, with "error:" before it.
pub(super) fn fail(text: impl Display) {
    complain(format_args!("error: {text}"));
}

/// Says of which rules nothing can be told where no scheduler is asked.
pub(super) fn complain_of_own_schedules(rules: &RuleSet) {
    let ids: Vec<&str> = rules.by_own_schedules().map(|rule| rule.as_str()).collect();
    if !ids.is_empty() {
        let ids = ids.join(", ");
        complain(format_args!("rules {ids} find no missing runs here: the scheduler's own schedules are not replayed"));
    }
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
