//! The README and the documents under docs/ are checked: their configurations load, their webhook body is the real one,
//! their commands exist, their links lead somewhere; what is written in English and in Chinese says the same.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, Parser as _};
use nightbell::cli::Cli;
use nightbell::config::{Config, LoadOptions};
use nightbell::model::MessageKind;
use nightbell::template::sample_message;

use crate::program::{Stage, TELL_FAILURES, failed, text};

pub(crate) const README: &str = include_str!("../README.md");
const README_ZH: &str = include_str!("../README.zh.md");
const MESSAGES: &str = include_str!("../docs/messages.md");
const SOURCES: &str = include_str!("../docs/sources.md");

/// A document with its path from the project's root.
pub(crate) struct Document {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files under a directory, by their paths from the project's root.
pub(crate) fn files_under(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root().join(directory)).unwrap() {
        let path = directory.join(entry.unwrap().file_name());
        if root().join(&path).is_dir() {
            files.extend(files_under(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// The documents for users.
pub(crate) fn documents() -> Vec<Document> {
    let mut paths: Vec<PathBuf> =
        ["README.md", "README.zh.md", "SECURITY.md", "CONTRIBUTING.md"].map(PathBuf::from).into();
    paths.extend(files_under(Path::new("docs")));
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    let read = |path: PathBuf| Document { text: std::fs::read_to_string(root().join(&path)).unwrap(), path };
    paths.into_iter().map(read).collect()
}

/// A text without its fenced blocks.
pub(crate) fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
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
    // What stands under sources describes one source, and is tried in tests/described and tests/airflow.
    for document in documents().iter().filter(|document| !document.path.parent().unwrap().ends_with("sources")) {
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
pub(crate) fn quoted(text: &str) -> impl Iterator<Item = &str> {
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
pub(crate) fn shell_words(line: &str) -> Vec<String> {
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
pub(crate) fn typed(text: &str) -> Vec<String> {
    let lines = blocks_in(text, "console").into_iter().flat_map(str::lines).filter_map(|line| line.strip_prefix("$ "));
    lines.map(|line| line.split("  #").next().unwrap().trim().to_string()).collect()
}

/// Those, and what stands between backticks.
pub(crate) fn commands(text: &str) -> Vec<String> {
    let prose = prose(text);
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

/// Whether what a document has people type is a command of a kind that something tries: the program's own are typed by the
/// tests of this house, packages and archives by tests/packaging out of the document, the pods' against their manifests by
/// tests/packages, and so is how a release is verified against the workflow that signs it; of benches it is known that there are
/// some of that name.
fn assert_known(place: &str, command: &str) {
    const MANIFEST: &str = include_str!("../Cargo.toml");
    let words: Vec<&str> = command.split(' ').collect();
    match words[..] {
        ["nightbell" | "podman" | "kubectl" | "sha256sum" | "tar" | "UPDATE=1", ..] => {}
        ["cosign", "verify" | "verify-blob", ..] | ["gh", "attestation", "verify", ..] => {}
        ["sudo", "apt" | "systemctl" | "install" | "-u" | "systemd-run", ..] | ["sudoedit", ..] => {}
        ["cargo", "install" | "run" | "test", ..] | ["cargo", "bench"] | ["curl", "…", ..] => {}
        ["cargo", "bench", "--bench", name, ..] => {
            assert!(MANIFEST.contains(&format!("[[bench]]\nname = \"{name}\"\n")), "{place}: there is no bench {name}");
        }
        [script, ..] => assert!(root().join(script).is_file(), "{place}: nothing tries {command:?}"),
        [] => {}
    }
}

/// What people are likely to see first has a row where it is explained, in both languages.
#[test]
fn what_goes_wrong_most_often_is_explained() {
    for page in ["docs/operate.md", "docs/zh/operate.md"] {
        let text = std::fs::read_to_string(root().join(page)).unwrap();
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        for symptom in
            ["`nightbell explain JOB`", "`401`", "`invalid_blocks`", "`https_proxy`", "`NO_PROXY`", "`SSL_CERT_FILE`"]
        {
            assert!(rows.iter().any(|row| row.contains(symptom)), "{page}: no row tells of {symptom}");
        }
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
            let is_ours =
                |word: &&str| ["tests/", "packaging/", "benches/", ".ci/"].iter().any(|it| word.starts_with(it));
            for path in command.split(' ').filter(is_ours) {
                assert!(root().join(path).exists(), "{place}: {command}: there is no {path}");
            }
            assert_known(&place, &command);
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

/// The anchors of a text's headings, in their order.
fn anchors(text: &str) -> Vec<String> {
    prose(text).lines().filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// The links in a text.
pub(crate) fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()).filter(|link| !link.contains('{'))
}

/// Where a link of a document leads: a path from the project's root, and the anchor of a heading; or an address elsewhere.
pub(crate) fn destination<'a>(document: &Path, link: &'a str) -> (PathBuf, &'a str) {
    if link.contains("://") {
        return (PathBuf::from(link), "");
    }
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    if file.is_empty() {
        return (document.to_path_buf(), heading);
    }
    let mut path = document.parent().unwrap().to_path_buf();
    for part in file.split('/') {
        match part {
            ".." => assert!(path.pop(), "{}: {link}", document.display()),
            part => path.push(part),
        }
    }
    (path, heading)
}

/// The number of the heading that a link leads to, where it names one.
fn heading_number(path: &Path, heading: &str) -> Option<usize> {
    if heading.is_empty() {
        return None;
    }
    anchors(&std::fs::read_to_string(root().join(path)).unwrap()).iter().position(|it| it == heading)
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let mut seen = 0;
    for document in documents() {
        for link in links(&prose(&document.text)).filter(|link| !link.contains("://")) {
            seen += 1;
            let (path, heading) = destination(&document.path, link);
            assert!(root().join(&path).exists(), "{}: {link}", document.path.display());
            let leads = heading.is_empty() || heading_number(&path, heading).is_some();
            assert!(leads, "{}: {link}", document.path.display());
        }
    }
    assert!(seen > 30, "{seen}");
}

/// The page in Chinese that says what a page in English says.
fn in_chinese(path: &Path) -> PathBuf {
    match path.strip_prefix("docs") {
        Ok(rest) => Path::new("docs/zh").join(rest),
        Err(_) => path.with_extension("zh.md"),
    }
}

/// The page in English that a page in Chinese says in Chinese; any other path as it is.
fn in_english(path: &Path) -> PathBuf {
    match path.strip_prefix("docs/zh") {
        Ok(rest) => Path::new("docs").join(rest),
        Err(_) if path == Path::new("README.zh.md") => PathBuf::from("README.md"),
        Err(_) => path.to_path_buf(),
    }
}

/// What of a page is the same in every language: levels of headings, blocks without their comments, the shapes of tables with
/// what stands between backticks in them, and where links lead. `other` is the page in the other language.
fn bones(page: &Document, other: &Path) -> Vec<String> {
    let mut bones = Vec::new();
    for (index, part) in page.text.split("```").enumerate() {
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
            for link in links(line) {
                let (path, heading) = destination(&page.path, link);
                if path != other {
                    bones.push(format!("{} {:?}", in_english(&path).display(), heading_number(&path, heading)));
                }
            }
        }
    }
    bones
}

/// The words between backticks in each section, but for tables and blocks.
fn named(text: &str) -> Vec<BTreeSet<String>> {
    let prose = prose(text);
    let lines: Vec<&str> = prose.lines().filter(|line| !line.starts_with('|')).collect();
    let words = |section: &str| quoted(section).map(|it| it.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    lines.join("\n").split("\n#").map(words).collect()
}

#[test]
fn every_page_has_a_chinese_one_with_its_headings_blocks_tables_and_links() {
    let pages = documents();
    let page_at = |path: &Path| pages.iter().find(|page| page.path == path);
    let mut seen = 0;
    for english in &pages {
        // For people who work on the project.
        let single = ["SECURITY.md", "CONTRIBUTING.md"];
        if single.iter().any(|it| english.path == Path::new(it)) {
            continue;
        }
        let original = in_english(&english.path);
        if original != english.path {
            assert!(page_at(&original).is_some(), "{} says what no page says", english.path.display());
            continue;
        }
        seen += 1;
        let path = in_chinese(&english.path);
        let place = path.display();
        let chinese = page_at(&path).unwrap_or_else(|| panic!("{} has no {place}", english.path.display()));
        let (en, zh) = (bones(english, &chinese.path), bones(chinese, &english.path));
        for (en, zh) in en.iter().zip(&zh) {
            assert_eq!(en, zh, "{place} does not follow {}", english.path.display());
        }
        assert_eq!(en.len(), zh.len(), "{place}");
        for (number, (en, zh)) in named(&english.text).iter().zip(&named(&chinese.text)).enumerate() {
            let missing: Vec<&String> = en.difference(zh).collect();
            assert!(missing.is_empty(), "{place}, section {number}, does not name {missing:?}");
        }
        for (page, other) in [(english, chinese), (chinese, english)] {
            let head = page.text.split("\n## ").next().unwrap();
            let leads = links(head).any(|link| destination(&page.path, link).0 == other.path);
            assert!(leads, "{} does not begin with a link to {}", page.path.display(), other.path.display());
        }
        // Whoever reads Chinese is led to what there is in Chinese.
        for link in links(&prose(&chinese.text)) {
            let (to, _) = destination(&path, link);
            assert!(to == english.path || page_at(&in_chinese(&to)).is_none(), "{place}: {link}");
        }
    }
    assert!(seen > 15, "{seen}");
}

#[test]
fn the_readme_can_be_read_in_five_minutes() {
    for text in [README, README_ZH] {
        assert!(text.lines().count() <= 200, "{} lines", text.lines().count());
    }
}

/// The help of a command and of all below it.
fn helps(command: &clap::Command, into: &mut Vec<(String, String)>) {
    into.push((format!("{} --help", command.get_name()), command.clone().render_long_help().to_string()));
    for below in command.get_subcommands() {
        helps(below, into);
    }
}

/// People are notified and messages are sent, and nobody is told anything, wherever people read what the program is and does. The
/// keys and words of programs (`tell_ack`) are what they are.
#[test]
fn people_are_notified_and_messages_are_sent() {
    let mut texts: Vec<(String, String)> =
        documents().iter().map(|page| (page.path.display().to_string(), prose(&page.text))).collect();
    for path in ["rules.example.yaml", "src/cli/init/starter.yaml", "packaging/rules.yaml", "packaging/environment"] {
        let text = std::fs::read_to_string(root().join(path)).unwrap();
        texts.push((path.to_string(), text));
    }
    helps(&Cli::command(), &mut texts);
    assert!(texts.len() > 60, "{}", texts.len());
    let told = regex::Regex::new(r"(?i).{0,40}\b(tells?|told|telling)\b.{0,40}").unwrap();
    for (place, text) in texts {
        let said: String = text.split('`').step_by(2).collect();
        assert!(!told.is_match(&said), "{place}: {:?}", told.find(&said).unwrap().as_str());
    }
}
