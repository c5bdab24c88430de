//! The calendar of a job: how each of the last days went.
//!
//! A day is told by the runs that are kept, by what is counted of those that are not, by the alerts that said that
//! something was late, and by what the rules' own schedules and deadlines expect.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use jiff::civil::Date;

use super::frame::Page;
use crate::limits::CALENDAR_DAYS;
use crate::model::{Alert, Instance, Status};
use crate::rule::{Rule, Trigger};
use crate::store::DayCount;

/// How a day went.
pub(super) struct Day {
    pub(super) label: String,
    pub(super) title: String,
    pub(super) class: &'static str,
    pub(super) text: String,
}

/// What was expected of the days, and which of them something was late on.
pub(super) struct Plan {
    /// The days with a deadline or a due time; none where no rule says when the job is due.
    planned: Option<BTreeSet<i64>>,
    late: BTreeSet<i64>,
}

/// What became of the runs of a day.
#[derive(Default)]
struct Went {
    well: u64,
    badly: u64,
    open: u64,
    unknown: u64,
}

/// The first day of the calendar.
pub(super) fn begin(p: &Page) -> Option<Date> {
    p.now.to_zoned(p.zone.clone()).date().checked_sub(SignedDuration::from_hours(24 * CALENDAR_DAYS)).ok()
}

/// Days since 1970.
pub(super) fn day_number(date: Date) -> i64 {
    i64::from(date.since(Date::constant(1970, 1, 1)).map_or(0, |span| span.get_days()))
}

impl Plan {
    /// What these rules expect since a day, and what these alerts of theirs said.
    pub(super) fn of(p: &Page, since: Option<Date>, rules: &[&Rule], alerts: &[Alert]) -> Plan {
        let day_of = |at: jiff::Timestamp| day_number(at.to_zoned(p.zone.clone()).date());
        let is_about_time = |rule: &&&Rule| match &rule.when.trigger {
            Some(Trigger::Daily(_) | Trigger::Missing(_) | Trigger::Unplanned(_) | Trigger::Slower(_)) => true,
            _ => rule.when.duration.is_some(),
        };
        let about_time: BTreeSet<_> = rules.iter().filter(is_about_time).map(|rule| &rule.id).collect();
        let late = alerts.iter().filter(|alert| about_time.contains(&alert.rule)).map(|alert| {
            let planned = alert.facts.instance.as_ref().and_then(|run| run.plan_time);
            day_of(planned.unwrap_or(alert.facts.alert.starts_at))
        });
        let mut planned: Option<BTreeSet<i64>> = None;
        let begin = since.and_then(|since| since.to_zoned(p.zone.clone()).ok()).map(|begin| begin.timestamp());
        for rule in rules {
            let (Some(trigger), Some(begin)) = (&rule.when.trigger, begin) else { continue };
            match trigger {
                Trigger::Daily(daily) => {
                    let days = daily.dues(begin, p.now).into_iter().map(|due| day_of(due.at));
                    planned.get_or_insert_default().extend(days);
                }
                Trigger::Missing(recurring) => {
                    let planned = planned.get_or_insert_default();
                    // The last due time of each day, and from there on to the day before it.
                    let mut until = Some(p.now);
                    while let Some(due) =
                        until.and_then(|until| recurring.last_due(until)).filter(|due| due.at >= begin)
                    {
                        planned.insert(day_of(due.at));
                        let midnight = due.at.to_zoned(p.zone.clone()).start_of_day().ok();
                        until =
                            midnight.and_then(|day| day.timestamp().checked_sub(SignedDuration::from_millis(1)).ok());
                    }
                }
                _ => {}
            }
        }
        Plan { planned, late: late.collect() }
    }

    /// How a day went of which this is known.
    fn class(&self, day: i64, went: &Went) -> &'static str {
        let has_none = went.well + went.badly + went.open + went.unknown == 0;
        match went {
            Went { badly: 1.., .. } => "failed",
            _ if self.late.contains(&day) => "late",
            Went { unknown: 1.., .. } => "unknown",
            Went { open: 1.., .. } => "open",
            Went { well: 1.., .. } => "met",
            _ if has_none && self.planned.as_ref().is_some_and(|planned| !planned.contains(&day)) => "unplanned",
            _ => "nothing",
        }
    }
}

/// The last days since `since`: by the runs that are kept, and by what is counted of those that are not.
pub(super) fn days(p: &Page, since: Date, (runs, counts): (&[Instance], &[DayCount]), plan: &Plan) -> Vec<Day> {
    let mut by_day: BTreeMap<i64, Went> = BTreeMap::new();
    let mut enter = |day: i64, status: Status, runs: u64| {
        let went = by_day.entry(day).or_default();
        let place = match () {
            () if status.is_recovery() || status == Status::IgnoredFailure => &mut went.well,
            () if status.is_failure() => &mut went.badly,
            () if status == Status::Unknown => &mut went.unknown,
            () if status.has_ended() => &mut went.well,
            () => &mut went.open,
        };
        *place += runs;
    };
    for run in runs {
        if let Some(at) = run.plan_time.or(run.start_time) {
            enter(day_number(at.to_zoned(p.zone.clone()).date()), run.status, 1);
        }
    }
    counts.iter().for_each(|count| enter(count.day, count.status, count.runs));
    let today = p.now.to_zoned(p.zone.clone()).date();
    let mut days = Vec::new();
    let mut date = since;
    while date <= today {
        let went = by_day.remove(&day_number(date)).unwrap_or_default();
        let class = plan.class(day_number(date), &went);
        let text = match (went.well, went.badly) {
            (0, 0) => String::new(),
            (well, 0) => format!("✓ {well}"),
            (0, badly) => format!("✗ {badly}"),
            (well, badly) => format!("✓ {well} ✗ {badly}"),
        };
        let title = format!("{date}: {} {text}", p.say(&format!("web.day.{class}")));
        days.push(Day { label: date.strftime("%-m/%-d").to_string(), title, class, text });
        let Ok(next) = date.tomorrow() else { break };
        date = next;
    }
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_what_is_worst_of_it() {
        let plan = Plan { planned: Some(BTreeSet::from([1, 2])), late: BTreeSet::from([2, 4]) };
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
        ];
        for (name, day, went, class) in table {
            assert_eq!(plan.class(day, &went), class, "{name}");
        }
        let unsaid = Plan { planned: None, late: BTreeSet::new() };
        assert_eq!(unsaid.class(3, &went(0, 0, 0, 0)), "nothing", "no rule says when it is due");
    }
}
