//! What stands against a rule, in numbers: for people who ask why they were told, or why not.
//!
//! It asks the same judges as the poll does: [`super::definition::Rule::judge`] for status and duration, [`super::history`],
//! [`super::daily`] and [`super::recurring`] for what looks further. What it says of a run is what holds of it now, with
//! the runs that were due before it; what a poll saw in between is not known here.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::daily::{Daily, GoalState, KnownRun, Late};
use super::definition::Rule;
use super::history::{FailureRate, Past, Slower, went_well};
use super::judge::{Unmet, Verdict};
use super::pattern::Pattern;
use super::recurring::{Recurring, missed};
use super::trigger::Trigger;
use crate::model::{Instance, InstanceType, Status};
use crate::yaml::duration_text;

/// How a rule stands to a run, or to a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// What it asks for holds; with what was found, in words.
    Holds(String),
    /// It does not, for one reason.
    Fails(Objection),
}

/// The one thing that stands against a rule.
#[derive(Debug, Clone, PartialEq)]
pub enum Objection {
    /// It is about other sources.
    OtherSource,
    /// No pattern of its matches the job's name.
    OtherJob,
    /// A pattern under `not` matches it.
    Excluded,
    /// Status, duration or type.
    Run(Unmet),
    /// Runs of this type do not count for it.
    TypeDoesNotCount(InstanceType),
    /// The run says nothing of whether the job is well: it is under way, was skipped or cancelled.
    SaysNothing(Status),
    /// The run went well, and only a failure makes the share of failures larger.
    WentWell {
        /// How many failed.
        failed: usize,
        /// Of how many.
        counted: usize,
    },
    /// Not enough failures in a row.
    RowTooShort {
        /// How many there are, this run the last of them.
        row: usize,
        /// How many it takes.
        wanted: usize,
    },
    /// Not enough runs to tell a share.
    TooFewRuns {
        /// How many there are.
        counted: usize,
        /// How many it takes.
        wanted: usize,
    },
    /// The share of failures is not above the limit.
    RateNotAbove {
        /// How many failed.
        failed: usize,
        /// Of how many.
        counted: usize,
        /// The limit in percent.
        above: f64,
    },
    /// A time is missing that is needed to tell how long it took.
    DurationUnknown,
    /// Not enough runs to tell what is usual.
    NothingUsual {
        /// How many there are.
        runs: usize,
        /// How many it takes.
        wanted: usize,
    },
    /// It is not slower than usual.
    NotSlower {
        /// How long it lasted.
        lasted: Duration,
        /// What is usual.
        usual: Duration,
        /// What is too long.
        limit: Duration,
    },
    /// It was slower than usual, and over before a poll saw it run that long.
    SlowButOver {
        /// How long it lasted.
        lasted: Duration,
        /// What is too long.
        limit: Duration,
    },
    /// Nobody knows when it was planned.
    NoPlanTime,
    /// The run is of a day that has no deadline.
    NoDeadline,
    /// The deadline is still to come.
    NotDueYet(Timestamp),
    /// It was where it should be in time.
    InTime {
        /// The deadline.
        due: Timestamp,
        /// When it came there, where that is known.
        at: Option<Timestamp>,
    },
    /// A later run did its work in time.
    MadeUpFor(Timestamp),
    /// A run was planned or started for the due time.
    DueTimeMet(Timestamp),
    /// The schedule was not due yet, or the grace still runs.
    NoDueTimeYet,
    /// The due times are the scheduler's own, and only who polls it knows them.
    ScheduleElsewhere,
}

