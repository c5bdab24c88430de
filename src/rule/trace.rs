//! What stands against a rule, in numbers: for people who ask why they were told, or why not.
//!
//! It asks the same judges as the poll does: [`super::definition::Rule::judge`] for status and duration, [`super::history`],
//! [`super::daily`] and [`super::recurring`] for what looks further. What it says of a run is what holds of it now, with
//! the runs that were due before it; what a poll saw in between is not known here.

use jiff::{SignedDuration, Timestamp};

use super::daily::{Daily, GoalState, KnownRun, Late};
use super::definition::Rule;
use super::history::{FailureRate, Past, Slower, went_well};
use super::judge::Verdict;
use super::recurring::{Recurring, missed};
use super::standing::{Objection, Standing, percent};
use super::trigger::Trigger;
use crate::model::{Instance, Status};
use crate::words::Saying;

impl Rule {
    /// How the rule, whose source and job name match, stands to `run`. `past` are the job's runs, this one among them.
    pub fn stand(&self, run: &Instance, past: &Past, now: Timestamp) -> Standing {
        let Some(trigger) = &self.when.trigger else {
            return match self.judge(run, now) {
                Verdict::Holds { .. } => Standing::Holds(self.found(run, now)),
                Verdict::DoesNotHold(reason) => Standing::Fails(Objection::Run(reason)),
            };
        };
        let counts = match trigger {
            Trigger::Daily(_) => self.expects(run.kind),
            _ => self.concerns(run.kind),
        };
        if !counts {
            return Standing::Fails(Objection::TypeDoesNotCount(run.kind));
        }
        match trigger {
            Trigger::Consecutive(wanted) => self.stand_in_row(run, past, *wanted),
            Trigger::FailureRate(rate) => self.stand_to_rate(Some(run), past, rate),
            Trigger::Slower(slower) => self.stand_to_usual(run, past, slower, now),
            Trigger::Daily(daily) => self.stand_to_deadline(run, past, daily, now),
            Trigger::Missing(recurring) => self.stand_to_schedule(Some(run), past, recurring, now),
            Trigger::Unplanned(_) => Standing::Fails(Objection::ScheduleElsewhere),
        }
    }

    /// How the rule stands to a job of which no run is asked after, where it can be said of a job; nothing where it takes
    /// a run.
    pub fn stand_to_job(&self, past: &Past, now: Timestamp) -> Option<Standing> {
        match self.when.trigger.as_ref()? {
            Trigger::FailureRate(rate) => Some(self.stand_to_rate(None, past, rate)),
            Trigger::Missing(recurring) => Some(self.stand_to_schedule(None, past, recurring, now)),
            Trigger::Unplanned(_) => Some(Standing::Fails(Objection::ScheduleElsewhere)),
            _ => None,
        }
    }

    /// What the condition on status and duration has found.
    fn found(&self, run: &Instance, now: Timestamp) -> Saying {
        let of_status = (!self.when.statuses.is_empty()).then(|| run.status.as_str());
        match (of_status, run.duration(now).zip(self.when.duration)) {
            (Some(status), Some((lasted, limit))) => Saying::of("why.holds.status_lasted")
                .word("status", status)
                .lasting("lasted", lasted)
                .lasting("limit", limit),
            (Some(status), None) => Saying::of("why.holds.status").word("status", status),
            (None, Some((lasted, limit))) => {
                Saying::of("why.holds.lasted").lasting("lasted", lasted).lasting("limit", limit)
            }
            (None, None) => Saying::of("why.holds.any"),
        }
    }

    fn stand_in_row(&self, run: &Instance, past: &Past, wanted: usize) -> Standing {
        if went_well(run.status).is_none() {
            return Standing::Fails(Objection::SaysNothing(run.status));
        }
        let row = past.until(run).row(|kind| self.concerns(kind));
        if row >= wanted {
            return Standing::Holds(Saying::of("why.holds.row").with("row", row).with("wanted", wanted));
        }
        Standing::Fails(Objection::RowTooShort { row, wanted })
    }

    fn stand_to_rate(&self, run: Option<&Instance>, past: &Past, rate: &FailureRate) -> Standing {
        if let Some(run) = run.filter(|run| went_well(run.status).is_none()) {
            return Standing::Fails(Objection::SaysNothing(run.status));
        }
        let cut = run.map(|run| past.until(run));
        let past = cut.as_ref().unwrap_or(past);
        let Some(failed) = past.failures(rate.over, |kind| self.concerns(kind)) else {
            let counted = past.count(|kind| self.concerns(kind));
            return Standing::Fails(Objection::TooFewRuns { counted, wanted: rate.over });
        };
        let (counted, above) = (rate.over, rate.above);
        if run.is_some_and(|run| went_well(run.status) == Some(true)) {
            return Standing::Fails(Objection::WentWell { failed, counted });
        }
        if failed as f64 * 100.0 > above * counted as f64 {
            let found = Saying::of("why.holds.rate").with("failed", failed).with("counted", counted);
            return Standing::Holds(found.with("share", percent(failed, counted)).with("above", above));
        }
        Standing::Fails(Objection::RateNotAbove { failed, counted, above })
    }

