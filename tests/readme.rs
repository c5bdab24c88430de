//! The README and the documents under docs/ are checked: their configurations load, their webhook body is the real one,
//! their commands exist, their links lead somewhere; the Chinese README says what the English one says.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, Parser as _};
use nightbell::cli::Cli;
use nightbell::config::{Config, LoadOptions};
use nightbell::model::MessageKind;
use nightbell::template::sample_message;

use crate::program::{Stage, TELL_FAILURES, failed, text};

const README: &str = include_str!("../README.md");
const README_ZH: &str = include_str!("../README.zh.md");
const MESSAGES: &str = include_str!("../docs/messages.md");
const SOURCES: &str = include_str!("../docs/sources.md");

/// A document with its path from the project's root.
struct Document {
    path: PathBuf,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The documents for users.
fn documents() -> Vec<Document> {
    let mut paths: Vec<PathBuf> =
        ["README.md", "README.zh.md", "SECURITY.md", "CONTRIBUTING.md"].map(PathBuf::from).into();
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        paths.push(entry.unwrap().path().strip_prefix(root()).unwrap().to_path_buf());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    let read = |path: PathBuf| Document { text: std::fs::read_to_string(root().join(&path)).unwrap(), path };
    paths.into_iter().map(read).collect()
}

/// The fenced blocks of one language in a text.
fn blocks_in<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(fence.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The fenced blocks of one language in the README.
pub(crate) fn blocks(language: &str) -> Vec<&'static str> {
    blocks_in(README, language)
}

fn assert_clean(what: &str, text: &str) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rules.yaml");
    std::fs::write(&path, text).unwrap();
    let loaded = Config::load(&path, &LoadOptions { offline: true })
        .unwrap_or_else(|problem| panic!("{what}:\n{problem}\n{text}"));
    assert!(loaded.warnings.is_empty(), "{what}: {:?}", loaded.warnings);
}

