//! The keys of rules, mute windows, calendars and digests.

use serde_json::{Map, Value, json};

use super::telling;
use super::values::{
    Key, any_case, clock_time, duration, flag, flexible, job_status, key, labels, mapping, must, names, number,
    one_or_many, or_nothing, path, schedule, secret, texts, wanted_labels, whole, word, zone,
};
use crate::config::calendars::WEEKDAYS;
use crate::model::{InstanceType, Severity, Status};
use crate::rule::Recovers;

pub(super) fn definitions() -> Map<String, Value> {
    let all = [
        ("rule", rule()),
        ("match", or_nothing(mapping(MATCH, matches()))),
        ("mute_window", mute_window()),
        ("calendar", calendar()),
        ("digest", digest()),
        ("route", route()),
    ];
    all.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

const MATCH: &str = "Which instances: a list means \"one of\", different keys mean \"and\".";

/// A `match` as rules and digests have it.
fn match_key() -> Key {
    key("match", json!({ "$ref": "#/$defs/match" }), "Which instances; without it, every one.")
}

/// What a `match` takes.
fn matches() -> Vec<Key> {
    let kind = word(&InstanceType::ALL.map(InstanceType::as_str));
    vec![
        key("source", names(), "Names from \"sources\"."),
        key(
            "job",
            texts(),
            "Patterns of job names: a glob (* ? [..] {a,b}) or a /regular expression/, of the whole name.",
        ),
        key("not", texts(), "Patterns of job names that are left out."),
        key("instance_type", one_or_many(&kind), "How the run came about. Without it, all types but backfill."),
    ]
}

fn severity() -> Value {
    word(&Severity::ALL.map(Severity::as_str))
}

fn notify_key() -> Key {
    key("notify", names(), "Whom to tell: names from \"receivers\".")
}

fn rule() -> Value {
    let mut when = mapping("What must hold.", when());
    when["minProperties"] = json!(1);
    mapping(
        "A rule: what it matches, what must hold, who is told.",
        [
            match_key(),
            key("when", when, "What must hold; without it, every instance that is seen is told."),
            key("timezone", zone(), "The zone of not_finished_by, missing and slower_than_usual."),
            key("severity", severity(), "How bad it is. Default: error."),
            telling::notify_or_steps(),
            telling::group(),
            key(
                "recovers",
                word(&Recovers::WORDS),
                "Whose success ends the alert of a failed run: \"job\" (the default) also that of a later run, \"run\" its own alone.",
            ),
            key("labels", labels(), "Texts by name, for routes, mute windows, silences, digests and templates."),
        ],
    )
}

/// The conditions.
fn when() -> Vec<Key> {
    let statuses = one_or_many(&word(&Status::ALL.map(Status::as_str)));
    let percent = json!({ "type": "string", "pattern": r"^\s*[0-9.]+\s*%\s*$|\$\{" });
    let failure_rate = mapping(
        "More than this share of the last so many runs failed.",
        [
            must("over", whole(), "How many runs are counted; with fewer nothing is said."),
            must("above", percent, "The share that is too much, as in 25%."),
        ],
    );
    let missing = mapping(
        "No run was planned or started for a due time.",
        [
            key(
                "schedule",
                schedule(),
                "The due times: a crontab line. Left out: the job's own schedule (schedulerx).",
            ),
            key("grace", duration(), "How late a run may come. Default: 15m."),
        ],
    );
    let slower = mapping(
        "A run takes longer than the job's own runs usually do.",
        [
            key("factor", number(), "So many times the usual duration. Default: 2."),
            key("over", duration(), "How far back runs are compared with. Default: 30d."),
            key("min_runs", whole(), "With fewer runs to compare with nothing is said. Default: 10."),
        ],
    );
    let statuses_says = "The run is in one of these statuses.";
    let lasted = "It has lasted at least this long (waiting: since it was due; running: since it started).";
    vec![
        key("status", statuses, statuses_says),
        key("duration", duration(), lasted),
        key("job_status", one_or_many(&job_status()), "The job itself is in one of these; about no run. Stands alone."),
        key("consecutive", whole(), "The last so many runs of the job failed."),
        key("failure_rate", failure_rate, "More than this share of the last so many runs failed."),
        key("not_finished_by", clock_time(), "The day's run has not succeeded by this time of day."),
        key("not_started_by", clock_time(), "The day's run has not started by this time of day."),
        key("warn_at", clock_time(), "When a deadline is warned of."),
        key("days", one_or_many(&deadline_day()), "The days of the week that have the deadline: mon, mon-fri."),
        key("missing", missing, "No run was planned or started for a due time of a schedule."),
        key("slower_than_usual", slower, "The run takes longer than the job's own runs usually do."),
    ]
}

fn weekdays() -> String {
    let words: Vec<&str> = WEEKDAYS.iter().flat_map(|(short, long, _)| [*short, *long]).collect();
    any_case(&words)
}

/// A day of the week or a range of them.
fn deadline_day() -> Value {
    let day = weekdays();
    let pattern = format!(r"^\s*({day})\s*(-\s*({day})\s*)?$|\$\{{");
    json!({ "anyOf": [{ "enum": WEEKDAYS.map(|(short, _, _)| short) }, { "type": "string", "pattern": pattern }] })
}

/// A day of a mute window.
fn window_day() -> Value {
    let mut words: Vec<&str> = WEEKDAYS.map(|(short, _, _)| short).to_vec();
    words.extend(["workdays", "days-off", "holidays"]);
    let pattern = format!(r"^({})$|\$\{{", weekdays());
    json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": pattern }] })
}

/// Labels that are wanted, in a `match` about alerts or digests.
fn labels_key() -> Key {
    key("labels", wanted_labels(), "Labels of the rule or the source: { team: finance }; a list means \"one of\".")
}

/// A `match` about alerts.
fn alert_match_key() -> Key {
    key("match", alert_match(), "Which alerts; without it, every one.")
}

/// A `match` about alerts, or nothing.
pub(super) fn alert_match() -> Value {
    let keys = matches().into_iter().chain([
        key("rule", names(), "Ids of rules."),
        key("severity", one_or_many(&severity()), "How bad the alert is."),
        labels_key(),
    ]);
    or_nothing(mapping(MATCH, keys))
}

fn route() -> Value {
    let keys = [alert_match_key(), notify_key().required()];
    mapping("Who else is told of alerts of some kind, beside the receivers that the rule names.", keys)
}

/// `defaults`: what the rules of one file have in common.
pub(super) fn defaults() -> Value {
    let keys = [
        key("severity", severity(), "For rules that name none."),
        telling::notify_or_steps(),
        telling::group(),
        key("timezone", zone(), "For rules that look at the clock and name none."),
        key("labels", labels(), "Each for rules that do not have it."),
        key("match", json!({ "$ref": "#/$defs/match" }), "Each key for rules that do not have it."),
    ];
    mapping("What the rules of this file have in common, where a rule does not say it itself.", keys)
}

/// `self`: who hears of trouble with Nightbell itself.
pub(super) fn own() -> Value {
    let keys = [
        must("notify", names(), "Who is told of trouble with sources, receivers and the configuration."),
        key("unreadable_after", duration(), "How long a source must be unreadable to be told."),
        key("source_unreadable", flag(), "Tell of sources that cannot be read. Default: true."),
        key("source_incomplete", flag(), "Tell of sources that can be read in part only. Default: true."),
        key("receiver_dead", flag(), "Tell of receivers that nothing reaches. Default: true."),
        key("reload_refused", flag(), "Tell of a changed configuration that is refused. Default: true."),
        key("loop_failing", flag(), "Tell of a background loop that does not work. Default: true."),
    ];
    mapping("Who hears of trouble with sources and receivers, and with Nightbell itself.", keys)
}

/// `heartbeat`: whom Nightbell tells that it works.
pub(super) fn heartbeat() -> Value {
    let keys = [
        must("url", secret(), "What is asked as long as Nightbell works: an address of a dead man's switch."),
        key("every", duration(), "How often. Default: 1m."),
        key("ca_file", path(), "A certificate authority to trust beside the system's (PEM)."),
    ];
    mapping("Whom Nightbell tells that it works.", keys)
}

fn mute_window() -> Value {
    let mut window = mapping(
        "A recurring time in which new alerts of some kind are recorded and not told.",
        [
            alert_match_key(),
            key("days", one_or_many(&window_day()), "mon … sun, workdays, days-off, holidays. Without it: every day."),
            key("from", clock_time(), "When it opens, as in \"22:00\"."),
            key("to", clock_time(), "When it closes; of the next day unless it is later than \"from\"."),
            key(
                "calendar",
                flexible(json!({ "type": "string" })),
                "What workdays and holidays go by: cn, or one of yours.",
            ),
            key("schedule", schedule(), "Instead of days, from and to: it opens whenever this is due."),
            key("for", duration(), "How long a scheduled window is open."),
            key("timezone", zone(), "Its zone, where it is not the file's."),
        ],
    );
    window["dependentRequired"] = json!({ "schedule": ["for"], "for": ["schedule"] });
    window
}

fn calendar() -> Value {
    let says = "A calendar of yours; one with the name of a built-in one adds years to it.";
    mapping(says, [must("file", texts(), "The file or files that hold its years, holidays and workdays.")])
}

fn digest() -> Value {
    let labelled = matches().into_iter().chain([labels_key()]);
    let spread = json!({ "anyOf": [duration(), { "enum": [0, "0", "0s"] }] });
    mapping(
        "A summary of a period.",
        [
            must("schedule", schedule(), "When it is due: a crontab line."),
            key("timezone", zone(), "The zone of the schedule and of the chart."),
            key("match", or_nothing(mapping(MATCH, labelled)), "Which instances; without it, every one."),
            key("period", duration(), "How far back. Without it, everything since the last one."),
            key("spread", spread, "Receivers are sent to at different seconds of this span; 0s for at once."),
            notify_key().required(),
        ],
    )
}
