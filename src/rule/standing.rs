//! How a rule stands to a run: it holds, or the one thing that stands against it.
//!
//! Plain data, with its words for people in every language. It must never know how either was found out.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::definition::Rule;
use super::judge::Unmet;
use super::pattern::Pattern;
use crate::model::{InstanceType, Status};
use crate::words::Saying;

/// How a rule stands to a run, or to a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// What it asks for holds; with what was found.
    Holds(Saying),
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
}

impl Standing {
    /// What was found, or what stands against `rule`, of which it is said.
    pub fn saying(&self, rule: &Rule) -> Saying {
        match self {
            Standing::Holds(found) => found.clone(),
            Standing::Fails(objection) => objection.saying(rule),
        }
    }
}

impl Objection {
    /// What it is, in words. `rule` is the rule it is said of.
    pub fn saying(&self, rule: &Rule) -> Saying {
        let rate = |saying: Saying, failed: usize, counted: usize| {
            saying.with("failed", failed).with("counted", counted).with("share", percent(failed, counted))
        };
        match self {
            Objection::OtherSource => Saying::of("why.fails.source").any_named("sources", &rule.matches.sources),
            Objection::OtherJob => Saying::of("why.fails.job").any_named("patterns", patterns(&rule.matches.jobs)),
            Objection::Excluded => Saying::of("why.fails.excluded").any_named("patterns", patterns(&rule.matches.not)),
            Objection::Run(Unmet::StatusNotInSet(status)) => {
                let set = rule.when.statuses.iter().map(|status| status.as_str());
                Saying::of("why.fails.status").word("status", status.as_str()).any_of("statuses", set)
            }
            Objection::Run(Unmet::TooShort { lasted, threshold }) => {
                Saying::of("why.fails.too-short").lasting("lasted", *lasted).lasting("limit", *threshold)
            }
            Objection::Run(reason) => reason.saying(),
            Objection::TypeDoesNotCount(kind) => {
                Saying::of("why.fails.type-does-not-count").word("type", kind.as_str())
            }
            Objection::SaysNothing(status) => Saying::of("why.fails.says-nothing").word("status", status.as_str()),
            Objection::WentWell { failed, counted } => rate(Saying::of("why.fails.went-well"), *failed, *counted),
            Objection::RowTooShort { row, wanted } => {
                Saying::of("why.fails.row").with("row", row).with("wanted", wanted)
            }
            Objection::TooFewRuns { counted, wanted } => {
                Saying::of("why.fails.too-few").with("counted", counted).with("wanted", wanted)
            }
            Objection::RateNotAbove { failed, counted, above } => {
                rate(Saying::of("why.fails.rate"), *failed, *counted).with("above", above)
            }
            Objection::DurationUnknown => Saying::of("why.fails.duration-unknown"),
            Objection::NothingUsual { runs, wanted } => {
                Saying::of("why.fails.nothing-usual").with("runs", runs).with("wanted", wanted)
            }
            Objection::NotSlower { lasted, usual, limit } => Saying::of("why.fails.not-slower")
                .lasting("lasted", *lasted)
                .lasting("usual", *usual)
                .lasting("limit", *limit),
            Objection::SlowButOver { lasted, limit } => {
                Saying::of("why.fails.slow-but-over").lasting("lasted", *lasted).lasting("limit", *limit)
            }
            Objection::NoPlanTime => Saying::of("why.fails.no-plan-time"),
            Objection::NoDeadline => Saying::of("why.fails.no-deadline"),
            Objection::NotDueYet(at) => Saying::of("why.fails.not-due-yet").at("due", *at),
            Objection::InTime { due, at: Some(at) } => Saying::of("why.fails.in-time").at("at", *at).at("due", *due),
            Objection::InTime { due, at: None } => Saying::of("why.fails.in-time-somehow").at("due", *due),
            Objection::MadeUpFor(due) => Saying::of("why.fails.made-up-for").at("due", *due),
            Objection::DueTimeMet(due) => Saying::of("why.fails.due-time-met").at("due", *due),
            Objection::NoDueTimeYet => Saying::of("why.fails.no-due-time-yet"),
            Objection::ScheduleElsewhere => Saying::of("why.fails.schedule-elsewhere"),
        }
    }
}

