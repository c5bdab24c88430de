//! `nightbell doctor`: what real accounts answer to the questions that documents leave open.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::ground::{Exit, Failure};
use super::names::unknown;
use super::output::{complain, print, table};
use crate::app::{self, Examined, Kept};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::source::Grade;
use crate::store::StoreError;
use crate::template::display_text;

pub(super) async fn doctor(config: &Config, source: Option<&str>, is_json: bool) -> Result<Exit, Failure> {
    let wanted = |id: &str| source.is_none_or(|source| source == id);
    let chosen: Vec<_> = config.sources.iter().filter(|settings| wanted(settings.id.as_str())).collect();
    if let (Some(source), true) = (source, chosen.is_empty()) {
        return Err(unknown("source", source, config.sources.iter().map(|settings| settings.id.as_str())));
    }
    let mut examined = Vec::with_capacity(chosen.len());
    for settings in chosen {
        let message = format!("asking {}", settings.id);
        let progress = indicatif::ProgressBar::new_spinner().with_message(message);
        progress.enable_steady_tick(Duration::from_millis(120));
        let one = app::examine(settings, Arc::new(SystemClock)).await;
        progress.finish_and_clear();
        show(&one, is_json)?;
        examined.push(one);
    }
    match app::keep_learnt(config, &examined).await {
        Kept::Stored => complain("findings saved; `nightbell run` uses them"),
        Kept::Nothing => {}
        Kept::Not(StoreError::Held { pid, .. }) => complain(format_args!(
            "findings were not saved: process {pid} holds the store. Stop it, run doctor again, start it."
        )),
        Kept::Not(error) => complain(format_args!("findings were not saved: {error}")),
    }
    let is_bad = examined.iter().flat_map(|one| &one.findings).any(|finding| finding.grade == Grade::Bad);
    Ok(if is_bad { Exit::Failed } else { Exit::Done })
}

fn show(examined: &Examined, is_json: bool) -> std::io::Result<()> {
    let Examined { id, kind, findings, .. } = examined;
    if is_json {
        for finding in findings {
            print(json!({
                "source": id,
                "type": kind,
                "question": finding.question,
                "answer": finding.answer,
                "grade": finding.grade.as_str(),
                "help": finding.help,
            }))?;
        }
        return Ok(());
    }
    let rows = findings
        .iter()
        .map(|finding| {
            let help = finding.help.as_ref().map(|help| format!("\n-> {}", display_text(help))).unwrap_or_default();
            let answer = format!("{}{help}", display_text(&finding.answer));
            vec![mark(finding.grade).to_string(), display_text(&finding.question), answer]
        })
        .collect();
    let heading = format!("{id} ({kind})");
    print(format_args!("{heading}\n{}\n", table(&["", "QUESTION", "ANSWER"], rows)))
}

/// What a person sees first.
fn mark(grade: Grade) -> &'static str {
    match grade {
        Grade::Good => "ok",
        Grade::Notice => "note",
        Grade::Bad => "BAD",
        Grade::Open => "?",
    }
}
