//! The catalogs of words: what messages say is there in every language, and nothing else is.

use std::collections::BTreeSet;
use std::path::Path;

use nightbell::model::{
    ActionKind, AlertState, DeliveryState, EndReason, InstanceType, MessageKind, ReasonCode, Severity, Status,
};
use nightbell::words::Language;

/// What stands between quotes behind every `before` in the files of a directory that end with `extension`.
fn quoted(directory: &str, extension: &str, before: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.to_string_lossy().ends_with(extension) {
                let text = std::fs::read_to_string(&path).unwrap();
                let keys = text.split(before).skip(1).filter_map(|rest| rest.split('"').next());
                found.extend(keys.map(str::to_string));
            }
        }
    }
    found
}

fn prefixed<'a>(
    prefix: &'a str,
    words: impl IntoIterator<Item = &'static str> + 'a,
) -> impl Iterator<Item = String> + 'a {
    words.into_iter().map(move |word| format!("{prefix}.{word}"))
}

#[test]
fn what_is_said_is_in_the_catalogs_and_nothing_else_is() {
    let mut said = quoted("templates", ".hbs", "{{t \"");
    said.extend(quoted("templates", ".hbs", "(t \""));
    for call in ["language.say(\"", "say(\""] {
        said.extend(quoted("src", ".rs", call));
    }
    for call in ["p.say(\"", "say_with(\""] {
        said.extend(quoted("templates/web", ".html", call));
        said.extend(quoted("src/web", ".rs", call));
    }
    // Keys that pages put together from a word, or keep in a table.
    said.extend(prefixed("web.ended", EndReason::ALL.map(EndReason::as_str)));
    said.extend(prefixed("web.delivery", DeliveryState::ALL.map(DeliveryState::as_str)));
    said.extend(prefixed("web.outcome", nightbell::metrics::ATTEMPT_OUTCOMES));
    said.extend(prefixed("web.number", ["critical", "error", "warning", "info", "running", "done"]));
    said.extend(prefixed("web.night", ["failing", "running", "rest"]));
    said.extend(prefixed("web.kind", ["firing", "resolved", "group", "digest", "test"]));
    said.extend(prefixed("web.day", ["met", "failed", "open", "unknown", "nothing"]));
    said.extend(prefixed("web.silence", ["job", "for", "until", "reason", "by"]));
    said.extend(prefixed("web.delivery", ["follows", "merged_into", "stands_in_for", "fallback", "dropped"]));
    said.extend(prefixed("web.story", ["told", "told_end", "told_with", "gathers"]));
    said.extend(prefixed("web.fault", ["missing", "forbidden", "broken", "wrong"]));
    let conditions =
        ["consecutive", "failure-rate", "not-finished-by", "not-started-by", "missing", "slower-than-usual"];
    said.extend(prefixed("web.condition", conditions));
    // These have several lines each.
    let deadlines = [ReasonCode::NotFinishedBy, ReasonCode::NotStartedBy];
    let several =
        |code: &ReasonCode| deadlines.contains(code) || matches!(code, ReasonCode::Status | ReasonCode::Missing);
    said.extend(prefixed("summary", ReasonCode::ALL.into_iter().filter(|code| !several(code)).map(ReasonCode::as_str)));
    for code in deadlines {
        let prefix = format!("summary.{}", code.as_str());
        said.extend(prefixed(&prefix, ["soon", "soon-none", "late", "late-none", "over"]));
    }
    said.extend(prefixed("summary.missing", ["now", "over"]));
    said.extend(prefixed("summary", ["settled", "job-exception", "job-stopped"]));
    // By the level of an alert, and by what it is about.
    let levels = || Severity::ALL.map(Severity::as_str).into_iter().chain([AlertState::Resolved.as_str()]);
    said.extend(prefixed("group.all", levels()).chain(prefixed("group.count", levels())));
    said.extend(["group.jobs", "group.jobs_of.schedulerx", "group.line", "group.line_over"].map(String::from));
    let together = ["recovered", "not-finished-by", "not-started-by", "missing", "slower-than-usual"];
    let statuses =
        ["waiting", "running", "fail", "running-exception", "pause", "manual-stop", "skip", "freeze", "rejected"];
    said.extend(prefixed("group.did", statuses.into_iter().chain(together)));
    said.extend(
        ["when_gap", "when_over", "job", "job_of.schedulerx", "source", "receiver", "loop", "replica", "itself"]
            .map(String::from),
    );
    said.extend(prefixed("suppressed_by", ["first-poll", "silence", "mute-window", "inhibited", "too-many-episodes"]));
    said.extend(prefixed("held_back", ["silence", "mute-window", "inhibited", "other"]));
    said.extend(prefixed("summary.status", Status::ALL.map(Status::as_str)));
    said.extend(prefixed("word", Status::ALL.map(Status::as_str)));
    said.extend(prefixed("word", Severity::ALL.map(Severity::as_str)));
    said.extend(prefixed("word", InstanceType::ALL.map(InstanceType::as_str)));
    said.extend(prefixed("word", [AlertState::Firing, AlertState::Resolved].map(AlertState::as_str)));
    said.extend(prefixed(
        "word",
        [MessageKind::Test.as_str(), "job", "not asked for", "could not be read", "not read", "configuration"],
    ));
    let reasons = ["cannot connect", "the answer broke off", "no answer within # s", "answered #"];
    said.extend(prefixed("word", reasons.into_iter().chain(["it panicked (this is a bug)"])));
    said.extend(prefixed("ack", ["taken", "given_up"]));
    said.extend(prefixed("web.kind", ["acknowledged", "unacknowledged"]));
    said.extend(prefixed("web.action", ActionKind::ALL.map(ActionKind::as_str)));
    said.insert("web.story.told_ack".to_string());
    said.extend(prefixed("lately", ["failed", "none_failed", "no_run"]));
    said.extend(prefixed("lately.ended", EndReason::ALL.map(EndReason::as_str)));
    said.extend(prefixed("digest", ["line", "line_several", "line_stopped"]));
    for language in Language::ALL {
        let there: BTreeSet<String> = language.keys().map(str::to_string).collect();
        let missing: Vec<_> = said.difference(&there).collect();
        let unused: Vec<_> = there.difference(&said).collect();
        assert!(missing.is_empty() && unused.is_empty(), "{language:?}: missing {missing:?}, unused {unused:?}");
    }
}