    fn stand_to_usual(&self, run: &Instance, past: &Past, slower: &Slower, now: Timestamp) -> Standing {
        let (Some(started), Some(lasted)) = (run.start_time, run.duration(now)) else {
            return Standing::Fails(Objection::DurationUnknown);
        };
        let due = run.plan_time.unwrap_or(started);
        let Some(usual) = past.usual(slower, due, |kind| self.concerns(kind)) else {
            let runs = past.comparable(slower, due, |kind| self.concerns(kind));
            return Standing::Fails(Objection::NothingUsual { runs, wanted: slower.min_runs });
        };
        if lasted < usual.limit {
            return Standing::Fails(Objection::NotSlower { lasted, usual: usual.median, limit: usual.limit });
        }
        if run.status != Status::Running {
            return Standing::Fails(Objection::SlowButOver { lasted, limit: usual.limit });
        }
        let found = Saying::of("why.holds.slower").lasting("lasted", lasted).lasting("usual", usual.median);
        Standing::Holds(found.lasting("limit", usual.limit))
    }

    fn stand_to_deadline(&self, run: &Instance, past: &Past, daily: &Daily, now: Timestamp) -> Standing {
        let Some(planned) = run.plan_time.or(run.start_time) else { return Standing::Fails(Objection::NoPlanTime) };
        let until = planned.checked_add(daily.reach()).unwrap_or(Timestamp::MAX);
        let before = planned.checked_sub(SignedDuration::from_millis(1)).unwrap_or(Timestamp::MIN);
        let Some(due) = daily.dues(before, until).into_iter().find(|due| due.concerns(planned)) else {
            return Standing::Fails(Objection::NoDeadline);
        };
        let runs: Vec<KnownRun<'_>> = past
            .runs()
            .filter(|(id, _)| *id != run.id)
            .chain([(run.id.as_str(), run.snapshot())])
            .map(|(id, now)| KnownRun { id, now, before: Some(now) })
            .collect();
        let late = daily
            .late(&due, &runs, |kind| self.expects(kind))
            .into_iter()
            .find(|late| matches!(late, Late::Run(id) | Late::Over(id, _) if *id == run.id));
        let found = |saying: Saying| Standing::Holds(saying.word("status", run.status.as_str()).at("due", due.at));
        match (late, daily.standing(&run.snapshot())) {
            (Some(Late::Over(_, at)), _) => {
                Standing::Holds(Saying::of("why.holds.came").at("at", at).at("due", due.at))
            }
            (Some(_), _) if due.at <= now => found(Saying::of("why.holds.late")),
            (Some(_), _) if due.warn_at.is_some_and(|warn_at| warn_at <= now) => found(Saying::of("why.holds.warned")),
            (Some(_), _) => Standing::Fails(Objection::NotDueYet(due.warn_at.unwrap_or(due.at))),
            (None, GoalState::Reached(at)) => Standing::Fails(Objection::InTime { due: due.at, at }),
            (None, GoalState::NotReached) => Standing::Fails(Objection::MadeUpFor(due.at)),
        }
    }

    /// Of a run: the due time that it is for. Of a job: the last due time whose grace is over.
    fn stand_to_schedule(
        &self,
        run: Option<&Instance>,
        past: &Past,
        recurring: &Recurring,
        now: Timestamp,
    ) -> Standing {
        let (plan, start) = run.map_or((None, None), |run| (run.plan_time, run.start_time));
        let own = [plan, start].into_iter().flatten().filter_map(|time| recurring.last_due(time));
        if let Some(met) = own.into_iter().find(|due| due.is_met_by(plan, start)) {
            return Standing::Fails(Objection::DueTimeMet(met.at));
        }
        let grace = SignedDuration::try_from(recurring.grace).unwrap_or(SignedDuration::ZERO);
        let passed = now.checked_sub(grace).ok().and_then(|until| recurring.last_due(until));
        let Some(due) = passed else { return Standing::Fails(Objection::NoDueTimeYet) };
        let times: Vec<_> = past
            .runs()
            .filter(|(_, run)| self.concerns(run.kind))
            .map(|(_, run)| (run.plan_time, run.start_time))
            .collect();
        match missed(&[due], &times) {
            Some(missed) => Standing::Holds(Saying::of("why.holds.missing").at("due", missed.last)),
            None => Standing::Fails(Objection::DueTimeMet(due.at)),
        }
    }
}
