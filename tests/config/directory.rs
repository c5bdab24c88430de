//! A directory of rule files: names across files, what stands twice, what counts as a rule file, and where each finding
//! is said to be.

use std::path::{Path, PathBuf};

use nightbell::config::{Config, LoadOptions, Loaded};

const SOURCE: &str =
    "sources:\n  warehouse: { type: dataarts, region: r, project_id: p, auth: { token: { env: T } } }\n";
const HOOK: &str = "receivers:\n  hook: { type: webhook, url: \"http://127.0.0.1:9/\" }\n";

/// A directory with these files, each with its version before it.
fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("version: 1\n{text}")).unwrap();
    }
    directory
}

fn load(directory: &Path) -> Result<Loaded, String> {
    let loaded = Config::load(directory, &LoadOptions { offline: true });
    loaded.map_err(|problem| problem.to_string().replace(&directory.display().to_string(), "rules.d"))
}

/// The first lines of what is said, without the lines shown.
fn said(files: &[(&str, &str)]) -> Vec<String> {
    let directory = directory(files);
    let problem = load(directory.path()).map(|_| ()).unwrap_err();
    problem.lines().filter(|line| line.starts_with("error:")).map(str::to_string).collect()
}

#[test]
fn files_make_one_configuration_in_the_order_of_their_names() {
    let directory = directory(&[
        (
            "20-finance.yaml",
            "rules:\n  b: { match: { source: warehouse }, when: { status: [fail, running-exception] }, notify: hook }\n",
        ),
        ("10-base.yml", &format!("timezone: Asia/Shanghai\n{SOURCE}{HOOK}")),
        (
            "30-data.yaml",
            "rules:\n  a: { when: { status: fail }, notify: [hook] }\nroutes:\n  r: { match: { rule: b }, notify: hook }\n",
        ),
    ]);
    let loaded = load(directory.path()).unwrap();
    let rules: Vec<&str> = loaded.config.rules.rules().iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(rules, ["b", "a"]);
    assert_eq!(loaded.config.timezone.iana_name(), Some("Asia/Shanghai"));
    assert_eq!((loaded.files.len(), loaded.config.routes.len()), (3, 1));
    assert_eq!(loaded.rendered_warnings(), Vec::<String>::new());
}

#[test]
fn hidden_files_backups_directories_and_others_do_not_count() {
    let broken = "rules: [\n";
    let directory = directory(&[
        ("a.yaml", &format!("{SOURCE}{HOOK}rules:\n  a: {{ notify: hook, when: {{ status: fail }} }}\n")),
        (".a.yaml", broken),
        ("#a.yaml", broken),
        ("a.yaml~", broken),
        ("a.yaml.bak", broken),
        ("notes.txt", broken),
        ("sub/b.yaml", broken),
        ("c.yaml/d.yaml", broken),
    ]);
    assert_eq!(load(directory.path()).unwrap().files.len(), 1);
}

#[test]
fn what_is_defined_twice_is_told_with_both_places() {
    let base = format!("{SOURCE}{HOOK}timezone: UTC\n");
    let more = format!(
        "{HOOK}timezone: UTC\nstore: sqlite://a.db\nrules:\n  a: {{ notify: hook, when: {{ status: fail }} }}\n"
    );
    let again = "rules:\n  b: { when: { status: fail } }\n  a: { notify: hook, when: { status: fail } }\nstore: sqlite://a.db\nroutes: []\n";
    assert_eq!(
        said(&[("a.yaml", &base), ("b.yaml", &more), ("c.yaml", again)]),
        [
            "error: rules.d/b.yaml:3:3: receivers.hook: the name \"hook\" is defined twice; the first one is at \
             rules.d/a.yaml:5:3",
            "error: rules.d/b.yaml:4:1: timezone: the key \"timezone\" stands in two files; the first one is at \
             rules.d/a.yaml:6:1",
            "error: rules.d/c.yaml:4:3: rules.a: the name \"a\" is defined twice; the first one is at \
             rules.d/b.yaml:7:3",
            "error: rules.d/c.yaml:5:1: store: the key \"store\" stands in two files; the first one is at \
             rules.d/b.yaml:5:1",
            "error: rules.d/c.yaml:6:9: routes: expected a mapping of keys to values, found a list",
        ]
    );
}

