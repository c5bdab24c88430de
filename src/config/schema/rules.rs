//! The keys of rules, mute windows, calendars and digests.

use serde_json::{Map, Value, json};

use super::telling;
use super::values::{
    Key, any_case, clock_time, duration, flag, flexible, job_status, key, labels, mapping, must, not_empty, number,
    one_or_many, path, schedule, secret, texts, wanted_labels, whole, word, zone,
};
use crate::config::calendars::WEEKDAYS;
use crate::config::days::CALENDAR_WORDS;
use crate::model::{InstanceType, Severity, Status};
use crate::rule::Recovers;

pub(super) fn definitions() -> Map<String, Value> {
    let all = [
        ("rule", rule()),
        ("match", not_empty(mapping(MATCH, matches()))),
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
        key("source", texts(), "Names from \"sources\"."),
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
    key("notify", texts(), "Whom to tell: names from \"receivers\".")
}

fn rule() -> Value {
    let mut when = mapping("What must hold.", when());
    when["minProperties"] = json!(1);
    mapping(
        "A rule: what it matches, what must hold, who is told.",
        [
            match_key(),
            must("when", when, "What must hold: a status, a duration or another condition; any: true for every run."),
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
        ]
        .into_iter()
        .chain(days_keys()),
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
    let mut keys = vec![
        key("any", flag(), "Every run, told once when it has ended. Stands alone."),
        key("status", statuses, statuses_says),
        key("duration", duration(), lasted),
        key("job_status", one_or_many(&job_status()), "The job itself is in one of these; about no run. Stands alone."),
        key("consecutive", whole(), "The last so many runs of the job failed."),
        key("failure_rate", failure_rate, "More than this share of the last so many runs failed."),
        key("not_finished_by", clock_time(), "The day's run has not succeeded by this time of day."),
        key("not_started_by", clock_time(), "The day's run has not started by this time of day."),
        key("warn_at", clock_time(), "When a deadline is warned of."),
        key("missing", missing, "No run was planned or started for a due time of a schedule."),
        key("slower_than_usual", slower, "The run takes longer than the job's own runs usually do."),
    ];
    keys.extend(days_keys());
    keys
}

fn weekdays() -> String {
    let words: Vec<&str> = WEEKDAYS.iter().flat_map(|(short, long, _)| [*short, *long]).collect();
    any_case(&words)
}

/// A word under `days`.
fn day() -> Value {
    let (weekdays, words) = (weekdays(), any_case(&[&CALENDAR_WORDS[..], &["last"]].concat()));
    let pattern = format!(r"^\s*(({weekdays})\s*(-\s*({weekdays})\s*)?|{words}|0?[1-9]|[12][0-9]|3[01])\s*$|\$\{{");
    let of_month = json!({ "type": "integer", "minimum": 1, "maximum": 31 });
    let names = WEEKDAYS.map(|(short, _, _)| short);
    json!({ "anyOf": [{ "enum": names }, { "enum": CALENDAR_WORDS }, of_month, { "type": "string", "pattern": pattern }] })
}

/// `days` and the calendar that they go by.
fn days_keys() -> [Key; 2] {
    let days =
        "mon … sun, mon-fri, workdays, days-off, holidays, days of the month (1, 15, last). Without it: every day.";
    let calendar = flexible(json!({ "type": "string" }));
    [
        key("days", one_or_many(&day()), days),
        key("calendar", calendar, "What workdays and holidays go by: cn, or one of yours."),
    ]
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
        key("rule", texts(), "Ids of rules."),
        key("severity", one_or_many(&severity()), "How bad the alert is."),
        labels_key(),
    ]);
    not_empty(mapping(MATCH, keys))
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
        must("notify", texts(), "Who is told of trouble with sources, receivers and the configuration."),
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
            key("from", clock_time(), "When it opens, as in \"22:00\"."),
            key("to", clock_time(), "When it closes; of the next day unless it is later than \"from\"."),
            key("schedule", schedule(), "Instead of days, from and to: it opens whenever this is due."),
            key("for", duration(), "How long a scheduled window is open."),
            key("timezone", zone(), "Its zone, where it is not the file's."),
        ]
        .into_iter()
        .chain(days_keys()),
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
            key("match", not_empty(mapping(MATCH, labelled)), "Which instances; without it, every one."),
            key("period", duration(), "How far back. Without it, everything since the last one."),
            key("spread", spread, "Receivers are sent to at different seconds of this span; 0s for at once."),
            notify_key().required(),
        ],
    )
}
