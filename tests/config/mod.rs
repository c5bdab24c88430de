//! The configuration: mistakes that people make, each with the words they get; the example; odd files.

mod directory;
mod mutations;
mod schema;

use std::path::{Path, PathBuf};

use nightbell::config::{Config, LoadOptions};
use nightbell::model::{InstanceType, Severity, Status};
use nightbell::rule::MatchCache;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config")
}

fn load(path: &Path) -> Result<nightbell::config::Loaded, nightbell::config::ConfigProblem> {
    Config::load(path, &LoadOptions { offline: true })
}

/// What loading the file says, with `name` for its path.
fn said(path: &Path, name: &str, offline: bool) -> String {
    let words = match Config::load(path, &LoadOptions { offline }) {
        Ok(loaded) => match loaded.rendered_warnings() {
            warnings if warnings.is_empty() => "no findings".to_string(),
            warnings => warnings.join("\n"),
        },
        Err(problem) => problem.to_string(),
    };
    let directory = path.parent().unwrap().display().to_string();
    words.replace(&path.display().to_string(), name).replace(&directory, "DIRECTORY") + "\n"
}

/// Each tests/data/config/NAME.yaml says what NAME.txt holds. `UPDATE=1` writes what it says now.
/// A file whose first line is `# online` is loaded with its secrets.
#[test]
fn mistakes_are_told_in_words() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(data()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "yaml")) {
        seen += 1;
        let name = path.file_name().unwrap().to_str().unwrap();
        let offline = !std::fs::read_to_string(path).is_ok_and(|text| text.starts_with("# online"));
        let (says, expected_path) = (said(path, name, offline), path.with_extension("txt"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&expected_path, &says).unwrap();
        }
        let expected = std::fs::read_to_string(&expected_path).unwrap_or_default();
        if says != expected {
            wrong.push(format!("{name}\n--- says\n{says}--- should say\n{expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 40, "only {seen} files");
}

#[test]
fn the_example_is_clean() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules.example.yaml");
    assert_eq!(said(&path, "rules.example.yaml", true), "no findings\n");
    let config = load(&path).unwrap().config;
    assert_eq!(config.timezone.iana_name(), Some("Asia/Shanghai"));
    assert_eq!(config.store.to_string(), "sqlite://nightbell.db");
    assert_eq!(config.sources.len(), 2);
    assert_eq!(config.sources[1].scheduler.kind(), "schedulerx");
    assert_eq!(config.receivers.len(), 3);
    let source = &config.sources[0];
    assert_eq!(
        (source.id.as_str(), source.lookback.as_secs(), source.first_poll.as_secs()),
        ("warehouse", 86_400, 3600)
    );
    assert_eq!(source.poll.to_string(), "* * * * *");
    let rule = &config.rules.rules()[0];
    assert_eq!((rule.id.as_str(), rule.severity), ("etl-failed", Severity::Critical));
    assert_eq!(rule.matches.instance_types, [InstanceType::Scheduled]);
    assert_eq!(rule.when.statuses.iter().copied().collect::<Vec<_>>(), [Status::Fail, Status::RunningException]);
    assert_eq!(rule.notify.iter().map(|id| id.as_str()).collect::<Vec<_>>(), ["oncall", "pager"]);
    let matching = |job: &str| -> Vec<&str> {
        let found = config.rules.matching(&source.id, job, &mut MatchCache::default());
        found.iter().map(|index| config.rules.rules()[*index].id.as_str()).collect()
    };
    assert_eq!(matching("etl_orders"), ["etl-failed", "waiting-too-long", "backfill-failed", "refused", "all-night"]);
    assert_eq!(matching("orders_p07_daily"), ["backfill-failed", "partitions-failed", "refused", "all-night"]);
}

/// Every receiver that the example shows in a comment is right, too.
#[test]
fn the_examples_in_comments_are_clean() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules.example.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let shown = |line: &str| {
        let rest = line.strip_prefix("  # ")?;
        rest.contains(": { type: ").then(|| format!("  {rest}"))
    };
    let lines: Vec<String> = text.lines().map(|line| shown(line).unwrap_or_else(|| line.to_string())).collect();
    let options = LoadOptions { offline: true };
    let loaded =
        Config::from_text(lines.join("\n"), "example", Path::new(""), &options).unwrap_or_else(|it| panic!("{it}"));
    let mut kinds: Vec<&str> = loaded.config.receivers.iter().map(|receiver| receiver.channel.kind().word).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), nightbell::notify::KINDS.len(), "{kinds:?}");
    let unused = |found: &&nightbell::yaml::Diagnostic| !found.message.contains("nothing notifies the receiver");
    assert_eq!(loaded.warnings.iter().filter(unused).count(), 0);
}

