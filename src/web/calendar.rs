//! The calendar of a job: how each of the last days went, for the page and the API.
//!
//! A day is told by how many runs went how, those that are kept and those of which counts are left; by the alerts that said
//! that something was late; by what the rules' own schedules and deadlines expect; and by what was read of the source: of a
//! day of which a part was not read it is not known whether it went well.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::fault::Fault;
use super::state::Web;
use crate::clock::{day_number, day_of};
use crate::limits::CALENDAR_DAYS;
use crate::model::{Alert, SourceId, Status};
use crate::rule::{Rule, Trigger};
use crate::store::{Board as _, ReadSpan};

/// How a day went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Day {
    pub(super) date: Date,
    /// In one word: `met`, `late`, `failed`, `open`, `unknown`, `nothing` or `unplanned`.
    pub(super) class: &'static str,
    pub(super) went: Went,
}

/// What became of the runs of a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Went {
    pub(super) well: u64,
    pub(super) badly: u64,
    pub(super) open: u64,
    pub(super) unknown: u64,
}

/// What is known of the days beside their runs.
struct Plan {
    /// The days with a deadline or a due time; none where no rule says when the job is due.
    planned: Option<BTreeSet<i64>>,
    late: BTreeSet<i64>,
    unread: BTreeSet<i64>,
}

/// The last days of a job, today among them, which these rules mean and these alerts tell of.
pub(super) async fn days(
    web: &Web,
    (source, job): (&SourceId, &str),
    (rules, alerts): (&[&Rule], &[Alert]),
    (zone, now): (&TimeZone, Timestamp),
) -> Result<Vec<Day>, Fault> {
    let today = now.to_zoned(zone.clone()).date();
    let first = today.checked_sub(SignedDuration::from_hours(24 * CALENDAR_DAYS)).unwrap_or(today);
    let since = beginning(first, zone).unwrap_or(now);
    let mut by_day: BTreeMap<i64, Went> = BTreeMap::new();
    let (slots, counts) = web.store.counts_of(source, job, (since, day_number(first))).await?;
    for slot in slots {
        by_day.entry(day_of(slot.at, zone)).or_default().enter(slot.status, slot.runs);
    }
    for count in counts {
        by_day.entry(count.day).or_default().enter(count.status, count.runs);
    }
    let dates: Vec<Date> =
        std::iter::successors(Some(first), |date| date.tomorrow().ok()).take_while(|date| *date <= today).collect();
    let span = web.store.read_span(source, since).await?;
    let plan = Plan {
        planned: planned(rules, since, (zone, now)),
        late: late(rules, alerts, zone),
        unread: unread(&dates, &span, (zone, now)),
    };
    let day = |date: Date| {
        let number = day_number(date);
        let went = by_day.get(&number).copied().unwrap_or_default();
        Day { date, class: plan.class(number, &went), went }
    };
    Ok(dates.into_iter().map(day).collect())
}

fn beginning(date: Date, zone: &TimeZone) -> Option<Timestamp> {
    date.to_zoned(zone.clone()).ok().map(|begin| begin.timestamp())
}

/// The days on which rules expect the job; none where no rule says when it is due.
fn planned(rules: &[&Rule], since: Timestamp, (zone, now): (&TimeZone, Timestamp)) -> Option<BTreeSet<i64>> {
    let mut planned: Option<BTreeSet<i64>> = None;
    for rule in rules {
        match &rule.when.trigger {
            Some(Trigger::Daily(daily)) => {
                let days = daily.dues(since, now).into_iter().map(|due| day_of(due.at, zone));
                planned.get_or_insert_default().extend(days);
            }
            Some(Trigger::Missing(recurring)) => {
                let planned = planned.get_or_insert_default();
                // The last due time of each day, and from there on to the day before it.
                let mut until = Some(now);
                while let Some(due) = until.and_then(|until| recurring.last_due(until)).filter(|due| due.at >= since) {
                    planned.insert(day_of(due.at, zone));
                    let midnight = due.at.to_zoned(zone.clone()).start_of_day().ok();
                    until = midnight.and_then(|day| day.timestamp().checked_sub(SignedDuration::from_millis(1)).ok());
                }
            }
            _ => {}
        }
    }
    planned
}

/// The days on which alerts of these rules said that something was late.
fn late(rules: &[&Rule], alerts: &[Alert], zone: &TimeZone) -> BTreeSet<i64> {
    let is_about_time = |rule: &&&Rule| match &rule.when.trigger {
        Some(Trigger::Daily(_) | Trigger::Missing(_) | Trigger::Unplanned(_) | Trigger::Slower(_)) => true,
        _ => rule.when.duration.is_some(),
    };
    let about_time: BTreeSet<_> = rules.iter().filter(is_about_time).map(|rule| &rule.id).collect();
    let late = alerts.iter().filter(|alert| about_time.contains(&alert.rule)).map(|alert| {
        let planned = alert.facts.instance.as_ref().and_then(|run| run.plan_time);
        day_of(planned.unwrap_or(alert.facts.alert.starts_at), zone)
    });
    late.collect()
}

