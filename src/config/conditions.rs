//! The conditions under `when` that look at a job's history or at the clock.
//!
//! A rule has one of them, and it stands alone: what `status` and `duration` say is of one run.

use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde_json::json;

use super::days::{self, DAYS};
use super::shared::Shared;
use super::sources::read_schedule;
use super::words::statuses;
use crate::limits::{GRACE_MAX, HISTORY_RUNS_MAX, RETENTION_MAX};
use crate::model::{JobStatus, SourceId};
use crate::rule::daily::{Daily, Goal};
use crate::rule::history::{FailureRate, Slower};
use crate::rule::plans::OwnSchedule;
use crate::rule::recurring::Recurring;
use crate::rule::{Matches, Trigger};
use crate::yaml::{FromYaml, Key, Keys, Located, Section, Shape, duration_text};

/// The conditions.
pub(super) static WHEN: Keys = Keys::of(
    "when",
    "What must hold.",
    &[
        &[
            Key::new("any", Shape::Flag, "Every run, notified once when it has ended. Stands alone."),
            Key::new("status", Shape::Words(statuses), "The run is in one of these statuses.")
                .example("[fail, running-exception]")
                .also(&["state", "states", "statuses"]),
            Key::new(
                "duration",
                Shape::Duration,
                "It has lasted at least this long (waiting: since it was due; running: since it started).",
            )
            .example("45m"),
            Key::new(
                "job_status",
                Shape::WordsAnyCase(job_statuses),
                "The job itself is in one of these; about no run. Stands alone.",
            )
            .example("[EXCEPTION, STOPPED]"),
            Key::new("consecutive", Shape::Whole, "The last so many runs of the job failed: 2 to 100.").example("3"),
            Key::new(
                "failure_rate",
                Shape::Mapping(&FAILURE_RATE),
                "More than this share of the last so many runs failed.",
            )
            .example("{ over: 20, above: 25% }"),
            Key::new(
                "not_finished_by",
                Shape::ClockTime,
                "The runs planned since the last deadline (a week back at most) have not succeeded by this time of day.",
            )
            .example("\"06:30\""),
            Key::new("not_started_by", Shape::ClockTime, "The same for starting.").example("\"02:15\""),
            Key::new("warn_at", Shape::ClockTime, "When a deadline is warned of.").example("\"06:00\""),
            Key::new("missing", Shape::Mapping(&MISSING), "No run was planned or started for a due time of a schedule.")
                .example("{ schedule: \"0 2 * * *\" }"),
            Key::new(
                "slower_than_usual",
                Shape::Mapping(&SLOWER),
                "The run takes longer than the job's own runs usually do.",
            )
            .example("{ factor: 2 }"),
        ],
        DAYS,
    ],
)
.not_empty();

static FAILURE_RATE: Keys = Keys::of(
    "failure_rate",
    "More than this share of the last so many runs failed.",
    &[&[
        Key::new("over", Shape::Whole, "How many runs are counted, 2 to 1000; with fewer nothing is said.")
            .required()
            .example("20"),
        Key::new("above", Shape::Other("a share", share), "The share that is too much.").required().example("25%"),
    ]],
);

static MISSING: Keys = Keys::of(
    "missing",
    "No run was planned or started for a due time.",
    &[
        &[
            Key::new(
                "schedule",
                Shape::Schedule,
                "The due times. Left out: the job's own schedule, where the scheduler provides it (schedulerx, airflow).",
            )
            .example("\"0 2 * * *\""),
            Key::new("grace", Shape::Duration, "How late a run may come, at most 1d.").default("15m"),
        ],
        DAYS,
    ],
);

static SLOWER: Keys = Keys::of(
    "slower_than_usual",
    "A run takes longer than the job's own runs usually do; at most its last 1000 runs are compared with.",
    &[&[
        Key::new("factor", Shape::Number, "So many times the usual duration.").default("2"),
        Key::new("over", Shape::Duration, "How far back runs are compared with, at most the retention.").default("30d"),
        Key::new("min_runs", Shape::Whole, "With fewer runs to compare with nothing is said: 3 to 500.").default("10"),
    ]],
);

/// The statuses of a job that can be a reason to notify.
fn job_statuses() -> Vec<&'static str> {
    JobStatus::ALL.into_iter().filter(|status| !status.is_healthy()).map(JobStatus::as_str).collect()
}

fn share() -> serde_json::Value {
    json!({ "type": "string", "pattern": r"^\s*[0-9.]+\s*%\s*$|\$\{" })
}

/// The keys of these conditions; each stands alone.
pub(super) const KEYS: [&str; 6] =
    ["consecutive", "failure_rate", "not_finished_by", "not_started_by", "missing", "slower_than_usual"];

/// The keys that stand beside a deadline.
pub(super) const DEADLINE_KEYS: [&str; 3] = ["warn_at", "days", "calendar"];

/// Those of them that go by a zone: a time of the day, a schedule, or weekdays.
pub(super) const CLOCK_KEYS: [&str; 4] = ["not_finished_by", "not_started_by", "missing", "slower_than_usual"];