const SMALL: &str =
    "version: 1\nsources:\n  s: { type: dataarts, region: r, project_id: p, auth: { token: { env: T } } }\n";

fn write(directory: &tempfile::TempDir, bytes: &[u8]) -> PathBuf {
    let path = directory.path().join("rules.yaml");
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn odd_files_are_refused_with_help_or_read_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |bytes: &[u8]| load(&write(&directory, bytes)).unwrap_err().to_string();
    let read = |bytes: &[u8]| load(&write(&directory, bytes)).map(|_| ()).map_err(|problem| problem.to_string());

    let missing = load(&directory.path().join("none.yaml")).unwrap_err().to_string();
    assert!(missing.contains("there is no file") && missing.contains("nightbell check -c PATH"), "{missing}");
    assert!(missing.contains("nightbell init"), "{missing}");
    let bare = load(directory.path()).unwrap_err().to_string();
    assert!(bare.contains("there is no *.yaml file in"), "{bare}");
    let endless = load(Path::new("/dev/zero")).unwrap_err().to_string();
    assert!(endless.contains("larger than 8 MiB"), "{endless}");

    assert!(refused(b"").contains("the file is empty"));
    assert!(refused(b"\n  \n# only a comment\n").contains("the file is empty"));
    assert!(refused(b"version: 1\n\nrules: \xff\xfe\n").contains("rules.yaml:3: the file is not UTF-8"));
    assert!(refused(b"\xff\xfev\0e\0r\0").contains("not UTF-8"));
    assert!(refused(b"\0\0\0\0").contains("not readable as YAML"));
    assert!(refused(&vec![b'#'; (8 << 20) + 1]).contains("larger than 8 MiB"));
    assert!(refused(b"just words").contains("expected a mapping"));
    assert!(refused(b"- a\n- b\n").contains("expected a mapping"));
    // Cut in the middle of being written.
    assert!(refused(&SMALL.as_bytes()[..SMALL.len() - 6]).contains("not closed"));

    assert_eq!(read(SMALL.as_bytes()), Ok(()));
    assert_eq!(read(format!("\u{feff}{SMALL}").as_bytes()), Ok(()));
    assert_eq!(read(SMALL.replace('\n', "\r\n").as_bytes()), Ok(()));
    assert_eq!(read(format!("---\n{SMALL}...\n").as_bytes()), Ok(()));
}

#[test]
fn a_mark_and_foreign_line_ends_do_not_shift_places() {
    let directory = tempfile::tempdir().unwrap();
    let text = format!("\u{feff}{SMALL}ruels: {{}}\n").replace('\n', "\r\n");
    let problem = load(&write(&directory, text.as_bytes())).unwrap_err();
    let at = problem.diagnostics.iter().map(|found| (found.at.line, found.at.column)).collect::<Vec<_>>();
    assert_eq!(at[at.len() - 1], (4, 1), "{problem}");
}

#[test]
fn bombs_are_refused_quickly() {
    let directory = tempfile::tempdir().unwrap();
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_string();
    for level in 1..10 {
        let before = level - 1;
        let ten = vec![format!("*a{before}"); 10].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{ten}]\n"));
    }
    let many = format!("a: &a {}\nb: [{}]\n", "x".repeat(64 << 10), vec!["*a"; 40_000].join(", "));
    let anchors: String = (0..5_000).map(|number| format!("n{number}: &n{number} x\n")).collect();
    let many_anchors = format!("{anchors}{many}");
    let deep = format!("a: {}{}\n", "[".repeat(100), "]".repeat(100));
    let deeper = format!("a: {}\n", "[".repeat(100_000));
    let block = (0..200).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>();
    for (name, text) in [
        ("laughs", laughs),
        ("many", many),
        ("many anchors", many_anchors),
        ("deep", deep),
        ("deeper", deeper),
        ("block", block),
    ] {
        let begun = std::time::Instant::now();
        let problem = load(&write(&directory, text.as_bytes())).unwrap_err().to_string();
        assert!(
            ["too many aliases", "nested deeper", "too large"].iter().any(|words| problem.contains(words)),
            "{name}: {}",
            problem.lines().next().unwrap_or_default()
        );
        // A bomb that goes off takes all the memory or the rest of the day; how busy the machine is does not matter.
        assert!(begun.elapsed().as_secs() < 300, "{name} took {:?}", begun.elapsed());
    }
}

