//! What the commands print, and where: data to stdout, talk to stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use comfy_table::{ColumnConstraint, ContentArrangement, Table};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::log;
use crate::limits::TABLE_TEXT_WIDTH_MIN;
use crate::model::{AlertPart, AlertState};
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

/// A table of the rows, columns aligned whatever the width of their characters. On a terminal it keeps to its width.
pub(super) fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    // A pipe has no width: whoever cuts columns out of a line wants the line whole.
    let width = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
    laid_out(header, rows, width.map(|(width, _)| usize::from(width.0)))
}

/// The rows within a width: as they are, or the last column on several lines, or each row's cells below each other.
fn laid_out(header: &[&str], rows: Vec<Vec<String>>, width: Option<usize>) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header.to_vec());
    for row in &rows {
        table.add_row(row);
    }
    let Some(width) = width else { return table.trim_fmt() };
    // A cell has a blank on either side, of which the outermost two are trimmed.
    let widths: Vec<usize> = table.column_max_content_widths().iter().map(|width| usize::from(*width) + 2).collect();
    let natural = widths.iter().sum::<usize>().saturating_sub(2);
    let others = widths.iter().rev().skip(1).sum::<usize>();
    if natural <= width {
        return table.trim_fmt();
    }
    if others + TABLE_TEXT_WIDTH_MIN > width {
        return stacked(header, &rows, width);
    }
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(u16::try_from(width).unwrap_or(u16::MAX));
    let all = table.column_count();
    for column in table.column_iter_mut().take(all.saturating_sub(1)) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    table.trim_fmt()
}

/// A line for each cell that says something, after its heading, and an empty line between rows. What is longer than the line
/// goes on below itself.
fn stacked(header: &[&str], rows: &[Vec<String>], width: usize) -> String {
    let names = header.iter().map(|word| word.len()).max().unwrap_or_default();
    let row = |row: &Vec<String>| {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        for (word, cell) in header.iter().zip(row).filter(|(_, cell)| !cell.is_empty()) {
            table.add_row([format!("{word:<names$}").as_str(), cell]);
        }
        for (column, padding) in table.column_iter_mut().zip([(0, 2), (0, 0)]) {
            column.set_padding(padding);
        }
        if let Some(column) = table.column_mut(0) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        table.trim_fmt()
    };
    rows.iter().map(row).collect::<Vec<_>>().join("\n\n")
}

/// What an attempt's error says beyond the status, which stands beside it.
pub(super) fn beyond_status<'a>(status: Option<&str>, error: Option<&'a str>) -> &'a str {
    let error = error.unwrap_or_default();
    let rest = status.and_then(|status| error.strip_prefix("answered ")?.strip_prefix(status));
    rest.map_or(error, |rest| rest.trim_start_matches([':', ' ']))
}

/// Since when an alert fires: `firing since 2026-11-21 02:05:00`; or how long it did: `fired …, resolved …`.
pub(super) fn lived(part: &AlertPart, zone: &TimeZone) -> String {
    let since = local(part.starts_at, zone);
    match (part.state, part.ends_at) {
        (AlertState::Firing, _) => format!("firing since {since}"),
        (AlertState::Resolved, Some(end)) => format!("fired {since}, resolved {}", local(end, zone)),
        (AlertState::Resolved, None) => format!("fired {since}, resolved"),
    }
}

/// Says on stderr how many rows a listing leaves out, if it does. `which` tells the shown ones: "the newest"; `fewer` names
/// the options that narrow the listing.
pub(super) fn complain_of_left_out(which: &str, shown: usize, all: u64, what: &str, fewer: &str) {
    if (shown as u64) < all {
        let (shown, all) = (grouped(shown as u64), grouped(all));
        complain(format_args!("{which} {shown} of {all} {what}; --limit N shows more, {fewer} fewer"));
    }
}

/// A number with its thousands apart: `10,000`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: [&str; 4] = ["ID", "SINCE", "STATE", "WHAT"];

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 4]| cells.map(str::to_string).to_vec();
        vec![
            row([
                "46030c65",
                "2026-11-21 02:05:00",
                "firing",
                "etl_orders failed after 1m 3s, its node load_orders too",
            ]),
            row(["d1", "2026-11-21 02:04:00", "", "订单_每日汇总 已失败，用时 1 分 3 秒"]),
        ]
    }

    /// Columns over 80 characters were broken by the terminal in the middle of words and times.
    #[test]
    fn a_table_fits_the_terminal() {
        let whole = laid_out(&HEADER, rows(), None);
        assert_eq!(whole.lines().count(), 3, "{whole}");
        assert_eq!(laid_out(&HEADER, rows(), Some(120)), whole);
        let narrower = laid_out(&HEADER, rows(), Some(70));
        assert!(narrower.lines().count() > 3, "{narrower}");
        assert!(narrower.lines().all(|line| line.chars().count() <= 70), "{narrower}");
        assert!(narrower.contains("2026-11-21 02:05:00") && narrower.contains("46030c65"), "{narrower}");
        let stacked = laid_out(&HEADER, rows(), Some(48));
        let expected = "ID     46030c65\nSINCE  2026-11-21 02:05:00\nSTATE  firing\nWHAT   etl_orders failed after 1m 3s, its node\n       \
                        load_orders too\n\nID     d1\nSINCE  2026-11-21 02:04:00\nWHAT   ";
        assert!(stacked.starts_with(expected), "{stacked}");
        assert!(stacked.lines().all(|line| line.chars().count() <= 48), "{stacked}");
    }

    #[test]
    fn a_status_is_said_once() {
        let table = [
            (Some("404"), Some("answered 404"), ""),
            (Some("401"), Some("answered 401: no_token"), "no_token"),
            (Some("200"), Some("answered 200 without the word ok: <html>"), "without the word ok: <html>"),
            (Some("40"), Some("cannot connect: refused"), "cannot connect: refused"),
            (None, Some("no answer within 30 s"), "no answer within 30 s"),
            (Some("200"), None, ""),
        ];
        for (status, error, expected) in table {
            assert_eq!(beyond_status(status, error), expected, "{error:?}");
        }
    }

    #[test]
    fn thousands_stand_apart() {
        let table = [(0, "0"), (999, "999"), (1000, "1,000"), (10_000, "10,000"), (1_234_567, "1,234,567")];
        for (number, expected) in table {
            assert_eq!(grouped(number), expected);
        }
    }
}