/// What a condition takes from around it.
pub(super) struct Surroundings<'a> {
    /// The rule's zone.
    pub(super) zone: &'a TimeZone,
    /// What the file says for all rules.
    pub(super) shared: &'a Shared<'a>,
    /// The source in which a job that is named in full must be, if that is clear.
    pub(super) sole_source: Option<SourceId>,
    /// A source that the rule is about and whose scheduler does not tell when its jobs are due.
    pub(super) unscheduled: Option<&'a str>,
}

/// The one source that a rule can be about, of those the file defines.
pub(super) fn sole_source(matches: &Matches, defined: &[String]) -> Option<SourceId> {
    match (matches.sources.as_slice(), defined) {
        ([one], _) => Some(one.clone()),
        ([], [one]) => Some(SourceId::new(one)),
        _ => None,
    }
}

/// Whether a rule under `when` is about what does not come to pass: then a job that was never seen matters.
pub(super) fn is_about_absence(when: &Section<'_>) -> bool {
    ["not_finished_by", "not_started_by", "missing"].iter().any(|key| when.has(key))
}

/// The condition under `when`, if there is one of these; `None` inside when it is wrong, and reported.
pub(super) fn read(when: &Section<'_>, around: &Surroundings<'_>) -> Option<Option<Trigger>> {
    let triggers = [
        read_consecutive(when),
        read_failure_rate(when),
        read_daily(when, "not_finished_by", Goal::Finished, around),
        read_daily(when, "not_started_by", Goal::Started, around),
        read_missing(when, around),
        read_slower(when, around),
    ];
    let given: Vec<&str> = KEYS.into_iter().filter(|key| when.has(key)).collect();
    // Read with the deadline they belong to; without one they are out of place, and known all the same.
    let _asked_for = DEADLINE_KEYS.map(|key| when.node(key));
    let mut are_in_place = true;
    for key in DEADLINE_KEYS {
        if when.has(key) && !when.has("not_finished_by") && !when.has("not_started_by") {
            let help = Some("write not_finished_by: \"06:30\" beside it, or remove it".into());
            when.error(key, format!("{key:?} belongs to \"not_finished_by\" or \"not_started_by\""), help);
            are_in_place = false;
        }
    }
    if !are_in_place {
        return Some(None);
    }
    let beside: Vec<&str> = ["status", "duration", "job_status"]
        .into_iter()
        .filter(|key| when.has(key))
        .chain(given.iter().copied())
        .collect();
    if let (Some(one), true) = (given.first(), beside.len() > 1) {
        let others: Vec<String> = beside.iter().filter(|key| key != &one).map(|key| format!("{key:?}")).collect();
        let help = Some("make one rule of each".to_string());
        when.error(one, format!("{one:?} stands alone, and not beside {}", others.join(", ")), help);
        return Some(None);
    }
    triggers.into_iter().flatten().next()
}

fn read_consecutive(when: &Section<'_>) -> Option<Option<Trigger>> {
    const MOST: u32 = 100;
    let node = when.optional::<u32>("consecutive");
    when.has("consecutive").then(|| {
        let runs = node?;
        if !(2..=MOST).contains(&runs) {
            let help = Some("for every single failure write status: fail".into());
            when.error("consecutive", format!("between 2 and {MOST} runs in a row are possible"), help);
            return None;
        }
        Some(Trigger::Consecutive(usize::try_from(runs).unwrap_or(usize::MAX)))
    })
}

fn read_failure_rate(when: &Section<'_>) -> Option<Option<Trigger>> {
    let Some(section) = when.section("failure_rate") else { return when.has("failure_rate").then_some(None) };
    let (over, above) = (section.required::<u32>("over"), section.required::<Percent>("above"));
    let most = u32::try_from(HISTORY_RUNS_MAX).unwrap_or(u32::MAX);
    let over = over.filter(|over| {
        let is_sound = (2..=most).contains(over);
        if !is_sound {
            section.error("over", format!("between 2 and {most} runs can be counted"), None);
        }
        is_sound
    });
    section.close();
    let rate = over.zip(above).and_then(|(over, above)| {
        Some(Trigger::FailureRate(FailureRate { over: usize::try_from(over).ok()?, above: above.0 }))
    });
    Some(rate)
}