#[test]
fn every_configuration_in_the_documents_is_clean() {
    let mut seen = 0;
    for document in documents() {
        for text in blocks_in(&document.text, "yaml") {
            assert_clean(&document.path.display().to_string(), text);
            seen += 1;
        }
        // A recipe stands under "rules:", in a file with a source and two receivers.
        for recipe in blocks_in(&document.text, "yaml recipe") {
            let rule: String = recipe.lines().map(|line| format!("  {line}\n")).collect();
            let base = blocks("yaml")[0].split("rules:").next().unwrap();
            let base = base.replace(
                "receivers:\n",
                "timezone: Asia/Shanghai\nreceivers:\n  team: { type: wecom, webhook_url: { env: W } }\n",
            );
            let others = "  others: { when: { status: [fail, running-exception] }, notify: [oncall, team] }\n";
            assert_clean(&document.path.display().to_string(), &format!("{base}rules:\n{rule}{others}"));
            seen += 1;
        }
    }
    assert!(seen >= 15, "{seen}");
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
fn the_webhook_body_in_the_documents_has_the_keys_of_the_real_one() {
    let shown: serde_json::Value = serde_json::from_str(blocks_in(MESSAGES, "json")[0]).unwrap();
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
    let tables: Vec<(&str, Vec<(&str, &str)>)> = SOURCES
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

/// The words of a command line, as a shell splits them.
fn shell_words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The command lines in the blocks of a document: what stands after a `$`, without its comment.
fn typed(text: &str) -> Vec<String> {
    let lines = blocks_in(text, "console").into_iter().flat_map(str::lines).filter_map(|line| line.strip_prefix("$ "));
    lines.map(|line| line.split("  #").next().unwrap().trim().to_string()).collect()
}

/// Those, and what stands between backticks.
fn commands(text: &str) -> Vec<String> {
    let prose: String = text.split("```").step_by(2).collect();
    let named = quoted(&prose).map(|code| code.split_whitespace().collect::<Vec<_>>().join(" "));
    named.chain(typed(text)).collect()
}

/// Whether the program understands what a document tells people to type: placeholders stand for something.
fn assert_understood(place: &str, command: &str) {
    let is_cut = command.contains('…');
    let command = command.split([';', '>', '|']).next().unwrap().replace('…', "").replace(" expire ID", " expire 7");
    // `sudo -u nightbell nightbell status`: the program, and not the user.
    let command =
        command.split("nightbell nightbell ").last().map(|rest| rest.trim_start_matches("nightbell ")).unwrap();
    let words = shell_words(&format!("nightbell {command}"));
    match Cli::try_parse_from(&words) {
        Ok(_) => {}
        Err(error) if !error.use_stderr() => {}
        // A command is named, and not typed: `nightbell silence`, `nightbell silence add …`.
        Err(error)
            if (words.len() == 2 || is_cut) && error.kind() == clap::error::ErrorKind::MissingRequiredArgument => {}
        Err(error) => panic!("{place}: {command}: {error}"),
    }
}

#[test]
fn every_command_in_the_documents_is_understood() {
    let mut seen = BTreeSet::new();
    for document in documents() {
        let place = document.path.display().to_string();
        for command in commands(&document.text) {
            if command.starts_with("nightbell ") || command.contains("nightbell nightbell ") {
                assert_understood(&place, &command);
                seen.insert(command);
            }
        }
        for command in typed(&document.text) {
            for path in
                command.split(' ').filter(|word| ["tests/", "packaging/", ".ci/"].iter().any(|it| word.starts_with(it)))
            {
                assert!(root().join(path).exists(), "{place}: {command}: there is no {path}");
            }
        }
    }
    assert!(seen.len() > 30, "{seen:?}");
    let said: String = seen.into_iter().collect::<Vec<_>>().join("\n");
    for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = format!("nightbell {}", command.get_name());
        let demo = format!("-- {}", command.get_name());
        assert!(said.contains(&name) || README.contains(&demo), "no document tells of {name}");
    }
}

/// What the README tells the person on call to type is typed.
#[tokio::test(flavor = "multi_thread")]
async fn the_commands_for_the_person_on_call_work() {
    let stage = Stage::set(TELL_FAILURES).await;
    stage.workspace.put(failed("etl_orders", 34765));
    stage.once(0).await;
    let id = stage.listed("alerts").await[0]["alert"]["id"].as_str().unwrap()[..8].to_string();
    let section = README.split("## On call").nth(1).unwrap();
    let lines = typed(section.split("\n## ").next().unwrap());
    let lines: Vec<&String> = lines.iter().filter(|line| line.starts_with("nightbell ")).collect();
    assert!(lines.len() > 5, "{lines:?}");
    for line in lines {
        let words: Vec<String> = shell_words(line).into_iter().skip(1).collect();
        let words: Vec<&str> = words.iter().map(|word| if word == "46030c65" { &id } else { word.as_str() }).collect();
        let output = stage.output(&words).await;
        // Nothing runs here, which status says with its exit code.
        let expected = if words[0] == "status" { 1 } else { 0 };
        assert_eq!(output.status.code(), Some(expected), "{line}: {}", text(&output.stderr));
    }
}

/// The anchor that a heading gets where Markdown is shown.
fn anchor(heading: &str) -> String {
    let kept = heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .collect::<String>();
    kept.trim().replace(' ', "-")
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let mut seen = 0;
    for document in documents() {
        let prose: String = document.text.split("```").step_by(2).collect();
        for target in prose.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if target.contains("://") || target.contains('{') {
                continue;
            }
            seen += 1;
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let here = document.path.parent().unwrap();
            let path = if file.is_empty() { root().join(&document.path) } else { root().join(here).join(file) };
            assert!(path.exists(), "{}: {target}", document.path.display());
            if !heading.is_empty() {
                let text = std::fs::read_to_string(&path).unwrap();
                let headings =
                    text.lines().filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#')));
                assert!(headings.into_iter().any(|it| it == heading), "{}: {target}", document.path.display());
            }
        }
    }
    assert!(seen > 30, "{seen}");
}

/// What of a text is the same in every language: levels of headings, blocks without their comments, targets of links.
fn bones(text: &str) -> Vec<String> {
    let mut bones = Vec::new();
    for (index, part) in text.split("```").enumerate() {
        if index % 2 == 1 {
            let lines =
                part.lines().map(|line| line.split("  #").next().unwrap().split(" # ").next().unwrap().trim_end());
            bones.push(lines.collect::<Vec<_>>().join("\n"));
            continue;
        }
        for line in part.lines() {
            if line.starts_with('#') {
                bones.push(line.chars().take_while(|c| *c == '#').collect());
            } else if line.starts_with('|') {
                let cells: Vec<&str> = line.split('|').collect();
                bones.push(format!("{} cells: {}", cells.len(), quoted(line).collect::<Vec<_>>().join(" ")));
            }
            let links = line.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
            bones.extend(links.filter(|link| !link.starts_with("README")).map(str::to_string));
        }
    }
    bones
}

#[test]
fn the_chinese_readme_has_the_headings_blocks_and_links_of_the_english_one() {
    let (english, chinese) = (bones(README), bones(README_ZH));
    for (en, zh) in english.iter().zip(&chinese) {
        assert_eq!(en, zh, "README.zh.md does not follow README.md");
    }
    assert_eq!(english.len(), chinese.len());
}

#[test]
fn the_readme_can_be_read_in_five_minutes() {
    for text in [README, README_ZH] {
        assert!(text.lines().count() <= 200, "{} lines", text.lines().count());
    }
}
