//! What packaging/ says of the program is true: the commands that units, images and pods start exist, what packages hold is
//! there, and the unit is hardened. `tests/packaging` installs and runs the packages, which takes minutes.

use std::path::Path;

use clap::Parser as _;
use nightbell::cli::Cli;
use nightbell::config::{Config, LoadOptions};

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn assert_understood(place: &str, words: &[&str]) {
    let words: Vec<&str> = ["nightbell"].iter().chain(words).copied().collect();
    Cli::try_parse_from(&words).unwrap_or_else(|error| panic!("{place}: {words:?}: {error}"));
}

/// The words of a list in brackets: `[run, -c, "x"]`.
fn bracketed(list: &str) -> Vec<&str> {
    let inside = list.split_once('[').unwrap().1.split_once(']').unwrap().0;
    inside.split(',').map(|word| word.trim().trim_matches('"')).collect()
}

#[test]
fn what_units_images_and_pods_start_is_understood() {
    let unit = read("packaging/nightbell.service");
    let starts: Vec<&str> =
        unit.lines().filter_map(|line| line.split_once("=/usr/bin/nightbell ")).map(|(_, rest)| rest).collect();
    assert_eq!(starts.len(), 2, "one that checks, one that runs");
    for start in starts {
        assert_understood("nightbell.service", &start.split(' ').collect::<Vec<_>>());
    }
    let image = read("packaging/container/Containerfile");
    let command = image.lines().find_map(|line| line.strip_prefix("CMD ")).unwrap();
    assert_understood("Containerfile", &bracketed(command));
    for manifest in ["sqlite/statefulset.yaml", "postgres/deployment.yaml"] {
        let text = read(&format!("packaging/kubernetes/{manifest}"));
        let arguments = text.lines().find_map(|line| line.trim().strip_prefix("args: ")).unwrap();
        assert_understood(manifest, &bracketed(arguments));
    }
}

#[test]
fn the_configurations_of_the_pods_are_clean() {
    for which in ["sqlite", "postgres"] {
        let rules = read(&format!("packaging/kubernetes/{which}/rules.yaml"));
        let loaded = Config::from_text(rules, "rules.yaml", Path::new(""), &LoadOptions { offline: true });
        let loaded = loaded.unwrap_or_else(|problem| panic!("{which}: {problem}"));
        assert!(loaded.warnings.is_empty(), "{which}: {:?}", loaded.warnings);
    }
}

/// What both packages hold is there, but for what `packaging/build` makes.
#[test]
fn what_packages_hold_is_there() {
    let manifest = read("Cargo.toml");
    let packages = manifest.split("[package.metadata.deb]").nth(1).unwrap();
    let sources: Vec<&str> = packages
        .lines()
        .map(str::trim)
        .filter_map(|line| line.strip_prefix("[\"").or_else(|| line.strip_prefix("{ source = \"")))
        .map(|rest| rest.split('"').next().unwrap())
        .filter(|source| !source.starts_with("target/"))
        .collect();
    assert!(sources.len() > 12, "{sources:?}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for source in sources {
        let path = source.strip_suffix("*.md").unwrap_or(source);
        assert!(root.join(path).exists(), "there is no {source}");
    }
}

/// Exposed as little as the unit claims; without systemd on the machine there is nobody to ask.
#[test]
fn the_unit_is_hardened() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/nightbell.service");
    let asked = std::process::Command::new("systemd-analyze").args(["security", "--offline=true"]).arg(unit).output();
    let Ok(output) = asked else {
        println!("systemd-analyze is not here: the unit was not measured");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let level = said.split("nightbell.service: ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let level: f64 = level.and_then(|level| level.parse().ok()).unwrap_or_else(|| panic!("{said}"));
    assert!(level <= 1.5, "exposure {level}");
}