fn read_daily(when: &Section<'_>, key: &'static str, goal: Goal, around: &Surroundings<'_>) -> Option<Option<Trigger>> {
    let by = when.optional::<ClockTime>(key);
    if !when.has(key) {
        return None;
    }
    let warn_at = when.optional::<ClockTime>("warn_at");
    let days = days::read(when, around.shared.calendars);
    let is_sound = warn_at.is_some() || !when.has("warn_at");
    if let (Some(by), Some(warn_at)) = (&by, &warn_at)
        && by.0 == warn_at.0
    {
        when.error("warn_at", "the warning would come with the deadline itself", Some("write an earlier time".into()));
        return Some(None);
    }
    if let (Some(by), Some(warn_at)) = (&by, &warn_at)
        && warn_at.0 > by.0
        // Of a deadline in the morning one may be warned the evening before.
        && !(by.0.hour() < 12 && warn_at.0.hour() >= 12)
    {
        let message = "it is later than the deadline, so the warning comes the day before";
        when.warning("warn_at", message, Some("write an earlier time".into()));
    }
    let trigger = by.filter(|_| is_sound).zip(days).map(|(by, days)| {
        Trigger::Daily(Daily {
            goal,
            by: by.0,
            warn_at: warn_at.map(|time| time.0),
            days,
            zone: around.zone.clone(),
            sole_source: around.sole_source.clone(),
        })
    });
    Some(trigger)
}

fn read_missing(when: &Section<'_>, around: &Surroundings<'_>) -> Option<Option<Trigger>> {
    let Some(section) = when.section("missing") else { return when.has("missing").then_some(None) };
    let is_own = !section.has("schedule");
    let schedule = if is_own { None } else { read_schedule(&section, "schedule", around.zone) };
    if let (true, Some(source)) = (is_own, around.unscheduled) {
        let message = format!("a \"schedule\" is needed: {source} does not provide those of its jobs");
        let help = "write schedule: \"0 2 * * *\", or name only sources of the types schedulerx and airflow in match";
        section.error("", message, Some(help.into()));
    }
    let days = days::read(&section, around.shared.calendars);
    let grace = section.or_default::<Duration>("grace");
    let is_sound = grace <= GRACE_MAX;
    if !is_sound {
        let most = duration_text(GRACE_MAX);
        section.error("grace", format!("longer than {most}"), Some("a deadline is what not_finished_by says".into()));
    }
    section.close();
    let sole_source = around.sole_source.clone();
    let trigger = days.and_then(|days| match schedule {
        Some(schedule) => Some(Trigger::Missing(Recurring { schedule, days, grace, sole_source })),
        None if is_own && around.unscheduled.is_none() => {
            Some(Trigger::Unplanned(OwnSchedule { grace, sole_source, days }))
        }
        None => None,
    });
    Some(trigger.filter(|_| is_sound))
}

fn read_slower(when: &Section<'_>, around: &Surroundings<'_>) -> Option<Option<Trigger>> {
    let Some(section) = when.section("slower_than_usual") else {
        return when.has("slower_than_usual").then_some(None);
    };
    let factor = section.or_default::<f64>("factor");
    let over = section.optional::<Duration>("over").unwrap_or_else(|| {
        let usual: Option<Duration> = section.default_of("over");
        usual.map_or(around.shared.retention, |usual| usual.min(around.shared.retention))
    });
    let min_runs = section.or_default::<u32>("min_runs");
    let mut is_sound = true;
    let mut refuse = |key: &str, is_wrong: bool, message: String| {
        if is_wrong {
            section.error(key, message, None);
            is_sound = false;
        }
    };
    refuse("factor", !(1.1..=1000.0).contains(&factor), "a factor between 1.1 and 1000 is possible".into());
    let (kept, days) = (around.shared.retention, over.as_secs().div_ceil(86_400));
    let too_long = match over > RETENTION_MAX {
        true => format!("past runs can be kept for {}", duration_text(RETENTION_MAX)),
        false => {
            format!("past runs are kept for {}: write retention: {days}d at the top of the file", duration_text(kept))
        }
    };
    refuse("over", over > kept, too_long);
    refuse("min_runs", !(3..=500).contains(&min_runs), "between 3 and 500 runs are possible".into());
    section.close();
    let min_runs = usize::try_from(min_runs).unwrap_or(usize::MAX);
    let slower = Slower { factor, over, min_runs, zone: around.zone.clone() };
    Some(is_sound.then_some(Trigger::Slower(slower)))
}

/// A time of day: `06:30`.
struct ClockTime(Time);

impl FromYaml for ClockTime {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let text = String::from_yaml(located)?;
        let read = || {
            let (hour, minute) = text.trim().split_once(':')?;
            let is_number =
                |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
            if !is_number(hour) || !is_number(minute) || minute.len() != 2 {
                return None;
            }
            Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
        };
        read().map(ClockTime).or_else(|| {
            let help = Some("write hours and minutes of a 24-hour clock, as in \"06:30\"".into());
            located.wrong(format!("{text:?} is not a valid time of day"), help)
        })
    }
}

/// A share in percent: `25%`.
struct Percent(f64);

impl FromYaml for Percent {
    fn from_yaml(located: Located<'_>) -> Option<Self> {
        let text = String::from_yaml(located)?;
        let number = text.trim().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        match number.filter(|number| (0.0..100.0).contains(number)) {
            Some(number) => Some(Percent(number)),
            None => {
                let help = Some("write a share under 100% with its sign, as in \"25%\"".into());
                located.wrong(format!("{text:?} is not a valid share of runs"), help)
            }
        }
    }
}
