//! What `doctor` asks a described scheduler: can it be read, are its rows what the description says, and how many calls a
//! poll takes.
//!
//! One page of the list, as a poll would ask for it, and one run.

use jiff::{SignedDuration, Timestamp};

use super::budget;
use super::connection::HttpSource;
use super::listing::{ask_page, questions, read_page, rows};
use super::map::Run;
use super::pages::Reader;
use super::sample::shown;
use super::settings::Settings;
use crate::http::snippet;
use crate::model::Window;
use crate::source::contract::{Finding, Grade, SourceErrorKind};
use crate::source::kit::excerpt::without_secrets;

/// How far back the examination looks.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(24);
/// Rows that are shown.
const SHOWN: usize = 3;

/// Asks, and tells what was found.
pub(super) async fn examine(source: &HttpSource) -> Vec<Finding> {
    let settings = source.settings();
    let now = source.client.clock.now();
    let window = Window { from: now.saturating_sub(LOOK_BACK).unwrap_or(Timestamp::MIN), to: now };
    let mut findings = Vec::new();
    let reader = Reader::new(&settings.list.paging);
    // The latest day, where the scheduler is asked day by day.
    let values = questions(source, window).pop().unwrap_or_default();
    let answer = match ask_page(source, &settings.list, &reader, &values).await {
        Ok(answer) => answer,
        Err(error) => {
            let question =
                if error.kind == SourceErrorKind::Credentials { "Can it sign in?" } else { "Can runs be listed?" };
            return vec![Finding::of_error(question, error)];
        }
    };
    let (page, runs, set_aside) = match read_page(&answer, &settings.list, &settings.map, window) {
        Ok(read) => read,
        Err(error) => return vec![Finding::of_error("Can runs be listed?", error)],
    };
    let total = page.total.map(|total| format!(" of {total}")).unwrap_or_default();
    let answered = format!("yes: the first page has {}{total} runs of the last day", page.rows.len());
    findings.push(Finding::new("Can runs be listed?", answered, Grade::Good));
    let json = answer.json().ok();
    let raw = json.as_ref().and_then(|json| rows(&json.root(), &settings.list.items).ok()).unwrap_or_default();
    for (row, id) in raw.iter().zip(&page.rows).take(SHOWN) {
        let mapped = runs.iter().find(|run| run.whole_id() == *id);
        let mapped = mapped.map_or_else(|| "set aside".to_string(), |run| without_secrets(&shown(run)).into_owned());
        let grade = if mapped == "set aside" { Grade::Bad } else { Grade::Good };
        findings.push(Finding::new(
            "How is a row read?",
            format!("{mapped}\nfrom {}", without_secrets(&snippet(row.raw()))),
            grade,
        ));
    }
    findings.push(understood(&runs, set_aside.len()));
    let unseen = settings.never_seen(&runs);
    if !unseen.is_empty() {
        let finding = Finding::new("What was never seen?", unseen.join("; "), Grade::Notice);
        findings.push(finding.help("a field that no row has, or a status that never comes, may be misspelt"));
    }
    findings.push(long_runs(settings));
    findings.extend(calls(source, settings));
    findings
}

fn understood(runs: &[Run], set_aside: usize) -> Finding {
    let question = "Is every row understood?";
    let doubts: std::collections::BTreeSet<&String> = runs.iter().flat_map(|run| &run.doubts).collect();
    if set_aside == 0 && doubts.is_empty() {
        return Finding::new(question, "yes", Grade::Good);
    }
    let aside = (set_aside > 0).then(|| format!("{set_aside} rows lack an id, a job or a status"));
    let words: Vec<String> = aside.into_iter().chain(doubts.into_iter().cloned()).collect();
    Finding::new(question, words.join("; "), Grade::Bad).help("mend \"fields\" and \"status_map\"")
}

fn long_runs(settings: &Settings) -> Finding {
    let question = "Is the end of a long run seen?";
    if settings.run.is_some() {
        return Finding::new(question, "yes: a run that the list no longer has is looked up by \"run\"", Grade::Good);
    }
    Finding::new(question, "only if it ends within \"lookback\" of its plan time", Grade::Notice)
        .help("describe the request \"run\", or set \"lookback\" longer than the longest run")
}

fn calls(source: &HttpSource, settings: &Settings) -> Option<Finding> {
    let calls = settings.calls_per_day?;
    let (per_poll, minutes) = settings.plan();
    let spent = source.client.api.spent().count();
    let answer = format!(
        "{spent} of the {calls} calls of a day are used; a poll takes {per_poll} or more, so that one every {} is possible",
        budget::span(minutes)
    );
    let grade = if budget::is_coarse(minutes) { Grade::Notice } else { Grade::Good };
    let finding = Finding::new("How often can it be polled?", answer, grade);
    Some(if grade == Grade::Notice {
        finding.help("such a source serves rules about what must be ready by a time")
    } else {
        finding
    })
}
