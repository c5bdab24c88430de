//! The README is checked: its configuration loads, its webhook body is the real one, its commands exist.

use std::collections::BTreeSet;

use nightbell::config::{Config, LoadOptions};
use nightbell::model::MessageKind;
use nightbell::template::sample_message;

const README: &str = include_str!("../README.md");

/// The fenced blocks of one language.
pub(crate) fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    README.split(fence.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_configuration_in_the_readme_is_clean() {
    let files = blocks("yaml");
    assert!(!files.is_empty());
    for text in files {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rules.yaml");
        std::fs::write(&path, text).unwrap();
        let loaded = Config::load(&path, &LoadOptions { offline: true }).unwrap_or_else(|problem| panic!("{problem}"));
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    }
}

/// Every key path of a JSON value.
fn paths(value: &serde_json::Value, at: &str, all: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                let path = format!("{at}.{key}");
                all.insert(path.clone());
                paths(value, &path, all);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| paths(item, &format!("{at}[]"), all)),
        _ => {}
    }
}

#[test]
fn the_webhook_body_in_the_readme_has_the_keys_of_the_real_one() {
    let shown: serde_json::Value = serde_json::from_str(blocks("json")[0]).unwrap();
    let real = sample_message(MessageKind::AlertFiring, "2026-11-21T00:05:03Z".parse().unwrap());
    let (mut in_readme, mut in_message) = (BTreeSet::new(), BTreeSet::new());
    paths(&shown, "", &mut in_readme);
    paths(&serde_json::to_value(&real).unwrap(), "", &mut in_message);
    assert_eq!(in_readme, in_message);
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_documented_field_becomes_something_that_there_is_or_says_why_it_is_left_out() {
    let message = sample_message(MessageKind::AlertFiring, "2026-11-21T00:05:03Z".parse().unwrap());
    let mut there_is = BTreeSet::new();
    paths(&serde_json::to_value(&message).unwrap()["data"], "", &mut there_is);
    // The tables: the words of the head, and the rows as (what is read, what becomes of it).
    let tables: Vec<(&str, Vec<(&str, &str)>)> = README
        .split("\n\n")
        .filter_map(|block| block.trim_start().strip_prefix("| ")?.split_once(" | becomes |\n|---|---|\n"))
        .map(|(head, rows)| {
            let cells = |row: &'static str| row.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ");
            (head, rows.lines().map(|row| cells(row).unwrap_or_else(|| panic!("{row}"))).collect())
        })
        .collect();
    let documents = include_str!("data/documented-fields.txt");
    let apis: Vec<(&str, &str)> = documents.lines().filter_map(|line| line.split_once(" | ")).collect();
    assert_eq!((apis.len(), tables.len()), (7, 7));
    for (api, fields) in apis {
        let (_, rows) =
            tables.iter().find(|(head, _)| head.contains(api)).unwrap_or_else(|| panic!("no table of {api}"));
        let read: BTreeSet<&str> = rows.iter().flat_map(|(read, _)| quoted(read)).collect();
        let missing: Vec<&str> = fields.split(' ').filter(|field| !read.contains(field)).collect();
        assert!(missing.is_empty(), "the table of {api} does not say what becomes of {missing:?}");
    }
    for (head, rows) in &tables {
        for (read, becomes) in rows {
            let targets: Vec<&str> = quoted(becomes).filter(|word| word.contains('.') && !word.contains(' ')).collect();
            for target in &targets {
                assert!(
                    there_is.contains(&format!(".{target}")),
                    "{head}: {read} becomes {target}, which there is not"
                );
            }
            let has_reason = becomes.strip_prefix("left out: ").is_some_and(|reason| reason.len() > 8);
            let is_said = !targets.is_empty() || has_reason || becomes.starts_with("held against ");
            assert!(is_said || becomes.starts_with("as above") || becomes.starts_with("success is "), "{head}: {read}");
        }
    }
}

#[test]
fn every_command_is_in_the_readme_and_has_help() {
    for command in [
        "run",
        "check",
        "demo",
        "doctor",
        "send-test",
        "alerts",
        "deliveries",
        "jobs",
        "instances",
        "silence",
        "ack",
        "unack",
        "close",
    ] {
        assert!(
            README.contains(&format!("nightbell {command}")) || README.contains(&format!("-- {command}")),
            "{command}"
        );
        let output =
            std::process::Command::new(env!("CARGO_BIN_EXE_nightbell")).args([command, "--help"]).output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{command} --help");
    }
}