impl Objection {
    /// One word for it, the same in every version.
    pub fn code(&self) -> &'static str {
        match self {
            Objection::OtherSource => "other-source",
            Objection::OtherJob => "other-job",
            Objection::Excluded => "excluded",
            Objection::Run(Unmet::AboutJobs) => "about-jobs",
            Objection::Run(Unmet::LooksFurther) => "looks-further",
            Objection::Run(Unmet::TypeNotMatched(_)) | Objection::TypeDoesNotCount(_) => "other-type",
            Objection::Run(Unmet::BackfillNotNamed) => "backfill-not-named",
            Objection::Run(Unmet::StatusNotInSet(_)) => "other-status",
            Objection::Run(Unmet::TooShort { .. }) => "too-short",
            Objection::Run(Unmet::NotEnded) => "not-ended",
            Objection::Run(Unmet::DurationUnknown) | Objection::DurationUnknown => "duration-unknown",
            Objection::SaysNothing(_) => "says-nothing",
            Objection::WentWell { .. } => "went-well",
            Objection::RowTooShort { .. } => "row-too-short",
            Objection::TooFewRuns { .. } => "too-few-runs",
            Objection::RateNotAbove { .. } => "rate-not-above",
            Objection::NothingUsual { .. } => "nothing-usual",
            Objection::NotSlower { .. } => "not-slower",
            Objection::SlowButOver { .. } => "slow-but-over",
            Objection::NoPlanTime => "no-plan-time",
            Objection::NoDeadline => "no-deadline",
            Objection::NotDueYet(_) => "not-due-yet",
            Objection::InTime { .. } => "in-time",
            Objection::MadeUpFor(_) => "made-up-for",
            Objection::DueTimeMet(_) => "due-time-met",
            Objection::NoDueTimeYet => "no-due-time-yet",
            Objection::ScheduleElsewhere => "schedule-elsewhere",
        }
    }

    /// Whether the rule is not about the job at all.
    pub fn is_of_match(&self) -> bool {
        matches!(self, Objection::OtherSource | Objection::OtherJob | Objection::Excluded)
    }

    /// The line for people, times on the clock of `zone`. `rule` is the rule it is said of.
    pub fn words(&self, rule: &Rule, zone: &TimeZone) -> String {
        let clock = |at: &Timestamp| clock(*at, zone);
        match self {
            Objection::OtherSource => {
                let sources: Vec<&str> = rule.matches.sources.iter().map(|source| source.as_str()).collect();
                format!("match.source: the rule is about {}", sources.join(", "))
            }
            Objection::OtherJob => format!("match.job: the name is not {}", patterns(&rule.matches.jobs)),
            Objection::Excluded => format!("match.not: the name is {}", patterns(&rule.matches.not)),
            Objection::Run(Unmet::StatusNotInSet(status)) => {
                let set: Vec<&str> = rule.when.statuses.iter().map(|status| status.as_str()).collect();
                format!("status {status} is not {}", set.join(" or "))
            }
            Objection::Run(Unmet::TooShort { lasted, threshold }) => {
                format!("lasted {} of {}", duration_text(*lasted), duration_text(*threshold))
            }
            Objection::Run(reason) => reason.to_string(),
            Objection::TypeDoesNotCount(kind) => format!("{} runs do not count for this rule", kind.as_str()),
            Objection::SaysNothing(status) => format!("a run that is {status} does not count"),
            Objection::WentWell { failed, counted } => {
                format!("the run went well; {failed} of the last {counted} runs failed ({})", share(*failed, *counted))
            }
            Objection::RowTooShort { row, wanted } => format!("{row} of {wanted} failures in a row"),
            Objection::TooFewRuns { counted, wanted } => format!("only {counted} of {wanted} runs to count"),
            Objection::RateNotAbove { failed, counted, above } => {
                format!("{failed} of the last {counted} runs failed ({}), not above {above}%", share(*failed, *counted))
            }
            Objection::DurationUnknown => "how long it takes is unknown: a time is missing".to_string(),
            Objection::NothingUsual { runs, wanted } => {
                format!("only {runs} of {wanted} runs to tell what is usual")
            }
            Objection::NotSlower { lasted, usual, limit } => format!(
                "took {}: usually {}, too slow from {}",
                duration_text(*lasted),
                duration_text(*usual),
                duration_text(*limit)
            ),
            Objection::SlowButOver { lasted, limit } => format!(
                "took {}, too slow from {}, and was over before a poll saw it",
                duration_text(*lasted),
                duration_text(*limit)
            ),
            Objection::NoPlanTime => "its plan time is unknown".to_string(),
            Objection::NoDeadline => "its day has no deadline".to_string(),
            Objection::NotDueYet(at) => format!("not due before {}", clock(at)),
            Objection::InTime { due, at: Some(at) } => format!("in time: {}, due {}", clock(at), clock(due)),
            Objection::InTime { due, at: None } => format!("in time, due {}", clock(due)),
            Objection::MadeUpFor(due) => format!("a later run did its work before {}", clock(due)),
            Objection::DueTimeMet(due) => format!("there is a run for {}", clock(due)),
            Objection::NoDueTimeYet => "no due time has passed yet, with its grace".to_string(),
            Objection::ScheduleElsewhere => {
                "it goes by the schedule in the scheduler, which only a poll knows: nothing can be said here"
                    .to_string()
            }
        }
    }
}

