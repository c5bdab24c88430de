//! The keys of the file, from which all other tables of keys can be reached.
//!
//! Data only: what a reader takes, the schema prints and the reference tells.

use super::schema;
use super::{
    calendars, defaults, digests, guide, hours, inhibit, mute, own, receivers, routes, rule_tests, rules, sources,
    store, web, words,
};
use crate::yaml::{Key, Keys, Shape};

/// The keys of the file.
pub(super) static FILE: Keys = Keys::of(
    "file",
    "The configuration of Nightbell: what is watched, who is notified, and when. `nightbell check` says everything that is \
     wrong with it.",
    &[&[
        Key::new("version", Shape::Other("1", version), "The version of this file's form.").required().example("1"),
        Key::new("timezone", Shape::Zone, "The zone of schedules and of the times in messages.").default("UTC"),
        Key::new("language", Shape::Word(words::languages), "The language of messages.").default("en"),
        Key::new("store", Shape::TextOr(&store::STORE), "Where Nightbell remembers what it saw and what is pending.")
            .default("sqlite://nightbell.db"),
        Key::new(
            "retention",
            Shape::Duration,
            "How long alerts, deliveries and runs are kept after they ended: 8d to 400d.",
        )
        .default("30d"),
        Key::new(
            "templates",
            Shape::Text,
            "A directory whose templates replace the built-in ones, by kind of receiver: templates/slack/…",
        ),
        Key::new(
            "sources",
            Shape::ByKind(&sources::SOURCE, source_kinds),
            "The schedulers that are polled, by a name of yours: letters, digits, - _ and .",
        )
        .required(),
        Key::new(
            "receivers",
            Shape::ByKind(&receivers::RECEIVER, receiver_kinds),
            "The places that are notified, by a name of yours.",
        ),
        Key::new(
            "rules",
            Shape::ByName(&rules::RULE),
            "What people must hear about. The key is the rule's id: it is part of every alert.",
        ),
        Key::new("jobs", Shape::ByName(&guide::JOBS), "What is said of the alerts of some jobs, by a name of yours."),
        Key::new(
            "mute_windows",
            Shape::ByName(&mute::MUTE_WINDOW),
            "Recurring times in which new alerts of some kind are not sent.",
        )
        .also(&["mute", "mutes", "mute_time_intervals"]),
        Key::new(
            "windows",
            Shape::ByName(&hours::WINDOW),
            "Recurring times by name, for during and hold of routes and steps. They mute nothing.",
        ),
        Key::new("inhibit", Shape::ByName(&inhibit::INHIBITION), "Alerts that hold back what only follows from them.")
            .also(&["inhibitions", "inhibit_rules"]),
        Key::new("calendars", Shape::ByName(&calendars::CALENDAR), "Working days and holidays, for days."),
        Key::new("routes", Shape::ByName(&routes::ROUTE), "Who else is notified of alerts of some kind."),
        Key::new("defaults", Shape::Mapping(&defaults::COMMON), "What the rules of this file have in common."),
        Key::new(
            "self",
            Shape::Mapping(&own::OWN),
            "Who hears of trouble with sources and receivers, and with Nightbell itself.",
        )
        .example("{ notify: [oncall, team] }"),
        Key::new("heartbeat", Shape::Mapping(&own::HEARTBEAT), "Whom Nightbell reports to that it works.")
            .example("{ url: { env: HEARTBEAT_URL } }"),
        Key::new(
            "web",
            Shape::Mapping(&web::WEB),
            "The page, the API and the metrics: where they are served and who may look.",
        ),
        Key::new(
            "tests",
            Shape::ByName(&rule_tests::TEST),
            "What the rules must report of given runs: `nightbell test` plays them.",
        ),
        Key::new(
            "digests",
            Shape::ByName(&digests::DIGEST),
            "Summaries of a period, delivered like any other message.",
        ),
    ]],
);

fn source_kinds() -> Vec<(&'static str, &'static Keys)> {
    crate::source::KINDS.iter().map(|kind| (kind.word, kind.keys)).collect()
}

fn receiver_kinds() -> Vec<(&'static str, &'static Keys)> {
    crate::notify::KINDS.iter().map(|kind| (kind.word, kind.keys)).collect()
}

fn version() -> serde_json::Value {
    schema::flexible(serde_json::json!({ "enum": [1, "1"] }))
}