/// The days of which not everything was read.
fn unread(dates: &[Date], span: &ReadSpan, (zone, now): (&TimeZone, Timestamp)) -> BTreeSet<i64> {
    let is_unread = |date: &&Date| {
        let (Some(begin), Some(from)) = (beginning(**date, zone), span.from) else { return true };
        let end = date.tomorrow().ok().and_then(|next| beginning(next, zone)).unwrap_or(now).min(now);
        let is_gap = |(from, until): &(Timestamp, Option<Timestamp>)| *from < end && until.unwrap_or(now) > begin;
        begin < from || span.unread.iter().any(is_gap)
    };
    dates.iter().filter(is_unread).map(|date| day_number(*date)).collect()
}

impl Went {
    fn enter(&mut self, status: Status, runs: u64) {
        let place = match () {
            () if status.is_recovery() || status == Status::IgnoredFailure => &mut self.well,
            () if status.is_failure() => &mut self.badly,
            () if status == Status::Unknown => &mut self.unknown,
            () if status.has_ended() => &mut self.well,
            () => &mut self.open,
        };
        *place += runs;
    }
}

impl Plan {
    /// How a day went of which this is known.
    fn class(&self, day: i64, went: &Went) -> &'static str {
        match went {
            Went { badly: 1.., .. } => "failed",
            _ if self.late.contains(&day) => "late",
            Went { unknown: 1.., .. } => "unknown",
            Went { open: 1.., .. } => "open",
            // What went well is not all that there was.
            _ if self.unread.contains(&day) => "unknown",
            Went { well: 1.., .. } => "met",
            _ if self.planned.as_ref().is_some_and(|planned| !planned.contains(&day)) => "unplanned",
            _ => "nothing",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_what_is_worst_of_it() {
        let plan = Plan { planned: Some(BTreeSet::from([1, 2])), late: BTreeSet::from([2, 4]), unread: [5].into() };
        let went = |well, badly, open, unknown| Went { well, badly, open, unknown };
        let table = [
            ("it went well", 1, went(3, 0, 0, 0), "met"),
            ("one run failed", 2, went(3, 1, 0, 0), "failed"),
            ("it was late, and went well", 2, went(3, 0, 0, 0), "late"),
            ("a status that nobody knows", 1, went(3, 0, 1, 1), "unknown"),
            ("it runs", 1, went(0, 0, 1, 0), "open"),
            ("it was due and did not run", 1, went(0, 0, 0, 0), "nothing"),
            ("it was not due", 3, went(0, 0, 0, 0), "unplanned"),
            ("it was not due and ran", 3, went(1, 0, 0, 0), "met"),
            ("what was missing is told as late", 4, went(0, 0, 0, 0), "late"),
            ("it was not read", 5, went(0, 0, 0, 0), "unknown"),
            ("not all of it was read, and what was read went well", 5, went(1, 0, 0, 0), "unknown"),
            ("not all of it was read, and what was read failed", 5, went(1, 1, 0, 0), "failed"),
        ];
        for (name, day, went, class) in table {
            assert_eq!(plan.class(day, &went), class, "{name}");
        }
        let unsaid = Plan { planned: None, late: BTreeSet::new(), unread: [7].into() };
        assert_eq!(unsaid.class(3, &went(0, 0, 0, 0)), "nothing", "no rule says when it is due");
        assert_eq!(unsaid.class(7, &went(0, 0, 0, 0)), "unknown", "it was not read");
    }

    #[test]
    fn days_are_unread_before_the_first_poll_and_where_something_is_lost() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let dates: Vec<Date> = (1..=9).map(|day| Date::constant(2026, 11, day)).collect();
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let now = at("2026-11-09T04:00:00Z");
        let span = ReadSpan {
            from: Some(at("2026-11-02T16:00:00Z")),
            until: Some(now),
            unread: vec![
                (at("2026-11-04T15:00:00Z"), Some(at("2026-11-05T15:00:00Z"))),
                (at("2026-11-08T17:00:00Z"), None),
            ],
        };
        let days = |span: &ReadSpan| -> Vec<i64> {
            unread(&dates, span, (&zone, now)).into_iter().map(|day| day - day_number(dates[0]) + 1).collect()
        };
        assert_eq!(days(&span), [1, 2, 4, 5, 9], "by the days of the zone");
        assert_eq!(days(&ReadSpan::default()).len(), 9, "it was never read");
    }
}
