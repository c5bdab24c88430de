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
    assert!(text(&checked.stdout).contains(" rules, 4 tests; "), "{}", text(&checked.stdout));
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

/// Steps, groups and inhibitions are played as the running program goes by them.
#[test]
fn alerts_go_further_in_tests_and_are_inhibited() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/replay/further.yaml");
    let output = nightbell(&["test", "-c"]).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let output = nightbell(&["test", "goes-further-between-polls", "--json", "-c"]).arg(&file).output().unwrap();
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let steps: Vec<&serde_json::Value> = line["told"].as_array().unwrap().iter().map(|told| &told["step"]).collect();
    assert_eq!(steps, [&serde_json::Value::Null, &2.into(), &3.into(), &serde_json::Value::Null]);
}

#[test]
fn a_failing_test_of_a_directory_tells_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/replay/further.yaml");
    std::fs::copy(data, directory.path().join("a.yaml")).unwrap();
    let wrong = "version: 1
tests:
  one-too-many:
    at: \"2026-11-23 10:00\"
    instances: []
    expect:
      - { rule: failed }
";
    std::fs::write(directory.path().join("b.yaml"), wrong).unwrap();
    let output = nightbell(&["test", "-c"]).arg(directory.path()).output().unwrap();
    let (says, file) = (text(&output.stdout), directory.path().join("b.yaml"));
    assert_eq!(output.status.code(), Some(1), "{says}");
    for line in [
        format!("FAILED  one-too-many ({}:3)\n", file.display()),
        format!("  expected: failed ({}:7)\n", file.display()),
    ] {
        assert!(says.contains(&line), "no {line:?} in\n{says}");
    }
    let checked = nightbell(&["check", "--offline", "-c"]).arg(directory.path()).output().unwrap();
    assert!(text(&checked.stderr).contains(&format!("({}:3)", file.display())), "{}", text(&checked.stderr));
    let output = nightbell(&["test", "one-too-many", "--json", "-c"]).arg(directory.path()).output().unwrap();
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line["file"], file.display().to_string());
}
