//! `nightbell test`: the tests of the rules, played by the parts that decide when Nightbell runs.

use std::fmt::Write as _;

use serde_json::json;

use super::output::{complain, print};
use super::{Exit, Failure};
use crate::config::{Config, RuleTest};
use crate::template::display_text;
use crate::worker::replay::{Rehearsal, ReplayError, Telling, Theatre};

/// Which tests are run, and how they are shown.
#[derive(Debug, clap::Args)]
pub(super) struct Chosen {
    /// Only these tests; all of them when it is left out.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// One JSON object a line, one for each test.
    #[arg(long)]
    json: bool,
}

pub(super) async fn test(config: &Config, chosen: &Chosen) -> Result<Exit, Failure> {
    let known = || config.tests.iter().map(|test| test.name.as_str());
    if let Some(name) = chosen.names.iter().find(|name| !known().any(|known| known == name.as_str())) {
        return Err(super::unknown("test", name, known()));
    }
    let is_chosen = |test: &&RuleTest| chosen.names.is_empty() || chosen.names.contains(&test.name);
    let tests: Vec<&RuleTest> = config.tests.iter().filter(is_chosen).collect();
    if tests.is_empty() {
        complain("there are no tests; rules.example.yaml shows how to write some under \"tests\"");
        return Ok(Exit::Done);
    }
    let theatre = Theatre::open(config)?;
    let width = tests.iter().map(|test| test.name.chars().count()).max().unwrap_or(0);
    let mut failed = 0;
    for test in &tests {
        let outcome = theatre.rehearse(config, test).await;
        failed += usize::from(!has_passed(&outcome));
        match chosen.json {
            true => print(line(test, &outcome))?,
            false => print(text(test, &outcome, width))?,
        }
    }
    if !chosen.json {
        print(format_args!("\n{}", sum(tests.len(), failed)))?;
    }
    Ok(if failed == 0 { Exit::Done } else { Exit::Failed })
}

/// Runs every test of a configuration that is being checked; what fails is told as `nightbell test` does. Returns how
/// many there are, and how many failed.
pub(super) async fn all(config: &Config) -> Result<(usize, usize), Failure> {
    if config.tests.is_empty() {
        return Ok((0, 0));
    }
    let theatre = Theatre::open(config)?;
    let mut failed = 0;
    for test in &config.tests {
        let outcome = theatre.rehearse(config, test).await;
        if !has_passed(&outcome) {
            failed += 1;
            complain(text(test, &outcome, test.name.chars().count()));
        }
    }
    Ok((config.tests.len(), failed))
}

fn has_passed(outcome: &Result<Rehearsal, ReplayError>) -> bool {
    outcome.as_ref().is_ok_and(|rehearsal| rehearsal.problems.is_empty())
}

fn sum(tests: usize, failed: usize) -> String {
    let noun = if tests == 1 { "test" } else { "tests" };
    match failed {
        0 => format!("{tests} {noun}, all passed"),
        failed => format!("{tests} {noun}, {failed} failed"),
    }
}

fn text(test: &RuleTest, outcome: &Result<Rehearsal, ReplayError>, width: usize) -> String {
    let name = &test.name;
    let rehearsal = match outcome {
        Ok(rehearsal) => rehearsal,
        Err(error) => return format!("FAILED  {name}\n          it cannot be played: {error}"),
    };
    if rehearsal.problems.is_empty() {
        let told = match rehearsal.told.len() {
            0 => "nobody is told".to_string(),
            1 => "1 alert told".to_string(),
            count => format!("{count} tellings"),
        };
        return format!("ok      {name:width$}  {told}");
    }
    let mut text = format!("FAILED  {name} ({}, line {})", test.file, test.line);
    for problem in &rehearsal.problems {
        let line = problem.line.map(|line| format!(" (line {line})")).unwrap_or_default();
        // Writing to a text cannot fail.
        let _ = write!(text, "\n          {}{line}", display_text(&problem.what));
        for note in &problem.notes {
            let _ = write!(text, "\n            {}", display_text(note));
        }
    }
    text
}

/// A test as one JSON object.
fn line(test: &RuleTest, outcome: &Result<Rehearsal, ReplayError>) -> serde_json::Value {
    let (problems, told) = match outcome {
        Ok(rehearsal) => {
            let problems: Vec<serde_json::Value> = rehearsal
                .problems
                .iter()
                .map(|problem| json!({ "line": problem.line, "what": problem.what, "notes": problem.notes }))
                .collect();
            (problems, rehearsal.told.iter().map(told_line).collect())
        }
        Err(error) => (
            vec![json!({ "line": test.line, "what": format!("it cannot be played: {error}"), "notes": [] })],
            Vec::new(),
        ),
    };
    let told: Vec<serde_json::Value> = told;
    json!({ "test": test.name, "file": test.file, "line": test.line, "passed": problems.is_empty(), "problems": problems, "told": told })
}

/// One telling as a JSON object.
pub(super) fn told_line(telling: &Telling) -> serde_json::Value {
    json!({
        "at": telling.at,
        "type": telling.kind.as_str(),
        "alert": telling.alert,
        "rule": telling.rule,
        "severity": telling.severity,
        "source": telling.source,
        "job": telling.job,
        "instance": telling.instance,
        "receivers": telling.receivers(),
        "summary": telling.summary,
    })
}