/// A time as people read it: day and minute.
fn clock(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%a %H:%M").to_string()
}

fn patterns(patterns: &[Pattern]) -> String {
    let texts: Vec<&str> = patterns.iter().map(Pattern::as_str).collect();
    texts.join(" or ")
}

fn share(part: usize, whole: usize) -> String {
    let percent = if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    format!("{percent:.0}%")
}

impl Rule {
    /// How the rule, whose source and job name match, stands to `run`. `past` are the job's runs, this one among them.
    pub fn stand(&self, run: &Instance, past: &Past, now: Timestamp, zone: &TimeZone) -> Standing {
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
            Trigger::Daily(daily) => self.stand_to_deadline(run, past, daily, now, zone),
            Trigger::Missing(recurring) => self.stand_to_schedule(Some(run), past, recurring, now, zone),
            Trigger::Unplanned(_) => Standing::Fails(Objection::ScheduleElsewhere),
        }
    }

    /// How the rule stands to a job of which no run is asked after, where it can be said of a job; nothing where it takes
    /// a run.
    pub fn stand_to_job(&self, past: &Past, now: Timestamp, zone: &TimeZone) -> Option<Standing> {
        match self.when.trigger.as_ref()? {
            Trigger::FailureRate(rate) => Some(self.stand_to_rate(None, past, rate)),
            Trigger::Missing(recurring) => Some(self.stand_to_schedule(None, past, recurring, now, zone)),
            Trigger::Unplanned(_) => Some(Standing::Fails(Objection::ScheduleElsewhere)),
            _ => None,
        }
    }

    /// What the condition on status and duration has found.
    fn found(&self, run: &Instance, now: Timestamp) -> String {
        let mut parts = Vec::new();
        if !self.when.statuses.is_empty() {
            parts.push(format!("status {}", run.status));
        }
        if let (Some(lasted), Some(threshold)) = (run.duration(now), self.when.duration) {
            parts.push(format!("lasted {}, limit {}", duration_text(lasted), duration_text(threshold)));
        }
        if parts.is_empty() { "every run is notified".to_string() } else { parts.join(", ") }
    }

    fn stand_in_row(&self, run: &Instance, past: &Past, wanted: usize) -> Standing {
        if went_well(run.status).is_none() {
            return Standing::Fails(Objection::SaysNothing(run.status));
        }
        let row = past.until(run).row(|kind| self.concerns(kind));
        if row >= wanted {
            return Standing::Holds(format!("{row} failures in a row, limit {wanted}"));
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
            let share = share(failed, counted);
            return Standing::Holds(format!("{failed} of the last {counted} runs failed ({share}), limit {above}%"));
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
        let (usual, limit) = (duration_text(usual.median), duration_text(usual.limit));
        Standing::Holds(format!("took {}: usually {usual}, too slow from {limit}", duration_text(lasted)))
    }

    fn stand_to_deadline(
        &self,
        run: &Instance,
        past: &Past,
        daily: &Daily,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Standing {
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
        let clock = |at| clock(at, zone);
        match (late, daily.standing(&run.snapshot())) {
            (Some(Late::Over(_, at)), _) => Standing::Holds(format!("came at {}, due {}", clock(at), clock(due.at))),
            (Some(_), _) if due.at <= now => Standing::Holds(format!("{}, due {}", run.status, clock(due.at))),
            (Some(_), _) if due.warn_at.is_some_and(|warn_at| warn_at <= now) => {
                Standing::Holds(format!("{}, due {}: warned of", run.status, clock(due.at)))
            }
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
        zone: &TimeZone,
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
            Some(missed) => Standing::Holds(format!("no run for {}", clock(missed.last, zone))),
            None => Standing::Fails(Objection::DueTimeMet(due.at)),
        }
    }
}
