//! When something is due: a schedule of cron or Quartz fields in its time zone.

use std::fmt;

use chrono::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, civil};

use super::{fields, quartz};

/// When something recurs.
///
/// - A listed hour whose wall-clock time does not exist that day (clocks go forward) is due at the first instant after
///   the gap; one that exists twice (clocks go back) is due at its first pass only. So a daily schedule is due once a
///   day, every day.
/// - When the hour field is `*` or `*/n`, every instant whose wall-clock time matches is due, so that `*/20` keeps its
///   twenty minutes through a change of the clocks.
#[derive(Clone)]
pub struct Schedule {
    text: String,
    zone: TimeZone,
    /// Due when any of them is: a crontab line is two when it restricts both day fields.
    fields: Vec<cron::Schedule>,
    every_pass: bool,
}

impl Schedule {
    /// Reads a crontab(5) expression: five fields, or six with the seconds first, or `@hourly`, `@daily` and so on.
    ///
    /// # Errors
    /// In words, with what to write instead.
    pub fn parse(text: &str, zone: &TimeZone) -> Result<Schedule, String> {
        let read = fields::read(text)?;
        Schedule::of(text, zone, &read.for_cron(), read.hour_is_star())
    }

    /// Reads a Quartz expression: six fields with the seconds first and Sunday as 1, and perhaps the year.
    ///
    /// # Errors
    /// In words, where it is none or means something that cannot be followed exactly.
    pub fn parse_quartz(text: &str, zone: &TimeZone) -> Result<Schedule, String> {
        let read = quartz::read(text)?;
        Schedule::of(text, zone, &read.expressions, read.hour_is_star)
    }

    fn of(text: &str, zone: &TimeZone, expressions: &[String], every_pass: bool) -> Result<Schedule, String> {
        let fields = expressions
            .iter()
            .map(|expression| expression.parse().map_err(|_| format!("{text:?} is not a valid schedule")))
            .collect::<Result<Vec<cron::Schedule>, String>>()?;
        let schedule = Schedule { text: text.trim().to_string(), zone: zone.clone(), fields, every_pass };
        // 31 February is written with valid fields and never comes.
        if schedule.next_wall(0).is_none() {
            return Err(format!("{:?} is never due: no month in it has such a day", schedule.text));
        }
        Ok(schedule)
    }

    /// The first instant strictly after `after` at which it is due, on a whole second; `None` when there is none
    /// before the year 2100 ends.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        if self.every_pass { self.next_of_every_pass(after) } else { self.next_of_first_pass(after) }
    }

    fn next_of_first_pass(&self, after: Timestamp) -> Option<Timestamp> {
        let mut wall = whole_seconds(after) + i64::from(self.zone.to_offset(after).seconds());
        loop {
            wall = self.next_wall(wall)?;
            let due = self.first_pass(wall)?;
            // In the second pass of a fold, wall-clock times still to come map to instants that are over.
            if due > after {
                return Some(due);
            }
        }
    }

    fn next_of_every_pass(&self, after: Timestamp) -> Option<Timestamp> {
        let mut changes = self.zone.following(after);
        let mut offset = i64::from(self.zone.to_offset(after).seconds());
        let mut from = whole_seconds(after);
        loop {
            let due = self.next_wall(from + offset)? - offset;
            let next_change = changes.next();
            match next_change {
                // The clocks change before it is due: search on from the change, which itself may be the instant.
                Some(change) if change.timestamp().as_second() <= due => {
                    offset = i64::from(change.offset().seconds());
                    from = change.timestamp().as_second() - 1;
                }
                _ => return Timestamp::from_second(due).ok(),
            }
        }
    }

    /// The first matching wall-clock second after `wall`, both counted in seconds as if the wall clock showed UTC.
    fn next_wall(&self, wall: i64) -> Option<i64> {
        let from = DateTime::from_timestamp(wall, 0)?;
        self.fields.iter().filter_map(|fields| fields.after(&from).next()).map(|due| due.timestamp()).min()
    }

    /// The instant at which the wall clock first shows `wall`; if it never does, the instant the gap ends.
    fn first_pass(&self, wall: i64) -> Option<Timestamp> {
        first_pass(&self.zone, Offset::UTC.to_datetime(Timestamp::from_second(wall).ok()?))
    }

    /// The zone it is read in.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The last instant at or before `until` at which it was due; `None` when there is none in the last 400 days.
    pub fn last_until(&self, until: Timestamp) -> Option<Timestamp> {
        // Steps back in spans that grow, so that neither a schedule of seconds nor one of years takes many steps.
        const SPANS: [i64; 5] = [60, 3600, 86_400, 32 * 86_400, 400 * 86_400];
        SPANS.into_iter().find_map(|span| {
            let mut last = None;
            let mut due = until.checked_sub(SignedDuration::from_secs(span)).ok()?;
            while let Some(next) = self.next_after(due).filter(|next| *next <= until) {
                due = next;
                last = Some(next);
            }
            last
        })
    }
}

/// The instant at which a wall clock in `zone` first shows `shown`; if it never does, for clocks go forward over it, the
/// instant at which they do.
pub fn first_pass(zone: &TimeZone, shown: civil::DateTime) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(shown).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(shown).ok(),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(shown).ok(),
        AmbiguousOffset::Gap { after, .. } => {
            let before_the_gap_ends = after.to_timestamp(shown).ok()?;
            zone.following(before_the_gap_ends).find(|change| change.offset() == after).map(|change| change.timestamp())
        }
    }
}

/// Seconds since 1970, fractions cut towards the past.
pub(super) fn whole_seconds(instant: Timestamp) -> i64 {
    instant.as_millisecond().div_euclid(1000)
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schedule({:?}, {})", self.text, self.zone.iana_name().unwrap_or("fixed offset"))
    }
}