impl Unmet {
    /// What it is, in words.
    pub fn saying(&self) -> Saying {
        match self {
            Unmet::AboutJobs => Saying::of("why.fails.about-jobs"),
            Unmet::LooksFurther => Saying::of("why.fails.looks-further"),
            Unmet::TypeNotMatched(kind) => Saying::of("why.fails.type").word("type", kind.as_str()),
            Unmet::BackfillNotNamed => Saying::of("why.fails.backfill"),
            Unmet::StatusNotInSet(status) => Saying::of("why.fails.not-in-set").word("status", status.as_str()),
            Unmet::TooShort { lasted, threshold } => {
                Saying::of("why.fails.under").lasting("lasted", *lasted).lasting("limit", *threshold)
            }
            Unmet::NotEnded => Saying::of("why.fails.not-ended"),
            Unmet::DurationUnknown => Saying::of("why.fails.times-missing"),
        }
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.saying().in_english())
    }
}

fn patterns(patterns: &[Pattern]) -> impl Iterator<Item = &str> {
    patterns.iter().map(Pattern::as_str)
}

/// A share in percent, without the sign.
pub(super) fn percent(part: usize, whole: usize) -> String {
    let percent = if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    format!("{percent:.0}")
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::model::{Labels, RuleId, Severity};
    use crate::rule::{Condition, Matches, Recovers};
    use crate::words::Language;

    /// Each objection there is, with what it says of the rule below.
    fn all() -> Vec<(Objection, &'static str, &'static str)> {
        let (lasted, limit) = (Duration::from_secs(720), Duration::from_secs(1500));
        let at: Timestamp = "2026-11-21T06:30:00Z".parse().unwrap();
        let run = Objection::Run;
        vec![
            (
                Objection::OtherSource,
                "match.source: the rule is about lake or sea",
                "match.source：该规则针对 lake、sea",
            ),
            (Objection::OtherJob, "match.job: the name is not etl_*", "match.job：名称不匹配 etl_*"),
            (Objection::Excluded, "match.not: the name is etl_tmp", "match.not：名称匹配 etl_tmp"),
            (
                run(Unmet::AboutJobs),
                "the rule is about the status of jobs, not about instances",
                "该规则针对作业状态，不针对实例",
            ),
            (
                run(Unmet::LooksFurther),
                "the rule looks at the job's history or at the clock",
                "该规则依据作业的历史或时钟判断",
            ),
            (
                run(Unmet::TypeNotMatched(InstanceType::Manual)),
                "the rule does not name the instance type manual",
                "该规则未列出实例类型“手动运行”",
            ),
            (
                run(Unmet::BackfillNotNamed),
                "a backfill instance, and the rule does not name backfill",
                "这是补数据实例，而该规则未列出 backfill",
            ),
            (
                run(Unmet::StatusNotInSet(Status::Success)),
                "status success is not fail or running-exception",
                "状态“成功”不属于：失败、运行异常",
            ),
            (run(Unmet::TooShort { lasted, threshold: limit }), "lasted 12m of 25m", "持续 12 分钟，未达 25 分钟"),
            (
                run(Unmet::NotEnded),
                "it has not ended yet: a rule about every run notifies then",
                "尚未结束：针对所有运行的规则在结束时通知",
            ),
            (
                run(Unmet::DurationUnknown),
                "the duration is unknown: a time is missing or they contradict",
                "时长未知：缺少时间，或时间互相矛盾",
            ),
            (
                Objection::TypeDoesNotCount(InstanceType::Backfill),
                "backfill runs do not count for this rule",
                "“补数据”的实例不计入该规则",
            ),
            (
                Objection::SaysNothing(Status::Running),
                "a run that is running does not count",
                "状态为“运行中”的实例不计入",
            ),
            (
                Objection::WentWell { failed: 1, counted: 3 },
                "the run went well; 1 of the last 3 runs failed (33%)",
                "本次运行正常；最近 3 次运行中失败 1 次（33%）",
            ),
            (Objection::RowTooShort { row: 1, wanted: 2 }, "1 of 2 failures in a row", "连续失败 1 次，未达 2 次"),
            (
                Objection::TooFewRuns { counted: 1, wanted: 6 },
                "only 1 of 6 runs to count",
                "可统计的运行只有 1 次，需要 6 次",
            ),
            (
                Objection::RateNotAbove { failed: 2, counted: 6, above: 40.0 },
                "2 of the last 6 runs failed (33%), not above 40%",
                "最近 6 次运行中失败 2 次（33%），未超过 40%",
            ),
            (Objection::DurationUnknown, "how long it takes is unknown: a time is missing", "时长未知：缺少时间"),
            (
                Objection::NothingUsual { runs: 1, wanted: 4 },
                "only 1 of 4 runs to tell what is usual",
                "可比较的运行只有 1 次，需要 4 次才能得出通常时长",
            ),
            (
                Objection::NotSlower { lasted, usual: lasted, limit },
                "took 12m: usually 12m, too slow from 25m",
                "用时 12 分钟：通常 12 分钟，达到 25 分钟才算过慢",
            ),
            (
                Objection::SlowButOver { lasted, limit },
                "took 12m, too slow from 25m, and was over before a poll saw it",
                "用时 12 分钟，达到 25 分钟即为过慢，但在轮询发现之前已结束",
            ),
            (Objection::NoPlanTime, "its plan time is unknown", "计划时间未知"),
            (Objection::NoDeadline, "its day has no deadline", "当天没有截止时间"),
            (Objection::NotDueYet(at), "not due before Sat 06:30", "11月21日 06:30 才到期"),
            (
                Objection::InTime { due: at, at: Some(at) },
                "in time: Sat 06:30, due Sat 06:30",
                "按时：11月21日 06:30，截止时间 11月21日 06:30",
            ),
            (Objection::InTime { due: at, at: None }, "in time, due Sat 06:30", "按时，截止时间 11月21日 06:30"),
            (
                Objection::MadeUpFor(at),
                "a later run did its work before Sat 06:30",
                "后续实例已在 11月21日 06:30 之前完成",
            ),
            (Objection::DueTimeMet(at), "there is a run for Sat 06:30", "已有 11月21日 06:30 的实例"),
            (Objection::NoDueTimeYet, "no due time has passed yet, with its grace", "尚无已过（含宽限期）的计划时间"),
            (
                Objection::ScheduleElsewhere,
                "it goes by the schedule in the scheduler, which only a poll knows: nothing can be said here",
                "依据调度系统自身的调度计划，只有轮询时才知道：这里无法判断",
            ),
        ]
    }

    #[test]
    fn every_objection_is_said_in_both_languages() {
        let pattern = |text| Pattern::parse(text).unwrap();
        let rule = Rule {
            id: RuleId::new("r"),
            matches: Matches {
                sources: vec!["lake".into(), "sea".into()],
                jobs: vec![pattern("etl_*")],
                not: vec![pattern("etl_tmp")],
                instance_types: Vec::new(),
            },
            when: Condition { statuses: [Status::Fail, Status::RunningException].into(), ..Condition::default() },
            severity: Severity::Error,
            notify: Vec::new(),
            hours: Vec::new(),
            labels: Labels::default(),
            escalation: Vec::new(),
            rounds: None,
            group: None,
            repeat: None,
            recovers: Recovers::LaterRun,
        };
        for (objection, english, chinese) in all() {
            let standing = Standing::Fails(objection);
            assert_eq!(standing.saying(&rule).words(Language::En, &TimeZone::UTC), english, "{standing:?}");
            assert_eq!(standing.saying(&rule).words(Language::Zh, &TimeZone::UTC), chinese, "{standing:?}");
        }
    }
}
