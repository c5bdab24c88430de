//! `nightbell test` with the real binary: what it says of tests that fail, and of the example's, which pass.

use std::path::Path;

use crate::program::{nightbell, text};

/// A file of tests, and what is said of it: of each thing that can be wrong, in words that say what to change.
#[test]
fn what_fails_says_what_was_told_and_why_not_more() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/replay");
    let output = nightbell(&["test", "-c"]).arg(directory.join("failing.yaml")).output().unwrap();
    let (says, path) = (text(&output.stdout), directory.join("failing.txt"));
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(1), ""));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &says).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(says == expected, "--- says\n{says}--- should say\n{expected}");
}

#[test]
fn the_tests_of_the_example_pass_and_check_runs_them() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules.example.yaml");
    let output = nightbell(&["test", "--json", "-c"]).arg(&example).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let lines: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() >= 3 && lines.iter().all(|line| line["passed"] == true), "{lines:?}");
    let told = &lines[0]["told"];
    assert_eq!(told[0]["rule"], "etl-failed");
    assert_eq!(told[0]["at"], "2026-11-22T19:10:00Z");
    assert_eq!(told[0]["receivers"], serde_json::json!(["oncall", "pager"]));
    let checked = nightbell(&["check", "--offline", "-c"]).arg(&example).output().unwrap();
    assert!(text(&checked.stdout).contains(" rules, 3 tests; nothing is wrong"), "{}", text(&checked.stdout));
}

#[test]
fn check_refuses_a_file_whose_tests_fail_and_names_can_be_chosen() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/replay/failing.yaml");
    let checked = nightbell(&["check", "--offline", "-c"]).arg(&file).output().unwrap();
    let stderr = text(&checked.stderr);
    assert_eq!(checked.status.code(), Some(78), "{stderr}");
    assert!(stderr.contains("FAILED  held-back") && stderr.contains("error: 6 of 7 tests failed"), "{stderr}");
    let chosen = nightbell(&["test", "told-as-expected", "-c"]).arg(&file).output().unwrap();
    assert_eq!(chosen.status.code(), Some(0), "{}", text(&chosen.stdout));
    let misspelt = nightbell(&["test", "told-as-expcted", "-c"]).arg(&file).output().unwrap();
    assert_eq!(misspelt.status.code(), Some(2));
    assert!(text(&misspelt.stderr).contains("there is no test \"told-as-expcted\""));
}