/// Nesting up to the limit fits on the stack of a test thread, which is as large as that of a worker.
#[test]
fn the_deepest_file_that_is_read_does_not_overflow_the_stack() {
    let directory = tempfile::tempdir().unwrap();
    let depth = nightbell::limits::CONFIG_DEPTH_MAX - 1;
    let deep = format!("a: {}x{}\n", "[".repeat(depth), "]".repeat(depth));
    let problem = load(&write(&directory, deep.as_bytes())).unwrap_err().to_string();
    assert!(problem.contains("unknown key"), "{problem}");
    let maps = format!("{}x{}\n", "{a: ".repeat(depth), "}".repeat(depth));
    let problem = load(&write(&directory, maps.as_bytes())).unwrap_err().to_string();
    assert!(problem.contains("unknown key"), "{problem}");
}

#[test]
fn secrets_must_have_values_unless_offline() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("good"), "value\n").unwrap();
    std::fs::write(directory.path().join("blank"), " \n").unwrap();
    let text = "version: 1\nsources:\n  s:\n    type: dataarts\n    project_id: p\n    auth:\n      \
                access_key: { env: NIGHTBELL_TEST_UNSET }\n      secret_key: { file: missing }\n      \
                security_token: { file: blank }\n  t:\n    type: dataarts\n    project_id: ${NIGHTBELL_TEST_UNSET}\n    \
                auth: { token: { file: good } }\n";
    let path = write(&directory, text.as_bytes());
    let online = Config::load(&path, &LoadOptions { offline: false }).unwrap_err();
    let found: Vec<(u32, &str)> =
        online.diagnostics.iter().map(|found| (found.at.line, found.message.as_str())).collect();
    let shown = online.to_string();
    assert!(found.iter().any(|(line, words)| *line == 7 && words.contains("NIGHTBELL_TEST_UNSET")), "{shown}");
    assert!(found.iter().any(|(line, words)| *line == 8 && words.contains("missing")), "{shown}");
    assert!(found.iter().any(|(line, words)| *line == 9 && words.contains("empty")), "{shown}");
    assert!(found.iter().any(|(line, words)| *line == 12 && words.contains("NIGHTBELL_TEST_UNSET")), "{shown}");
    let offline = load(&path).map_err(|problem| problem.to_string());
    assert!(!offline.is_err_and(|words| words.contains("NIGHTBELL_TEST_UNSET is not set")));
}

#[test]
fn what_only_the_environment_knows_is_not_found_wrong_offline() {
    let text = "version: 1\ntimezone: ${NIGHTBELL_TEST_UNSET}\nstore: ${NIGHTBELL_TEST_UNSET}\nsources:\n  s:\n    \
                type: dataarts\n    region: r\n    project_id: ${NIGHTBELL_TEST_UNSET}\n    auth: { token: { env: T } }\n    \
                poll: ${NIGHTBELL_TEST_UNSET}\n    lookback: ${NIGHTBELL_TEST_UNSET}\nrules:\n  r:\n    \
                match: { job: \"${NIGHTBELL_TEST_UNSET}[\" }\n    when: { status: \"${NIGHTBELL_TEST_UNSET}\" }\n    \
                severity: ${NIGHTBELL_TEST_UNSET}\n";
    let load = |offline| Config::from_text(text.into(), "f.yaml", Path::new(""), &LoadOptions { offline });
    assert_eq!(load(true).map(|loaded| loaded.warnings).map_err(|problem| problem.to_string()), Ok(Vec::new()));
    let lines: Vec<u32> = load(false).unwrap_err().diagnostics.iter().map(|found| found.at.line).collect();
    assert_eq!(lines, [2, 3, 8, 9, 10, 11, 14, 15, 16]);
}

/// A year that a calendar does not cover is warned of before it begins, and only where something goes by the calendar.
#[test]
fn a_calendar_that_ends_is_warned_of() {
    let gaps = |windows: &str, now: &str| {
        let text = format!("{SMALL}timezone: Asia/Shanghai\nmute_windows:\n{windows}");
        let options = LoadOptions { offline: true };
        let loaded = Config::from_text(text, "f.yaml", Path::new(""), &options).unwrap_or_else(|it| panic!("{it}"));
        loaded.config.calendar_gaps(now.parse().unwrap()).join("\n")
    };
    let by_calendar = "  quiet: { days: [days-off], calendar: cn }\n";
    assert_eq!(gaps(by_calendar, "2026-11-01T00:00:00Z"), "");
    let before = gaps(by_calendar, "2026-12-01T00:00:00Z");
    assert!(before.contains("the calendar cn covers 2025, 2026, and not 2027"), "{before}");
    assert!(before.contains("calendars: { cn: { file: cn-2027.yaml } }"), "{before}");
    // Midnight in Shanghai comes first.
    assert!(gaps(by_calendar, "2027-12-31T16:00:00Z").contains("and not 2028"));
    assert_eq!(gaps("  quiet: { days: [sat, sun] }\n", "2030-01-01T00:00:00Z"), "");
    assert_eq!(gaps("  quiet: { days: [workdays] }\n", "2030-01-01T00:00:00Z"), "");
}
