//! `nightbell test`: the tests of the rules, played by the parts that decide when Nightbell runs.

use std::fmt::Write as _;

use serde_json::json;

use super::ground::{Exit, Failure};
use super::output::{complain, complain_of_own_schedules, print};
use crate::config::{Loaded, RuleTest};
use crate::template::display_text;
use crate::words::count_of;
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

pub(super) fn test(loaded: &Loaded, chosen: &Chosen) -> Result<Exit, Failure> {
    let config = &loaded.config;
    let known = || config.tests.iter().map(|test| test.name.as_str());
    if let Some(name) = chosen.names.iter().find(|name| !known().any(|known| known == name.as_str())) {
        return Err(super::names::unknown("test", name, known()));
    }
    let is_chosen = |test: &&RuleTest| chosen.names.is_empty() || chosen.names.contains(&test.name);
    let tests: Vec<&RuleTest> = config.tests.iter().filter(is_chosen).collect();
    if tests.is_empty() {
        complain("there are no tests; rules.example.yaml shows how to write some under \"tests\"");
        return Ok(Exit::Done);
    }
    complain_of_own_schedules(&config.rules);
    let theatre = Theatre::open(config)?;
    let width = tests.iter().map(|test| test.name.chars().count()).max().unwrap_or(0);
    let mut failed = 0;
    for test in &tests {
        let outcome = theatre.rehearse(config, test);
        failed += usize::from(!has_passed(&outcome));
        match chosen.json {
            true => print(line(test, &outcome, loaded))?,
            false => print(text(test, &outcome, width, file_of(test, loaded)))?,
        }
    }
    if !chosen.json {
        print(format_args!("\n{}", sum(tests.len(), failed)))?;
    }
    Ok(if failed == 0 { Exit::Done } else { Exit::Failed })
}

/// Runs every test of a configuration that is being checked; what fails is told as `nightbell test` does. Returns how
/// many there are, and how many failed.
pub(super) fn all(loaded: &Loaded) -> Result<(usize, usize), Failure> {
    let config = &loaded.config;
    if config.tests.is_empty() {
        return Ok((0, 0));
    }
    let theatre = Theatre::open(config)?;
    let mut failed = 0;
    for test in &config.tests {
        let outcome = theatre.rehearse(config, test);
        if !has_passed(&outcome) {
            failed += 1;
            complain(text(test, &outcome, test.name.chars().count(), file_of(test, loaded)));
        }
    }
    Ok((config.tests.len(), failed))
}

fn has_passed(outcome: &Result<Rehearsal, ReplayError>) -> bool {
    outcome.as_ref().is_ok_and(|rehearsal| rehearsal.problems.is_empty())
}

/// The name of the file that a test stands in, where there are several: of a single one everybody knows.
fn file_of<'a>(test: &RuleTest, loaded: &'a Loaded) -> Option<&'a str> {
    let file = loaded.files.get(usize::from(test.file)).filter(|_| loaded.files.len() > 1)?;
    Some(&file.name)
}

/// ` (line 12)`, or ` (rules.d/etl.yaml:12)` where there are several files.
fn place(file: Option<&str>, line: u32) -> String {
    match file {
        Some(file) => format!(" ({}:{line})", display_text(file)),
        None => format!(" (line {line})"),
    }
}

fn sum(tests: usize, failed: usize) -> String {
    let noun = if tests == 1 { "test" } else { "tests" };
    match failed {
        0 => format!("{tests} {noun}, all passed"),
        failed => format!("{tests} {noun}, {failed} failed"),
    }
}

fn text(test: &RuleTest, outcome: &Result<Rehearsal, ReplayError>, width: usize, file: Option<&str>) -> String {
    let name = &test.name;
    let rehearsal = match outcome {
        Ok(rehearsal) => rehearsal,
        Err(error) => {
            return format!("FAILED  {name}{}\n          it cannot be played: {error}", place(file, test.line));
        }
    };
    if rehearsal.problems.is_empty() {
        let told = match rehearsal.told.len() {
            0 => "nobody is notified".to_string(),
            count => format!("{} sent", count_of(count as u64, "alert")),
        };
        return format!("ok      {name:width$}  {told}");
    }
    let mut text = format!("FAILED  {name}{}", place(file, test.line));
    for problem in &rehearsal.problems {
        let line = problem.line.map(|line| place(file, line)).unwrap_or_default();
        // Writing to a text cannot fail.
        let _ = write!(text, "\n          {}{line}", display_text(&problem.what));
        for note in &problem.notes {
            let _ = write!(text, "\n            {}", display_text(note));
        }
    }
    text
}

/// A test as one JSON object.
fn line(test: &RuleTest, outcome: &Result<Rehearsal, ReplayError>, loaded: &Loaded) -> serde_json::Value {
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
    let (passed, file) = (problems.is_empty(), loaded.files.get(usize::from(test.file)));
    json!({
        "test": test.name,
        "file": file.map(|file| &file.name),
        "line": test.line,
        "passed": passed,
        "problems": problems,
        "told": told,
    })
}

/// One telling as a JSON object.
pub(super) fn told_line(telling: &Telling) -> serde_json::Value {
    json!({
        "at": telling.at,
        "type": telling.kind.as_str(),
        "step": telling.step,
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
