//! What `doctor` asks an Airflow: can it sign in, which version is it, does its scheduler live, does it show its DAGs and
//! their runs.
//!
//! A handful of read-only calls.

use jiff::{SignedDuration, Timestamp};

use super::api::get;
use super::connection::Airflow;
use super::{jobs, listing};
use crate::model::Window;
use crate::source::contract::{Finding, Grade};

/// How far back the examination looks.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(24);

/// Asks, and tells what was found; the first answer that ends everything ends the examination.
pub(super) async fn examine(source: &Airflow) -> Vec<Finding> {
    let mut findings = Vec::new();
    let dags = match jobs::read_dags(source).await {
        Ok(list) => list.dags,
        Err(error) => return vec![Finding::of_error("Can it sign in?", error)],
    };
    findings.push(Finding::new("Can it sign in?", "yes", Grade::Good));
    findings.push(version(source).await);
    findings.push(health(source).await);
    findings.push(match dags.len() {
        0 => Finding::new("Does it see its DAGs?", "it sees none", Grade::Bad)
            .help("let the user read DAGs (the role Viewer can), and check \"dags\""),
        count => Finding::new("Does it see its DAGs?", format!("yes: {count}"), Grade::Good),
    });
    let now = source.client.clock.now();
    let window = Window { from: now.saturating_sub(LOOK_BACK).unwrap_or(Timestamp::MIN), to: now };
    findings.push(match listing::read(source, window).await {
        Err(error) => Finding::of_error("Can runs be listed?", error),
        Ok(listing) => {
            let count = listing.instances.len();
            Finding::new(
                "Can runs be listed?",
                format!("yes: {count} of the last day, by {} requests", listing.requests),
                Grade::Good,
            )
        }
    });
    findings
}

async fn version(source: &Airflow) -> Finding {
    let question = "Which version is it?";
    match source.ask(&get(&["version"])).await {
        Err(error) => Finding::of_error(question, error),
        Ok(json) => {
            let version = json.root().find("/version").and_then(|spot| spot.text().map(std::borrow::Cow::into_owned));
            Finding::new(question, version.unwrap_or_else(|| "it does not say".to_string()), Grade::Good)
        }
    }
}

/// Whether the scheduler lives: while it does not, nothing starts and what runs stays as it is for ever.
async fn health(source: &Airflow) -> Finding {
    let question = "Does its scheduler live?";
    match source.ask(&get(&["monitor", "health"])).await {
        Err(error) => Finding::of_error(question, error),
        Ok(json) => {
            let text = |pointer: &str| {
                json.root().find(pointer).and_then(|spot| spot.text().map(std::borrow::Cow::into_owned))
            };
            let beat = text("/scheduler/latest_scheduler_heartbeat")
                .map(|at| format!(", last seen at {at}"))
                .unwrap_or_default();
            match text("/scheduler/status").as_deref() {
                Some("healthy") => Finding::new(question, "yes", Grade::Good),
                Some(word) => Finding::new(question, format!("it is {word}{beat}"), Grade::Bad)
                    .help("start the scheduler: until then runs do not begin, and those under way seem to go on"),
                None => Finding::new(question, "it does not say", Grade::Open),
            }
        }
    }
}
