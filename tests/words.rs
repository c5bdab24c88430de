//! The catalogs of words: what messages say is there in every language, and nothing else is.

use std::collections::BTreeSet;
use std::path::Path;

use nightbell::model::{
    ActionKind, AlertState, DeliveryState, EndReason, INTERRUPTED, InstanceType, MessageKind, NEVER_FIRED, ReasonCode,
    Severity, Status,
};
use nightbell::words::Language;

/// All that the program's code says, as it is written between quotes, one file behind the other.
fn code() -> String {
    let (mut code, mut directories) = (String::new(), vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")]);
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                // A text that goes on in the next line is one text, and what its tests expect is not written by it.
                let text = std::fs::read_to_string(&path).unwrap();
                let own = text.split("#[cfg(test)]").next().unwrap();
                for (index, line) in own.split("\\\n").enumerate() {
                    code.push_str(if index == 0 { line } else { line.trim_start() });
                }
            }
        }
    }
    code.replace("\\\"", "\"")
}

/// Reasons are read by their English phrases, so these must be what the code writes: one that was reworded there would be
/// told in English to everybody.
#[test]
fn reasons_are_read_by_what_the_code_writes() {
    let (code, mut stale) = (code(), Vec::new());
    for key in Language::En.keys().filter(|key| key.starts_with("reason.") || key.starts_with("help.")) {
        let said = Language::En.phrase(key).unwrap().fill(&|_| Some("\0".to_string()));
        let longest = said.split('\0').max_by_key(|piece| piece.len()).unwrap();
        // What stands before it says where in the configuration, and a name's kind is put in.
        let longest = longest.trim_start_matches(": ");
        let is_put_in = longest.starts_with("there is no ") && code.contains("there is no {what} {name:?}");
        if longest.len() < 6 || !(code.contains(longest) || is_put_in) {
            stale.push(format!("{key}: {longest:?}"));
        }
    }
    assert!(stale.is_empty(), "no code says {stale:#?}");
}

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
    for call in ["language.say(\"", "say(\"", "Saying::of(\""] {
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
    said.extend(prefixed("web.silence", ["job", "for", "by"]));
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
    said.extend(prefixed("concerns", ["source", "job", "rule", "severity", "label"]));
    said.extend(prefixed("word", [NEVER_FIRED, INTERRUPTED]));
    let reasons = ["cannot connect", "the answer broke off", "no answer within # s", "answered #"];
    said.extend(prefixed("word", reasons.into_iter().chain(["it panicked (this is a bug)"])));
    said.extend(prefixed("ack", ["taken", "given_up"]));
    said.extend(prefixed("web.kind", ["acknowledged", "unacknowledged"]));
    said.extend(prefixed("web.action", ActionKind::ALL.map(ActionKind::as_str)));
    said.insert("web.story.told_ack".to_string());
    said.extend(prefixed("lately", ["failed", "none_failed", "no_run"]));
    said.extend(prefixed("lately.ended", EndReason::ALL.map(EndReason::as_str)));
    said.extend(prefixed("digest", ["line", "line_several", "line_stopped"]));
    // What the code writes in English, for who reads another language.
    let read = |key: &&str| key.starts_with("reason.") || key.starts_with("help.");
    said.extend(Language::En.keys().filter(read).map(String::from));
    let loops = ["digest", "escalation", "fallback", "heartbeat", "housekeeping", "own", "remind", "unwatched"];
    said.extend(prefixed("loop_name", loops.into_iter().chain(["poll", "deliver"])));
    for language in Language::ALL {
        let there: BTreeSet<String> = language.keys().map(str::to_string).collect();
        let missing: Vec<_> = said.difference(&there).collect();
        let unused: Vec<_> = there.difference(&said).collect();
        assert!(missing.is_empty() && unused.is_empty(), "{language:?}: missing {missing:?}, unused {unused:?}");
    }
}

/// What stands in a Chinese sentence in Latin letters is a name: a key, a command, the program's own. Three words of English in a
/// row are a sentence that nobody has translated.
#[test]
fn no_english_is_left_in_chinese() {
    const NAMES: [&str; 2] = ["nightbell token create", "DataArts Factory API"];
    let english = regex::Regex::new(r"[A-Za-z']{2,}(?: [A-Za-z']{2,}){2,}").unwrap();
    for key in Language::Zh.keys() {
        let said = Language::Zh.phrase(key).unwrap().fill(&|_| Some("1".into()));
        let left: Vec<&str> = english.find_iter(&said).map(|it| it.as_str()).filter(|it| !NAMES.contains(it)).collect();
        assert!(left.is_empty(), "{key}: {left:?} in {said:?}");
    }
}