#[test]
fn everything_is_told_in_the_order_of_the_files() {
    let base = format!("{SOURCE}{HOOK}rules:\n  a: {{ notify: [hok], when: {{ status: fail }} }}\n");
    let found = said(&[
        (
            "b.yaml",
            "rules:\n  b: { notify: [hook], severity: high, when: { status: fail } }\n  b: { when: { status: fail } }\n",
        ),
        ("a.yaml", &base),
        ("c.yaml", "ruels: {}\nrules:\n  c: { match: { source: warhouse }, when: { status: fail } }\n"),
    ]);
    let starts = [
        "a.yaml:7:17: rules.a.notify[0]",
        "b.yaml:3:34: rules.b.severity",
        "b.yaml:4:3: rules.b",
        "c.yaml:2:1: ruels",
        "c.yaml:4:25: rules.c.match.source",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (line, start) in found.iter().zip(starts) {
        assert!(line.starts_with(&format!("error: rules.d/{start}")), "{line}");
    }
    let helped = load(directory(&[("a.yaml", &base)]).path()).map(|_| ()).unwrap_err();
    assert!(helped.contains("did you mean \"hook\"?"), "{helped}");
    assert!(
        helped.contains("7 |   a: { notify: [hok], when: { status: fail } }"),
        "the line is that of its own file: {helped}"
    );
}

/// Of a file that cannot be read at all nobody knows what it defines: what refers to it is not wrong for that.
#[test]
fn a_file_that_is_no_yaml_makes_no_dangling_references_elsewhere() {
    let rules = "rules:\n  a: { match: { source: warehouse }, notify: [hook], severity: hi, when: { status: fail } }\n";
    let found = said(&[("a.yaml", &format!("{SOURCE}{HOOK}x: [\n")), ("b.yaml", rules)]);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("error: rules.d/a.yaml:") && found[0].contains("not readable as YAML"), "{found:#?}");
    assert!(found[1].contains("b.yaml:3:64: rules.a.severity"), "{found:#?}");
    let directory = directory(&[("a.yaml", &format!("{SOURCE}{HOOK}")), ("b.yaml", rules)]);
    std::fs::write(directory.path().join("a.yaml"), b"version: 1\n\xff\n").unwrap();
    let problem = load(directory.path()).map(|_| ()).unwrap_err();
    assert!(problem.contains("rules.d/a.yaml:2:1: the file is not UTF-8 text"), "{problem}");
    assert!(!problem.contains("there is no"), "{problem}");
}

#[test]
fn each_file_has_a_version_and_defaults_of_its_own() {
    let base = format!(
        "{SOURCE}{HOOK}defaults: {{ notify: hook, severity: info }}\nrules:\n  a: {{ when: {{ status: fail }} }}\n"
    );
    let directory = directory(&[
        ("a.yaml", &base),
        ("b.yaml", "defaults: { severity: critical }\nrules:\n  b: { when: { status: fail } }\n"),
    ]);
    let config = load(directory.path()).unwrap().config;
    let found: Vec<(&str, &str, usize)> =
        config.rules.rules().iter().map(|rule| (rule.id.as_str(), rule.severity.as_str(), rule.notify.len())).collect();
    assert_eq!(found, [("a", "info", 1), ("b", "critical", 0)]);
    std::fs::write(directory.path().join("b.yaml"), "rules: {}\n").unwrap();
    let problem = load(directory.path()).map(|_| ()).unwrap_err();
    assert!(problem.contains("rules.d/b.yaml:1:1: the key \"version\" is missing"), "{problem}");
}

/// A mistake in the defaults is told once, however many rules there are, and not at all of rules that say it themselves.
#[test]
fn a_mistake_in_defaults_is_told_once() {
    let rules: String = (0..9).map(|number| format!("  r{number}: {{ when: {{ status: fail }} }}\n")).collect();
    let base = format!("{SOURCE}{HOOK}defaults: {{ notify: hok, severity: bad }}\nrules:\n{rules}");
    let found = said(&[("a.yaml", &base)]);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("defaults.notify") && found[1].contains("defaults.severity"), "{found:#?}");
}

#[test]
fn relative_paths_start_from_the_directory() {
    let directory = directory(&[
        ("a.yaml", &format!("{SOURCE}{HOOK}rules:\n  a: {{ notify: hook, when: {{ status: fail }} }}\n")),
        ("b.yaml", "calendars:\n  mine: { file: mine.txt }\n"),
    ]);
    assert!(load(directory.path()).is_err());
    std::fs::write(directory.path().join("mine.txt"), "years: 2027\n").unwrap();
    assert!(load(directory.path()).is_ok());
}

/// As a ConfigMap is mounted: every file is a link into a directory that is itself a link, and hidden.
#[test]
fn links_as_a_config_map_has_them_are_followed() {
    let directory = directory(&[(
        "..2026_01/a.yaml",
        &format!("{SOURCE}{HOOK}rules:\n  a: {{ notify: hook, when: {{ status: fail }} }}\n"),
    )]);
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(to, directory.path().join(name)).unwrap();
    };
    link("..2026_01", "..data");
    link("..data/a.yaml", "a.yaml");
    assert_eq!(load(directory.path()).unwrap().files.len(), 1);
    link("..data/gone.yaml", "b.yaml");
    let problem = load(directory.path()).map(|_| ()).unwrap_err();
    assert!(problem.contains("rules.d/b.yaml:1:1: the file cannot be read"), "{problem}");
}

/// The places of findings, and that a file is found by its number, hold with many files.
#[test]
fn a_thousand_files_are_read_and_one_more_is_too_many() {
    let directory = directory(&[("0000.yaml", &format!("{SOURCE}{HOOK}"))]);
    let path = |number: usize| -> PathBuf { directory.path().join(format!("{number:04}.yaml")) };
    for number in 1..1000 {
        std::fs::write(
            path(number),
            format!("version: 1\nrules:\n  r{number}: {{ notify: hook, when: {{ status: fail }} }}\n"),
        )
        .unwrap();
    }
    assert_eq!(load(directory.path()).unwrap().config.rules.rules().len(), 999);
    std::fs::write(path(999), "version: 1\nrules:\n  r1: { notify: hook, when: { status: fail } }\n").unwrap();
    let problem = load(directory.path()).map(|_| ()).unwrap_err();
    assert!(problem.contains("rules.d/0999.yaml:3:3") && problem.contains("rules.d/0001.yaml:3:3"), "{problem}");
    std::fs::write(path(1000), "version: 1\n").unwrap();
    assert!(load(directory.path()).map(|_| ()).unwrap_err().contains("more than 1000"));
}
